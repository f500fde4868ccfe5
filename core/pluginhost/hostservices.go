package pluginhost

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// Events stores host-emitted events; core/event is one.
type Events interface {
	Publish(ctx context.Context, events []event.Event) (stored, duplicate int, err error)
}

// Finder is what a Sessions may also be: it resolves a session by its id. ErrNotFound kinds mean that it no longer stands.
type Finder interface {
	Find(ctx context.Context, id uuid.UUID) (principal.Principal, error)
}

// Federated completes sign-ins that a plugin has verified.
type Federated interface {
	// Begin starts a sign-in that a plugin will verify, bound to the browser by a cookie.
	Begin(ctx context.Context, b Begin) (Begun, error)
	// Mint takes a verified identity through the policy of any other sign-in; continueURL is where the browser goes on.
	Mint(ctx context.Context, m Mint) (continueURL string, err error)
	// RevokeFederated ends the sessions that were made with a provider's handle.
	RevokeFederated(ctx context.Context, plugin, index, reason string) (int, error)
}

// Begin is a sign-in that a plugin begins.
type Begin struct {
	Plugin, Provider string
	OrganizationID   uuid.UUID
	ReturnTo         string
	ValidFor         time.Duration // zero: the host's default
}

// Begun is its state, and the cookie by which the browser is known again.
type Begun struct{ State, Cookie, Key string }

// Mint is one federated sign-in.
type Mint struct {
	Plugin, Provider, Subject string
	UserID, OrganizationID    uuid.UUID
	Email                     string
	EmailVerified             bool
	FederatedIndex            string
	ReturnTo                  string
	State, StateKey           string // Begin's; empty: the sign-in began at the provider
	SignUp                    bool   // an account may be made
	DomainVerified            bool   // the address lies in a domain that the organization has proven
	Membership                MembershipPolicy
	Role                      string // of a membership that is made
}

// MembershipPolicy says what becomes of a person's place in the organization whose provider vouched for them.
type MembershipPolicy string

// The policies.
const (
	NoMembership         MembershipPolicy = "none"
	ExistingMembership   MembershipPolicy = "existing"
	JustInTimeMembership MembershipPolicy = "just_in_time"
)

// Pages lends the shared layout; core/web is one.
type Pages interface {
	// Render wraps a body, which the plugin vouches for as safe HTML, in the layout.
	Render(ctx context.Context, p Page) (Rendered, error)
	// SignIn is where to send a browser whose person must sign in, anew or better. A returnTo that leads elsewhere is
	// left out.
	SignIn(returnTo string, maxAge time.Duration, requiredAAL string, fresh bool) string
}

// Page is a plugin's page.
type Page struct {
	Title, BodyHTML string
	Principal       *principal.Principal // whose navigation it shows; nil: nobody is signed in
	Language        string               // BCP 47; of the reader
	Path            string               // the page's own
	Styles, Scripts []string             // addresses below the plugin's own routes
}

// Rendered is the whole page, and the language it came in.
type Rendered struct{ HTML, Language, Direction string }

// ---- Identity ------------------------------------------------------------------------------------------------

type identityService struct {
	hostv1.UnimplementedIdentityServer
	*hostServices
}

const maxIDs = 200

func userTo(a account.Account) *hostv1.User {
	u := &hostv1.User{Id: a.ID.String(), Status: string(a.Status)}
	if a.Status == account.Deleted {
		return u
	}
	u.Email, u.EmailVerified, u.Administrator, u.CreatedAt = a.Email, !a.ConfirmedAt.IsZero(), a.Administrator, timeTo(a.CreatedAt)
	return u
}

func (s identityService) GetUsers(ctx context.Context, r *hostv1.GetUsersRequest) (*hostv1.GetUsersResponse, error) {
	if s.h.cfg.Accounts == nil {
		return nil, missing("accounts")
	}
	if len(r.GetIds()) > maxIDs {
		return nil, fault.Newf(fault.Invalid, "too_many_ids", "At most %d ids at once.", maxIDs).At("ids")
	}
	ids := make([]uuid.UUID, 0, len(r.GetIds()))
	for _, text := range r.GetIds() {
		// An id that isn't one names nobody, like any other unknown one.
		if id, err := uuid.Parse(text); err == nil {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return &hostv1.GetUsersResponse{}, nil
	}
	found, err := s.h.cfg.Accounts.GetMany(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := &hostv1.GetUsersResponse{}
	for _, a := range found {
		out.Users = append(out.Users, userTo(a))
	}
	return out, nil
}

func (s identityService) FindUser(ctx context.Context, r *hostv1.FindUserRequest) (*hostv1.FindUserResponse, error) {
	if s.h.cfg.Accounts == nil {
		return nil, missing("accounts")
	}
	if _, ok := r.GetBy().(*hostv1.FindUserRequest_Email); !ok {
		return nil, fault.New(fault.Invalid, "invalid_query", "Accounts are found by their email address.").At("by")
	}
	a, err := s.h.cfg.Accounts.FindByEmail(ctx, r.GetEmail())
	switch {
	case err == nil:
		return &hostv1.FindUserResponse{User: userTo(a)}, nil
	case fault.KindOf(err) == fault.NotFound, fault.KindOf(err) == fault.Invalid:
		return &hostv1.FindUserResponse{}, nil
	}
	return nil, err
}

func (s sessionsService) Resolve(ctx context.Context, r *hostv1.ResolveSessionRequest) (*hostv1.ResolveSessionResponse, error) {
	p, err := s.find(ctx, r.GetSessionId())
	if err != nil || p == nil {
		return &hostv1.ResolveSessionResponse{}, err
	}
	return &hostv1.ResolveSessionResponse{Principal: s.h.principalTo(p)}, nil
}

// find gives the principal of a session that stands, or nil.
func (s *hostServices) find(ctx context.Context, text string) (*principal.Principal, error) {
	finder, ok := s.h.cfg.Sessions.(Finder)
	if !ok {
		return nil, missing("sessions by their id")
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return nil, nil
	}
	p, err := finder.Find(ctx, id)
	switch k := fault.KindOf(err); {
	case err == nil:
		return &p, nil
	case k == fault.NotFound, k == fault.Unauthenticated, k == fault.Denied:
		return nil, nil
	}
	return nil, err
}

// ---- Sessions ------------------------------------------------------------------------------------------------

type sessionsService struct {
	hostv1.UnimplementedSessionsServer
	*hostServices
}

func sessionTo(x session.Session) *hostv1.Session {
	return &hostv1.Session{
		Id: x.ID.String(), UserId: x.UserID.String(), OrganizationId: idText(x.OrganizationID), Aal: x.AAL, Amr: x.AMR, AuthTime: timeTo(x.AuthTime),
		CreatedAt: timeTo(x.CreatedAt), LastSeenAt: timeTo(x.LastSeenAt), ExpiresAt: timeTo(x.ExpiresAt),
	}
}

func (s sessionsService) List(ctx context.Context, r *hostv1.ListSessionsRequest) (*hostv1.ListSessionsResponse, error) {
	if s.h.cfg.Sessions == nil {
		return nil, missing("sessions")
	}
	user, err := idFrom(r.GetUserId(), "user_id")
	if err != nil || user == uuid.Nil {
		return nil, orElseErr(err, fault.New(fault.Invalid, "invalid_id", "Whose sessions?").At("user_id"))
	}
	list, err := s.h.cfg.Sessions.List(ctx, user)
	if err != nil {
		return nil, err
	}
	out := &hostv1.ListSessionsResponse{}
	for _, x := range list {
		out.Sessions = append(out.Sessions, sessionTo(x))
	}
	return out, nil
}

// maxSessions is how many sessions one Check may name.
const maxSessions = 500

// Check names those of the sessions that stand; when they were last used is left out.
func (s sessionsService) Check(ctx context.Context, r *hostv1.CheckSessionsRequest) (*hostv1.CheckSessionsResponse, error) {
	if len(r.GetSessionIds()) > maxSessions {
		return nil, fault.Newf(fault.Invalid, "too_many_ids", "At most %d ids at once.", maxSessions).At("session_ids")
	}
	out := &hostv1.CheckSessionsResponse{}
	for _, id := range r.GetSessionIds() {
		p, err := s.find(ctx, id)
		if err != nil {
			return nil, err
		}
		if p != nil {
			out.Sessions = append(out.Sessions, sessionTo(session.Session{
				ID: p.SessionID, UserID: p.UserID, OrganizationID: p.OrganizationID, AuthTime: p.AuthTime, AAL: p.AAL, AMR: p.AMR, CreatedAt: p.CreatedAt, ExpiresAt: p.ExpiresAt,
			}))
		}
	}
	return out, nil
}

var membershipPolicies = map[hostv1.MintRequest_MembershipPolicy]MembershipPolicy{
	hostv1.MintRequest_MEMBERSHIP_POLICY_UNSPECIFIED: NoMembership, hostv1.MintRequest_MEMBERSHIP_POLICY_NONE: NoMembership,
	hostv1.MintRequest_MEMBERSHIP_POLICY_EXISTING: ExistingMembership, hostv1.MintRequest_MEMBERSHIP_POLICY_JUST_IN_TIME: JustInTimeMembership,
}

// onlySignIn refuses what a plugin may ask for one day.
func onlySignIn(p hostv1.MintPurpose) error {
	if p > hostv1.MintPurpose_MINT_PURPOSE_SIGN_IN {
		return fault.New(fault.Invalid, "purpose_not_served", "This Sigra completes sign-ins, and nothing else.").At("purpose")
	}
	return nil
}

func (s sessionsService) Begin(ctx context.Context, r *hostv1.BeginRequest) (*hostv1.BeginResponse, error) {
	if s.h.cfg.Federated == nil {
		return nil, missing("sign-ins completed by a plugin")
	}
	if err := onlySignIn(r.GetPurpose()); err != nil {
		return nil, err
	}
	org, err := idFrom(r.GetOrganizationId(), "organization_id")
	if err != nil {
		return nil, err
	}
	if r.GetProvider() == "" {
		return nil, fault.New(fault.Invalid, "invalid_identity", "Which provider?").At("provider")
	}
	b := Begin{Plugin: s.in.manifest.GetName(), Provider: r.GetProvider(), OrganizationID: org, ReturnTo: r.GetReturnTo(), ValidFor: max(r.GetValidFor().AsDuration(), 0)}
	out, err := s.h.cfg.Federated.Begin(ctx, b)
	if err != nil {
		return nil, err
	}
	c := http.Cookie{Name: out.Cookie, Value: out.Key, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(b.ValidFor / time.Second)}
	if r.GetCrossSite() {
		c.SameSite = http.SameSiteNoneMode // the answer is posted from the provider's site
	}
	return &hostv1.BeginResponse{State: out.State, SetCookie: c.String()}, nil
}

func (s sessionsService) Mint(ctx context.Context, r *hostv1.MintRequest) (*hostv1.MintResponse, error) {
	if s.h.cfg.Federated == nil {
		return nil, missing("sign-ins completed by a plugin")
	}
	user, err := idFrom(r.GetUserId(), "user_id")
	if err != nil {
		return nil, err
	}
	org, err := idFrom(r.GetOrganizationId(), "organization_id")
	if err != nil {
		return nil, err
	}
	if err := onlySignIn(r.GetPurpose()); err != nil {
		return nil, err
	}
	if r.GetProvider() == "" || r.GetSubject() == "" {
		return nil, fault.New(fault.Invalid, "invalid_identity", "A federated identity has a provider and a subject.").At("subject")
	}
	url, err := s.h.cfg.Federated.Mint(withRequest(ctx, r.GetRequest()), Mint{
		Plugin: s.in.manifest.GetName(), Provider: r.GetProvider(), Subject: r.GetSubject(), UserID: user, OrganizationID: org, Email: r.GetEmail(),
		EmailVerified: r.GetEmailVerified(), FederatedIndex: r.GetFederatedIndex(), ReturnTo: r.GetReturnTo(), State: r.GetState(), StateKey: r.GetStateCookie(),
		SignUp: r.GetSignUpAllowed(), DomainVerified: r.GetDomainVerified(), Membership: membershipPolicies[r.GetMembership()], Role: r.GetRole(),
	})
	if err != nil {
		return nil, err
	}
	return &hostv1.MintResponse{ContinueUrl: url}, nil
}

func (s sessionsService) Revoke(ctx context.Context, r *hostv1.RevokeRequest) (*hostv1.RevokeResponse, error) {
	actor := pluginRef(s.name())
	switch w := r.GetWhich().(type) {
	case *hostv1.RevokeRequest_UserId:
		if s.h.cfg.Sessions == nil {
			return nil, missing("sessions")
		}
		id, err := idFrom(w.UserId, "user_id")
		if err != nil || id == uuid.Nil {
			return nil, orElseErr(err, fault.New(fault.Invalid, "invalid_id", "Whose sessions?").At("user_id"))
		}
		standing, err := s.h.cfg.Sessions.List(ctx, id)
		if err != nil {
			return nil, err
		}
		if _, err := s.h.cfg.Sessions.RevokeAll(ctx, actor, id); err != nil {
			return nil, err
		}
		out := &hostv1.RevokeResponse{}
		for _, x := range standing {
			out.SessionIds = append(out.SessionIds, x.ID.String())
		}
		return out, nil
	case *hostv1.RevokeRequest_SessionId:
		p, err := s.find(ctx, w.SessionId)
		if err != nil || p == nil {
			return &hostv1.RevokeResponse{}, err
		}
		if err := s.h.cfg.Sessions.Revoke(ctx, actor, p.UserID, p.SessionID); err != nil {
			if fault.KindOf(err) == fault.NotFound {
				return &hostv1.RevokeResponse{}, nil
			}
			return nil, err
		}
		return &hostv1.RevokeResponse{SessionIds: []string{p.SessionID.String()}}, nil
	case *hostv1.RevokeRequest_FederatedIndex:
		if s.h.cfg.Federated == nil {
			return nil, missing("sessions by a provider's handle")
		}
		_, err := s.h.cfg.Federated.RevokeFederated(ctx, s.in.manifest.GetName(), w.FederatedIndex, r.GetReason())
		return &hostv1.RevokeResponse{}, err
	}
	return nil, fault.New(fault.Invalid, "invalid_which", "Which sessions?").At("which")
}

func orElseErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// withRequest passes on where a plugin says its request came from, for the audit row. A plugin that serves routes got
// these values from the host; it can only lie about its own rows.
func withRequest(ctx context.Context, r *pluginv1.RequestInfo) context.Context {
	if r == nil {
		return ctx
	}
	ip, _ := netip.ParseAddr(r.GetIp())
	return request.With(ctx, request.Info{ID: clip(printable(r.GetRequestId()), 64), IP: ip, UserAgent: clip(printable(r.GetUserAgent()), 500)})
}

// ---- Audit ---------------------------------------------------------------------------------------------------

type auditService struct {
	hostv1.UnimplementedAuditServer
	*hostServices
}

// idempotencyTTL is how long the same key means the same row.
const idempotencyTTL = 7 * 24 * time.Hour

func (s auditService) Record(ctx context.Context, r *hostv1.RecordAuditRequest) (*hostv1.RecordAuditResponse, error) {
	if s.h.cfg.Audit == nil {
		return nil, missing("the audit log")
	}
	org, err := idFrom(r.GetOrganizationId(), "organization_id")
	if err != nil {
		return nil, err
	}
	sess, err := idFrom(r.GetSessionId(), "session_id")
	if err != nil {
		return nil, err
	}
	if len(r.GetIdempotencyKey()) > maxKey {
		return nil, fault.Newf(fault.Invalid, "invalid_key", "An idempotency key has at most %d bytes.", maxKey).At("idempotency_key")
	}
	e := audit.Entry{Action: r.GetAction(), Outcome: audit.Outcome(r.GetOutcome()), Actor: refFrom(r.GetActor()), OrganizationID: org, SessionID: sess, Metadata: r.GetMetadata().AsMap(),
		Reason: r.GetReason(), CorrelationID: r.GetCorrelationId(), AuthMethod: r.GetAuthMethod(),
	}
	if i := r.GetImpersonator(); i != nil {
		ref := refFrom(i)
		e.Impersonator = &ref
	}
	if r.GetActor() == nil {
		e.Actor = pluginRef(s.name())
	}
	for _, t := range r.GetTargets() {
		e.Targets = append(e.Targets, refFrom(t))
	}
	// The prefix is what the plugin calls itself, and that is part of its manifest: a bundled plugin under another
	// label still records as itself, and an external one can't take a name that somebody else runs under.
	prefix := s.in.manifest.GetName()
	var id uuid.UUID
	err = s.h.cfg.DB.Tx(withRequest(ctx, r.GetRequest()), func(ctx context.Context, tx *store.Tx) error {
		var err error
		if r.GetIdempotencyKey() == "" {
			id, err = s.h.cfg.Audit.RecordAs(ctx, tx, prefix, e)
			return err
		}
		sum := sha256.Sum256([]byte(r.GetIdempotencyKey()))
		var seen []byte
		now := s.h.now()
		err = tx.QueryRow(ctx, kvGetSQL, s.name()+auditKeys, sum[:], now).Scan(&seen, new(int64))
		if err == nil {
			id, err = uuid.FromBytes(seen)
			return err
		}
		if !errors.Is(err, store.ErrNoRows) {
			return err
		}
		if id, err = s.h.cfg.Audit.RecordAs(ctx, tx, prefix, e); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, kvExpiredSQL, s.name()+auditKeys, now); err != nil {
			return err
		}
		until := now.Add(idempotencyTTL)
		_, err = tx.Exec(ctx, kvInsertSQL, s.name()+auditKeys, sum[:], id[:], now.UnixMicro(), until)
		return err
	})
	if store.IsUnique(err) {
		// Somebody else recorded under the key at this moment; the row to name is theirs.
		return nil, fault.New(fault.Unavailable, "busy", "The same key is being recorded. Try again.").After(50 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	return &hostv1.RecordAuditResponse{Id: id.String()}, nil
}

// auditKeys marks the rows of plugin_kv that remember idempotency keys. No plugin's name has a slash.
const auditKeys = "/audit"

const kvInsertSQL = `INSERT INTO plugin_kv (plugin, key, value, version, expires_at) VALUES ($1, $2, $3, $4, $5)`

type auditLogService struct {
	hostv1.UnimplementedAuditLogServer
	*hostServices
}

func (s auditLogService) Read(ctx context.Context, r *hostv1.ReadAuditRequest) (*hostv1.ReadAuditResponse, error) {
	if s.h.cfg.Audit == nil {
		return nil, missing("the audit log")
	}
	after, err := audit.ParsePosition(r.GetAfter())
	if err != nil {
		return nil, fault.New(fault.Invalid, "invalid_position", "This is not a position in the log.").At("after")
	}
	limit := int(r.GetLimit())
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	rows, next, err := s.h.cfg.Audit.Read(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	out := &hostv1.ReadAuditResponse{Next: next.String(), End: len(rows) == 0}
	size := 0
	for i := range rows {
		row, err := rowTo(&rows[i])
		if err != nil {
			return nil, err
		}
		if size += sizeOf(row); size > maxBatchBytes && i > 0 {
			out.Next = rows[i-1].Position.String()
			break
		}
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// ---- Events --------------------------------------------------------------------------------------------------

type eventsService struct {
	hostv1.UnimplementedEventsServer
	*hostServices
}

func (s eventsService) Publish(ctx context.Context, r *hostv1.PublishRequest) (*hostv1.PublishResponse, error) {
	if s.h.cfg.Events == nil {
		return nil, missing("host-emitted events")
	}
	if len(r.GetEvents()) > event.MaxBatch {
		return nil, fault.Newf(fault.Invalid, "too_many_events", "At most %d events at once.", event.MaxBatch).At("events")
	}
	var events []event.Event
	for _, e := range r.GetEvents() {
		if !s.in.grants().allowsEvent(s.in.manifest.GetName(), e.GetType()) {
			prefix, _, _ := strings.Cut(e.GetType(), ".")
			return nil, s.h.refuse(ctx, s.in, eventsGrant+":"+printable(clip(prefix, 64)), "sigra.host.v1.Events/Publish")
		}
		ev := eventFrom(e)
		ev.Source = "plugin:" + s.name() // in its own name, whatever it says
		events = append(events, ev)
	}
	stored, duplicate, err := s.h.cfg.Events.Publish(ctx, events)
	if err != nil {
		return nil, err
	}
	return &hostv1.PublishResponse{Stored: uint32(stored), Duplicate: uint32(duplicate)}, nil
}
