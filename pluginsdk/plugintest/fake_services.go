package plugintest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sigra-auth/sigra/pluginsdk"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

type fakeIdentity struct {
	hostv1.UnimplementedIdentityServer
	f *Fake
}

func userTo(u pluginsdk.User) *hostv1.User {
	if u.Status == "deleted" {
		return &hostv1.User{Id: u.ID, Status: u.Status}
	}
	return to(&hostv1.User{}, u)
}

func (s fakeIdentity) GetUsers(_ context.Context, req *hostv1.GetUsersRequest) (*hostv1.GetUsersResponse, error) {
	if len(req.GetIds()) > 200 {
		return nil, status.Error(codes.InvalidArgument, "at most 200 ids")
	}
	resp := &hostv1.GetUsersResponse{}
	for _, id := range req.GetIds() {
		if u, ok := s.f.users[id]; ok {
			resp.Users = append(resp.Users, userTo(u))
		}
	}
	return resp, nil
}

func (s fakeIdentity) FindUser(_ context.Context, req *hostv1.FindUserRequest) (*hostv1.FindUserResponse, error) {
	for _, u := range s.f.users {
		var found bool
		switch by := req.GetBy().(type) {
		case *hostv1.FindUserRequest_Email:
			found = strings.EqualFold(u.Email, by.Email)
		case *hostv1.FindUserRequest_Username:
			found = u.Username != "" && strings.EqualFold(u.Username, by.Username)
		case *hostv1.FindUserRequest_ExternalId:
			found = u.ExternalID != "" && u.ExternalID == by.ExternalId
		}
		if u.Status != "deleted" && found {
			return &hostv1.FindUserResponse{User: userTo(u)}, nil
		}
	}
	return &hostv1.FindUserResponse{}, nil
}

func (s fakeIdentity) GetOrganizations(_ context.Context, req *hostv1.GetOrganizationsRequest) (*hostv1.GetOrganizationsResponse, error) {
	resp := &hostv1.GetOrganizationsResponse{}
	for _, id := range req.GetIds() {
		if o, ok := s.f.orgs[id]; ok {
			resp.Organizations = append(resp.Organizations, to(&hostv1.Organization{}, o))
		}
	}
	for _, slug := range req.GetSlugs() {
		for _, o := range s.f.orgs {
			if o.Slug == slug {
				resp.Organizations = append(resp.Organizations, to(&hostv1.Organization{}, o))
			}
		}
	}
	return resp, nil
}

func (s fakeIdentity) ListMemberships(_ context.Context, req *hostv1.ListMembershipsRequest) (*hostv1.ListMembershipsResponse, error) {
	resp := &hostv1.ListMembershipsResponse{}
	for _, m := range s.f.memberships {
		if (req.GetUserId() == "" || m.UserID == req.GetUserId()) && (req.GetOrganizationId() == "" || m.OrganizationID == req.GetOrganizationId()) {
			resp.Memberships = append(resp.Memberships, to(&hostv1.Membership{}, m))
		}
	}
	// Small pages, so that a plugin which forgets to turn them is found out.
	const page = 2
	start := 0
	for start < len(resp.Memberships) && req.GetPageToken() != "" && resp.Memberships[start].GetOrganizationId()+"/"+resp.Memberships[start].GetUserId() != req.GetPageToken() {
		start++
	}
	resp.Memberships = resp.Memberships[start:]
	if len(resp.Memberships) > page {
		next := resp.Memberships[page]
		resp.Memberships, resp.NextPageToken = resp.Memberships[:page], next.GetOrganizationId()+"/"+next.GetUserId()
	}
	return resp, nil
}

func (s fakeIdentity) ListInvitations(_ context.Context, req *hostv1.ListInvitationsRequest) (*hostv1.ListInvitationsResponse, error) {
	resp := &hostv1.ListInvitationsResponse{}
	for _, i := range s.f.invitations {
		if i.OrganizationID == req.GetOrganizationId() {
			resp.Invitations = append(resp.Invitations, to(&hostv1.Invitation{}, i))
		}
	}
	return resp, nil
}

type fakeMembers struct {
	hostv1.UnimplementedMembersServer
	f *Fake
}

// change finds a membership and notes what is done to it.
func (s fakeMembers) change(verb, org, user string, do func(i int)) error {
	for i, m := range s.f.memberships {
		if m.OrganizationID != org || m.UserID != user {
			continue
		}
		if m.Protected && verb != "resume" {
			return status.Error(codes.FailedPrecondition, "an owner is not suspended or removed by a rule")
		}
		s.f.changed = append(s.f.changed, verb+" "+org+"/"+user)
		do(i)
		return nil
	}
	return status.Error(codes.NotFound, "there is no such membership")
}

func (s fakeMembers) Suspend(_ context.Context, r *hostv1.SuspendMemberRequest) (*hostv1.SuspendMemberResponse, error) {
	return &hostv1.SuspendMemberResponse{}, s.change("suspend", r.GetOrganizationId(), r.GetUserId(), func(i int) { s.f.memberships[i].Status = "suspended" })
}

func (s fakeMembers) Resume(_ context.Context, r *hostv1.ResumeMemberRequest) (*hostv1.ResumeMemberResponse, error) {
	return &hostv1.ResumeMemberResponse{}, s.change("resume", r.GetOrganizationId(), r.GetUserId(), func(i int) { s.f.memberships[i].Status = "active" })
}

func (s fakeMembers) Remove(_ context.Context, r *hostv1.RemoveMemberRequest) (*hostv1.RemoveMemberResponse, error) {
	return &hostv1.RemoveMemberResponse{}, s.change("remove", r.GetOrganizationId(), r.GetUserId(), func(i int) {
		s.f.memberships = slices.Delete(s.f.memberships, i, i+1)
	})
}

type fakeAudit struct {
	hostv1.UnimplementedAuditServer
	f *Fake
}

func (s fakeAudit) Record(_ context.Context, req *hostv1.RecordAuditRequest) (*hostv1.RecordAuditResponse, error) {
	if req.GetIdempotencyKey() != "" {
		for _, e := range s.f.recorded {
			if e.IdempotencyKey == req.GetIdempotencyKey() {
				return &hostv1.RecordAuditResponse{Id: e.IdempotencyKey}, nil
			}
		}
	}
	s.f.recorded = append(s.f.recorded, from[pluginsdk.AuditEntry](req))
	return &hostv1.RecordAuditResponse{Id: cmp.Or(req.GetIdempotencyKey(), req.GetAction())}, nil
}

type fakeAuditLog struct {
	hostv1.UnimplementedAuditLogServer
	f *Fake
}

func (s fakeAuditLog) Read(_ context.Context, req *hostv1.ReadAuditRequest) (*hostv1.ReadAuditResponse, error) {
	resp := &hostv1.ReadAuditResponse{Next: req.GetAfter(), End: true}
	for _, r := range s.f.log {
		if r.Position <= req.GetAfter() {
			continue
		}
		if len(resp.Rows) == int(req.GetLimit()) {
			resp.End = false
			break
		}
		resp.Rows, resp.Next = append(resp.Rows, rowTo(r)), r.Position
	}
	return resp, nil
}

func (s fakeAuditLog) Actions(context.Context, *hostv1.ActionsRequest) (*hostv1.ActionsResponse, error) {
	resp := &hostv1.ActionsResponse{}
	for _, a := range Catalogue() {
		resp.Actions = append(resp.Actions, &hostv1.AuditAction{Name: a.Action, Category: a.Category, Crud: a.CRUD, Outcomes: []string{a.Outcome}})
	}
	return resp, nil
}

type fakeEvents struct {
	hostv1.UnimplementedEventsServer
	f *Fake
}

func (s fakeEvents) Publish(_ context.Context, req *hostv1.PublishRequest) (*hostv1.PublishResponse, error) {
	resp := &hostv1.PublishResponse{}
	for _, e := range req.GetEvents() {
		prefix, _, _ := strings.Cut(e.GetType(), ".")
		if !s.f.granted[pluginsdk.EventsPublish.Scoped(prefix)] && !s.f.granted[pluginsdk.EventsPublish] {
			return nil, notGranted(pluginsdk.EventsPublish.Scoped(prefix))
		}
		if slices.ContainsFunc(s.f.published, func(have pluginsdk.Event) bool { return have.ID == e.GetId() }) {
			resp.Duplicate++
			continue
		}
		s.f.published = append(s.f.published, eventFrom(e))
		resp.Stored++
	}
	return resp, nil
}

type fakeMail struct {
	hostv1.UnimplementedMailServer
	f *Fake
}

func (s fakeMail) Send(_ context.Context, req *hostv1.SendMailRequest) (*hostv1.SendMailResponse, error) {
	m := messageFrom(req.GetMessage())
	if m.IdempotencyKey == "" || !slices.ContainsFunc(s.f.sent, func(have pluginsdk.Message) bool { return have.IdempotencyKey == m.IdempotencyKey }) {
		s.f.sent = append(s.f.sent, m)
	}
	return &hostv1.SendMailResponse{Id: cmp.Or(m.IdempotencyKey, fmt.Sprintf("mail-%d", len(s.f.sent)))}, nil
}

func (s fakeMail) Report(_ context.Context, req *hostv1.ReportMailRequest) (*hostv1.ReportMailResponse, error) {
	r := from[pluginsdk.MailReport](req)
	r.Event = pluginsdk.MailEvent(req.GetEvent())
	s.f.reports = append(s.f.reports, r)
	return &hostv1.ReportMailResponse{Known: true}, nil
}

func (s fakeMail) Catalogue(context.Context, *hostv1.MailCatalogueRequest) (*hostv1.MailCatalogueResponse, error) {
	resp := &hostv1.MailCatalogueResponse{}
	for _, p := range []string{"confirm_email", "magic_link", "password_reset", "new_device"} {
		m := messageTo(pluginsdk.Message{
			IdempotencyKey: "sample", Purpose: p, Category: pluginsdk.AuthMail, Stream: "transactional", To: pluginsdk.Address{Address: "ada@example.com", Name: "Ada"},
			Subject: "Sample", Text: "Hello Ada", HTML: "<p>Hello Ada</p>", Language: "en", Link: "https://sigra.example/l/sample", ValidFor: 10 * time.Minute,
		})
		resp.Purposes = append(resp.Purposes, &hostv1.MailPurpose{Name: p, Category: m.GetCategory(), Stream: m.GetStream(), Samples: []*pluginv1.SendRequest{m}})
	}
	return resp, nil
}

// fakeSeal is no encryption: it shows when something was not sealed, or was opened for another purpose.
type fakeSeal struct{ hostv1.UnimplementedSealServer }

const sealMark = "sealed:"

func (fakeSeal) Seal(_ context.Context, req *hostv1.SealRequest) (*hostv1.SealResponse, error) {
	if len(req.GetPlaintext()) > 64<<10 {
		return nil, status.Error(codes.InvalidArgument, "at most 64 KiB can be sealed")
	}
	out := []byte(sealMark + req.GetPurpose() + ":")
	for _, b := range req.GetPlaintext() {
		out = append(out, ^b)
	}
	return &hostv1.SealResponse{Sealed: out}, nil
}

func (fakeSeal) Open(_ context.Context, req *hostv1.OpenRequest) (*hostv1.OpenResponse, error) {
	rest, ok := strings.CutPrefix(string(req.GetSealed()), sealMark+req.GetPurpose()+":")
	if !ok {
		return nil, status.Error(codes.InvalidArgument, "not sealed here for this purpose")
	}
	out := []byte(rest)
	for i := range out {
		out[i] = ^out[i]
	}
	return &hostv1.OpenResponse{Plaintext: out}, nil
}

type fakeLeases struct {
	hostv1.UnimplementedLeaseServer
	f *Fake
}

type fakeLease struct {
	token   int64
	other   bool // held by another node
	expires time.Time
}

// TakeLease makes another node hold a lease for ttl of the fake's clock, from now on.
func (f *Fake) TakeLease(name string, ttl time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fence++
	put(&f.leases, name, fakeLease{token: f.fence, other: true, expires: f.Clock.Now().Add(ttl)})
}

func (s fakeLeases) Acquire(_ context.Context, req *hostv1.AcquireRequest) (*hostv1.AcquireResponse, error) {
	f := s.f
	if ttl := req.GetTtl().AsDuration(); ttl < 2*time.Second || ttl > 5*time.Minute {
		return nil, status.Error(codes.InvalidArgument, "a lease lasts 2 s to 5 min")
	}
	l, held := f.leases[req.GetName()]
	held = held && f.Clock.Now().Before(l.expires)
	if held && l.other {
		return &hostv1.AcquireResponse{}, nil
	}
	if !held {
		f.fence++
		l = fakeLease{token: f.fence}
	}
	l.expires = f.Clock.Now().Add(req.GetTtl().AsDuration())
	put(&f.leases, req.GetName(), l)
	return &hostv1.AcquireResponse{Held: true, Token: l.token}, nil
}

func (s fakeLeases) Release(_ context.Context, req *hostv1.ReleaseRequest) (*hostv1.ReleaseResponse, error) {
	if l, ok := s.f.leases[req.GetName()]; ok && !l.other {
		delete(s.f.leases, req.GetName())
	}
	return &hostv1.ReleaseResponse{}, nil
}
