package relay_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/lease"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var sources = []store.Source{audit.Migrations, event.Migrations, lease.Migrations, relay.Migrations}

// rig is a database with everything the relay stands on.
type rig struct {
	db     *store.DB
	audit  *audit.Log
	events *event.Store
}

func newRig(t testing.TB, db *store.DB) *rig {
	t.Helper()
	l, err := audit.New(audit.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.New(event.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{db, l, e}
}

// relay makes a node; call the result's run to start it.
func (g *rig) relay(t testing.TB, node string, change ...func(*relay.Config)) *relay.Relay {
	t.Helper()
	leases, err := lease.New(g.db, node)
	if err != nil {
		t.Fatal(err)
	}
	cfg := relay.Config{
		DB: g.db, Audit: g.audit, Events: g.events, Leases: leases, Node: node,
		Poll: 20 * time.Millisecond, LeaseTTL: time.Second, FirstBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
	}
	for _, f := range change {
		f(&cfg)
	}
	r, err := relay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs a relay until stop is called or the test ends.
func run(t testing.TB, r *relay.Relay) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// record commits n rows, each in a transaction of its own.
func (g *rig) record(t testing.TB, action string, n int) (ids []uuid.UUID) {
	t.Helper()
	for range n {
		err := g.db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			id, err := g.audit.Record(ctx, tx, audit.Entry{Action: action, Actor: audit.Ref{Type: "user", ID: "u1"}, Targets: []audit.Ref{{Type: "user", ID: "u1"}}})
			if err == nil {
				ids = append(ids, id)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// sink is a sink with exactly-once effect, as a plugin would be.
type sink struct {
	mu         sync.Mutex
	has        map[uuid.UUID]bool
	order      []uuid.UUID
	duplicates int
	busy       atomic.Int32
	trouble    func(rows []audit.Row) (relay.Result, error) // nil result and error: none
	after      func()
}

func newSink() *sink { return &sink{has: map[uuid.UUID]bool{}} }

func (s *sink) deliver(_ context.Context, rows []audit.Row) (res relay.Result, err error) {
	if s.busy.Add(1) != 1 {
		panic("two deliveries at once")
	}
	defer s.busy.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble != nil {
		if res, err = s.trouble(rows); err != nil {
			return res, err
		}
	}
	refused := map[string]bool{}
	for _, f := range res.Refused {
		refused[f.ID] = true
	}
	for _, r := range rows {
		switch {
		case refused[r.ID.String()]:
		case s.has[r.ID]:
			s.duplicates++
			res.Duplicate++
		default:
			s.has[r.ID] = true
			s.order = append(s.order, r.ID)
			res.Inserted++
		}
	}
	if s.after != nil {
		s.after()
	}
	return res, nil
}

func (s *sink) got() []uuid.UUID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

func all(string) bool { return true }

// eventually polls, because a real database and real goroutines are at work.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(120 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

func (g *rig) same(t testing.TB, s *sink, want []uuid.UUID) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d rows delivered", len(want)), func() bool { return len(s.got()) >= len(want) })
	if got := s.got(); !slices.Equal(got, want) {
		t.Fatalf("delivered %d rows, want these %d in this order", len(got), len(want))
	}
}

func status(t testing.TB, r *relay.Relay, name string) relay.CursorStatus {
	t.Helper()
	all, err := r.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Sink == name {
			return s
		}
	}
	return relay.CursorStatus{}
}

func TestRelay_deliversInOrder(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		want := g.record(t, "auth.login.success", 5) // before anybody is attached: a new sink begins at the beginning
		r, s := g.relay(t, "a"), newSink()
		if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
			t.Fatal(err)
		}
		if err := r.AttachAudit("plugin.one", all, s.deliver); err == nil {
			t.Error("one name was attached twice")
		}
		run(t, r)
		g.same(t, s, want)
		late := newSink()
		if err := r.AttachAudit("plugin.late", all, late.deliver, relay.FromNow()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the second sink's cursor", func() bool { return status(t, r, "plugin.late").Sink != "" })
		more := g.record(t, "auth.login.success", 5)
		g.same(t, s, append(want, more...))
		g.same(t, late, more)
		eventually(t, "the cursor at the end", func() bool { return status(t, r, "plugin.one").LagRows == 0 })
		st := status(t, r, "plugin.one")
		if st.Delivered != 10 || !st.Attached || !st.RunsHere || st.Runner != "a" || st.Failures != 0 {
			t.Errorf("status %+v", st)
		}
		if s.duplicates != 0 {
			t.Errorf("%d duplicates without any trouble", s.duplicates)
		}
	})
}

func TestRelay_filter(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		r, s := g.relay(t, "a"), newSink()
		wants := func(a string) bool { return a == "auth.login.success" }
		if err := r.AttachAudit("plugin.one", wants, s.deliver); err != nil {
			t.Fatal(err)
		}
		run(t, r)
		g.record(t, "auth.login.failure", 3)
		want := g.record(t, "auth.login.success", 2)
		g.record(t, "auth.login.failure", 3)
		g.same(t, s, want)
		// Unwanted rows move the cursor too, or retention would wait for them for ever.
		eventually(t, "the cursor past the unwanted rows", func() bool { return status(t, r, "plugin.one").LagRows == 0 })

		// Another filter goes on where the old one stood.
		if err := r.Detach(t.Context(), "plugin.one"); err != nil {
			t.Fatal(err)
		}
		want = append(want, g.record(t, "auth.login.failure", 2)...)
		if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
			t.Fatal(err)
		}
		g.same(t, s, want)
	})
}

// Removed and put back under load: no gap, no duplicate.
func TestRelay_detachAndReturn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		r, s := g.relay(t, "a"), newSink()
		run(t, r)
		var want []uuid.UUID
		written := make(chan struct{})
		go func() {
			defer close(written)
			want = g.record(t, "auth.login.success", 150)
		}()
		for range 12 {
			if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
				t.Fatal(err)
			}
			before := len(s.got())
			eventually(t, "some rows", func() bool {
				select {
				case <-written:
					return true
				default:
					return len(s.got()) > before
				}
			})
			if err := r.Detach(context.Background(), "plugin.one"); err != nil {
				t.Fatal(err)
			}
		}
		<-written
		if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
			t.Fatal(err)
		}
		g.same(t, s, want)
		if s.duplicates != 0 {
			t.Errorf("%d duplicates; detaching waits for the delivery in flight, so there are none", s.duplicates)
		}
	})
}

// Random failures, panics, lost answers and restarts of the runner: every row has its effect exactly once, in order.
func TestRelay_exactlyOnceEffect(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		s := newSink()
		s.trouble = func([]audit.Row) (relay.Result, error) {
			switch rand.IntN(6) {
			case 0:
				return relay.Result{}, errors.New("down")
			case 1:
				panic("broken")
			}
			return relay.Result{}, nil
		}
		lost := func(ctx context.Context, rows []audit.Row) (relay.Result, error) {
			res, err := s.deliver(ctx, rows)
			if rand.IntN(5) == 0 { // taken, and the answer is lost
				return relay.Result{}, context.DeadlineExceeded
			}
			return res, err
		}
		var want []uuid.UUID
		written := make(chan struct{})
		go func() {
			defer close(written)
			want = g.record(t, "auth.login.success", 200)
		}()
		for done := false; !done; {
			r := g.relay(t, fmt.Sprintf("node-%d", rand.IntN(3)), func(c *relay.Config) { c.BatchRows = 1 + rand.IntN(20) })
			if err := r.AttachAudit("plugin.one", all, lost); err != nil {
				t.Fatal(err)
			}
			stop := run(t, r)
			before := len(s.got())
			eventually(t, "some rows", func() bool {
				select {
				case <-written:
					done = true
					return true
				default:
					return len(s.got()) > before+rand.IntN(10)
				}
			})
			if done {
				g.same(t, s, want)
			}
			stop()
		}
	})
}

// abandoned is a node that was killed: its leases are never released and its transactions never commit again.
type abandoned struct {
	*lease.Store
	dead *atomic.Bool
}

func (a abandoned) Acquire(ctx context.Context, name string, ttl time.Duration) (bool, int64, error) {
	if a.dead.Load() {
		return false, 0, errors.New("killed")
	}
	return a.Store.Acquire(ctx, name, ttl)
}

func (a abandoned) Release(ctx context.Context, name string) error {
	if a.dead.Load() {
		return errors.New("killed")
	}
	return a.Store.Release(ctx, name)
}

func TestRelay_takeover(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		s := newSink()
		var dead atomic.Bool
		leases, err := lease.New(db, "first")
		if err != nil {
			t.Fatal(err)
		}
		first := g.relay(t, "first", func(c *relay.Config) { c.Leases = abandoned{leases, &dead} })
		// The first node sees some rows and then hangs in a delivery, as if stopped by a signal.
		stuck, wake := make(chan struct{}), make(chan struct{})
		var calls atomic.Int32
		err = first.AttachAudit("plugin.one", all, func(ctx context.Context, rows []audit.Row) (relay.Result, error) {
			if calls.Add(1) > 1 {
				close(stuck)
				<-wake
				return relay.Result{}, nil // it now claims to have taken rows that it has not
			}
			return s.deliver(ctx, rows)
		})
		if err != nil {
			t.Fatal(err)
		}
		want := g.record(t, "auth.login.success", 3)
		stopFirst := run(t, first)
		let := sync.OnceFunc(func() { close(wake) })
		t.Cleanup(let)
		g.same(t, s, want)

		others := make([]*relay.Relay, 2)
		for i := range others {
			others[i] = g.relay(t, fmt.Sprintf("other-%d", i))
			if err := others[i].AttachAudit("plugin.one", all, s.deliver); err != nil {
				t.Fatal(err)
			}
			run(t, others[i])
		}
		dead.Store(true)
		want = append(want, g.record(t, "auth.login.success", 4)...)
		<-stuck
		began := time.Now()
		g.same(t, s, want)
		t.Logf("taken over after %s, lease of 1 s", time.Since(began))
		let() // the first one wakes up, and must not move the cursor that is another's now
		more := g.record(t, "auth.login.success", 4)
		want = append(want, more...)
		g.same(t, s, want)
		stopFirst()
		eventually(t, "the cursor at the end", func() bool { return status(t, others[0], "plugin.one").LagRows == 0 })
		runners := 0
		for _, o := range others {
			if status(t, o, "plugin.one").RunsHere {
				runners++
			}
		}
		if runners != 1 {
			t.Errorf("%d nodes run the sink; want 1", runners)
		}
		if s.duplicates > 4 {
			t.Errorf("%d duplicates; at most the batch in flight may be repeated", s.duplicates)
		}
	})
}

// Three healthy nodes: one delivery at a time in the whole fleet, and each row once.
func TestRelay_oneRunner(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		s := newSink() // panics when called twice at once
		for _, node := range []string{"a", "b", "c"} {
			r := g.relay(t, node)
			if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
				t.Fatal(err)
			}
			run(t, r)
		}
		g.same(t, s, g.record(t, "auth.login.success", 100))
		if s.duplicates != 0 {
			t.Errorf("%d duplicates", s.duplicates)
		}
	})
}

func TestRelay_refusedRowsBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		r, s := g.relay(t, "a"), newSink()
		ids := g.record(t, "auth.login.success", 10)
		bad := ids[3]
		heal := false
		s.trouble = func(rows []audit.Row) (res relay.Result, err error) {
			for _, row := range rows {
				if row.ID == bad && !heal {
					res.Refused = append(res.Refused, relay.Refusal{ID: bad.String(), Reason: "too\nbig"})
				}
			}
			return res, nil
		}
		if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
			t.Fatal(err)
		}
		run(t, r)
		rest := slices.Delete(slices.Clone(ids), 3, 4)
		g.same(t, s, rest)
		eventually(t, "the dead letter", func() bool { return status(t, r, "plugin.one").DeadLetters == 1 })
		dead, err := r.DeadLetters(t.Context(), "plugin.one", audit.Position{}, 0)
		if err != nil || len(dead) != 1 || dead[0].ID != bad.String() || dead[0].Reason != "too big" || dead[0].Kind != "auth.login.success" {
			t.Fatalf("dead letters %+v, %v", dead, err)
		}
		operator := audit.Ref{Type: "operator"}
		// Still refused: it stays, with another attempt.
		out, err := r.Replay(t.Context(), operator, "plugin.one", bad.String())
		if err != nil || out.Replayed != 0 || len(out.Failed) != 1 {
			t.Fatalf("replayed %+v, %v; want a failure", out, err)
		}
		s.mu.Lock()
		heal = true
		s.mu.Unlock()
		if out, err = r.Replay(t.Context(), operator, "plugin.one"); err != nil || out.Replayed != 1 || len(out.Failed) != 0 {
			t.Fatalf("replayed %+v, %v", out, err)
		}
		if st := status(t, r, "plugin.one"); st.DeadLetters != 0 {
			t.Errorf("%d dead letters after the replay", st.DeadLetters)
		}
		page, err := g.audit.Query(t.Context(), audit.Filter{Action: "admin.dead_letter.replay"})
		if err != nil || len(page.Rows) != 2 {
			t.Fatalf("%d replays audited, %v; want 2", len(page.Rows), err)
		}
		if _, err := r.Replay(t.Context(), operator, "plugin.one", "nonsense"); err == nil {
			t.Error("an unknown dead letter was replayed")
		}
	})
}

func TestRelay_poisonRowIsFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		r, s := g.relay(t, "a"), newSink()
		ids := g.record(t, "auth.login.success", 40)
		poison := map[uuid.UUID]bool{ids[0]: true, ids[17]: true, ids[18]: true, ids[39]: true}
		s.trouble = func(rows []audit.Row) (relay.Result, error) {
			for _, row := range rows {
				if poison[row.ID] {
					return relay.Result{}, fmt.Errorf("store batch: %w", relay.Permanent(errors.New("can't be encoded")))
				}
			}
			return relay.Result{}, nil
		}
		if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
			t.Fatal(err)
		}
		run(t, r)
		rest := slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool { return poison[id] })
		g.same(t, s, rest)
		eventually(t, "four dead letters", func() bool { return status(t, r, "plugin.one").DeadLetters == 4 })
		// Dropping is audited too.
		if n, err := r.Drop(t.Context(), audit.Ref{Type: "operator"}, "plugin.one"); n != 4 || err != nil {
			t.Errorf("dropped %d, %v", n, err)
		}
		if page, err := g.audit.Query(t.Context(), audit.Filter{Action: "admin.dead_letter.drop"}); err != nil || len(page.Rows) != 1 {
			t.Errorf("%d drops audited, %v", len(page.Rows), err)
		}
	})
}

// A sink that refuses everything is broken: it must not throw the whole log into the dead letters.
func TestRelay_brokenSinkKeepsItsRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		r, s := g.relay(t, "a", func(c *relay.Config) { c.FirstBackoff, c.MaxBackoff = time.Millisecond, time.Millisecond }), newSink()
		ids := g.record(t, "auth.login.success", 30)
		var calls atomic.Int32
		healthy := false
		s.trouble = func([]audit.Row) (relay.Result, error) {
			calls.Add(1)
			if healthy {
				return relay.Result{}, nil
			}
			return relay.Result{}, relay.Permanent(errors.New("unimplemented"))
		}
		if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
			t.Fatal(err)
		}
		run(t, r)
		eventually(t, "many attempts", func() bool { return calls.Load() > 150 })
		st := status(t, r, "plugin.one")
		if st.DeadLetters > 20 || st.Failures == 0 || !strings.Contains(st.LastError, "unimplemented") {
			t.Errorf("status %+v; want at most 20 dead letters and the failure shown", st)
		}
		s.mu.Lock()
		healthy = true
		s.mu.Unlock()
		g.same(t, s, ids[20:])
	})
}

func TestRelay_hostileAnswersAreIgnored(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		r, s := g.relay(t, "a"), newSink()
		before := g.record(t, "auth.login.success", 1)
		lie := func(ctx context.Context, rows []audit.Row) (relay.Result, error) {
			if _, err := s.deliver(ctx, rows); err != nil {
				return relay.Result{}, err
			}
			return relay.Result{Inserted: -5, Duplicate: 1 << 40, Conflict: 7, Refused: []relay.Refusal{
				{ID: "not a row", Reason: "x"}, {ID: uuid.NewString()}, {ID: strings.Repeat("x", 1<<20), Reason: strings.Repeat("\x00", 1<<20)},
			}}, nil
		}
		if err := r.AttachAudit("plugin.one", all, lie); err != nil {
			t.Fatal(err)
		}
		run(t, r)
		want := append(before, g.record(t, "auth.login.success", 5)...)
		g.same(t, s, want)
		eventually(t, "the cursor at the end", func() bool { return status(t, r, "plugin.one").LagRows == 0 })
		if st := status(t, r, "plugin.one"); st.DeadLetters != 0 || st.Delivered != 6 {
			t.Errorf("status %+v; want no dead letters and 6 delivered", st)
		}
	})
}

// A sink that hangs, one that panics and one that fails delay neither a writer nor a healthy sink.
func TestRelay_badSinksHarmNobody(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		r, s := g.relay(t, "a", func(c *relay.Config) { c.DeliveryTimeout = 50 * time.Millisecond }), newSink()
		hang := make(chan struct{})
		let := sync.OnceFunc(func() { close(hang) })
		defer let()
		var hanging atomic.Int32
		for name, deliver := range map[string]func(context.Context, []audit.Row) (relay.Result, error){
			"plugin.hangs": func(context.Context, []audit.Row) (relay.Result, error) {
				hanging.Add(1)
				<-hang
				return relay.Result{}, nil
			},
			"plugin.panics": func(context.Context, []audit.Row) (relay.Result, error) { panic("oh") },
			"plugin.fails":  func(context.Context, []audit.Row) (relay.Result, error) { return relay.Result{}, errors.New("no") },
			"plugin.waits": func(ctx context.Context, _ []audit.Row) (relay.Result, error) {
				<-ctx.Done()
				return relay.Result{}, ctx.Err()
			},
			"plugin.well": s.deliver,
		} {
			if err := r.AttachAudit(name, all, deliver); err != nil {
				t.Fatal(err)
			}
		}
		run(t, r)
		g.same(t, s, g.record(t, "auth.login.success", 50))
		eventually(t, "failures shown", func() bool {
			return status(t, r, "plugin.panics").Failures > 2 && status(t, r, "plugin.fails").Failures > 2 && status(t, r, "plugin.waits").Failures > 0 && status(t, r, "plugin.hangs").Failures > 0
		})
		if n := hanging.Load(); n != 1 {
			t.Errorf("a sink that never returned was called %d times at once", n)
		}
		let()
	})
}

func TestRelay_nudgeEndsBackoff(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		for name, ttl := range map[string]time.Duration{"lease kept": time.Hour, "lease given away": time.Second} {
			r, s := g.relay(t, "a", func(c *relay.Config) { c.FirstBackoff, c.MaxBackoff, c.LeaseTTL = time.Hour, time.Hour, ttl }), newSink()
			down := true
			s.trouble = func([]audit.Row) (relay.Result, error) {
				if down {
					return relay.Result{}, errors.New("down")
				}
				return relay.Result{}, nil
			}
			sinkName := "plugin." + strings.ReplaceAll(name, " ", "-")
			if err := r.AttachAudit(sinkName, all, s.deliver, relay.FromNow()); err != nil {
				t.Fatal(err)
			}
			stop := run(t, r)
			eventually(t, "the cursor", func() bool { return status(t, r, sinkName).Sink != "" })
			want := g.record(t, "auth.login.success", 1)
			eventually(t, "a failure", func() bool { st := status(t, r, sinkName); return st.Failures == 1 && st.RetryAt != nil })
			s.mu.Lock()
			down = false
			s.mu.Unlock()
			r.Nudge(sinkName)
			g.same(t, s, want)
			stop()
		}
	})
}

func TestRelay_events(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		r := g.relay(t, "a")
		var mu sync.Mutex
		var got []string
		err := r.AttachEvents("plugin.accrue", func(typ string) bool { return strings.HasPrefix(typ, "billing.") },
			func(_ context.Context, events []event.Event) (relay.Result, error) {
				mu.Lock()
				defer mu.Unlock()
				for _, e := range events {
					got = append(got, e.ID)
				}
				return relay.Result{}, nil
			})
		if err != nil {
			t.Fatal(err)
		}
		auditSink := newSink()
		if err := r.AttachAudit("plugin.threadline", all, auditSink.deliver); err != nil {
			t.Fatal(err)
		}
		run(t, r)
		if _, _, err := g.events.Publish(t.Context(), []event.Event{
			{ID: "e1", Type: "billing.subscription.upgraded"}, {ID: "e2", Type: "crm.lead.won"}, {ID: "e3", Type: "billing.seats.changed"},
		}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "two events", func() bool { mu.Lock(); defer mu.Unlock(); return len(got) == 2 })
		if fmt.Sprint(got) != "[e1 e3]" {
			t.Errorf("got %v; want [e1 e3]", got)
		}
		if n := len(auditSink.got()); n != 0 {
			t.Errorf("events reached an audit sink: %d rows", n)
		}
		if err := r.AttachAudit("plugin.accrue", all, auditSink.deliver); err == nil {
			t.Error("one name was attached to two logs")
		}
	})
}

func TestRelay_retentionWaitsForAttachedSinks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		keep := relay.Retention{Audit: time.Nanosecond, Events: time.Nanosecond, DeadLetters: time.Nanosecond}
		r, s := g.relay(t, "a", func(c *relay.Config) { c.Retention = keep }), newSink()
		count := func(action string) int {
			page, err := g.audit.Query(t.Context(), audit.Filter{Action: action, Limit: 200})
			if err != nil {
				t.Fatal(err)
			}
			return len(page.Rows)
		}
		first := g.record(t, "auth.login.success", 5)
		down := false
		s.trouble = func([]audit.Row) (relay.Result, error) {
			if down {
				return relay.Result{}, errors.New("down")
			}
			return relay.Result{}, nil
		}
		if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
			t.Fatal(err)
		}
		run(t, r)
		g.same(t, s, first)
		eventually(t, "the cursor at the end", func() bool { return status(t, r, "plugin.one").LagRows == 0 })
		s.mu.Lock()
		down = true
		s.mu.Unlock()
		g.record(t, "auth.login.failure", 5)
		eventually(t, "a failure", func() bool { return status(t, r, "plugin.one").Failures > 0 })
		if err := r.Retain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := count("auth.login.success"); n != 0 {
			t.Errorf("%d old delivered rows were kept", n)
		}
		if n := count("auth.login.failure"); n != 5 {
			t.Errorf("%d undelivered rows are left; want all 5", n)
		}
		if n := count("sigra.retention"); n != 1 {
			t.Errorf("%d retention runs audited; want 1", n)
		}
		// A sink that was taken out on purpose holds nothing back.
		if err := r.Detach(t.Context(), "plugin.one"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the rest removed", func() bool {
			if err := r.Retain(t.Context()); err != nil {
				t.Fatal(err)
			}
			return count("auth.login.failure") == 0
		})
	})
}

func TestRelay_forget(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		g := newRig(t, db)
		r, s := g.relay(t, "a"), newSink()
		if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
			t.Fatal(err)
		}
		run(t, r)
		ids := g.record(t, "auth.login.success", 3)
		g.same(t, s, ids)
		if err := r.Forget(t.Context(), "plugin.one"); err == nil {
			t.Error("an attached sink was forgotten")
		}
		if err := r.Detach(t.Context(), "plugin.one"); err != nil {
			t.Fatal(err)
		}
		if err := r.Forget(t.Context(), "plugin.one"); err != nil {
			t.Fatal(err)
		}
		again := newSink()
		if err := r.AttachAudit("plugin.one", all, again.deliver); err != nil {
			t.Fatal(err)
		}
		g.same(t, again, ids)
	})
}

// An open transaction holds the log back on Postgres; the status says which.
func TestRelay_heldBack(t *testing.T) {
	t.Parallel()
	g := newRig(t, storetest.Open(t, store.Postgres, sources...))
	r, s := g.relay(t, "a"), newSink()
	if err := r.AttachAudit("plugin.one", all, s.deliver); err != nil {
		t.Fatal(err)
	}
	run(t, r)
	written, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	let := sync.OnceFunc(func() { close(release) })
	t.Cleanup(let)
	go func() {
		ended <- g.db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			if _, err := tx.Exec(ctx, `SET LOCAL application_name = 'nightly report'`); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `SELECT pg_current_xact_id()`); err != nil {
				return err
			}
			close(written)
			<-release
			return nil
		})
	}()
	<-written
	want := g.record(t, "auth.login.success", 3)
	var st relay.CursorStatus
	eventually(t, "the holder named", func() bool { st = status(t, r, "plugin.one"); return st.HeldBack != nil && st.LagRows == 3 })
	if len(s.got()) != 0 {
		t.Fatal("rows were delivered past an open transaction")
	}
	t.Logf("held back by %+v", *st.HeldBack)
	let()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	g.same(t, s, want)
}
