package lease_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/lease"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var sources = []store.Source{lease.Migrations}

func node(t testing.TB, db *store.DB, name string) *lease.Store {
	t.Helper()
	s, err := lease.New(db, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func acquire(t testing.TB, s *lease.Store, name string, ttl time.Duration) (bool, int64) {
	t.Helper()
	held, token, err := s.Acquire(context.Background(), name, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return held, token
}

// expire moves the end of a lease into the past, as waiting would.
func expire(t testing.TB, db *store.DB, name string) {
	t.Helper()
	err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE lease SET expires_at = $2 WHERE name = $1", name, time.Unix(0, 0))
		if n != 1 {
			t.Errorf("%d leases named %s", n, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAcquire_renewReleaseTakeOver(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		a, b := node(t, db, "a"), node(t, db, "b")
		if holder, err := a.Holder(ctx, "job"); holder != "" || err != nil {
			t.Fatal(holder, err)
		}
		held, first := acquire(t, a, "job", time.Minute)
		if !held || first != 1 {
			t.Fatal(held, first)
		}
		if held, token := acquire(t, b, "job", time.Minute); held || token != 0 {
			t.Fatal("b took what a holds", token)
		}
		if held, token := acquire(t, a, "job", time.Minute); !held || token != first {
			t.Fatal("renewal changed the token", held, token)
		}
		if holder, _ := b.Holder(ctx, "job"); holder != "a" {
			t.Fatal(holder)
		}
		if held, token := acquire(t, b, "another job", time.Minute); !held || token != 1 {
			t.Fatal("leases of other names are in the way", held, token)
		}
		if err := b.Release(ctx, "job"); err != nil { // not b's: nothing happens
			t.Fatal(err)
		}
		if holder, _ := b.Holder(ctx, "job"); holder != "a" {
			t.Fatal("b released a's lease")
		}
		if err := a.Release(ctx, "job"); err != nil {
			t.Fatal(err)
		}
		held, second := acquire(t, b, "job", time.Minute)
		if !held || second <= first {
			t.Fatal("release did not free it, or the token did not grow", held, second)
		}
		expire(t, db, "job")
		if holder, _ := b.Holder(ctx, "job"); holder != "" {
			t.Fatal("held after its end by", holder)
		}
		held, third := acquire(t, a, "job", time.Minute)
		if !held || third <= second {
			t.Fatal("an ended lease can't be taken, or the token did not grow", held, third)
		}
		if err := a.Release(ctx, "job"); err != nil {
			t.Fatal(err)
		}
		if _, token := acquire(t, a, "job", time.Minute); token <= third {
			t.Fatal("the token of a released lease came back", token)
		}
	})
}

// The holder's time is up by the database's clock alone: the short lease ends without anybody's doing.
func TestAcquire_timePasses(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		a, b := node(t, db, "a"), node(t, db, "b")
		start := time.Now()
		_, first := acquire(t, a, "job", 300*time.Millisecond)
		for {
			held, token := acquire(t, b, "job", time.Minute)
			if held {
				if passed := time.Since(start); passed < 250*time.Millisecond || token != first+1 {
					t.Fatalf("taken after %s with token %d", passed, token)
				}
				return
			}
			if time.Since(start) > 20*time.Second {
				t.Fatal("never free")
			}
			time.Sleep(10 * time.Millisecond) // polls a real clock that this test can't turn
		}
	})
}

func TestAcquire_fiftyContendersOneHolder(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			dbs := []*store.DB{storetest.Dial(t, d.URL), storetest.Dial(t, d.URL)} // two nodes
			last := int64(0)
			for round := range 3 {
				var winners atomic.Int32
				var token atomic.Int64
				var wg sync.WaitGroup
				for i := range 50 {
					s := node(t, dbs[i%2], fmt.Sprintf("node-%d-%d", round, i))
					wg.Go(func() {
						held, got, err := s.Acquire(context.Background(), "job", time.Hour)
						if err != nil {
							t.Error(err)
						}
						if held {
							winners.Add(1)
							token.Store(got)
						}
					})
				}
				wg.Wait()
				if winners.Load() != 1 || token.Load() <= last {
					t.Fatalf("round %d: %d holders, token %d after %d", round, winners.Load(), token.Load(), last)
				}
				last = token.Load()
				expire(t, dbs[0], "job")
			}
		})
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			dbA, dbB := storetest.Dial(t, d.URL), storetest.Dial(t, d.URL)
			a, b := node(t, dbA, "a"), node(t, dbB, "b")
			guard := func(db *store.DB, s *lease.Store, token int64) error {
				return db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.Guard(ctx, tx, "job", token) })
			}
			if err := guard(dbA, a, 1); !errors.Is(err, lease.ErrLost) {
				t.Fatal("a lease that nobody took passed:", err)
			}
			_, token := acquire(t, a, "job", time.Hour)
			if err := guard(dbA, a, token); err != nil {
				t.Fatal(err)
			}
			if err := guard(dbB, b, token); !errors.Is(err, lease.ErrLost) {
				t.Fatal("another node passed with the holder's token:", err)
			}
			// A guarded transaction outlasts the lease: nobody takes it before the transaction has ended.
			acquire(t, a, "short", 100*time.Millisecond)
			var ended atomic.Bool
			var wg sync.WaitGroup
			err := dbA.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				if err := a.Guard(ctx, tx, "short", 1); err != nil {
					return err
				}
				for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
					holder, err := b.Holder(context.WithoutCancel(ctx), "short")
					if err != nil || time.Now().After(deadline) {
						return fmt.Errorf("still held by %q: %w", holder, err)
					}
					if holder == "" {
						break
					}
				}
				done := make(chan struct{})
				wg.Go(func() {
					defer close(done)
					held, got, err := b.Acquire(context.Background(), "short", time.Hour)
					if err != nil || !held || got != 2 {
						t.Error(held, got, err)
					}
					if !ended.Load() {
						t.Error("taken while a guarded transaction was open")
					}
				})
				select {
				case <-done: // wrong, and reported above
				case <-time.After(time.Second): // b had the time to do it wrong
				}
				ended.Store(true)
				return nil
			})
			wg.Wait()
			if err != nil {
				t.Fatal(err)
			}
			expire(t, dbA, "job")
			if err := guard(dbA, a, token); !errors.Is(err, lease.ErrLost) {
				t.Fatal("an ended lease passed:", err)
			}
			acquire(t, b, "job", time.Hour)
			if err := guard(dbA, a, token); !errors.Is(err, lease.ErrLost) {
				t.Fatal("a former holder passed:", err)
			}
		})
	}
}

func TestAcquire_refusesNonsense(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	if _, err := lease.New(db, ""); err == nil {
		t.Error("a node without a name")
	}
	for _, ttl := range []time.Duration{0, -time.Second, time.Microsecond} {
		if _, _, err := node(t, db, "a").Acquire(context.Background(), "job", ttl); err == nil {
			t.Errorf("a lease of %s", ttl)
		}
	}
}
