package pluginhost

import (
	"context"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/store"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// ---- RateLimit -----------------------------------------------------------------------------------------------

type rateLimitService struct {
	hostv1.UnimplementedRateLimitServer
	*hostServices
}

// The bounds of a limit that a plugin counts by.
const (
	maxLimit  = 1_000_000
	maxWindow = 30 * 24 * time.Hour
)

// Take counts in the database, so that all nodes count together. A plugin's keys are its own.
func (s rateLimitService) Take(ctx context.Context, r *hostv1.TakeRequest) (*hostv1.TakeResponse, error) {
	window, cost := r.GetWindow().AsDuration(), r.GetCost()
	if cost == 0 {
		cost = 1
	}
	switch {
	case r.GetKey() == "" || len(r.GetKey()) > maxKey:
		return nil, fault.Newf(fault.Invalid, "invalid_key", "A key has 1 to %d bytes.", maxKey).At("key")
	case r.GetLimit() < 1 || r.GetLimit() > maxLimit:
		return nil, fault.Newf(fault.Invalid, "invalid_limit", "A limit is 1 to %d.", maxLimit).At("limit")
	case window < time.Second || window > maxWindow:
		return nil, fault.New(fault.Invalid, "invalid_window", "A window is 1 second to 30 days.").At("window")
	case cost < 1 || cost > r.GetLimit():
		return nil, fault.New(fault.Invalid, "invalid_cost", "The cost is 1 to the limit.").At("cost")
	}
	l, err := ratelimit.NewAccount(ratelimit.AccountConfig{Name: "plugin:" + s.name(), Quota: ratelimit.Quota{Count: int(r.GetLimit()), Per: window}, Now: s.h.now})
	if err != nil {
		return nil, fault.New(fault.Invalid, "invalid_limit", "This limit can't be counted by: "+err.Error()+".").At("limit")
	}
	var d ratelimit.Decision
	err = s.h.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		d, err = l.Take(ctx, tx, r.GetKey(), int(cost))
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &hostv1.TakeResponse{Allowed: d.Allowed, Remaining: int64(d.Remaining), ResetAfter: durationpb.New(d.Reset)}
	if !d.Allowed {
		out.RetryAfter = durationpb.New(d.RetryAfter)
	}
	return out, nil
}

// ---- Claims --------------------------------------------------------------------------------------------------

type claimsService struct {
	hostv1.UnimplementedClaimsServer
	*hostServices
}

// Collect asks the other plugins what they say of a session, or of an account that is live.
func (s claimsService) Collect(ctx context.Context, r *hostv1.CollectClaimsRequest) (*hostv1.CollectClaimsResponse, error) {
	q := ClaimsQuery{Audience: orElse(printable(clip(r.GetAudience(), 64)), "token"), ClientID: clip(r.GetClientId(), 255), Scopes: r.GetScopes(), Except: s.name()}
	switch w := r.GetWho().(type) {
	case *hostv1.CollectClaimsRequest_SessionId:
		p, err := s.find(ctx, w.SessionId)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return nil, fault.New(fault.NotFound, "session_not_found", "There is no such session.").At("session_id")
		}
		q.Who = *p
	case *hostv1.CollectClaimsRequest_UserId:
		id, err := idFrom(w.UserId, "user_id")
		if err != nil {
			return nil, err
		}
		if s.h.cfg.Accounts == nil {
			return nil, missing("accounts")
		}
		found, err := s.h.cfg.Accounts.GetMany(ctx, []uuid.UUID{id})
		if err != nil {
			return nil, err
		}
		if len(found) != 1 || !found[0].Status.Live() {
			return nil, fault.New(fault.NotFound, "account_not_found", "There is no such account.").At("user_id")
		}
		a := found[0]
		q.Who = principal.Principal{Kind: principal.User, UserID: a.ID, Email: a.Email, Display: a.Name(), Administrator: a.Administrator}
	default:
		return nil, fault.New(fault.Invalid, "invalid_query", "Whose claims?").At("who")
	}
	got := s.h.Claims(ctx, q)
	all := map[string]any{}
	for name, values := range got.Values {
		if len(values) > 0 {
			all[name] = values
		}
	}
	out := &hostv1.CollectClaimsResponse{Stale: got.Stale, Revisions: got.Revisions}
	if got.MaxAge > 0 {
		out.MaxAge = durationpb.New(got.MaxAge)
	}
	var err error
	out.Claims, err = structTo(all)
	return out, err
}

// ---- Gates ---------------------------------------------------------------------------------------------------

type gatesService struct {
	hostv1.UnimplementedGatesServer
	*hostServices
}

// Ask puts token.issue or route to the gates. Who acts is looked up by the session that the question names, and not taken from it. Nothing can be
// reserved here: what a gate holds is let go at once.
func (s gatesService) Ask(ctx context.Context, r *hostv1.AskGatesRequest) (*hostv1.AskGatesResponse, error) {
	if s.h.cfg.Gates == nil {
		return nil, missing("gates")
	}
	in := r.GetQuestion()
	a := gate.Ask{Question: gate.Question(in.GetQuestion()), AttemptID: in.GetAttemptId(), Subject: refFrom(in.GetSubject()), Context: map[string]any{}, DryRun: in.GetDryRun(), Attributes: in.GetAttributes().AsMap()}
	if d := in.GetDevice(); d != nil {
		a.Device = &gate.Device{ID: clip(d.GetId(), 64), Known: d.GetKnown(), Trusted: d.GetTrusted()}
	}
	if a.AttemptID == "" {
		a.AttemptID = uuid.NewString()
	}
	switch a.Question {
	case gate.TokenIssue:
		t := in.GetToken()
		a.Token = &gate.TokenContext{
			Kind: t.GetKind(), ClientID: t.GetClientId(), ClientName: t.GetClientName(), Scopes: t.GetScopes(), Audience: t.GetAudience(),
		}
		if t.GetExpiresAt().IsValid() {
			a.Token.ExpiresAt = t.GetExpiresAt().AsTime()
		}
	case gate.Route:
		rt := in.GetRoute()
		a.Context = map[string]any{"host": rt.GetHost(), "method": rt.GetMethod(), "path": rt.GetPath(), "scheme": rt.GetScheme(), "rule": rt.GetRule()}
	default:
		return nil, fault.New(fault.Invalid, "invalid_question", "A plugin asks token.issue or route.").At("question.question")
	}
	if id := in.GetPrincipal().GetSessionId(); id != "" {
		p, err := s.find(ctx, id)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return &hostv1.AskGatesResponse{Answer: &pluginv1.AskResponse{Answer: pluginv1.AskResponse_ANSWER_DENY, Reason: "session_ended"}}, nil
		}
		a.Principal = p
		if a.Subject == (audit.Ref{}) {
			a.Subject = audit.Ref{Type: "user", ID: p.UserID.String()}
		}
	}
	ans, err := s.h.cfg.Gates.Ask(withRequest(ctx, in.GetRequest()), a)
	for _, held := range ans.Reservations {
		if err := s.h.cfg.Gates.Settle(ctx, held.Gate, gate.Settlement{Question: a.Question, AttemptID: a.AttemptID, ReservationID: held.ID}); err != nil {
			s.h.log.Warn("reservation of a gate not let go, it will expire", "plugin", s.name(), "gate", held.Gate, "error", err)
		}
	}
	if err != nil {
		return nil, err
	}
	out := &pluginv1.AskResponse{Answer: pluginv1.AskResponse_ANSWER_ALLOW, Reason: ans.Reason, Message: ans.Message, Revision: ans.Revision, Explain: ans.Explain}
	if ans.CacheFor > 0 {
		out.CacheFor = durationpb.New(ans.CacheFor)
	}
	for _, o := range ans.Obligations {
		parameters, err := structTo(o.Parameters)
		if err != nil {
			return nil, err
		}
		out.Obligations = append(out.Obligations, &pluginv1.Obligation{Name: o.Name, Parameters: parameters})
	}
	switch ans.Decision {
	case gate.Deny:
		out.Answer = pluginv1.AskResponse_ANSWER_DENY
	case gate.StepUp:
		out.Answer, out.RequiredAal = pluginv1.AskResponse_ANSWER_STEP_UP, ans.RequiredAAL
	}
	return &hostv1.AskGatesResponse{Answer: out, By: ans.By}, nil
}
