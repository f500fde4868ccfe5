package commitlog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// probe is the smallest table that can be a commit log.
var probe = fstest.MapFS{
	"migrations/postgres/2026112399_probe.sql": {Data: []byte(`-- +goose Up
CREATE TABLE log_era (log TEXT PRIMARY KEY, era INTEGER NOT NULL, pruned_tx BIGINT NOT NULL);
INSERT INTO log_era VALUES ('probe', 0, 0);
CREATE TABLE probe (era INTEGER NOT NULL, tx BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
	seq BIGINT GENERATED ALWAYS AS IDENTITY, at TIMESTAMPTZ NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (era, tx, seq));
`)},
	"migrations/sqlite/2026112399_probe.sql": {Data: []byte(`-- +goose Up
CREATE TABLE log_era (log TEXT PRIMARY KEY, era INTEGER NOT NULL, pruned_tx INTEGER NOT NULL);
INSERT INTO log_era VALUES ('probe', 0, 0);
CREATE TABLE probe (era INTEGER NOT NULL, tx INTEGER NOT NULL DEFAULT 0, seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, n INTEGER NOT NULL);
`)},
}

var insert = `INSERT INTO probe (era, at, n) VALUES (` + commitlog.EraSQL("probe") + `, $1, $2)`

func open(t testing.TB, db *store.DB) *commitlog.Log {
	t.Helper()
	l, err := commitlog.Open(t.Context(), commitlog.Config{DB: db, Table: "probe", Columns: "n", Time: "at"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func add(ctx context.Context, tx *store.Tx, ns ...int64) error {
	for _, n := range ns {
		if _, err := tx.Exec(ctx, insert, time.Now(), n); err != nil {
			return err
		}
	}
	return nil
}

func commit(t testing.TB, db *store.DB, ns ...int64) {
	t.Helper()
	if err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return add(ctx, tx, ns...) }); err != nil {
		t.Fatal(err)
	}
}

// take reads once and moves the position.
func take(t testing.TB, l *commitlog.Log, at *commitlog.Position, limit int) (ns []int64) {
	t.Helper()
	err := l.Read(context.WithoutCancel(t.Context()), *at, limit, func(scan commitlog.Scan) error {
		var p commitlog.Position
		var n int64
		if err := scan(&p, &n); err != nil {
			return err
		}
		if p.Compare(*at) <= 0 {
			return fmt.Errorf("row %d at %s is not after %s", n, p, *at)
		}
		*at = p
		ns = append(ns, n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// until reads until there are n rows.
func until(t testing.TB, l *commitlog.Log, at *commitlog.Position, n int) (ns []int64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); len(ns) < n; {
		if time.Now().After(end) {
			t.Fatalf("%d of %d rows appeared: %v", len(ns), n, ns)
		}
		ns = append(ns, take(t, l, at, 100)...)
	}
	return ns
}

// The race of architecture: A gets the earlier number and commits later. A reader that comes between must not lose A.
func TestRead_lateCommit(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.Postgres, probe)
	l := open(t, db)
	commit(t, db, 1)
	var at commitlog.Position
	until(t, l, &at, 1)

	written, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	let := sync.OnceFunc(func() { close(release) })
	t.Cleanup(let)
	go func() {
		ended <- db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			if err := add(ctx, tx, 2); err != nil {
				return err
			}
			close(written)
			<-release
			return add(ctx, tx, 3)
		})
	}()
	<-written
	commit(t, db, 10)
	commit(t, db, 11)

	// A plain sequence would show 10 and 11 now and lose 2 for ever.
	var visible int
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM probe`).Scan(&visible); err != nil || visible != 3 {
		t.Fatalf("%d rows are committed, %v; want 3", visible, err)
	}
	for range 20 {
		if got := take(t, l, &at, 100); len(got) != 0 {
			t.Fatalf("read %v past an open transaction", got)
		}
	}
	held, err := l.Held(t.Context(), at)
	if err != nil || held == nil || held.Application == "" {
		t.Errorf("held back by %+v, %v; want the open transaction named", held, err)
	}
	rows, oldest, err := l.Lag(t.Context(), at, 100)
	if err != nil || rows != 2 || oldest.IsZero() {
		t.Errorf("lag %d since %s, %v; want 2 rows", rows, oldest, err)
	}

	let()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	got := until(t, l, &at, 4)
	if fmt.Sprint(got) != "[2 3 10 11]" {
		t.Errorf("read %v; want the late rows first, by transaction", got)
	}
	if held, err := l.Held(t.Context(), at); held != nil || err != nil {
		t.Errorf("held back by %+v, %v after all was read", held, err)
	}
}

// A savepoint has a transaction id of its own; its rows must still count as the outer transaction's.
func TestRead_savepoint(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.Postgres, probe)
	l := open(t, db)
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if err := add(ctx, tx, 1); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SAVEPOINT s"); err != nil {
			return err
		}
		if err := add(ctx, tx, 2); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "ROLLBACK TO SAVEPOINT s"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SAVEPOINT s"); err != nil {
			return err
		}
		return add(ctx, tx, 3)
	})
	if err != nil {
		t.Fatal(err)
	}
	var at commitlog.Position
	if got := until(t, l, &at, 2); fmt.Sprint(got) != "[1 3]" {
		t.Errorf("read %v; want [1 3]", got)
	}
}

// Many writers with transactions of random size and length, some rolled back, and readers that follow in small pages:
// each reader must get exactly the committed rows, each once, and all of them in the same order.
func TestRead_stress(t *testing.T) {
	t.Parallel()
	storetest.Each(t, []store.Source{probe}, func(t *testing.T, db *store.DB) {
		l := open(t, db)
		const writers, each = 8, 40
		var next atomic.Int64
		var mu sync.Mutex
		committed := map[int64]bool{}
		var work, readers sync.WaitGroup
		stop := make(chan struct{})
		orders := make([][]int64, 3)
		for i := range orders {
			readers.Go(func() {
				var at commitlog.Position
				for {
					last := false
					select {
					case <-stop:
						last = true
					default:
					}
					got := take(t, l, &at, 1+rand.IntN(7))
					orders[i] = append(orders[i], got...)
					if last && len(got) == 0 {
						if rows, _, err := l.Lag(context.Background(), at, 1); err != nil || rows == 0 {
							return
						}
					}
				}
			})
		}
		rollback := errors.New("rolled back")
		for range writers {
			work.Go(func() {
				for range each {
					var mine []int64
					err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
						mine = mine[:0]
						for range 1 + rand.IntN(4) {
							n := next.Add(1)
							if err := add(ctx, tx, n); err != nil {
								return err
							}
							mine = append(mine, n)
							if rand.IntN(4) == 0 { // be slow inside, so that commits overtake each other
								if _, err := tx.Exec(ctx, slow[db.Dialect()]); err != nil {
									return err
								}
							}
						}
						if rand.IntN(5) == 0 {
							return rollback
						}
						return nil
					})
					if err == nil {
						mu.Lock()
						for _, n := range mine {
							committed[n] = true
						}
						mu.Unlock()
					} else if !errors.Is(err, rollback) {
						t.Error(err)
					}
				}
			})
		}
		work.Wait()
		close(stop)
		readers.Wait()
		for i, order := range orders {
			seen := map[int64]bool{}
			for _, n := range order {
				if seen[n] || !committed[n] {
					t.Fatalf("reader %d: row %d was read twice, or never committed", i, n)
				}
				seen[n] = true
			}
			if len(seen) != len(committed) {
				t.Errorf("reader %d got %d rows of %d", i, len(seen), len(committed))
			}
			if fmt.Sprint(order) != fmt.Sprint(orders[0]) {
				t.Errorf("readers 0 and %d got different orders", i)
			}
		}
	})
}

var slow = map[store.Dialect]string{store.Postgres: `SELECT pg_sleep(0.003)`, store.SQLite: `UPDATE log_era SET era = 0`}

// A database restored into another cluster brings transaction ids from that cluster's future.
func TestOpen_movedToAnotherCluster(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.Postgres, probe)
	const future = int64(1) << 50
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for i := range int64(3) {
			if _, err := tx.Exec(ctx, `INSERT INTO probe (era, tx, at, n) VALUES (0, $1, $2, $3)`, future+i, time.Now(), i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Several nodes start at once: the era must rise once.
	var nodes sync.WaitGroup
	for range 8 {
		nodes.Go(func() {
			if _, err := commitlog.Open(t.Context(), commitlog.Config{DB: db, Table: "probe", Columns: "n", Time: "at"}); err != nil {
				t.Error(err)
			}
		})
	}
	nodes.Wait()
	if e := era(t, db); e != 1 {
		t.Fatalf("era %d; want 1", e)
	}
	l := open(t, db)
	commit(t, db, 100)
	at := commitlog.Position{Era: 0, Tx: future, Seq: 1} // a cursor that came along with the data
	if got := until(t, l, &at, 3); fmt.Sprint(got) != "[1 2 100]" {
		t.Errorf("read %v; want [1 2 100]", got)
	}
	open(t, db)
	if e := era(t, db); e != 1 {
		t.Errorf("era %d after another start; want 1 still", e)
	}
}

// The same, when retention had removed every row before the move: cursors still point into the future.
func TestOpen_movedWithPrunedLog(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.Postgres, probe)
	l := open(t, db)
	const future = int64(1) << 50
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO probe (era, tx, at, n) VALUES (0, $1, $2, 1)`, future, time.Now().Add(-time.Hour))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		// Rows of the current era beyond the horizon are never pruned: make it look as it did at home.
		if _, err := tx.Exec(ctx, `UPDATE log_era SET era = 1`); err != nil {
			return err
		}
		n, err := l.Prune(ctx, tx, commitlog.End(), time.Now(), false, 10, func(scan commitlog.Scan) error {
			var p commitlog.Position
			var n int64
			return scan(&p, &n)
		})
		if err == nil && n != 1 {
			err = fmt.Errorf("pruned %d rows; want 1", n)
		}
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE log_era SET era = 0, pruned_tx = $1`, future)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	open(t, db)
	if e := era(t, db); e != 1 {
		t.Errorf("era %d; want 1", e)
	}
}

func TestOpen_atHome(t *testing.T) {
	t.Parallel()
	storetest.Each(t, []store.Source{probe}, func(t *testing.T, db *store.DB) {
		for i := range int64(5) {
			open(t, db)
			commit(t, db, i)
		}
		if e := era(t, db); e != 0 {
			t.Errorf("era %d; want 0", e)
		}
	})
}

func era(t testing.TB, db *store.DB) (e int) {
	t.Helper()
	if err := db.QueryRow(t.Context(), `SELECT era FROM log_era WHERE log = 'probe'`).Scan(&e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPrune(t *testing.T) {
	t.Parallel()
	storetest.Each(t, []store.Source{probe}, func(t *testing.T, db *store.DB) {
		l := open(t, db)
		for i := range int64(6) {
			commit(t, db, i)
		}
		var at commitlog.Position
		var third commitlog.Position
		for i := range 6 {
			for len(take(t, l, &at, 1)) == 0 {
				continue // another database of the cluster holds the horizon for a moment
			}
			if i == 2 {
				third = at
			}
		}
		prune := func(floor commitlog.Position, before time.Time, limit int) (n int) {
			t.Helper()
			err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
				n, err = l.Prune(ctx, tx, floor, before, false, limit, func(scan commitlog.Scan) error {
					var p commitlog.Position
					var n int64
					return scan(&p, &n)
				})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := prune(third, time.Now().Add(-time.Hour), 10); n != 0 {
			t.Errorf("removed %d young rows", n)
		}
		if n := prune(third, time.Now().Add(time.Hour), 2); n != 2 {
			t.Errorf("removed %d rows; want the limit, 2", n)
		}
		if n := prune(third, time.Now().Add(time.Hour), 10); n != 1 {
			t.Errorf("removed %d rows; want 1, up to the floor", n)
		}
		at = commitlog.Position{}
		if got := take(t, l, &at, 10); fmt.Sprint(got) != "[3 4 5]" {
			t.Errorf("%v are left; want [3 4 5]", got)
		}
		if n := prune(commitlog.End(), time.Now().Add(time.Hour), 10); n != 3 {
			t.Errorf("removed %d rows; want 3", n)
		}
		// Numbers are never used again, or a cursor would pass over the row.
		commit(t, db, 6)
		if got := until(t, l, &at, 1); fmt.Sprint(got) != "[6]" {
			t.Errorf("read %v after the log was emptied; want [6]", got)
		}
	})
}

func TestPosition_text(t *testing.T) {
	t.Parallel()
	any := rapid.Custom(func(t *rapid.T) commitlog.Position {
		return commitlog.Position{
			Era: rapid.Int32Range(0, 1<<31-1).Draw(t, "era"),
			Tx:  rapid.Int64Range(0, 1<<63-1).Draw(t, "tx"),
			Seq: rapid.Int64Range(0, 1<<63-1).Draw(t, "seq"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		p, q := any.Draw(t, "p"), any.Draw(t, "q")
		if back, err := commitlog.ParsePosition(p.String()); err != nil || back != p {
			t.Fatalf("%q read back as %v, %v", p, back, err)
		}
		byText := 0
		if p.String() < q.String() {
			byText = -1
		} else if p.String() > q.String() {
			byText = 1
		}
		if p.Compare(q) != byText || q.Compare(p) != -byText {
			t.Fatalf("%v and %v compare as %d, their texts as %d", p, q, p.Compare(q), byText)
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	f.Add("")
	f.Add(commitlog.End().String())
	f.Add("00000000000000000000000000000000000000+1")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := commitlog.ParsePosition(s)
		if err == nil && s != "" && p.String() != s {
			t.Errorf("%q was taken for %q", s, p)
		}
	})
}
