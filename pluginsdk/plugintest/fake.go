package plugintest

import (
	"cmp"
	"context"
	"maps"
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
	granted map[pluginsdk.Grant]bool
	fail    map[pluginsdk.Grant]error
	delay   time.Duration
	calls   map[pluginsdk.Grant]int

	users       map[string]pluginsdk.User
	orgs        map[string]pluginsdk.Organization
	memberships []pluginsdk.Membership
	invitations []pluginsdk.Invitation
	sessions    map[string]*pluginsdk.Principal
	domains     []pluginsdk.Domain
	directory   map[string]pluginsdk.DirectoryUser // by organization/external id
	claims      map[string]any
	verdict     *pluginsdk.Verdict

	log       []pluginsdk.AuditRow
	recorded  []pluginsdk.AuditEntry
	published []pluginsdk.Event
	sent      []pluginsdk.Message
	minted    []pluginsdk.MintRequest
	revoked   []string
	begun     []pluginsdk.BeginRequest
	states    map[string]pluginsdk.BeginRequest // begun, and not minted yet
	returns   []string                          // origins that a sign-in may return to
	outcomes  map[string]pluginsdk.Outcome
	changed   []string
	reports   []pluginsdk.MailReport
	notices   []pluginsdk.Notice
	asked     []pluginsdk.Ask
	settled   map[string]bool
	rendered  []pluginsdk.Page
	stale     []string
	quotas    map[string]quota
	links     map[string]link
	watchers  map[string][]chan pluginsdk.Change
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
func (f *Fake) Fail(s pluginsdk.Grant, err error) {
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
func (f *Fake) Calls(s pluginsdk.Grant) int {
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
func (f *Fake) Minted() []pluginsdk.MintRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.minted)
}

// AddInvitation adds a pending invitation.
func (f *Fake) AddInvitation(i pluginsdk.Invitation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.invitations = append(f.invitations, i)
}

// AddDomain adds a domain of an organization, proven or not.
func (f *Fake) AddDomain(d pluginsdk.Domain) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.domains = append(f.domains, d)
}

// SetClaims sets what Claims().Collect finds of other plugins.
func (f *Fake) SetClaims(byPlugin map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.claims = byPlugin
}

// SetVerdict sets what Gates().Ask answers; until then nobody objects.
func (f *Fake) SetVerdict(v pluginsdk.Verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verdict = &v
}

// SetOutcome sets what Sessions().Outcome tells of a minted sign-in; until then it is pending.
func (f *Fake) SetOutcome(mintID string, o pluginsdk.Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	put(&f.outcomes, mintID, o)
}

// Begun are the sign-ins that the plugin began.
func (f *Fake) Begun() []pluginsdk.BeginRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.begun)
}

// MembersChanged are the memberships that the plugin changed, as "suspend organization/user", "resume …", "remove …".
func (f *Fake) MembersChanged() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.changed)
}

// Reports are what the plugin, as the mailer, told of messages.
func (f *Fake) Reports() []pluginsdk.MailReport {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.reports)
}

// Notices are what the plugin told administrators.
func (f *Fake) Notices() []pluginsdk.Notice {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.notices)
}

// Asked are the questions that the plugin put to the gates.
func (f *Fake) Asked() []pluginsdk.Ask {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// Settled are the attempts that the plugin settled, and whether they were committed.
func (f *Fake) Settled() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.settled)
}

// Rendered are the pages that the plugin put into the layout.
func (f *Fake) Rendered() []pluginsdk.Page {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.rendered)
}

// Invalidated are the users whose claims the plugin wants asked anew; "" is everybody.
func (f *Fake) Invalidated() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.stale)
}

// Notify tells the plugin of a change as another node's process would.
func (f *Fake) Notify(topic, payload string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notify(topic, payload)
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
func (f *Fake) grant(gs []pluginsdk.Grant) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.granted = map[pluginsdk.Grant]bool{}
	for _, g := range gs {
		f.granted[g] = true
	}
}

// server is a gRPC server with all host services behind their grants.
func (f *Fake) server() *grpc.Server {
	g := grpc.NewServer(grpc.UnaryInterceptor(f.guard), grpc.StreamInterceptor(f.guardStream), grpc.MaxRecvMsgSize(pluginsdk.MaxMessage), grpc.MaxSendMsgSize(pluginsdk.MaxMessage))
	hostv1.RegisterIdentityServer(g, fakeIdentity{f: f})
	hostv1.RegisterSessionsServer(g, fakeSessions{f: f})
	hostv1.RegisterAuditServer(g, fakeAudit{f: f})
	hostv1.RegisterAuditLogServer(g, fakeAuditLog{f: f})
	hostv1.RegisterEventsServer(g, fakeEvents{f: f})
	hostv1.RegisterMailServer(g, fakeMail{f: f})
	hostv1.RegisterMembersServer(g, fakeMembers{f: f})
	hostv1.RegisterNoticesServer(g, fakeNotices{f: f})
	hostv1.RegisterTopicsServer(g, fakeTopics{f: f})
	hostv1.RegisterRateLimitServer(g, fakeRateLimit{f: f})
	hostv1.RegisterClaimsServer(g, fakeClaims{f: f})
	hostv1.RegisterGatesServer(g, fakeGates{f: f})
	hostv1.RegisterDomainsServer(g, fakeDomains{f: f})
	hostv1.RegisterLinksServer(g, fakeLinks{f: f})
	hostv1.RegisterDirectoryServer(g, fakeDirectory{f: f})
	hostv1.RegisterSealServer(g, fakeSeal{})
	hostv1.RegisterLeaseServer(g, fakeLeases{f: f})
	hostv1.RegisterKVServer(g, fakeKV{f: f})
	hostv1.RegisterPagesServer(g, fakePages{f: f})
	return g
}

// grants of whole services; methodGrants has the methods that differ.
var serviceGrants = map[string]pluginsdk.Grant{
	hostv1.Identity_ServiceDesc.ServiceName: pluginsdk.IdentityRead, hostv1.Members_ServiceDesc.ServiceName: pluginsdk.MembersWrite,
	hostv1.Sessions_ServiceDesc.ServiceName: pluginsdk.SessionsWrite, hostv1.Audit_ServiceDesc.ServiceName: pluginsdk.AuditRecord,
	hostv1.AuditLog_ServiceDesc.ServiceName: pluginsdk.AuditRead, hostv1.Events_ServiceDesc.ServiceName: pluginsdk.EventsPublish,
	hostv1.Mail_ServiceDesc.ServiceName: pluginsdk.MailSend, hostv1.Notices_ServiceDesc.ServiceName: pluginsdk.NoticesSend,
	hostv1.Seal_ServiceDesc.ServiceName: pluginsdk.SealUse, hostv1.Lease_ServiceDesc.ServiceName: pluginsdk.LeaseHold,
	hostv1.KV_ServiceDesc.ServiceName: pluginsdk.KVUse, hostv1.Topics_ServiceDesc.ServiceName: pluginsdk.TopicsUse,
	hostv1.RateLimit_ServiceDesc.ServiceName: pluginsdk.RateLimitTake, hostv1.Claims_ServiceDesc.ServiceName: pluginsdk.ClaimsRead,
	hostv1.Gates_ServiceDesc.ServiceName: pluginsdk.GatesAsk, hostv1.Domains_ServiceDesc.ServiceName: pluginsdk.DomainsRead,
	hostv1.Links_ServiceDesc.ServiceName: pluginsdk.LinksUse, hostv1.Directory_ServiceDesc.ServiceName: pluginsdk.DirectoryWrite,
	hostv1.Pages_ServiceDesc.ServiceName: pluginsdk.PagesRender,
}

var methodGrants = map[string]pluginsdk.Grant{
	hostv1.Sessions_Resolve_FullMethodName: pluginsdk.SessionsRead, hostv1.Sessions_List_FullMethodName: pluginsdk.SessionsRead,
	hostv1.Sessions_Check_FullMethodName: pluginsdk.SessionsRead, hostv1.Mail_Report_FullMethodName: pluginsdk.MailReporting,
	hostv1.Mail_Catalogue_FullMethodName: pluginsdk.MailRead, hostv1.Claims_Invalidate_FullMethodName: pluginsdk.ClaimsWrite,
	hostv1.Domains_Verify_FullMethodName: pluginsdk.DomainsWrite,
}

func grantOf(method string) pluginsdk.Grant {
	if g, ok := methodGrants[method]; ok {
		return g
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return serviceGrants[name]
}

// admit is what stands in front of every call: its grant, the delay and the failure that the test asked for.
func (f *Fake) admit(ctx context.Context, method string) error {
	g := grantOf(method)
	f.mu.Lock()
	granted, fail, delay := f.granted[g], f.fail[g], f.delay
	if f.calls == nil {
		f.calls = map[pluginsdk.Grant]int{}
	}
	f.calls[g]++
	if g == pluginsdk.EventsPublish { // by what it publishes
		for have := range f.granted {
			granted = granted || have.Base() == g
		}
	}
	f.mu.Unlock()
	if !granted {
		return notGranted(g)
	}
	if delay > 0 {
		wait := time.NewTimer(delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	if fail != nil {
		return toStatus(fail)
	}
	return nil
}

func notGranted(g pluginsdk.Grant) error {
	st := status.Newf(codes.PermissionDenied, "the grant %q is missing", g)
	if with, err := st.WithDetails(&errdetails.ErrorInfo{Reason: "NOT_GRANTED", Domain: pluginsdk.Contract, Metadata: map[string]string{"grant": string(g)}}); err == nil {
		st = with
	}
	return st.Err()
}

func (f *Fake) guard(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := f.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return next(ctx, req) // the services below run with the lock held
}

func (f *Fake) guardStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := f.admit(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, stream)
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
