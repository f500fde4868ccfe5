package auth_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/gate"
)

// reserving is a gate that reserves something for every action, and remembers what it was told of each.
type reserving struct {
	mu    sync.Mutex
	asked []gate.Ask
	told  map[string]string // by attempt
}

func (*reserving) Name() string { return "plugin.test" }

func (g *reserving) Ask(_ context.Context, a gate.Ask) (gate.Answer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, a)
	return gate.Answer{By: g.Name(), Reservations: []gate.Reservation{{Gate: g.Name(), ID: string(a.Question), ExpiresAt: time.Now().Add(time.Hour)}}}, nil
}

func (g *reserving) Settle(_ context.Context, s gate.Settlement) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	result := "abandoned"
	if s.Committed {
		result = "committed"
	}
	if was := g.told[s.AttemptID]; was != "" {
		result = was + " and " + result
	}
	g.told[s.AttemptID] = result
	return nil
}

// Whoever reserves something for a sign-up, a sign-in, a step-up or a deletion is told what became of it, and the audit row of the action has
// the attempt's id.
func TestGates_areToldWhatBecameOfEveryAction(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		g := &reserving{told: map[string]string{}}
		w.gates.Set(map[gate.Question][]gate.Gate{gate.Login: {g}, gate.Registration: {g}, gate.SessionStepUp: {g}, gate.UserDelete: {g}})
		// last says what the gate was told of the last question, and forgets it.
		last := func(q gate.Question) (id, result string) {
			t.Helper()
			a := g.asked[len(g.asked)-1]
			if a.Question != q {
				t.Errorf("asked %s, not %s", a.Question, q)
			}
			return a.AttemptID, g.told[a.AttemptID]
		}
		// after does something and compares the rows that it wrote, which have the attempt's id where they are the action's.
		after := func(q gate.Question, want string, do func(), actions ...string) string {
			t.Helper()
			rows := w.wantRows(do, actions...)
			id, result := last(q)
			if result != want {
				t.Errorf("%v: the gate was told %q, want %q", actions, result, want)
			}
			if !slices.ContainsFunc(rows, func(r audit.Row) bool { return r.CorrelationID == id }) {
				t.Errorf("%v: no row has the attempt's id", actions)
			}
			return id
		}

		after(gate.Registration, "committed", func() { w.register("ada@example.org", horse) }, "auth.register.success")
		after(gate.Registration, "abandoned", func() { w.register("ada@example.org", horse) }, "auth.confirmation_request/signed_up_again")
		in := w.member("bob@example.org", horse)
		after(gate.Login, "committed", func() {
			if _, err := w.signIn("bob@example.org", horse); err != nil {
				t.Error(err)
			}
		}, "auth.login.success")
		after(gate.SessionStepUp, "abandoned", func() {
			_, _ = w.StepUp(w.ctx(), in.Principal, factor.Proof{Method: factor.Password, Password: staple})
		}, "auth.step_up.failure/wrong_password")
		after(gate.SessionStepUp, "committed", func() {
			if _, err := w.StepUp(w.ctx(), in.Principal, factor.Proof{Method: factor.Password, Password: horse}); err != nil {
				t.Error(err)
			}
		}, "auth.step_up.success")

		// A sign-in that waits for its second factor holds what was reserved, whatever is guessed meanwhile.
		carl := w.person("carl@example.org", has{totp: true})
		var waits *auth.Pending
		w.wantRows(func() { waits = carl.pending() })
		if _, result := last(gate.Login); result != "" {
			t.Errorf("before the second factor the gate was told %q", result)
		}
		n := len(g.asked)
		w.advance(time.Minute)
		if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: waits.Flow, Factor: factor.Proof{Method: factor.TOTP, Code: "nonsense"}}); err == nil {
			t.Error("a wrong code let somebody in")
		}
		if _, result := last(gate.Login); result != "" {
			t.Errorf("after a wrong code the gate was told %q", result)
		}
		after(gate.Login, "committed", func() {
			if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: waits.Flow, Factor: carl.show(factor.TOTP, waits.Flow)}); err != nil {
				t.Error(err)
			}
		}, "mfa.challenge.success", "auth.login.success")
		if len(g.asked) != n {
			t.Error("the gate was asked twice about one sign-in")
		}

		after(gate.UserDelete, "committed", func() {
			if err := w.Delete(w.ctx(), operator, in.Principal.UserID); err != nil {
				t.Error(err)
			}
		}, "account.deletion_execute")
		for id, result := range maps.All(g.told) {
			if result != "committed" && result != "abandoned" {
				t.Errorf("%s was told %q", id, result)
			}
		}
	})
}
