package pluginsdk

import (
	"context"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/internal/wire"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// Sessions reads, makes and ends sessions.
type Sessions struct{ h *Host }

// Session is one that stands.
type Session struct {
	ID             string
	UserID         string
	OrganizationID string
	AAL            string
	AMR            []string
	AuthTime       time.Time
	CreatedAt      time.Time
	LastSeenAt     time.Time
	ExpiresAt      time.Time
}

// Resolve gives the principal of a session that still stands, and nil for one that does not. Grant: sessions.read
func (s Sessions) Resolve(ctx context.Context, sessionID string) (*Principal, error) {
	resp, err := call(ctx, s.h, SessionsRead, "resolve session", hostv1.NewSessionsClient, hostv1.SessionsClient.Resolve,
		&hostv1.ResolveSessionRequest{SessionId: sessionID})
	if err != nil {
		return nil, err
	}
	return principalFrom(resp.GetPrincipal()), nil
}

// List gives the sessions of a user. Grant: sessions.read
func (s Sessions) List(ctx context.Context, userID string) ([]Session, error) {
	resp, err := call(ctx, s.h, SessionsRead, "list sessions", hostv1.NewSessionsClient, hostv1.SessionsClient.List,
		&hostv1.ListSessionsRequest{UserId: userID})
	return list[Session](resp.GetSessions()), err
}

// Check gives those of the sessions that stand, of accounts that are active, by id. Any number may be asked for.
// Grant: sessions.read
func (s Sessions) Check(ctx context.Context, ids ...string) (map[string]Session, error) {
	const most = 500
	out := map[string]Session{}
	for len(ids) > 0 {
		n := min(len(ids), most)
		resp, err := call(ctx, s.h, SessionsRead, "check sessions", hostv1.NewSessionsClient, hostv1.SessionsClient.Check,
			&hostv1.CheckSessionsRequest{SessionIds: ids[:n]})
		if err != nil {
			return nil, err
		}
		for _, x := range list[Session](resp.GetSessions()) {
			out[x.ID] = x
		}
		ids = ids[n:]
	}
	return out, nil
}

// MintPurpose is what a sign-in elsewhere is for.
type MintPurpose int

// The purposes.
const (
	MintSignIn MintPurpose = iota
	MintLink               // link the identity to the account that is signed in
	MintStepUp             // prove again who is signed in
	MintTest               // everything but the session
)

// BeginRequest starts a sign-in elsewhere.
type BeginRequest struct {
	Provider       string // below the plugin's name: "okta-acme"
	OrganizationID string
	ReturnTo       string
	MaxAge         time.Duration
	RequiredAAL    string
	Purpose        MintPurpose   `wire:"-"`
	SessionID      string        // whose, for MintLink and MintStepUp
	CrossSite      bool          // the answer comes by a cross-site POST: the cookie is SameSite=None
	ValidFor       time.Duration // 0: ten minutes
}

// BeginResponse binds it to the browser.
type BeginResponse struct {
	State     string // opaque; send it along, and give it to Mint
	SetCookie string // add it to the response as a Set-Cookie header; RequestState reads it back
}

// Begin starts a sign-in elsewhere and binds it to the browser. Grant: sessions.write
func (s Sessions) Begin(ctx context.Context, r BeginRequest) (out BeginResponse, err error) {
	req := &hostv1.BeginRequest{Purpose: hostv1.MintPurpose(r.Purpose + 1)}
	if err := wire.To(req, r); err != nil {
		return out, Permanent(err)
	}
	resp, err := call(ctx, s.h, SessionsWrite, "begin sign-in", hostv1.NewSessionsClient, hostv1.SessionsClient.Begin, req)
	wire.From(&out, resp)
	return out, err
}

// MembershipPolicy is what becomes of a person's place in the organization.
type MembershipPolicy int

// The policies.
const (
	MembershipNone       MembershipPolicy = iota
	MembershipExisting                    // they must have one
	MembershipJustInTime                  // they get one, through the member.add gate
)

// MintRequest is a sign-in that the plugin has verified.
type MintRequest struct {
	Provider       string // below the plugin's name: "okta-acme"
	Subject        string // stable id at the provider
	UserID         string // when the plugin knows the account
	Email          string
	EmailVerified  bool
	OrganizationID string
	FederatedIndex string   // the provider's session handle, for single logout
	AMR            []string // what the provider says it checked
	ReturnTo       string
	Request        RequestInfo

	State               string // of Begin; empty: the sign-in began at the provider
	StateCookie         string // see RequestState
	AuthTime            time.Time
	ACR                 string
	SessionNotOnOrAfter time.Time
	Display             string
	Attributes          map[string]any // kept as the account's public metadata below the plugin's name
	Role                string
	Membership          MembershipPolicy `wire:"-"`
	DomainVerified      bool             // the address lies in a domain that the organization has proven
	Purpose             MintPurpose      `wire:"-"`
	SignUpAllowed       bool             // an account may be made
}

// MintResponse is where the browser goes on.
type MintResponse struct {
	ContinueURL string // can be used once; sets the cookie or asks for what is missing
	MintID      string // for Outcome
}

// Mint completes a sign-in through the same second factor, gate and policy as any other. Grant: sessions.write
func (s Sessions) Mint(ctx context.Context, r MintRequest) (out MintResponse, err error) {
	req := &hostv1.MintRequest{Purpose: hostv1.MintPurpose(r.Purpose + 1), Membership: hostv1.MintRequest_MembershipPolicy(r.Membership + 1)}
	if err := wire.To(req, r); err != nil {
		return out, Permanent(err)
	}
	resp, err := call(ctx, s.h, SessionsWrite, "mint session", hostv1.NewSessionsClient, hostv1.SessionsClient.Mint, req)
	wire.From(&out, resp)
	return out, err
}

// Outcome is what became of a minted sign-in.
type Outcome struct {
	Status            string // pending, signed_in, linked, stepped_up, tested, refused, expired
	Reason            string // when refused
	UserID            string
	SessionID         string
	AccountCreated    bool
	MembershipCreated bool
}

// Outcome tells what became of a minted sign-in, for a day. Grant: sessions.write
func (s Sessions) Outcome(ctx context.Context, mintID string) (out Outcome, err error) {
	resp, err := call(ctx, s.h, SessionsWrite, "ask for the outcome", hostv1.NewSessionsClient, hostv1.SessionsClient.Outcome,
		&hostv1.OutcomeRequest{MintId: mintID})
	wire.From(&out, resp)
	return out, err
}

// RevokeRequest names sessions by one of these.
type RevokeRequest struct {
	SessionID      string
	FederatedIndex string // of Mint, by this plugin
	UserID         string // all of the user's
	Reason         string // for the audit row
}

// RevokeResponse says which sessions ended.
type RevokeResponse struct{ SessionIDs []string }

// Revoke ends sessions; none is no error. Grant: sessions.write
func (s Sessions) Revoke(ctx context.Context, r RevokeRequest) (RevokeResponse, error) {
	req := &hostv1.RevokeRequest{Reason: r.Reason}
	switch {
	case r.SessionID != "":
		req.Which = &hostv1.RevokeRequest_SessionId{SessionId: r.SessionID}
	case r.FederatedIndex != "":
		req.Which = &hostv1.RevokeRequest_FederatedIndex{FederatedIndex: r.FederatedIndex}
	case r.UserID != "":
		req.Which = &hostv1.RevokeRequest_UserId{UserId: r.UserID}
	}
	resp, err := call(ctx, s.h, SessionsWrite, "revoke sessions", hostv1.NewSessionsClient, hostv1.SessionsClient.Revoke, req)
	return RevokeResponse{SessionIDs: resp.GetSessionIds()}, err
}
