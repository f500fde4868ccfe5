package pluginhost

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
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
