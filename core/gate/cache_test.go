package gate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/principal"
)

// recorder remembers what it was asked.
type recorder struct {
	fixed
	asks []gate.Ask
}

func (r *recorder) Ask(ctx context.Context, a gate.Ask) (gate.Answer, error) {
	r.asks = append(r.asks, a)
	return r.fixed.Ask(ctx, a)
}

// A question about a user carries what is kept of them; what the one who asks adds does not take its place.
func TestTable_describesTheUser(t *testing.T) {
	t.Parallel()
	var table gate.Table
	ada, bob := uuid.New(), uuid.New()
	var err error
	described := 0
	table.DescribeWith(func(_ context.Context, id uuid.UUID) (map[string]any, error) {
		described++
		return map[string]any{"who": id.String(), "plan": "gold"}, err
	})
	g := &recorder{}
	if _, err := table.Ask(t.Context(), gate.Ask{Question: gate.Route, Principal: &principal.Principal{Kind: principal.User, UserID: ada}}); err != nil || described != 0 {
		t.Errorf("nobody answers, and %d were described, %v", described, err)
	}
	table.Set(map[gate.Question][]gate.Gate{gate.Route: {g, g}})
	for _, c := range []struct {
		ask  gate.Ask
		want any
	}{
		{gate.Ask{Principal: &principal.Principal{Kind: principal.User, UserID: ada}, Subject: audit.Ref{Type: "user", ID: bob.String()}, Attributes: map[string]any{"plan": "free", "cart": 3}}, ada.String()},
		{gate.Ask{Subject: audit.Ref{Type: "user", ID: bob.String()}}, bob.String()},
		{gate.Ask{Principal: &principal.Principal{Kind: principal.Application}, Subject: audit.Ref{Type: "user", ID: bob.String()}}, bob.String()},
		{gate.Ask{Subject: audit.Ref{Type: "user", ID: "unknown"}}, nil},
		{gate.Ask{Subject: audit.Ref{Type: "route", ID: bob.String()}}, nil},
	} {
		c.ask.Question, g.asks, described = gate.Route, nil, 0
		if _, err := table.Ask(t.Context(), c.ask); err != nil {
			t.Fatal(err)
		}
		got := g.asks[0].Attributes
		if got["who"] != c.want || c.want != nil && (got["plan"] != "gold" || described != 1) || c.ask.Attributes["cart"] != got["cart"] {
			t.Errorf("%+v: %v, described %d times", c.ask.Subject, got, described)
		}
	}
	err = errors.New("broken")
	if _, got := table.Ask(t.Context(), gate.Ask{Question: gate.Route, Subject: audit.Ref{Type: "user", ID: bob.String()}}); !errors.Is(got, err) {
		t.Errorf("asked without what is kept: %v", got)
	}
}

func TestTable_obligationsAndCacheForOfAll(t *testing.T) {
	t.Parallel()
	var table gate.Table
	a := &fixed{answer: gate.Answer{CacheFor: time.Minute, Revision: "7", Obligations: []gate.Obligation{{Name: "watermark"}}}}
	b := &fixed{answer: gate.Answer{CacheFor: 20 * time.Second, Obligations: []gate.Obligation{{Name: "log"}}}}
	table.Set(map[gate.Question][]gate.Gate{gate.Route: {a, b}})
	ans, err := table.Ask(t.Context(), gate.Ask{Question: gate.Route})
	if err != nil || ans.CacheFor != 20*time.Second || ans.Revision != "7" || len(ans.Obligations) != 2 {
		t.Errorf("%+v %v", ans, err)
	}
	b.answer.CacheFor = 0
	if ans, _ := table.Ask(t.Context(), gate.Ask{Question: gate.Route}); ans.CacheFor != 0 {
		t.Errorf("one of two lets nobody keep its answer: %+v", ans)
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var table gate.Table
	c := gate.NewCache(&table, func() time.Time { return now })
	g := &fixed{answer: gate.Answer{Decision: gate.Deny, Reason: "no", By: "g", CacheFor: time.Minute}}
	who := principal.Principal{Kind: principal.User, UserID: uuid.New(), SessionID: uuid.New(), AAL: principal.AAL1}
	question := func(change func(*gate.Ask)) gate.Ask {
		p := who
		a := gate.Ask{Question: gate.Route, Principal: &p, Context: map[string]any{"path": "/x"}, AttemptID: uuid.NewString()}
		if change != nil {
			change(&a)
		}
		return a
	}
	ask := func(change func(*gate.Ask)) {
		t.Helper()
		if ans, err := c.Ask(t.Context(), question(change)); err != nil || ans.Decision != g.answer.Decision || ans.By != g.answer.By {
			t.Errorf("%+v %v", ans, err)
		}
	}
	if ans, err := c.Ask(t.Context(), question(nil)); err != nil || ans.Decision != gate.Allow {
		t.Errorf("without gates: %+v %v", ans, err)
	}
	table.Set(map[gate.Question][]gate.Gate{gate.Route: {g}})
	times := func(want int, what string) {
		t.Helper()
		if g.asked != want {
			t.Errorf("%s: asked %d times, want %d", what, g.asked, want)
		}
	}
	ask(nil)
	ask(nil)
	times(1, "twice the same")
	for what, change := range map[string]func(*gate.Ask){
		"another path":    func(a *gate.Ask) { a.Context = map[string]any{"path": "/y"} },
		"another session": func(a *gate.Ask) { a.Principal.SessionID = uuid.New() },
		"more assurance":  func(a *gate.Ask) { a.Principal.AAL = principal.AAL2 },
		"another role":    func(a *gate.Ask) { a.Principal.Role = "admin" },
		"in their name":   func(a *gate.Ask) { a.Principal.ImpersonatorID = uuid.New() },
		"nobody":          func(a *gate.Ask) { a.Principal = nil },
	} {
		was := g.asked
		ask(change)
		times(was+1, what)
	}
	was := g.asked
	now = now.Add(time.Minute)
	ask(nil)
	times(was+1, "a minute later")
	g.answer.CacheFor = 0
	now = now.Add(time.Minute)
	ask(nil)
	ask(nil)
	times(was+3, "an answer for once")
	// Other gates: what these said counts no more.
	g.answer.CacheFor = time.Hour
	ask(nil)
	other := &fixed{answer: gate.Answer{By: "other"}}
	table.Set(map[gate.Question][]gate.Gate{gate.Route: {other}})
	if ans, err := c.Ask(t.Context(), question(nil)); err != nil || ans.Decision != gate.Allow || other.asked != 1 {
		t.Errorf("the answer of a gate that is gone: %+v %v", ans, err)
	}
	table.Set(map[gate.Question][]gate.Gate{gate.Route: {g}})
	ask(nil)
	was = g.asked
	now = now.Add(gate.MaxCacheFor)
	ask(nil)
	times(was+1, "an answer for an hour, after the longest time there is")
	g.err = errors.New("broken")
	now = now.Add(gate.MaxCacheFor)
	for range 2 {
		if _, err := c.Ask(t.Context(), question(nil)); !errors.Is(err, g.err) {
			t.Errorf("%v", err)
		}
	}
}
