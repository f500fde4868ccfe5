package pluginhost

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
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

// ---- Gates ---------------------------------------------------------------------------------------------------

type gatesService struct {
	hostv1.UnimplementedGatesServer
	*hostServices
}

// holder is who holds the attempts of the plugin.
func (s gatesService) holder() string { return "plugin/" + s.name() }

// maxHeld is how long a plugin may take from the question to what it does.
const maxHeld = 10 * time.Minute

// Ask puts token.issue or route to the gates. Who acts is looked up by the session that the question names, and not taken from it. What is
// reserved is held for the plugin until it settles the attempt, or until the first reservation ends.
func (s gatesService) Ask(ctx context.Context, r *hostv1.AskGatesRequest) (*hostv1.AskGatesResponse, error) {
	if s.h.cfg.Attempts == nil {
		return nil, missing("gates")
	}
	in := r.GetQuestion()
	a := gate.Ask{Question: gate.Question(in.GetQuestion()), AttemptID: in.GetAttemptId(), Subject: refFrom(in.GetSubject()), Context: map[string]any{}, DryRun: in.GetDryRun(), Attributes: in.GetAttributes().AsMap()}
	if d := in.GetDevice(); d != nil {
		a.Device = &gate.Device{ID: clip(d.GetId(), 64), Known: d.GetKnown(), Trusted: d.GetTrusted()}
	}
	if a.AttemptID != "" && (len(a.AttemptID) > 64 || a.AttemptID != printable(a.AttemptID)) {
		return nil, fault.New(fault.Invalid, "invalid_id", "An attempt's id has at most 64 printable characters.").At("question.attempt_id")
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
	attempt, err := s.h.cfg.Attempts.Ask(withRequest(ctx, in.GetRequest()), a)
	if err != nil {
		return nil, err
	}
	ans, ends := attempt.Answer, time.Time{}
	for _, held := range ans.Reservations {
		if ends.IsZero() || held.ExpiresAt.Before(ends) {
			ends = held.ExpiresAt
		}
	}
	if !ends.IsZero() {
		if limit := s.h.now().Add(maxHeld); ends.After(limit) {
			ends = limit
		}
		err := s.h.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return attempt.Hold(ctx, tx, s.holder(), ends) })
		if attempt.End(ctx, err); err != nil {
			return nil, err
		}
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
	if !ends.IsZero() {
		out.ReservationId, out.ReservationExpiresAt = attempt.ID, timeTo(ends)
	}
	return &hostv1.AskGatesResponse{Answer: out, By: ans.By, AttemptId: attempt.ID}, nil
}

// Settle tells the gates what became of an attempt that the plugin asked about. Where nothing was reserved, or all has ended, nothing is told.
func (s gatesService) Settle(ctx context.Context, r *hostv1.SettleGatesRequest) (*hostv1.SettleGatesResponse, error) {
	if s.h.cfg.Attempts == nil {
		return nil, missing("gates")
	}
	attempt, err := s.h.cfg.Attempts.Resume(ctx, s.holder(), r.GetAttemptId())
	if err != nil {
		return nil, err
	}
	if !r.GetCommitted() {
		return &hostv1.SettleGatesResponse{}, attempt.Abandon(ctx)
	}
	err = s.h.cfg.DB.Tx(ctx, attempt.Commit)
	attempt.End(ctx, err)
	return &hostv1.SettleGatesResponse{}, err
}
