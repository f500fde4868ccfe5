package plugintest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type fakeIdentity struct {
	hostv1.UnimplementedIdentityServer
	f *Fake
}

func userTo(u pluginsdk.User) *hostv1.User {
	if u.Status == "deleted" {
		return &hostv1.User{Id: u.ID, Status: u.Status}
	}
	return &hostv1.User{
		Id: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, Username: u.Username, Display: u.Display, Status: u.Status,
		CreatedAt: timeTo(u.CreatedAt), Administrator: u.Administrator, PublicMetadata: structTo(u.PublicMetadata),
	}
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
		if u.Status != "deleted" && strings.EqualFold(u.Email, req.GetEmail()) {
			return &hostv1.FindUserResponse{User: userTo(u)}, nil
		}
	}
	return &hostv1.FindUserResponse{}, nil
}

func (s fakeIdentity) GetOrganizations(_ context.Context, req *hostv1.GetOrganizationsRequest) (*hostv1.GetOrganizationsResponse, error) {
	resp := &hostv1.GetOrganizationsResponse{}
	for _, id := range req.GetIds() {
		if o, ok := s.f.orgs[id]; ok {
			resp.Organizations = append(resp.Organizations, &hostv1.Organization{Id: o.ID, Slug: o.Slug, Name: o.Name})
		}
	}
	return resp, nil
}

func (s fakeIdentity) ListMemberships(_ context.Context, req *hostv1.ListMembershipsRequest) (*hostv1.ListMembershipsResponse, error) {
	resp := &hostv1.ListMembershipsResponse{}
	for _, m := range s.f.memberships {
		if (req.GetUserId() == "" || m.UserID == req.GetUserId()) && (req.GetOrganizationId() == "" || m.OrganizationID == req.GetOrganizationId()) {
			resp.Memberships = append(resp.Memberships, &hostv1.Membership{
				OrganizationId: m.OrganizationID, UserId: m.UserID, Role: m.Role, Since: timeTo(m.Since)})
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

func (s fakeIdentity) ResolveSession(_ context.Context, req *hostv1.ResolveSessionRequest) (*hostv1.ResolveSessionResponse, error) {
	return &hostv1.ResolveSessionResponse{Principal: principalTo(s.f.sessions[req.GetSessionId()])}, nil
}

type fakeSessions struct {
	hostv1.UnimplementedSessionsServer
	f *Fake
}

func (s fakeSessions) Mint(_ context.Context, req *hostv1.MintRequest) (*hostv1.MintResponse, error) {
	s.f.minted = append(s.f.minted, pluginsdk.SignIn{
		Provider: req.GetProvider(), Subject: req.GetSubject(), UserID: req.GetUserId(), Email: req.GetEmail(),
		EmailVerified: req.GetEmailVerified(), OrganizationID: req.GetOrganizationId(), FederatedIndex: req.GetFederatedIndex(),
		AMR: req.GetAmr(), ReturnTo: req.GetReturnTo(), Request: requestFrom(req.GetRequest()),
	})
	return &hostv1.MintResponse{ContinueUrl: "https://sigra.example/continue?token=fake"}, nil
}

func (s fakeSessions) Revoke(_ context.Context, req *hostv1.RevokeRequest) (*hostv1.RevokeResponse, error) {
	var n uint32
	switch w := req.GetWhich().(type) {
	case *hostv1.RevokeRequest_SessionId:
		s.f.revoked = append(s.f.revoked, "session:"+w.SessionId)
		if _, ok := s.f.sessions[w.SessionId]; ok {
			delete(s.f.sessions, w.SessionId)
			n++
		}
	case *hostv1.RevokeRequest_FederatedIndex:
		s.f.revoked = append(s.f.revoked, "federated:"+w.FederatedIndex)
	case *hostv1.RevokeRequest_UserId:
		s.f.revoked = append(s.f.revoked, "user:"+w.UserId)
		for id, p := range s.f.sessions {
			if p.UserID == w.UserId {
				delete(s.f.sessions, id)
				n++
			}
		}
	default:
		return nil, status.Error(codes.InvalidArgument, "say which")
	}
	return &hostv1.RevokeResponse{Revoked: n}, nil
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
	e := pluginsdk.AuditEntry{
		Action: req.GetAction(), Outcome: req.GetOutcome(), Actor: refFrom(req.GetActor()), OrganizationID: req.GetOrganizationId(),
		SessionID: req.GetSessionId(), Metadata: req.GetMetadata().AsMap(), IdempotencyKey: req.GetIdempotencyKey(),
		Request: requestFrom(req.GetRequest()),
	}
	for _, t := range req.GetTargets() {
		e.Targets = append(e.Targets, refFrom(t))
	}
	s.f.recorded = append(s.f.recorded, e)
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

type fakeEvents struct {
	hostv1.UnimplementedEventsServer
	f *Fake
}

func (s fakeEvents) Publish(_ context.Context, req *hostv1.PublishRequest) (*hostv1.PublishResponse, error) {
	resp := &hostv1.PublishResponse{}
	for _, e := range req.GetEvents() {
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
	return &hostv1.SendMailResponse{}, nil
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

type fakeKV struct {
	hostv1.UnimplementedKVServer
	f *Fake
}

type kvEntry struct {
	value   []byte
	version int64
	expires time.Time
}

func (s fakeKV) live(key string) (kvEntry, bool) {
	e, ok := s.f.kv[key]
	return e, ok && (e.expires.IsZero() || s.f.Clock.Now().Before(e.expires))
}

func (s fakeKV) Get(_ context.Context, req *hostv1.GetRequest) (*hostv1.GetResponse, error) {
	e, ok := s.live(req.GetKey())
	if !ok {
		return &hostv1.GetResponse{}, nil
	}
	return &hostv1.GetResponse{Entry: &hostv1.Entry{Key: req.GetKey(), Value: e.value, Version: e.version}}, nil
}

func (s fakeKV) Put(_ context.Context, req *hostv1.PutRequest) (*hostv1.PutResponse, error) {
	if k := len(req.GetKey()); k == 0 || k > 512 || len(req.GetValue()) > 64<<10 {
		return nil, status.Error(codes.InvalidArgument, "a key has 1 to 512 bytes, a value at most 64 KiB")
	}
	e, ok := s.live(req.GetKey())
	if !ok {
		e = kvEntry{}
	}
	if want := req.GetIfVersion(); want != pluginsdk.AnyVersion && want != e.version {
		return &hostv1.PutResponse{Version: e.version}, nil
	}
	s.f.version++
	e = kvEntry{value: req.GetValue(), version: s.f.version}
	if ttl := req.GetTtl().AsDuration(); ttl > 0 {
		e.expires = s.f.Clock.Now().Add(ttl)
	}
	put(&s.f.kv, req.GetKey(), e)
	return &hostv1.PutResponse{Stored: true, Version: e.version}, nil
}

func (s fakeKV) Delete(_ context.Context, req *hostv1.DeleteRequest) (*hostv1.DeleteResponse, error) {
	e, ok := s.live(req.GetKey())
	if !ok || (req.GetIfVersion() != pluginsdk.AnyVersion && req.GetIfVersion() != e.version) {
		return &hostv1.DeleteResponse{}, nil
	}
	delete(s.f.kv, req.GetKey())
	return &hostv1.DeleteResponse{Deleted: true}, nil
}

func (s fakeKV) List(_ context.Context, req *hostv1.ListRequest) (*hostv1.ListResponse, error) {
	resp := &hostv1.ListResponse{}
	for _, key := range slices.Sorted(maps.Keys(s.f.kv)) {
		e, ok := s.live(key)
		if !ok || !strings.HasPrefix(key, req.GetPrefix()) || key <= req.GetAfter() {
			continue
		}
		if len(resp.Entries) == int(req.GetLimit()) {
			break
		}
		resp.Entries = append(resp.Entries, &hostv1.Entry{Key: key, Value: e.value, Version: e.version})
	}
	return resp, nil
}

type fakePages struct {
	hostv1.UnimplementedPagesServer
}

func (fakePages) Render(_ context.Context, req *hostv1.RenderRequest) (*hostv1.RenderResponse, error) {
	return &hostv1.RenderResponse{Html: "<!doctype html><title>" + req.GetTitle() + "</title>" + req.GetBodyHtml()}, nil
}

func (fakePages) SignIn(_ context.Context, req *hostv1.SignInRequest) (*hostv1.SignInResponse, error) {
	return &hostv1.SignInResponse{Url: "/login?return_to=" + req.GetReturnTo()}, nil
}
