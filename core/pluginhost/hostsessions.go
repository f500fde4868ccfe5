package pluginhost

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// Finder is what a Sessions may also be: it resolves a session by its id. ErrNotFound kinds mean that it no longer stands.
type Finder interface {
	Find(ctx context.Context, id uuid.UUID) (principal.Principal, error)
}

// Federated completes sign-ins that a plugin has verified.
type Federated interface {
	// Begin starts a sign-in that a plugin will verify, bound to the browser by a cookie.
	Begin(ctx context.Context, b Begin) (Begun, error)
	// Mint takes a verified identity through the policy of any other sign-in.
	Mint(ctx context.Context, m Mint) (Minted, error)
	// Outcome tells what became of it. A NotFound fault for what is another plugin's, or older than a day.
	Outcome(ctx context.Context, plugin string, id uuid.UUID) (mint.Outcome, error)
	// RevokeFederated ends the sessions that were made with a provider's handle, and names them.
	RevokeFederated(ctx context.Context, plugin, index, reason string) ([]uuid.UUID, error)
}

// Begin is a sign-in that a plugin begins.
type Begin struct {
	Plugin, Provider string
	OrganizationID   uuid.UUID
	ReturnTo         string
	ValidFor         time.Duration // zero: the host's default
	Purpose          Purpose
	MaxAge           time.Duration // the proof may be this old; zero: any age
	RequiredAAL      string        // what it must come to; empty: anything
	SessionID        uuid.UUID     // whose, to link and to step up
}

// Purpose is what a sign-in elsewhere is for.
type Purpose string

// The purposes.
const (
	ToSignIn Purpose = "sign_in"
	ToLink   Purpose = "link"
	ToStepUp Purpose = "step_up"
	ToTest   Purpose = "test"
)

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
	Purpose                   Purpose
	AMR                       []string  // what the provider says it checked
	ACR                       string    // what it calls that
	AuthTime                  time.Time // zero: not said
	NotAfter                  time.Time // the session ends by then; zero: not said
	Display                   string
	Attributes                map[string]any
	Assures                   bool // the plugin's word on two factors counts
	Administrators            bool // it may sign in administrators of Sigra
}

// Minted is where the browser goes on, and what to ask Outcome for.
type Minted struct {
	ContinueURL string
	ID          uuid.UUID
}

// MembershipPolicy says what becomes of a person's place in the organization whose provider vouched for them.
type MembershipPolicy string

// The policies.
const (
	NoMembership         MembershipPolicy = "none"
	ExistingMembership   MembershipPolicy = "existing"
	JustInTimeMembership MembershipPolicy = "just_in_time"
)

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

var purposes = map[hostv1.MintPurpose]Purpose{
	hostv1.MintPurpose_MINT_PURPOSE_UNSPECIFIED: ToSignIn, hostv1.MintPurpose_MINT_PURPOSE_SIGN_IN: ToSignIn, hostv1.MintPurpose_MINT_PURPOSE_LINK: ToLink,
	hostv1.MintPurpose_MINT_PURPOSE_STEP_UP: ToStepUp, hostv1.MintPurpose_MINT_PURPOSE_TEST: ToTest,
}

func purposeFrom(p hostv1.MintPurpose) (Purpose, error) {
	out, ok := purposes[p]
	if !ok {
		return "", fault.New(fault.Invalid, "invalid_purpose", "There is no such purpose.").At("purpose")
	}
	return out, nil
}

// timeFrom reads a time that may be absent.
func timeFrom(t *timestamppb.Timestamp, field string) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if !t.IsValid() {
		return time.Time{}, fault.New(fault.Invalid, "invalid_time", "This is not a time.").At(field)
	}
	return t.AsTime(), nil
}

func (s sessionsService) Begin(ctx context.Context, r *hostv1.BeginRequest) (*hostv1.BeginResponse, error) {
	if s.h.cfg.Federated == nil {
		return nil, missing("sign-ins completed by a plugin")
	}
	purpose, err := purposeFrom(r.GetPurpose())
	if err != nil {
		return nil, err
	}
	org, err := idFrom(r.GetOrganizationId(), "organization_id")
	if err != nil {
		return nil, err
	}
	session, err := idFrom(r.GetSessionId(), "session_id")
	if err != nil {
		return nil, err
	}
	if session == uuid.Nil && (purpose == ToLink || purpose == ToStepUp) {
		return nil, fault.New(fault.Invalid, "invalid_session", "Whose session?").At("session_id")
	}
	if r.GetProvider() == "" {
		return nil, fault.New(fault.Invalid, "invalid_identity", "Which provider?").At("provider")
	}
	b := Begin{Plugin: s.in.manifest.GetName(), Provider: r.GetProvider(), OrganizationID: org, ReturnTo: r.GetReturnTo(), ValidFor: max(r.GetValidFor().AsDuration(), 0),
		Purpose: purpose, MaxAge: max(r.GetMaxAge().AsDuration(), 0), RequiredAAL: r.GetRequiredAal(), SessionID: session,
	}
	if r.GetMaxAge() != nil && b.MaxAge == 0 {
		b.MaxAge = time.Second // right now
	}
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
	purpose, err := purposeFrom(r.GetPurpose())
	if err != nil {
		return nil, err
	}
	authTime, err := timeFrom(r.GetAuthTime(), "auth_time")
	if err != nil {
		return nil, err
	}
	notAfter, err := timeFrom(r.GetSessionNotOnOrAfter(), "session_not_on_or_after")
	if err != nil {
		return nil, err
	}
	policy, ok := membershipPolicies[r.GetMembership()]
	if !ok {
		return nil, fault.New(fault.Invalid, "invalid_membership", "There is no such policy.").At("membership")
	}
	if r.GetProvider() == "" || r.GetSubject() == "" {
		return nil, fault.New(fault.Invalid, "invalid_identity", "A federated identity has a provider and a subject.").At("subject")
	}
	granted := s.in.grants()
	out, err := s.h.cfg.Federated.Mint(withRequest(ctx, r.GetRequest()), Mint{
		Plugin: s.in.manifest.GetName(), Provider: r.GetProvider(), Subject: r.GetSubject(), UserID: user, OrganizationID: org, Email: r.GetEmail(),
		EmailVerified: r.GetEmailVerified(), FederatedIndex: r.GetFederatedIndex(), ReturnTo: r.GetReturnTo(), State: r.GetState(), StateKey: r.GetStateCookie(),
		SignUp: r.GetSignUpAllowed(), DomainVerified: r.GetDomainVerified(), Membership: policy, Role: r.GetRole(),
		Purpose: purpose, AMR: r.GetAmr(), ACR: r.GetAcr(), AuthTime: authTime, NotAfter: notAfter, Display: r.GetDisplay(), Attributes: r.GetAttributes().AsMap(),
		Assures: granted.allows(assureGrant), Administrators: granted.allows(administratorsGrant),
	})
	if err != nil {
		return nil, err
	}
	return &hostv1.MintResponse{ContinueUrl: out.ContinueURL, MintId: out.ID.String()}, nil
}

// Outcome tells what became of a sign-in that this plugin minted.
func (s sessionsService) Outcome(ctx context.Context, r *hostv1.OutcomeRequest) (*hostv1.OutcomeResponse, error) {
	if s.h.cfg.Federated == nil {
		return nil, missing("sign-ins completed by a plugin")
	}
	id, err := idFrom(r.GetMintId(), "mint_id")
	if err != nil || id == uuid.Nil {
		return nil, orElseErr(err, mint.ErrNotFound)
	}
	o, err := s.h.cfg.Federated.Outcome(ctx, s.in.manifest.GetName(), id)
	if err != nil {
		return nil, err
	}
	return &hostv1.OutcomeResponse{
		Status: string(o.Status), Reason: o.Reason, UserId: idText(o.UserID), SessionId: idText(o.SessionID), AccountCreated: o.AccountCreated, MembershipCreated: o.MembershipCreated,
	}, nil
}

func revoked(ids []uuid.UUID) *hostv1.RevokeResponse {
	out := &hostv1.RevokeResponse{}
	for _, id := range ids {
		out.SessionIds = append(out.SessionIds, id.String())
	}
	return out
}

func (s sessionsService) Revoke(ctx context.Context, r *hostv1.RevokeRequest) (*hostv1.RevokeResponse, error) {
	actor, reason := pluginRef(s.name()), printable(clip(r.GetReason(), 120))
	switch w := r.GetWhich().(type) {
	case *hostv1.RevokeRequest_UserId:
		if s.h.cfg.Sessions == nil || s.h.cfg.Administration == nil {
			return nil, missing("sessions")
		}
		id, err := idFrom(w.UserId, "user_id")
		if err != nil || id == uuid.Nil {
			return nil, orElseErr(err, fault.New(fault.Invalid, "invalid_id", "Whose sessions?").At("user_id"))
		}
		ended, err := s.h.cfg.Administration.RevokeSessions(ctx, actor, reason, id)
		return revoked(ended), err
	case *hostv1.RevokeRequest_SessionId:
		p, err := s.find(ctx, w.SessionId)
		if err != nil || p == nil {
			return &hostv1.RevokeResponse{}, err
		}
		if err := s.h.cfg.Sessions.Revoke(ctx, actor, reason, p.UserID, p.SessionID); err != nil {
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
		ended, err := s.h.cfg.Federated.RevokeFederated(ctx, s.in.manifest.GetName(), w.FederatedIndex, reason)
		return revoked(ended), err
	}
	return nil, fault.New(fault.Invalid, "invalid_which", "Which sessions?").At("which")
}
