package plugintest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Fake is Sigra as the plugin sees it. Its zero value is ready, empty, with a clock of its own; fill it before Start or
// while the plugin runs. Safe for concurrent use.
type Fake struct {
	Clock Clock

	mu      sync.Mutex
	granted map[pluginsdk.Service]bool
	fail    map[pluginsdk.Service]error
	delay   time.Duration
	calls   map[pluginsdk.Service]int

	users       map[string]pluginsdk.User
	orgs        map[string]pluginsdk.Organization
	memberships []pluginsdk.Membership
	sessions    map[string]*pluginsdk.Principal

	log       []pluginsdk.AuditRow
	recorded  []pluginsdk.AuditEntry
	published []pluginsdk.Event
	sent      []pluginsdk.Message
	minted    []pluginsdk.SignIn
	revoked   []string
	leases    map[string]fakeLease
	fence     int64
	kv        map[string]kvEntry
	version   int64
}

// AddUser adds or replaces an account.
func (f *Fake) AddUser(u pluginsdk.User) {
	f.mu.Lock()
	defer f.mu.Unlock()
	put(&f.users, u.ID, u)
}

// AddOrganization adds or replaces an organization.
func (f *Fake) AddOrganization(o pluginsdk.Organization) {
	f.mu.Lock()
	defer f.mu.Unlock()
	put(&f.orgs, o.ID, o)
}

// AddMembership adds a membership.
func (f *Fake) AddMembership(m pluginsdk.Membership) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.memberships = append(f.memberships, m)
}

// AddSession makes the principal's session one that stands.
func (f *Fake) AddSession(p *pluginsdk.Principal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	put(&f.sessions, p.SessionID, p)
}

// SetAuditLog sets what Audit().Read reads.
func (f *Fake) SetAuditLog(rows []pluginsdk.AuditRow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = slices.Clone(rows)
	slices.SortFunc(f.log, func(a, b pluginsdk.AuditRow) int { return cmp.Compare(a.Position, b.Position) })
}

// Fail makes a service fail until it is called with nil. Errors made by pluginsdk.Retryable, Permanent and Denied arrive
// as such, any other as a fault of the host.
func (f *Fake) Fail(s pluginsdk.Service, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	put(&f.fail, s, err)
}

// Delay makes every service take this long.
func (f *Fake) Delay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// Calls is how often a service was called, refused calls included.
func (f *Fake) Calls(s pluginsdk.Service) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[s]
}

// Recorded are the audit rows that the plugin recorded.
func (f *Fake) Recorded() []pluginsdk.AuditEntry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.recorded)
}

// Published are the events that the plugin published.
func (f *Fake) Published() []pluginsdk.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.published)
}

// Sent is the mail that the plugin sent.
func (f *Fake) Sent() []pluginsdk.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}

// Minted are the sign-ins that the plugin completed.
func (f *Fake) Minted() []pluginsdk.SignIn {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.minted)
}

// Revoked are the sessions, indexes and users that the plugin revoked, as "session:…", "federated:…", "user:…".
func (f *Fake) Revoked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.revoked)
}

// put writes to a map that may not be there yet.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// grant says which services may be called from now on.
func (f *Fake) grant(gs []pluginsdk.Service) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.granted = map[pluginsdk.Service]bool{}
	for _, g := range gs {
		f.granted[g] = true
	}
}

// server is a gRPC server with all host services behind their grants.
func (f *Fake) server() *grpc.Server {
	g := grpc.NewServer(grpc.UnaryInterceptor(f.guard), grpc.MaxRecvMsgSize(pluginsdk.MaxMessage), grpc.MaxSendMsgSize(pluginsdk.MaxMessage))
	hostv1.RegisterIdentityServer(g, fakeIdentity{f: f})
	hostv1.RegisterSessionsServer(g, fakeSessions{f: f})
	hostv1.RegisterAuditServer(g, fakeAudit{f: f})
	hostv1.RegisterAuditLogServer(g, fakeAuditLog{f: f})
	hostv1.RegisterEventsServer(g, fakeEvents{f: f})
	hostv1.RegisterMailServer(g, fakeMail{f: f})
	hostv1.RegisterSealServer(g, fakeSeal{})
	hostv1.RegisterLeaseServer(g, fakeLeases{f: f})
	hostv1.RegisterKVServer(g, fakeKV{f: f})
	hostv1.RegisterPagesServer(g, fakePages{})
	return g
}

func (f *Fake) guard(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	name, _, _ := strings.Cut(strings.TrimPrefix(info.FullMethod, "/"), "/")
	s, _ := pluginsdk.ServiceOf(name)
	f.mu.Lock()
	granted, fail, delay := f.granted[s], f.fail[s], f.delay
	if f.calls == nil {
		f.calls = map[pluginsdk.Service]int{}
	}
	f.calls[s]++
	f.mu.Unlock()
	if !granted {
		st := status.Newf(codes.PermissionDenied, "the service %q is not granted", s)
		if with, err := st.WithDetails(&errdetails.ErrorInfo{Reason: "NOT_GRANTED", Domain: pluginsdk.Contract}); err == nil {
			st = with
		}
		return nil, st.Err()
	}
	if delay > 0 {
		wait := time.NewTimer(delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	if fail != nil {
		return nil, toStatus(fail)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return next(ctx, req) // the services below run with the lock held
}

func toStatus(err error) error {
	if reason, ok := pluginsdk.IsDenied(err); ok {
		st := status.New(codes.PermissionDenied, err.Error())
		if with, derr := st.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: pluginsdk.Contract}); derr == nil {
			st = with
		}
		return st.Err()
	}
	switch {
	case pluginsdk.IsRetryable(err):
		return status.Error(codes.Unavailable, err.Error())
	case pluginsdk.IsPermanent(err):
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}
