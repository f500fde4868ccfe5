package auth_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// tally runs f n times at once and counts the codes of its errors.
func tally(n int, f func(i int) error) map[string]int {
	var mu sync.Mutex
	out := map[string]int{}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			c := code(f(i))
			mu.Lock()
			out[c]++
			mu.Unlock()
		})
	}
	wg.Wait()
	return out
}

// Two flows of one address: whoever confirms first has the account, and the other's password never becomes its.
func TestRace_twoFlowsOneAddress(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		for round := range 5 {
			email := fmt.Sprintf("ada%d@example.org", round)
			type flow struct{ flow, code, pw string }
			var flows []flow
			for _, pw := range []string{horse, staple} {
				r := w.register(email, pw)
				_, c := w.confirmMail(email)
				flows = append(flows, flow{r.Flow, c, pw})
			}
			var winner atomic.Int64
			got := tally(2, func(i int) error {
				_, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: flows[i].flow, Code: flows[i].code})
				if err == nil {
					winner.Store(int64(i))
				}
				return err
			})
			if got["ok"] != 1 {
				t.Fatalf("%v", got)
			}
			won, lost := flows[winner.Load()], flows[1-winner.Load()]
			if _, err := w.signIn(email, won.pw); err != nil {
				t.Fatal(err)
			}
			if _, err := w.signIn(email, lost.pw); code(err) != "invalid_credentials" {
				t.Fatalf("the other flow's password: %v", err)
			}
		}
	})
}

func TestRace_signUpsWithOneAddress(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		got := tally(30, func(int) error {
			_, err := w.Register(w.ctx(), auth.Registration{Email: "ada@example.org", Password: horse})
			return err
		})
		if got["ok"] != 30 || w.count(`SELECT count(*) FROM account`) != 1 || w.count(`SELECT count(*) FROM onetime`) != 30 || w.count(`SELECT count(*) FROM mail_queue`) != 30 {
			t.Fatalf("%v", got)
		}
	})
}

func TestRace_passwordChanges(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		in := w.member("ada@example.org", horse)
		got := tally(20, func(i int) error {
			_, err := w.ChangePassword(w.ctx(), in.Principal, horse, fmt.Sprintf("brand new secret %d", i))
			return err
		})
		if got["ok"] != 1 || got["ok"]+got["unauthenticated"]+got["password_changed"]+got["wrong_password"]+got["too_many_attempts"] != 20 {
			t.Fatalf("%v", got)
		}
		if n := w.count(`SELECT count(*) FROM session`); n != 1 {
			t.Fatalf("%d sessions", n)
		}
	})
}

// A sign-in whose password proved right waits (at a gate) while the password changes or the account is disabled: it gets nothing.
func TestRace_signInDuringChange(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		in := w.member("ada@example.org", horse)
		for _, c := range []struct {
			name, pw string
			change   func() error
		}{
			{"password changed", horse, func() error { _, err := w.ChangePassword(w.ctx(), in.Principal, horse, staple); return err }},
			{"disabled", staple, func() error { return w.Disable(w.ctx(), operator, in.Principal.UserID) }},
		} {
			at, on := make(chan struct{}), make(chan struct{})
			w.gates.Set(map[gate.Question][]gate.Gate{gate.Login: {gateFunc(func(context.Context, gate.Ask) (gate.Answer, error) {
				close(at)
				<-on
				return gate.Answer{}, nil
			})}})
			var err error
			var late auth.SignedIn
			var wg sync.WaitGroup
			wg.Go(func() { late, err = w.signIn("ada@example.org", c.pw) })
			<-at
			if err := c.change(); err != nil {
				t.Fatal(err)
			}
			close(on)
			wg.Wait()
			w.gates.Set(nil)
			if code(err) != "invalid_credentials" || late.Token != "" {
				t.Errorf("%s: the sign-in begun before got %v", c.name, err)
			}
		}
	})
}

// While an account goes on and off, sign-ins race it: no session outlives the last "off".
func TestRace_signInAndDisable(t *testing.T) {
	each(t, options{failures: noFailureLimit}, func(t *testing.T, w *world) {
		in := w.member("ada@example.org", horse)
		var tokens sync.Map
		var wg sync.WaitGroup
		stop := make(chan struct{})
		for range 8 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if in, err := w.signIn("ada@example.org", horse); err == nil {
						tokens.Store(in.Token, true)
					}
				}
			})
		}
		for range 10 {
			if err := w.Disable(w.ctx(), operator, in.Principal.UserID); err != nil {
				t.Error(err)
			}
			if err := w.Enable(w.ctx(), operator, in.Principal.UserID); err != nil {
				t.Error(err)
			}
		}
		if err := w.Disable(w.ctx(), operator, in.Principal.UserID); err != nil {
			t.Error(err)
		}
		close(stop)
		wg.Wait()
		if err := w.Enable(w.ctx(), operator, in.Principal.UserID); err != nil {
			t.Fatal(err)
		}
		tokens.Range(func(token, _ any) bool {
			if w.resolves(token.(string)) {
				t.Error("a session survived its account being disabled")
			}
			return true
		})
		if n := w.count(`SELECT count(*) FROM session`); n != 0 {
			t.Errorf("%d sessions left", n)
		}
	})
}

func TestRace_hundredGuesses(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		w.member("ada@example.org", horse)
		for _, email := range []string{"ada@example.org", "nobody@example.org"} {
			at := w.end()
			got := tally(100, func(i int) error { _, err := w.signIn(email, fmt.Sprintf("guess number %d", i)); return err })
			if got["invalid_credentials"] != 5 || got["too_many_attempts"] != 95 {
				t.Fatalf("%s: %v; the bucket holds 5", email, got)
			}
			if _, rows := w.rows(at); len(rows) != 6 {
				t.Fatalf("%s: rows %v", email, rows)
			}
		}
	})
}

// Two services on one database are two nodes: what ends on one has ended on the other.
func TestRace_twoNodes(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			n := newNodes(t, d.URL)
			in := n.member("ada@example.org", horse)
			if !n.other.resolves(in.Token) {
				t.Fatal("a session of one node is none on the other")
			}
			if err := n.other.SignOut(n.ctx(), in.Token); err != nil || n.resolves(in.Token) {
				t.Fatalf("%v; a session that ended on one node goes on on the other", err)
			}
		})
	}
}

// A caller who hangs up in mid-flow leaves nothing half done and no place in the hash queue taken.
func TestKill_callerHangsUp(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		w.member("ada@example.org", horse)
		for i := range 60 {
			ctx, cancel := context.WithTimeout(w.ctx(), time.Duration(i)*100*time.Microsecond)
			before := w.count(`SELECT count(*) FROM session`)
			logins := w.count(`SELECT count(*) FROM audit_log WHERE action = 'auth.login.success'`)
			_, err := w.SignIn(ctx, auth.Credentials{Email: "ada@example.org", Password: horse})
			cancel()
			s, l := w.count(`SELECT count(*) FROM session`)-before, w.count(`SELECT count(*) FROM audit_log WHERE action = 'auth.login.success'`)-logins
			if s != l || err == nil && s != 1 {
				t.Fatalf("%d sessions, %d rows, %v", s, l, err)
			}
		}
		if l := w.passwords.Load(); l.InUse != 0 || l.Waiting != 0 {
			t.Fatalf("%+v", l)
		}
	})
}
