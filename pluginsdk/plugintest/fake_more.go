package plugintest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

type fakeNotices struct {
	hostv1.UnimplementedNoticesServer
	f *Fake
}

func (s fakeNotices) Send(_ context.Context, req *hostv1.SendNoticeRequest) (*hostv1.SendNoticeResponse, error) {
	n := from[pluginsdk.Notice](req)
	switch {
	case n.IdempotencyKey == "":
		return nil, status.Error(codes.InvalidArgument, "idempotency_key: it is needed")
	case n.Subject == "" || len(n.Subject) > 200 || n.Text == "" || len(n.Text) > 4<<10:
		return nil, status.Error(codes.InvalidArgument, "subject: a notice has one of at most 200 bytes, and a text of at most 4 KiB")
	case n.Link != "" && (!strings.HasPrefix(n.Link, "/") || strings.HasPrefix(n.Link, "//")):
		return nil, status.Error(codes.InvalidArgument, "link: it is a path on this Sigra")
	}
	if !slices.ContainsFunc(s.f.notices, func(have pluginsdk.Notice) bool {
		return have.IdempotencyKey == n.IdempotencyKey && have.OrganizationID == n.OrganizationID
	}) {
		s.f.notices = append(s.f.notices, n)
	}
	return &hostv1.SendNoticeResponse{Recipients: 1}, nil
}

type fakeTopics struct {
	hostv1.UnimplementedTopicsServer
	f *Fake
}

func (f *Fake) notify(topic, payload string) {
	for _, w := range f.watchers[topic] {
		select {
		case w <- pluginsdk.Change{Payload: payload}:
		default: // it is told to reread, as by the real one
			select {
			case <-w:
			default:
			}
			w <- pluginsdk.Change{Reread: true}
		}
	}
}

func (s fakeTopics) Notify(_ context.Context, req *hostv1.NotifyRequest) (*hostv1.NotifyResponse, error) {
	if err := checkTopic(req.GetTopic()); err != nil {
		return nil, err
	}
	if len(req.GetPayload()) > 1024 {
		return nil, status.Error(codes.InvalidArgument, "payload: it has at most 1024 bytes")
	}
	s.f.notify(req.GetTopic(), req.GetPayload())
	return &hostv1.NotifyResponse{}, nil
}

func checkTopic(name string) error {
	if name == "" || len(name) > 128 {
		return status.Error(codes.InvalidArgument, "topic: it has 1 to 128 bytes")
	}
	return nil
}

func (s fakeTopics) Watch(req *hostv1.WatchRequest, stream grpc.ServerStreamingServer[hostv1.WatchResponse]) error {
	if err := checkTopic(req.GetTopic()); err != nil {
		return err
	}
	changes := make(chan pluginsdk.Change, 64)
	changes <- pluginsdk.Change{Reread: true}
	s.f.mu.Lock()
	if s.f.watchers == nil {
		s.f.watchers = map[string][]chan pluginsdk.Change{}
	}
	s.f.watchers[req.GetTopic()] = append(s.f.watchers[req.GetTopic()], changes)
	s.f.mu.Unlock()
	defer func() {
		s.f.mu.Lock()
		defer s.f.mu.Unlock()
		s.f.watchers[req.GetTopic()] = slices.DeleteFunc(s.f.watchers[req.GetTopic()], func(c chan pluginsdk.Change) bool { return c == changes })
	}()
	for {
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case c := <-changes:
			if err := stream.Send(&hostv1.WatchResponse{Payload: c.Payload, Reread: c.Reread}); err != nil {
				return err
			}
		}
	}
}

// quota is a window of the fake's clock that began with its first use.
type quota struct {
	until time.Time
	used  int64
}

type fakeRateLimit struct {
	hostv1.UnimplementedRateLimitServer
	f *Fake
}

func (s fakeRateLimit) Take(_ context.Context, req *hostv1.TakeRequest) (*hostv1.TakeResponse, error) {
	now, cost := s.f.Clock.Now(), max(req.GetCost(), 1)
	if req.GetLimit() <= 0 || req.GetWindow().AsDuration() <= 0 {
		return nil, status.Error(codes.InvalidArgument, "a quota has a limit and a window")
	}
	q := s.f.quotas[req.GetKey()]
	if !now.Before(q.until) {
		q = quota{until: now.Add(req.GetWindow().AsDuration())}
	}
	resp := &hostv1.TakeResponse{Allowed: q.used+cost <= req.GetLimit(), ResetAfter: durationpb.New(q.until.Sub(now))}
	if resp.Allowed {
		q.used += cost
	} else {
		resp.RetryAfter = resp.ResetAfter
	}
	resp.Remaining = max(req.GetLimit()-q.used, 0)
	put(&s.f.quotas, req.GetKey(), q)
	return resp, nil
}

type fakeClaims struct {
	hostv1.UnimplementedClaimsServer
	f *Fake
}

func (s fakeClaims) Collect(context.Context, *hostv1.CollectClaimsRequest) (*hostv1.CollectClaimsResponse, error) {
	return to(&hostv1.CollectClaimsResponse{}, pluginsdk.Collected{Claims: s.f.claims}), nil
}

func (s fakeClaims) Invalidate(_ context.Context, req *hostv1.InvalidateClaimsRequest) (*hostv1.InvalidateClaimsResponse, error) {
	s.f.stale = append(s.f.stale, req.GetUserId())
	return &hostv1.InvalidateClaimsResponse{}, nil
}

type fakeGates struct {
	hostv1.UnimplementedGatesServer
	f *Fake
}

var answers = map[string]pluginv1.AskResponse_Answer{
	"allow": pluginv1.AskResponse_ANSWER_ALLOW, "deny": pluginv1.AskResponse_ANSWER_DENY, "step_up": pluginv1.AskResponse_ANSWER_STEP_UP,
}

func (s fakeGates) Ask(_ context.Context, req *hostv1.AskGatesRequest) (*hostv1.AskGatesResponse, error) {
	a := askFrom(req.GetQuestion())
	if a.Question != pluginsdk.TokenIssue && a.Question != pluginsdk.RouteAccess {
		return nil, status.Errorf(codes.InvalidArgument, "question: a plugin can't ask %q", a.Question)
	}
	if len(a.AttemptID) > 64 {
		return nil, status.Error(codes.InvalidArgument, "question.attempt_id: it has at most 64 characters")
	}
	if a.AttemptID == "" {
		a.AttemptID = fmt.Sprintf("attempt-%d", len(s.f.asked)+1)
	}
	s.f.asked = append(s.f.asked, a)
	v := pluginsdk.Verdict{Decision: "allow"}
	if s.f.verdict != nil {
		v = *s.f.verdict
	}
	resp := to(&pluginv1.AskResponse{}, v)
	resp.Answer = answers[v.Decision]
	return &hostv1.AskGatesResponse{Answer: resp, By: v.By, AttemptId: a.AttemptID}, nil
}

func (s fakeGates) Settle(_ context.Context, req *hostv1.SettleGatesRequest) (*hostv1.SettleGatesResponse, error) {
	put(&s.f.settled, req.GetAttemptId(), req.GetCommitted())
	return &hostv1.SettleGatesResponse{}, nil
}

type fakeDomains struct {
	hostv1.UnimplementedDomainsServer
	f *Fake
}

func (s fakeDomains) Get(_ context.Context, req *hostv1.GetDomainsRequest) (*hostv1.GetDomainsResponse, error) {
	resp := &hostv1.GetDomainsResponse{}
	for _, d := range s.f.domains {
		if (req.GetOrganizationId() == "" || d.OrganizationID == req.GetOrganizationId()) && (req.GetName() == "" || strings.EqualFold(d.Name, req.GetName())) {
			resp.Domains = append(resp.Domains, to(&hostv1.Domain{}, d))
		}
	}
	return resp, nil
}

// Verify finds every proof that is begun, the second time.
func (s fakeDomains) Verify(_ context.Context, req *hostv1.VerifyDomainRequest) (*hostv1.VerifyDomainResponse, error) {
	for i, d := range s.f.domains {
		if d.OrganizationID == req.GetOrganizationId() && strings.EqualFold(d.Name, req.GetName()) {
			d.Verified, d.VerifiedAt = true, s.f.Clock.Now()
			s.f.domains[i] = d
			return &hostv1.VerifyDomainResponse{Domain: to(&hostv1.Domain{}, d)}, nil
		}
	}
	d := pluginsdk.Domain{Name: req.GetName(), OrganizationID: req.GetOrganizationId(), RecordName: "_sigra." + req.GetName(), RecordValue: "sigra-verify=fake"}
	s.f.domains = append(s.f.domains, d)
	return &hostv1.VerifyDomainResponse{Domain: to(&hostv1.Domain{}, d)}, nil
}

// link is an address that works once.
type link struct {
	purpose, subject string
	data             []byte
	expires          time.Time
}

type fakeLinks struct {
	hostv1.UnimplementedLinksServer
	f *Fake
}

func (s fakeLinks) Issue(_ context.Context, req *hostv1.IssueLinkRequest) (*hostv1.IssueLinkResponse, error) {
	ttl := req.GetValidFor().AsDuration()
	switch {
	case req.GetPurpose() == "" || len(req.GetPurpose()) > 255 || len(req.GetSubject()) > 255:
		return nil, status.Error(codes.InvalidArgument, "purpose: it has 1 to 255 bytes, and a subject at most as many")
	case len(req.GetData()) > 4<<10:
		return nil, status.Error(codes.InvalidArgument, "data: it has at most 4096 bytes")
	case ttl < time.Minute || ttl > 30*24*time.Hour:
		return nil, status.Error(codes.InvalidArgument, "valid_for: it is 1 minute to 30 days")
	case !strings.HasPrefix(req.GetPath(), "/") || strings.ContainsAny(req.GetPath(), "?#"):
		return nil, status.Error(codes.InvalidArgument, "path: it lies below one of the plugin's own routes, without a query")
	}
	token := fmt.Sprintf("link-%d", len(s.f.links)+1)
	expires := s.f.Clock.Now().Add(req.GetValidFor().AsDuration())
	put(&s.f.links, token, link{req.GetPurpose(), req.GetSubject(), req.GetData(), expires})
	return &hostv1.IssueLinkResponse{Url: "https://sigra.example" + req.GetPath() + "?token=" + token, Token: token, ExpiresAt: timeTo(expires)}, nil
}

func (s fakeLinks) live(purpose, token string) (link, bool) {
	l, ok := s.f.links[token]
	return l, ok && l.purpose == purpose && s.f.Clock.Now().Before(l.expires)
}

func (s fakeLinks) Peek(_ context.Context, req *hostv1.PeekLinkRequest) (*hostv1.PeekLinkResponse, error) {
	l, ok := s.live(req.GetPurpose(), req.GetToken())
	if !ok {
		return &hostv1.PeekLinkResponse{}, nil
	}
	return &hostv1.PeekLinkResponse{Valid: true, Subject: l.subject, Data: l.data, ExpiresAt: timeTo(l.expires)}, nil
}

func (s fakeLinks) Redeem(_ context.Context, req *hostv1.RedeemLinkRequest) (*hostv1.RedeemLinkResponse, error) {
	l, ok := s.live(req.GetPurpose(), req.GetToken())
	if !ok {
		return &hostv1.RedeemLinkResponse{}, nil
	}
	l.expires = time.Time{}
	s.f.links[req.GetToken()] = l
	return &hostv1.RedeemLinkResponse{Redeemed: true, Subject: l.subject, Data: l.data}, nil
}

func (s fakeLinks) Revoke(_ context.Context, req *hostv1.RevokeLinkRequest) (*hostv1.RevokeLinkResponse, error) {
	resp := &hostv1.RevokeLinkResponse{}
	for token, l := range s.f.links {
		if _, live := s.live(req.GetPurpose(), token); live && l.subject == req.GetSubject() {
			l.expires = time.Time{}
			s.f.links[token] = l
			resp.Revoked++
		}
	}
	return resp, nil
}

type fakeDirectory struct {
	hostv1.UnimplementedDirectoryServer
	f *Fake
}

func (s fakeDirectory) find(org, external string) (pluginsdk.DirectoryUser, error) {
	u, ok := s.f.directory[org+"/"+external]
	if !ok {
		return u, status.Error(codes.NotFound, "this directory provides no such user")
	}
	return u, nil
}

func (s fakeDirectory) PutUser(_ context.Context, req *hostv1.PutUserRequest) (*hostv1.PutUserResponse, error) {
	u := from[pluginsdk.DirectoryUser](req.GetUser())
	if u.ExternalID == "" || len(u.ExternalID) > 255 {
		return nil, status.Error(codes.InvalidArgument, "user.external_id: it has 1 to 255 bytes")
	}
	if !strings.Contains(u.Email, "@") {
		return nil, status.Error(codes.InvalidArgument, "user.email: it is no address")
	}
	for key, have := range s.f.directory {
		if org, _, _ := strings.Cut(key, "/"); org == req.GetOrganizationId() && have.ExternalID != u.ExternalID && strings.EqualFold(have.Email, u.Email) {
			return nil, status.Error(codes.FailedPrecondition, "the account has another id in this directory")
		}
	}
	u.Role = ""
	old, err := s.find(req.GetOrganizationId(), u.ExternalID)
	created := err != nil
	u.CreatedAt, u.UpdatedAt = s.f.Clock.Now(), s.f.Clock.Now()
	if created {
		u.UserID = fmt.Sprintf("0195a4c5-0000-7000-8000-%012d", len(s.f.directory)+1)
	} else {
		u.UserID, u.CreatedAt = old.UserID, old.CreatedAt
	}
	put(&s.f.directory, req.GetOrganizationId()+"/"+u.ExternalID, u)
	return &hostv1.PutUserResponse{User: to(&hostv1.DirectoryUser{}, u), Created: created}, nil
}

func (s fakeDirectory) SetActive(_ context.Context, req *hostv1.SetActiveRequest) (*hostv1.SetActiveResponse, error) {
	u, err := s.find(req.GetOrganizationId(), req.GetExternalId())
	if err != nil {
		return nil, err
	}
	u.Active, u.UpdatedAt = req.GetActive(), s.f.Clock.Now()
	s.f.directory[req.GetOrganizationId()+"/"+u.ExternalID] = u
	return &hostv1.SetActiveResponse{User: to(&hostv1.DirectoryUser{}, u)}, nil
}

func (s fakeDirectory) PutMembership(_ context.Context, req *hostv1.PutMembershipRequest) (*hostv1.PutMembershipResponse, error) {
	u, err := s.find(req.GetOrganizationId(), req.GetExternalId())
	if err != nil {
		return nil, err
	}
	m := pluginsdk.Membership{OrganizationID: req.GetOrganizationId(), UserID: u.UserID, Role: req.GetRole(), Status: "active", Kind: "member", CreatedAt: s.f.Clock.Now()}
	i := slices.IndexFunc(s.f.memberships, func(have pluginsdk.Membership) bool {
		return have.OrganizationID == m.OrganizationID && have.UserID == m.UserID
	})
	if i < 0 {
		s.f.memberships = append(s.f.memberships, m)
	} else {
		s.f.memberships[i].Role = m.Role
		m = s.f.memberships[i]
	}
	return &hostv1.PutMembershipResponse{Membership: to(&hostv1.Membership{}, m)}, nil
}

func (s fakeDirectory) DeleteMembership(_ context.Context, req *hostv1.DeleteMembershipRequest) (*hostv1.DeleteMembershipResponse, error) {
	u, err := s.find(req.GetOrganizationId(), req.GetExternalId())
	if err != nil {
		return nil, err
	}
	before := len(s.f.memberships)
	s.f.memberships = slices.DeleteFunc(s.f.memberships, func(m pluginsdk.Membership) bool {
		return m.OrganizationID == req.GetOrganizationId() && m.UserID == u.UserID
	})
	return &hostv1.DeleteMembershipResponse{Deleted: len(s.f.memberships) < before}, nil
}

func (s fakeDirectory) List(_ context.Context, req *hostv1.ListDirectoryRequest) (*hostv1.ListDirectoryResponse, error) {
	resp := &hostv1.ListDirectoryResponse{}
	for _, key := range slices.Sorted(maps.Keys(s.f.directory)) {
		u := s.f.directory[key]
		org, _, _ := strings.Cut(key, "/")
		if org == req.GetOrganizationId() && cmp.Or(req.GetExternalId(), u.ExternalID) == u.ExternalID && strings.EqualFold(cmp.Or(req.GetEmail(), u.Email), u.Email) {
			resp.Users = append(resp.Users, to(&hostv1.DirectoryUser{}, u))
		}
	}
	return resp, nil
}
