package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// schema has a table of counters, two of accounts that must balance, and one with a column of each type.
var schema = fstest.MapFS{"migrations/2020010101_schema.sql": {Data: []byte(`-- +goose Up
CREATE TABLE counter (id BIGINT PRIMARY KEY, n BIGINT NOT NULL);
CREATE TABLE ledger (id BIGINT PRIMARY KEY, a BIGINT NOT NULL, b BIGINT NOT NULL);
CREATE TABLE kind (
    id UUID PRIMARY KEY, t TIMESTAMPTZ, j JSONB, x BYTEA, b BOOLEAN, s TEXT UNIQUE, i BIGINT, u UUID
);
INSERT INTO counter (id, n) VALUES (1, 0), (2, 0), (3, 0);
`)}}

var sources = []store.Source{schema}

func exec(db *store.DB, query string, args ...any) error {
	return db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
}

func count(t testing.TB, q store.Querier, query string, args ...any) int {
	t.Helper()
	var n int
	if err := q.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func increment(ctx context.Context, tx *store.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE counter SET n = n + 1 WHERE id = 1")
	return err
}

func TestTx_commitsOrRollsBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		var order []string
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			tx.AfterCommit(func() {
				order = append(order, fmt.Sprintf("first sees %d", count(t, db, "SELECT n FROM counter WHERE id = 1")))
			})
			tx.AfterCommit(func() { order = append(order, "second") })
			return increment(ctx, tx)
		})
		if err != nil || strings.Join(order, ", ") != "first sees 1, second" {
			t.Fatal(err, order)
		}
		no := errors.New("no")
		err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			tx.AfterCommit(func() { t.Error("called after a rollback") })
			return errors.Join(increment(ctx, tx), no)
		})
		if !errors.Is(err, no) || count(t, db, "SELECT n FROM counter WHERE id = 1") != 1 {
			t.Fatal(err)
		}
	})
}

func TestTx_panicAndGoexitRollBack(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		func() {
			defer func() {
				if recover() != "boom" {
					t.Error("the panic did not come through")
				}
			}()
			_ = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				tx.AfterCommit(func() { t.Error("called after a panic") })
				_ = increment(ctx, tx)
				_, _ = tx.Query(ctx, "SELECT id FROM counter") // left open as well
				panic("boom")
			})
		}()
		var wg sync.WaitGroup
		wg.Go(func() { // t.FailNow in a transaction ends its goroutine like this
			_ = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				_ = increment(ctx, tx)
				goexit()
				return nil
			})
		})
		wg.Wait()
		if n := count(t, db, "SELECT n FROM counter WHERE id = 1"); n != 0 {
			t.Fatal("half written:", n)
		}
		if err := db.Tx(ctx, increment); err != nil {
			t.Fatal("the writer is unusable:", err)
		}
	})
}

// After a failed statement nothing else happens in a transaction: SQLite would go on, Postgres does not.
func TestTx_aFailureAborts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			if err := increment(ctx, tx); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "INSERT INTO counter (id, n) VALUES (1, 0)"); !store.IsUnique(err) {
				t.Errorf("not a unique violation: %v", err)
			}
			if err := increment(ctx, tx); err == nil {
				t.Error("a statement after a failed one succeeded")
			}
			if err := tx.QueryRow(ctx, "SELECT n FROM counter WHERE id = 1").Scan(new(int)); err == nil || errors.Is(err, store.ErrNoRows) {
				t.Errorf("a query after a failed statement: %v", err)
			}
			return nil // the failure is swallowed
		})
		if err == nil || count(t, db, "SELECT n FROM counter WHERE id = 1") != 0 {
			t.Fatal("committed after a failure:", err)
		}
		if err := db.Tx(context.Background(), increment); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTx_insideAnotherIsRefused(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		var kept *store.Tx
		var inner context.Context
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			kept, inner = tx, ctx
			if err := db.Tx(ctx, increment); err == nil || ctx.Err() != nil {
				t.Errorf("nested: %v", err)
			}
			return increment(ctx, tx)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Tx(inner, increment); err != nil {
			t.Errorf("the context is spoilt for later transactions: %v", err)
		}
		if err := increment(ctx, kept); err == nil {
			t.Error("a transaction can be used after its end")
		}
		if n := count(t, db, "SELECT n FROM counter WHERE id = 1"); n != 2 {
			t.Error(n)
		}
	})
}

// The context ends at any step: before, while waiting for the turn, between statements, before the commit.
func TestTx_cancelledAnywhere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		cancelled, cancel := context.WithCancel(context.Background())
		cancel()
		if err := db.Tx(cancelled, increment); !errors.Is(err, context.Canceled) {
			t.Error("before:", err)
		}
		for _, step := range []int{0, 1, 2} {
			ctx, cancel := context.WithCancel(context.Background())
			err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				tx.AfterCommit(func() { t.Error("called") })
				for i := range 3 {
					if i == step {
						cancel()
					}
					if i == 2 {
						break // cancelled just before the commit
					}
					if err := increment(ctx, tx); err != nil {
						return err
					}
				}
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("step %d: %v", step, err)
			}
			cancel()
		}
		// While another holds what it needs.
		holding, release := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				err := increment(ctx, tx)
				close(holding)
				<-release
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-holding
		ctx, cancelWait := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancelWait()
		if err := db.Tx(ctx, increment); err == nil {
			t.Error("did not wait")
		}
		close(release)
		wg.Wait()
		if n := count(t, db, "SELECT n FROM counter WHERE id = 1"); n != 1 {
			t.Errorf("half written: %d", n)
		}
		if err := db.Tx(context.Background(), increment); err != nil {
			t.Error("the writer is unusable:", err)
		}
	})
}

// Contexts end at random moments under load. Whatever was acknowledged is there, whatever failed is not, nothing is half
// there, and AfterCommit ran exactly for what is there.
func TestTx_cancelledAtRandomUnderLoad(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		acknowledged, after := map[int64]bool{}, map[int64]int{}
		var wg sync.WaitGroup
		const workers, each = 8, 60
		for w := range int64(workers) {
			wg.Go(func() {
				for i := range int64(each) {
					id := w*each + i
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(id%37)*150*time.Microsecond)
					err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
						tx.AfterCommit(func() { mu.Lock(); after[id]++; mu.Unlock() })
						if _, err := tx.Exec(ctx, "INSERT INTO ledger (id, a, b) VALUES ($1, 1, 0)", id); err != nil {
							return err
						}
						if err := increment(ctx, tx); err != nil {
							return err
						}
						_, err := tx.Exec(ctx, "UPDATE ledger SET b = 1 WHERE id = $1", id)
						return err
					})
					cancel()
					mu.Lock()
					acknowledged[id] = err == nil
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		rows, err := db.Query(context.Background(), "SELECT id, a, b FROM ledger")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		there := map[int64]bool{}
		for rows.Next() {
			var id, a, b int64
			if err := rows.Scan(&id, &a, &b); err != nil {
				t.Fatal(err)
			}
			there[id] = true
			if a != b {
				t.Errorf("%d is half written", id)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		for id, ok := range acknowledged {
			if ok != there[id] || ok != (after[id] == 1) || after[id] > 1 {
				t.Errorf("%d: acknowledged %t, there %t, AfterCommit %d times", id, ok, there[id], after[id])
			}
		}
		if n := count(t, db, "SELECT n FROM counter WHERE id = 1"); n != len(there) {
			t.Errorf("the counter says %d, there are %d", n, len(there))
		}
		t.Logf("%d of %d committed", len(there), workers*each)
		if err := db.Tx(context.Background(), increment); err != nil {
			t.Error("the writer is unusable:", err)
		}
	})
}

func TestTx_parallelWritersLoseNothing(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			nodes := []*store.DB{storetest.Dial(t, d.URL), storetest.Dial(t, d.URL)}
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					for range 25 {
						// Read, then write what was read: only isolation keeps the sum right.
						err := nodes[w%2].Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
							var n int64
							if err := tx.QueryRow(ctx, "SELECT n FROM counter WHERE id = 2").Scan(&n); err != nil {
								return err
							}
							_, err := tx.Exec(ctx, "UPDATE counter SET n = $1 WHERE id = 2", n+1)
							return err
						}, store.Serializable())
						if err != nil && !errors.Is(err, context.DeadlineExceeded) {
							// Twelve attempts may not be enough for eight that fight over one row: then it must say so.
							if fault.KindOf(err) != fault.Unavailable {
								t.Error(err)
							}
							if err := nodes[w%2].Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
								_, err := tx.Exec(ctx, "UPDATE counter SET n = n + 1 WHERE id = 2")
								return err
							}); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			wg.Wait()
			if n := count(t, nodes[0], "SELECT n FROM counter WHERE id = 2"); n != 200 {
				t.Errorf("%d, want 200", n)
			}
		})
	}
}

func TestStatements_resultsMayBeReadInsideEachOther(t *testing.T) {
	t.Parallel()
	storetest.Open(t, store.SQLite, sources...) // Postgres refuses a second query while rows are open, as documented by pgx
	db := storetest.Open(t, store.SQLite, sources...)
	for _, q := range []string{"tx", "db"} {
		t.Run(q, func(t *testing.T) {
			t.Parallel()
			var seen []string
			read := func(ctx context.Context, q store.Querier) error {
				const query = "SELECT id FROM counter WHERE id >= $1 ORDER BY id"
				outer, err := q.Query(ctx, query, 1)
				if err != nil {
					return err
				}
				defer outer.Close()
				for outer.Next() {
					var a, b int
					if err := outer.Scan(&a); err != nil {
						return err
					}
					inner, err := q.Query(ctx, query, a)
					if err != nil {
						return err
					}
					for inner.Next() {
						if err := inner.Scan(&b); err != nil {
							return err
						}
						seen = append(seen, fmt.Sprint(a, b))
					}
					inner.Close()
					if err := inner.Err(); err != nil {
						return err
					}
				}
				return outer.Err()
			}
			var err error
			if q == "tx" {
				err = db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error { return read(ctx, tx) })
			} else {
				err = read(context.Background(), db)
			}
			if got := strings.Join(seen, ","); err != nil || got != "1 1,1 2,1 3,2 2,2 3,3 3" {
				t.Error(got, err)
			}
		})
	}
}

func TestStatements_outliveAChangeOfSchema(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		read := func() (int, error) {
			var n int
			err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
				return tx.QueryRow(ctx, "SELECT n FROM counter WHERE id = 1").Scan(&n)
			})
			return n, err
		}
		for range 10 { // prepared everywhere
			if _, err := read(); err != nil {
				t.Fatal(err)
			}
		}
		if err := exec(db, "ALTER TABLE counter ADD COLUMN extra TEXT"); err != nil {
			t.Fatal(err)
		}
		if db.Dialect() == store.Postgres { // changes the result's type, which voids the cached plans
			if err := exec(db, "ALTER TABLE counter ALTER COLUMN n TYPE INTEGER"); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			if _, err := read(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestStatements_manyDifferentOnes(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		for i := range 1500 {
			query := fmt.Sprintf("SELECT n + %d FROM counter WHERE id = $1", i)
			if n := count(t, tx, query, 1); n != i {
				return fmt.Errorf("%s gives %d", query, n)
			}
			if n := count(t, db, query, 1); n != i {
				return fmt.Errorf("%s gives %d", query, n)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// kinds is a row of the table kind.
type kinds struct {
	T  time.Time
	TN *time.Time
	J  json.RawMessage
	X  []byte
	B  bool
	S  *string
	I  int64
	U  uuid.UUID
	UN uuid.NullUUID
}

func TestValues_sameOnBoth(t *testing.T) {
	t.Parallel()
	word := "wörd\x01 'quoted' \U0001F511"
	at := time.Date(2026, 11, 23, 7, 30, 0, 123456789, time.FixedZone("elsewhere", 3*3600))
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		for i, in := range []kinds{
			{T: at, TN: &at, J: json.RawMessage(`{"a": [1, null, "x"], "b": {"c": 1.5}}`), X: []byte{0, 1, 255}, B: true, S: &word, I: -1 << 63, U: uuid.MustParse("019abcde-0000-7000-8000-0123456789ab"), UN: uuid.NullUUID{UUID: uuid.MustParse("019abcde-0000-7000-8000-0123456789ac"), Valid: true}},
			{T: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), J: json.RawMessage(`[]`), X: []byte{}, I: 1<<63 - 1, U: uuid.Must(uuid.NewV7())},
			{T: time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC), J: nil, X: nil, U: uuid.Must(uuid.NewV7())},
			{T: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC), J: json.RawMessage(`"s"`), U: uuid.Must(uuid.NewV7())},
		} {
			args := []any{in.U, in.T, in.J, in.X, in.B, in.S, in.I, in.UN}
			before := fmt.Sprintf("%T", args)
			if err := exec(db, "INSERT INTO kind (id, t, j, x, b, s, i, u) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", args...); err != nil {
				t.Fatal(i, err)
			}
			if fmt.Sprintf("%T", args) != before {
				t.Error("the caller's arguments were changed")
			}
			check := func(q store.Querier) {
				var out kinds
				out.X, out.J = []byte("old"), json.RawMessage("old")
				err := q.QueryRow(ctx, "SELECT id, t, t, j, x, b, s, i, u FROM kind WHERE id = $1", in.U).
					Scan(&out.U, &out.T, &out.TN, &out.J, &out.X, &out.B, &out.S, &out.I, &out.UN)
				if err != nil {
					t.Fatal(i, err)
				}
				want := in.T.Truncate(time.Microsecond).UTC()
				if !out.T.Equal(want) || out.T.Location() != time.UTC || out.TN == nil || !out.TN.Equal(want) {
					t.Errorf("%d: time %v, %v, want %v", i, out.T, out.TN, want)
				}
				if (out.J == nil) != (in.J == nil) || in.J != nil && compact(t, out.J) != compact(t, in.J) {
					t.Errorf("%d: json %s, want %s", i, out.J, in.J)
				}
				if (out.X == nil) != (in.X == nil) || string(out.X) != string(in.X) {
					t.Errorf("%d: bytes %v, want %v", i, out.X, in.X)
				}
				if out.B != in.B || out.I != in.I || out.U != in.U || out.UN != in.UN || (out.S == nil) != (in.S == nil) || in.S != nil && *out.S != *in.S {
					t.Errorf("%d: %+v, want %+v", i, out, in)
				}
			}
			check(db)
			if err := db.Tx(ctx, func(_ context.Context, tx *store.Tx) error { check(tx); return nil }); err != nil {
				t.Error(err)
			}
			// Each finds itself by its own time: what is compared is what was stored.
			if n := count(t, db, "SELECT count(*) FROM kind WHERE id = $1 AND t = $2", in.U, in.T.Truncate(time.Microsecond)); n != 1 {
				t.Errorf("%d: not found by its time", i)
			}
		}
		if n := count(t, db, "SELECT count(*) FROM kind WHERE x IS NULL"); n != 2 {
			t.Errorf("%d rows without bytes, want 2", n)
		}
		// NULLs of every type come back as NULLs.
		id := uuid.Must(uuid.NewV7())
		var none *time.Time
		if err := exec(db, "INSERT INTO kind (id, t, j, x) VALUES ($1, $2, $3, $4)", id, none, nil, nil); err != nil {
			t.Fatal(err)
		}
		var (
			tn     = &at
			j      = json.RawMessage("old")
			x      = []byte("old")
			b      *bool
			s      *string
			i      *int64
			u      uuid.NullUUID
			strict time.Time
		)
		if err := db.QueryRow(ctx, "SELECT t, j, x, b, s, i, u FROM kind WHERE id = $1", id).Scan(&tn, &j, &x, &b, &s, &i, &u); err != nil {
			t.Fatal(err)
		}
		if tn != nil || j != nil || x != nil || b != nil || s != nil || i != nil || u.Valid {
			t.Error(tn, j, x, b, s, i, u)
		}
		if err := db.QueryRow(ctx, "SELECT t FROM kind WHERE id = $1", id).Scan(&strict); err == nil {
			t.Error("a NULL was taken for a time")
		}
		if err := db.QueryRow(ctx, "SELECT t FROM kind WHERE id = $1", uuid.New()).Scan(&strict); !errors.Is(err, store.ErrNoRows) {
			t.Error(err)
		}
	})
}

func compact(t *testing.T, j json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(j, &v); err != nil {
		t.Fatalf("%q: %v", j, err)
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func TestOpen_filesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a folder", "with ? and # and % and ü")
	db, err := store.Open(context.Background(), store.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(context.Background(), sources...); err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(context.Background(), increment); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(dir)
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Error(st.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 3 { // with the write-ahead log and its index
		t.Error(entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(e.Name(), info.Mode(), err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(context.Background(), increment); err == nil {
		t.Error("a transaction on a closed database")
	}
	if _, err := os.Stat(filepath.Join(dir, "sigra.db-wal")); err == nil {
		t.Error("the write-ahead log was left behind")
	}
}

func TestOpen_neverShowsThePassword(t *testing.T) {
	t.Parallel()
	for _, u := range []string{
		"postgres://sigra:hunter2@127.0.0.1:1/sigra?connect_timeout=1", "postgres://sigra:hunter2@/x?host=/nonexistent&connect_timeout=1",
		"postgres://sigra:hunter2@host:port/x", "postgres://sigra:hun ter2@h/x", "postgres://sigra:hunter2%zz@h/x", "postgres://sigra:hunter2@h:99999999/x",
		"postgres://h/x?password=hunter2&sslmode=wrong", "postgresql://sigra:hunter2@[::1/x", "host=h user=sigra password=hunter2", "hunter2",
		"sigra:hunter2@h/x", "mysql://sigra:hunter2@h/x", "sqlite://sigra:hunter2@h/x", "sqlite://hunter2:x:y/z", "sqlite:hunter2%zz", "sqlite://", "hunter2://x",
		"postgres://sigra:hunter2@127.0.0.1:1/sigra?pool_max_conns=hunter2",
	} {
		db, err := store.Open(context.Background(), store.Config{URL: u})
		if err == nil {
			_ = db.Close()
			t.Errorf("%s was opened", u)
			continue
		}
		if s := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "hun ter2") {
			t.Errorf("%s: %s", u, s)
		}
	}
	if _, err := store.Open(context.Background(), store.Config{}); err == nil {
		t.Error("opened nothing")
	}
}

func TestName_hasNoPassword(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.Postgres)
	if n := db.Name(); !strings.HasPrefix(n, "postgres://127.0.0.1:") || strings.Contains(n, "@") {
		t.Error(n)
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Databases(t) {
		t.Run(d.Name, func(t *testing.T) {
			var told []string
			db, err := store.Open(t.Context(), store.Config{URL: d.URL, Trace: func(query string) { told = append(told, query) }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			var n int
			read := func(q store.Querier, query string) error { return q.QueryRow(t.Context(), query).Scan(&n) }
			err = db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				if _, err := tx.Exec(ctx, "CREATE TABLE traced (n INTEGER)"); err != nil {
					return err
				}
				rows, err := tx.Query(ctx, "SELECT 2")
				if err != nil {
					return err
				}
				rows.Close()
				return read(tx, "SELECT 3")
			})
			if err := errors.Join(err, read(db, "SELECT 4")); err != nil {
				t.Fatal(err)
			}
			undo := errors.New("undo")
			if err := db.Tx(t.Context(), func(context.Context, *store.Tx) error { return undo }); !errors.Is(err, undo) {
				t.Fatal(err)
			}
			want := []string{"BEGIN", "CREATE TABLE traced (n INTEGER)", "SELECT 2", "SELECT 3", "COMMIT", "SELECT 4", "BEGIN", "ROLLBACK"}
			if !slices.Equal(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
		})
	}
}
