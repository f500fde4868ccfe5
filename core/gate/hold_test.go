package gate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// An action that waits holds its attempt: another process takes it up, commits or abandons it, and what nobody takes up is abandoned.
func TestAttempts_heldUntilTheActionGoesOn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, []store.Source{gate.Migrations}, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		g := newSeats("seats", 9, b.now)
		b.use(g)
		want := func(what string, held, taken, rows int) {
			t.Helper()
			if h, k := g.counts(); h != held || k != taken || b.rows() != rows {
				t.Errorf("%s: %d held, %d taken, %d rows; want %d, %d, %d", what, h, k, b.rows(), held, taken, rows)
			}
		}
		hold := func(by string) *gate.Attempt {
			t.Helper()
			a := b.ask()
			err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return a.Hold(ctx, tx, by, b.now().Add(30*time.Second)) })
			if a.End(t.Context(), err); err != nil {
				t.Fatal(err)
			}
			return a
		}
		resume := func(by, id string) *gate.Attempt {
			t.Helper()
			a, err := b.Resume(t.Context(), by, id)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}

		a := hold("me")
		want("held", 1, 0, 1)
		if other := resume("you", a.ID); other != nil {
			t.Errorf("somebody else took it up: %+v", other)
		}
		again := resume("me", a.ID)
		if err := b.act(again, errors.New("broken")); err == nil {
			t.Fatal("it should have failed")
		}
		again.End(t.Context(), errors.New("broken"))
		want("held on after a failure", 1, 0, 1)
		again.End(t.Context(), b.act(again, nil))
		want("committed", 0, 1, 0)
		if over := resume("me", a.ID); over != nil {
			t.Errorf("taken up twice: %+v", over)
		}

		if err := resume("me", hold("me").ID).Abandon(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("abandoned", 0, 1, 0)

		g.deaf = true
		again = resume("me", hold("me").ID)
		again.End(t.Context(), b.act(again, nil))
		want("committed while the gate is away", 1, 1, 1)
		g.deaf = false
		b.pass(11 * time.Second)
		b.sweep(1)
		want("told later", 0, 2, 0)

		a = hold("me")
		b.sweep(0)
		b.pass(31 * time.Second)
		b.sweep(1)
		want("taken up by nobody", 0, 2, 0)
		if late := resume("me", a.ID); late != nil {
			t.Errorf("taken up after its end: %+v", late)
		}

		// One action has an attempt: another can't have its id, and a repeated question is the same.
		a = hold("me")
		taken := func(holder string, q gate.Question) error {
			b.table.Set(map[gate.Question][]gate.Gate{gate.MemberAdd: {g}, gate.TokenIssue: {g}})
			x, err := b.Ask(t.Context(), gate.Ask{Question: q, AttemptID: a.ID})
			if err != nil {
				t.Fatal(err)
			}
			return db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				return x.Hold(ctx, tx, holder, b.now().Add(time.Minute))
			})
		}
		if err := taken("me", gate.MemberAdd); err != nil {
			t.Errorf("asked again: %v", err)
		}
		for _, err := range []error{taken("you", gate.MemberAdd), taken("me", gate.TokenIssue)} {
			if fault.KindOf(err) != fault.Conflict {
				t.Errorf("another action with the same attempt: %v", err)
			}
		}
	})
}

// Nobody was asked: there is nothing to settle, and no id.
func TestAttempt_ofNobody(t *testing.T) {
	t.Parallel()
	var a *gate.Attempt
	if err := errors.Join(a.Commit(t.Context(), nil), a.Hold(t.Context(), nil, "me", time.Time{}), a.Abandon(t.Context())); err != nil || a.CorrelationID() != "" {
		t.Errorf("%v, %q", err, a.CorrelationID())
	}
	a.End(t.Context(), nil)
}
