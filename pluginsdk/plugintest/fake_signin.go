package plugintest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sigra-auth/sigra/pluginsdk"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// stepUpWindow is how fresh a proof must be to change how somebody signs in.
const stepUpWindow = 5 * time.Minute

// AllowReturn lets sign-ins return to an address, as the operator may.
func (f *Fake) AllowReturn(origin string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.returns = append(f.returns, origin)
}

// mayReturn reports whether a sign-in may return to an address.
func (f *Fake) mayReturn(to string) bool {
	u, err := url.Parse(to)
	switch {
	case err != nil || u.User != nil:
		return false
	case u.Host == "" && u.Scheme == "":
		return strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//")
	}
	return slices.Contains(f.returns, u.Scheme+"://"+u.Host)
}

type fakeSessions struct {
	hostv1.UnimplementedSessionsServer
	f *Fake
}

func (s fakeSessions) Resolve(_ context.Context, req *hostv1.ResolveSessionRequest) (*hostv1.ResolveSessionResponse, error) {
	return &hostv1.ResolveSessionResponse{Principal: principalTo(s.f.sessions[req.GetSessionId()])}, nil
}

func sessionTo(p *pluginsdk.Principal) *hostv1.Session {
	return &hostv1.Session{
		Id: p.SessionID, UserId: p.UserID, OrganizationId: p.OrganizationID, Aal: p.AAL, Amr: p.AMR, AuthTime: timeTo(p.AuthTime),
		CreatedAt: timeTo(p.SessionCreatedAt), LastSeenAt: timeTo(p.AuthTime), ExpiresAt: timeTo(p.SessionExpiresAt),
	}
}

func (s fakeSessions) List(_ context.Context, req *hostv1.ListSessionsRequest) (*hostv1.ListSessionsResponse, error) {
	resp := &hostv1.ListSessionsResponse{}
	for _, id := range slices.Sorted(maps.Keys(s.f.sessions)) {
		if p := s.f.sessions[id]; p.UserID == req.GetUserId() {
			resp.Sessions = append(resp.Sessions, sessionTo(p))
		}
	}
	return resp, nil
}

func (s fakeSessions) Check(_ context.Context, req *hostv1.CheckSessionsRequest) (*hostv1.CheckSessionsResponse, error) {
	resp := &hostv1.CheckSessionsResponse{}
	for _, id := range req.GetSessionIds() {
		if p := s.f.sessions[id]; p != nil && (s.f.users[p.UserID].Status == "" || s.f.users[p.UserID].Status == "active") {
			resp.Sessions = append(resp.Sessions, sessionTo(p))
		}
	}
	return resp, nil
}

func (s fakeSessions) Begin(_ context.Context, req *hostv1.BeginRequest) (*hostv1.BeginResponse, error) {
	b := from[pluginsdk.BeginRequest](req)
	b.Purpose = pluginsdk.MintPurpose(max(req.GetPurpose(), 1) - 1)
	ofSession := b.Purpose == pluginsdk.MintLink || b.Purpose == pluginsdk.MintStepUp
	switch p := s.f.sessions[b.SessionID]; {
	case b.Provider == "":
		return nil, status.Error(codes.InvalidArgument, "provider: which provider?")
	case b.RequiredAAL != "" && b.RequiredAAL != "aal1" && b.RequiredAAL != "aal2":
		return nil, status.Error(codes.InvalidArgument, "required_aal: an assurance level is aal1 or aal2")
	case !ofSession && b.SessionID != "", ofSession && b.SessionID == "":
		return nil, status.Error(codes.InvalidArgument, "session_id: a session is named to link and to step up, and only then")
	case ofSession && p == nil:
		return nil, status.Error(codes.NotFound, "there is no such session")
	case b.Purpose == pluginsdk.MintLink && s.f.Clock.Now().Sub(p.AuthTime) > stepUpWindow:
		return nil, toStatus(pluginsdk.Denied("step_up_required", "please confirm that it is you first"))
	case b.Purpose == pluginsdk.MintStepUp && (b.MaxAge <= 0 || b.MaxAge > stepUpWindow):
		b.MaxAge = stepUpWindow
	}
	s.f.begun = append(s.f.begun, b)
	state := fmt.Sprintf("state%07d-fake", len(s.f.begun))
	put(&s.f.states, state, b)
	site := "Lax"
	if b.CrossSite {
		site = "None"
	}
	name := pluginsdk.CookieName("plugin", "state_"+state[:12])
	return &hostv1.BeginResponse{State: state, SetCookie: name + "=bound-" + state + "; Path=/; Secure; HttpOnly; SameSite=" + site}, nil
}

func (s fakeSessions) Mint(_ context.Context, req *hostv1.MintRequest) (*hostv1.MintResponse, error) {
	m := from[pluginsdk.MintRequest](req)
	m.Purpose = pluginsdk.MintPurpose(max(req.GetPurpose(), 1) - 1)
	m.Membership = pluginsdk.MembershipPolicy(max(req.GetMembership(), 1) - 1)
	if m.Provider == "" || m.Subject == "" {
		return nil, status.Error(codes.InvalidArgument, "subject: a federated identity has a provider and a subject")
	}
	b, begun := s.f.states[m.State]
	if m.State == "" && m.Purpose != pluginsdk.MintSignIn || m.State != "" &&
		(!begun || m.StateCookie != "bound-"+m.State || b.Purpose != m.Purpose || b.Provider != m.Provider || b.OrganizationID != m.OrganizationID) {
		return nil, toStatus(pluginsdk.Denied("state_invalid", "this sign-in took too long, was used already, or was begun in another browser"))
	}
	now, two := s.f.Clock.Now(), slices.Contains(m.AMR, "mfa") && s.f.granted[pluginsdk.SessionsAssure]
	switch {
	case b.MaxAge > 0 && (m.AuthTime.IsZero() || now.Sub(m.AuthTime) > b.MaxAge+time.Minute):
		return nil, toStatus(pluginsdk.Denied("proof_too_old", "the proof is too old"))
	case b.RequiredAAL == "aal2" && !two:
		return nil, toStatus(pluginsdk.Denied("proof_too_weak", "a second factor is needed"))
	case !m.SessionNotOnOrAfter.IsZero() && !m.SessionNotOnOrAfter.After(now):
		return nil, toStatus(pluginsdk.Denied("proof_expired", "the session there has ended"))
	}
	delete(s.f.states, m.State)
	s.f.minted = append(s.f.minted, m)
	return &hostv1.MintResponse{ContinueUrl: "https://sigra.example/continue?token=fake", MintId: fmt.Sprintf("mint-%d", len(s.f.minted))}, nil
}

func (s fakeSessions) Outcome(_ context.Context, req *hostv1.OutcomeRequest) (*hostv1.OutcomeResponse, error) {
	if o, ok := s.f.outcomes[req.GetMintId()]; ok {
		return to(&hostv1.OutcomeResponse{}, o), nil
	}
	if n, err := strconv.Atoi(strings.TrimPrefix(req.GetMintId(), "mint-")); err != nil || n < 1 || n > len(s.f.minted) {
		return nil, status.Error(codes.NotFound, "mint_id: there is no such sign-in of the last day")
	}
	return &hostv1.OutcomeResponse{Status: "pending"}, nil
}

func (s fakeSessions) Revoke(_ context.Context, req *hostv1.RevokeRequest) (*hostv1.RevokeResponse, error) {
	resp := &hostv1.RevokeResponse{}
	switch w := req.GetWhich().(type) {
	case *hostv1.RevokeRequest_SessionId:
		s.f.revoked = append(s.f.revoked, "session:"+w.SessionId)
		if _, ok := s.f.sessions[w.SessionId]; ok {
			delete(s.f.sessions, w.SessionId)
			resp.SessionIds = append(resp.SessionIds, w.SessionId)
		}
	case *hostv1.RevokeRequest_FederatedIndex:
		s.f.revoked = append(s.f.revoked, "federated:"+w.FederatedIndex)
	case *hostv1.RevokeRequest_UserId:
		s.f.revoked = append(s.f.revoked, "user:"+w.UserId)
		for _, id := range slices.Sorted(maps.Keys(s.f.sessions)) {
			if s.f.sessions[id].UserID == w.UserId {
				delete(s.f.sessions, id)
				resp.SessionIds = append(resp.SessionIds, id)
			}
		}
	default:
		return nil, status.Error(codes.InvalidArgument, "say which")
	}
	return resp, nil
}

type fakePages struct {
	hostv1.UnimplementedPagesServer
	f *Fake
}

func (s fakePages) Render(_ context.Context, req *hostv1.RenderRequest) (*hostv1.RenderResponse, error) {
	s.f.rendered = append(s.f.rendered, from[pluginsdk.Page](req))
	language, direction := cmp.Or(req.GetLanguage(), req.GetRequest().GetLanguage(), "en"), "ltr"
	if strings.HasPrefix(language, "ar") || strings.HasPrefix(language, "he") {
		direction = "rtl"
	}
	return &hostv1.RenderResponse{
		Html:     fmt.Sprintf("<!doctype html><html lang=%q dir=%q><title>%s</title>%s", language, direction, req.GetTitle(), req.GetBodyHtml()),
		Language: language, Direction: direction,
	}, nil
}

// SignIn gives an address that says all that was asked for. The real one shows none of it but what a page needs.
func (s fakePages) SignIn(_ context.Context, req *hostv1.SignInRequest) (*hostv1.SignInResponse, error) {
	for field, to := range map[string]string{"return_to": req.GetReturnTo(), "cancel_to": req.GetCancelTo()} {
		if to != "" && !s.f.mayReturn(to) {
			return nil, status.Errorf(codes.InvalidArgument, "%s: a sign-in returns to a path of this Sigra, or to an address that its operator allows", field)
		}
	}
	aal := req.GetRequiredAal()
	for _, v := range req.GetAcrValues() {
		if aal == "" && (v == "aal1" || v == "aal2") {
			aal = v
		}
	}
	if aal != "" && aal != "aal1" && aal != "aal2" {
		return nil, status.Error(codes.InvalidArgument, "required_aal: an assurance level is aal1 or aal2")
	}
	q := url.Values{"return_to": {req.GetReturnTo()}}
	for name, v := range map[string]string{
		"login_hint": req.GetLoginHint(), "cancel_to": req.GetCancelTo(), "client": req.GetClientName(), "aal": aal, "ui_locales": strings.Join(req.GetUiLocales(), " "),
	} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if req.GetMaxAge() != nil {
		q.Set("max_age", fmt.Sprint(int(req.GetMaxAge().AsDuration().Seconds())))
	}
	for name, on := range map[string]bool{"fresh": req.GetFresh(), "select_account": req.GetSelectAccount()} {
		if on {
			q.Set(name, "1")
		}
	}
	return &hostv1.SignInResponse{Url: "/login?" + q.Encode()}, nil
}
