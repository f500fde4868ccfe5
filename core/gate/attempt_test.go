package gate_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// seats is a gate with a number of seats: held ones are free again when they are abandoned or expire.
type seats struct {
	mu      sync.Mutex
	now     func() time.Time
	name    string
	total   int
	held    map[string]time.Time // by attempt
	taken   map[string]bool
	deaf    bool // Settle fails
	settled int
}

func newSeats(name string, total int, now func() time.Time) *seats {
	return &seats{name: name, total: total, now: now, held: map[string]time.Time{}, taken: map[string]bool{}}
}

func (s *seats) Name() string { return s.name }

func (s *seats) Ask(_ context.Context, a gate.Ask) (gate.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.taken)+s.holding() >= s.total {
		return gate.Answer{Decision: gate.Deny, Reason: "seat_limit_reached", By: s.name}, nil
	}
	until := s.now().Add(time.Minute)
	s.held[a.AttemptID] = until
	return gate.Answer{By: s.name, Reservations: []gate.Reservation{{Gate: s.name, ID: "r-" + a.AttemptID, ExpiresAt: until}}}, nil
}

func (s *seats) holding() (n int) {
	for _, until := range s.held {
		if s.now().Before(until) {
			n++
		}
	}
	return n
}

func (s *seats) Settle(_ context.Context, x gate.Settlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf {
		return errors.New("deaf")
	}
	s.settled++
	if x.ReservationID != "r-"+x.AttemptID {
		return fmt.Errorf("reservation %s of attempt %s", x.ReservationID, x.AttemptID)
	}
	delete(s.held, x.AttemptID)
	if x.Committed {
		s.taken[x.AttemptID] = true
	}
	return nil
}

func (s *seats) counts() (held, taken int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holding(), len(s.taken)
}

type bench struct {
	*gate.Attempts
	t     *testing.T
	db    *store.DB
	table *gate.Table
	mu    sync.Mutex
	clock time.Time
}

func newBench(t *testing.T, db *store.DB) *bench {
	t.Helper()
	b := &bench{t: t, db: db, table: &gate.Table{}, clock: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	var err error
	if b.Attempts, err = gate.NewAttempts(gate.AttemptsConfig{DB: db, Table: b.table, Now: b.now}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clock = b.clock.Add(d)
}

func (b *bench) use(gates ...gate.Gate) {
	b.table.Set(map[gate.Question][]gate.Gate{gate.MemberAdd: gates})
}

func (b *bench) ask() *gate.Attempt {
	b.t.Helper()
	a, err := b.Ask(b.t.Context(), gate.Ask{Question: gate.MemberAdd})
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

// act is the action: its transaction with the attempt, ended or not.
func (b *bench) act(a *gate.Attempt, fail error) error {
	err := b.db.Tx(b.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := a.Commit(ctx, tx); err != nil {
			return err
		}
		return fail
	})
	return err
}

func (b *bench) sweep(want int) {
	b.t.Helper()
	if n, err := b.Sweep(b.t.Context()); err != nil || n != want {
		b.t.Errorf("swept %d, %v; want %d", n, err, want)
	}
}

func (b *bench) rows() (n int) {
	b.t.Helper()
	if err := b.db.QueryRow(b.t.Context(), `SELECT count(*) FROM gate_attempt`).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestAttempts_areSettledAndLeaveNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, []store.Source{gate.Migrations}, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		g := newSeats("seats", 2, b.now)
		want := func(held, taken, rows int) {
			t.Helper()
			if h, k := g.counts(); h != held || k != taken || b.rows() != rows {
				t.Errorf("%d held, %d taken, %d rows; want %d, %d, %d", h, k, b.rows(), held, taken, rows)
			}
		}
		broken := errors.New("broken")

		if a := b.ask(); a.ID == "" || a.Answer.Decision != gate.Allow {
			t.Errorf("without gates: %+v", a)
		}
		b.use(g)
		a := b.ask()
		want(1, 0, 0)
		err := b.act(a, nil)
		a.End(t.Context(), err)
		want(0, 1, 0)
		if a = b.ask(); a.Answer.Decision != gate.Allow {
			t.Fatalf("%+v", a.Answer)
		}
		if denied := b.ask(); denied.Answer.Decision != gate.Deny || len(denied.Answer.Reservations) != 0 {
			t.Errorf("a third: %+v", denied.Answer)
		}
		err = b.act(a, broken)
		a.End(t.Context(), err)
		want(0, 1, 0)

		// A later gate that refuses, or fails, frees what an earlier one held.
		refuse := &fixed{answer: gate.Answer{Decision: gate.Deny, By: "no"}}
		b.use(g, refuse)
		if a := b.ask(); a.Answer.By != "no" {
			t.Errorf("%+v", a.Answer)
		}
		want(0, 1, 0)
		refuse.answer, refuse.err = gate.Answer{}, broken
		if _, err := b.Ask(t.Context(), gate.Ask{Question: gate.MemberAdd}); !errors.Is(err, broken) {
			t.Errorf("a broken gate: %v", err)
		}
		want(0, 1, 0)
		b.use(g)

		// A gate that is down when it should be told: told later, whichever way it ended.
		g.deaf = true
		a = b.ask()
		err = b.act(a, nil)
		a.End(t.Context(), err)
		want(1, 1, 1)
		b.sweep(0)
		b.pass(11 * time.Second)
		b.sweep(1)
		want(1, 1, 1)
		b.sweep(0)
		g.deaf = false
		b.pass(6 * time.Second)
		b.sweep(1)
		want(0, 2, 0)
		g.total, g.deaf = 3, true
		a = b.ask()
		err = b.act(a, broken)
		a.End(t.Context(), err)
		want(1, 2, 1)
		g.deaf = false
		b.pass(11 * time.Second)
		b.sweep(1)
		want(0, 2, 0)

		// The process dies: before its transaction the reservation ends by itself, after it any node settles.
		b.ask()
		want(1, 2, 0)
		b.pass(61 * time.Second)
		want(0, 2, 0)
		if err = b.act(b.ask(), nil); err != nil {
			t.Fatal(err)
		}
		b.pass(11 * time.Second)
		b.sweep(1)
		want(0, 3, 0)

		// A commit that looked like a failure took place.
		g.total = 4
		a = b.ask()
		if err = b.act(a, nil); err != nil {
			t.Fatal(err)
		}
		a.End(t.Context(), errors.New("the connection broke"))
		want(0, 4, 0)

		// Nobody is told of an abandoned reservation that has ended, and of a committed one for a week.
		g.total, g.deaf = 9, true
		a = b.ask()
		a.End(t.Context(), b.act(a, broken))
		b.pass(time.Hour)
		b.sweep(1)
		if b.rows() != 0 {
			t.Error("an abandoned attempt is kept beyond its reservation")
		}
		a = b.ask()
		a.End(t.Context(), b.act(a, nil))
		for range 4 {
			b.pass(48 * time.Hour)
			b.sweep(1)
		}
		if b.rows() != 0 {
			t.Error("an attempt is kept for ever")
		}
	})
}

func TestAttempts_twoNodesClaimEachRowOnce(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, gate.Migrations) {
		t.Run(d.Name, func(t *testing.T) {
			first := newBench(t, storetest.Dial(t, d.URL))
			second := newBench(t, storetest.Dial(t, d.URL))
			g := newSeats("seats", 100, first.now)
			first.use(g)
			second.use(g)
			for range 20 {
				if err := first.act(first.ask(), nil); err != nil {
					t.Fatal(err)
				}
			}
			first.pass(11 * time.Second)
			second.pass(11 * time.Second)
			var wg sync.WaitGroup
			counts := make([]int, 2)
			for i, b := range []*bench{first, second} {
				wg.Go(func() {
					n, err := b.Sweep(t.Context())
					if err != nil {
						t.Error(err)
					}
					counts[i] = n
				})
			}
			wg.Wait()
			if held, taken := g.counts(); held != 0 || taken != 20 || counts[0]+counts[1] != 20 || g.settled != 20 {
				t.Errorf("%d held, %d taken, claimed %v, settled %d times", held, taken, counts, g.settled)
			}
		})
	}
}
