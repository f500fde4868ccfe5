package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

var sources = []store.Source{ratelimit.Migrations}

// clock is set by hand.
type clock struct{ us atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.us.Store(1_800_000_000_000_000)
	return c
}
func (c *clock) now() time.Time          { return time.UnixMicro(c.us.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.us.Add(d.Microseconds()) }

func newAccount(t testing.TB, name string, q ratelimit.Quota, c *clock) *ratelimit.Account {
	t.Helper()
	a, err := ratelimit.NewAccount(ratelimit.AccountConfig{Name: name, Quota: q, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// attempt ends an attempt: right or wrong.
func attempt(db *store.DB, a *ratelimit.Account, key string, right bool) error {
	return db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		if right {
			return a.Reset(ctx, tx, key)
		}
		return a.Fail(ctx, tx, key)
	})
}

func retryAfter(t testing.TB, err error) time.Duration {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.RateLimited || f.RetryAfter <= 0 {
		t.Fatalf("not a rate limit: %v", err)
	}
	return f.RetryAfter
}

func TestAccount_failuresAndTime(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx, c := context.Background(), newClock()
		a := newAccount(t, "sign_in", ratelimit.Quota{Count: 5, Per: 15 * time.Minute}, c)
		for range 5 {
			if err := a.Check(ctx, db, "x@example.org"); err != nil {
				t.Fatal(err)
			}
			if err := attempt(db, a, "x@example.org", false); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 { // a flood doesn't prolong it
			if d := retryAfter(t, a.Check(ctx, db, "x@example.org")); d != 3*time.Minute {
				t.Fatal(d)
			}
			if d := retryAfter(t, attempt(db, a, "x@example.org", false)); d != 3*time.Minute {
				t.Fatal(d)
			}
			retryAfter(t, attempt(db, a, "x@example.org", true)) // right, and too late
		}
		if err := a.Check(ctx, db, "y@example.org"); err != nil {
			t.Fatal("another account is limited too:", err)
		}
		if err := newAccount(t, "mail", ratelimit.Quota{Count: 5, Per: 15 * time.Minute}, c).Check(ctx, db, "x@example.org"); err != nil {
			t.Fatal("another limit is full too:", err)
		}
		c.advance(3*time.Minute - time.Microsecond)
		retryAfter(t, attempt(db, a, "x@example.org", true))
		c.advance(time.Microsecond)
		if err := errors.Join(a.Check(ctx, db, "x@example.org"), attempt(db, a, "x@example.org", true)); err != nil {
			t.Fatal("not allowed when promised:", err)
		}
		for range 5 { // forgotten by the success
			if err := attempt(db, a, "x@example.org", false); err != nil {
				t.Fatal(err)
			}
		}
		retryAfter(t, attempt(db, a, "x@example.org", false))
		if err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return a.Clear(ctx, tx, "x@example.org") }); err != nil {
			t.Fatal(err)
		}
		if err := attempt(db, a, "x@example.org", false); err != nil {
			t.Fatal("an administrator cleared it:", err)
		}
	})
}

func TestAccount_isPartOfTheCallersTransaction(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		a := newAccount(t, "sign_in", ratelimit.Quota{Count: 1, Per: time.Hour}, newClock())
		undo := errors.New("undo")
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			if err := a.Fail(ctx, tx, "k"); err != nil {
				return err
			}
			retryAfter(t, a.Check(ctx, tx, "k")) // seen inside
			return undo
		})
		if !errors.Is(err, undo) {
			t.Fatal(err)
		}
		if err := a.Check(ctx, db, "k"); err != nil {
			t.Fatal("a failure outlived its transaction:", err)
		}
	})
}

// A hundred guesses, all past Check at the same moment, on two nodes, one of them right: five are judged at most.
func TestAccount_parallelGuesses(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			nodes := []*store.DB{storetest.Dial(t, d.URL), storetest.Dial(t, d.URL)}
			c := newClock()
			a := newAccount(t, "sign_in", ratelimit.Quota{Count: 5, Per: 15 * time.Minute}, c)
			var judgedWrong, judgedRight, refused atomic.Int32
			var checked, wg sync.WaitGroup
			checked.Add(100)
			for i := range 100 {
				wg.Go(func() {
					db := nodes[i%2]
					if err := a.Check(context.Background(), db, "victim@example.org"); err != nil {
						t.Error(err)
					}
					checked.Done()
					checked.Wait() // all have passed
					right := i == 57
					err := attempt(db, a, "victim@example.org", right)
					switch {
					case err == nil && right:
						judgedRight.Add(1)
					case err == nil:
						judgedWrong.Add(1)
					case fault.KindOf(err) == fault.RateLimited:
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			// The right one, if it came in time, cleared what was counted: then five more are judged, of a known password.
			wrong, right := judgedWrong.Load(), judgedRight.Load()
			if wrong+right+refused.Load() != 100 || right == 0 && wrong != 5 || right == 1 && wrong > 10 {
				t.Fatalf("judged: %d wrong, %d right; refused %d", wrong, right, refused.Load())
			}
		})
	}
}

func TestAccount_equalsALeakyBucket(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		c := newClock()
		q := ratelimit.Quota{Count: rapid.IntRange(1, 8).Draw(rt, "count"), Per: time.Duration(rapid.IntRange(1, 900).Draw(rt, "per")) * time.Second}
		a := newAccount(t, "model", q, c)
		key := fmt.Sprint(run)
		level, capacity := 0.0, float64(q.Count)
		for range rapid.IntRange(1, 12).Draw(rt, "attempts") {
			wait := time.Duration(rapid.IntRange(0, 2500).Draw(rt, "wait")) * (q.Per / time.Duration(q.Count)) / 1000
			wait = wait.Truncate(time.Microsecond)
			c.advance(wait)
			level = max(0, level-float64(wait)*capacity/float64(q.Per))
			right := rapid.IntRange(0, 9).Draw(rt, "right") == 0
			err := attempt(db, a, key, right)
			const blur = 1e-4 // steps are whole microseconds
			switch {
			case err != nil && fault.KindOf(err) != fault.RateLimited:
				rt.Fatal(err)
			case err == nil && level+1 > capacity+blur:
				rt.Fatalf("judged at level %f of %d", level, q.Count)
			case err != nil && level+1 < capacity-blur:
				rt.Fatalf("refused at level %f of %d", level, q.Count)
			case err == nil && right:
				level = 0
			case err == nil:
				level++
			}
		}
	})
}

func TestAccount_prune(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx, c := context.Background(), newClock()
		a := newAccount(t, "sign_in", ratelimit.Quota{Count: 2, Per: time.Minute}, c)
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			for i := range 2500 {
				if err := a.Fail(ctx, tx, fmt.Sprint(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c.advance(30*time.Second - time.Microsecond)
		if err := attempt(db, a, "late", false); err != nil {
			t.Fatal(err)
		}
		if n, err := a.Prune(ctx, db); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		c.advance(time.Microsecond)
		if n, err := a.Prune(ctx, db); n != 2500 || err != nil {
			t.Fatal(n, err)
		}
	})
}

func TestAccount_noLimitAndNonsense(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	a := newAccount(t, "off", ratelimit.Quota{}, newClock())
	for range 50 {
		if err := errors.Join(a.Check(context.Background(), db, "k"), attempt(db, a, "k", false), attempt(db, a, "k", true)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ratelimit.NewAccount(ratelimit.AccountConfig{Quota: ratelimit.Quota{Count: 1, Per: time.Second}}); err == nil {
		t.Error("a bucket without a name")
	}
	if _, err := ratelimit.NewAccount(ratelimit.AccountConfig{Name: "x", Quota: ratelimit.Quota{Count: 1}}); err == nil {
		t.Error("a quota without a period")
	}
}
