package storage_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func migrations(extra ...string) fstest.MapFS {
	out := fstest.MapFS{
		"migrations/2026010101_thing.sql": {Data: []byte(`-- +goose Up
CREATE TABLE thing (
    id     UUID        NOT NULL PRIMARY KEY,
    at     TIMESTAMPTZ,
    doc    JSONB,
    bin    BYTEA,
    flag   BOOLEAN     NOT NULL,
    number BIGINT      NOT NULL,
    name   TEXT        NOT NULL UNIQUE
);`)},
		"migrations/sqlite/2026010102_only.sql":   {Data: []byte("-- +goose Up\nCREATE TABLE only_sqlite (n INTEGER);")},
		"migrations/postgres/2026010102_only.sql": {Data: []byte("-- +goose Up\nCREATE TABLE only_postgres (n INTEGER);")},
	}
	for i, text := range extra {
		out[fmt.Sprintf("migrations/20260102%02d_extra.sql", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// each runs f on SQLite, and on Postgres when there is one.
func each(t *testing.T, f func(t *testing.T, at pluginsdk.Location)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, plugintest.SQLiteAt(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		at, ok := plugintest.PostgresAt(t)
		if !ok {
			t.Skipf("%s is not set", plugintest.PostgresEnv)
		}
		f(t, at)
	})
}

func open(t *testing.T, at pluginsdk.Location) *sql.DB {
	t.Helper()
	db, err := storage.New(migrations()).Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestStorage_valuesGoInAndComeOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		db, ctx := open(t, at), t.Context()
		id := uuid.Must(uuid.NewV7())
		when := time.Date(2026, 3, 14, 15, 9, 26, 535897932, time.FixedZone("x", 3600))
		want := when.Truncate(time.Microsecond).UTC()
		const insert = `INSERT INTO thing (id, at, doc, bin, flag, number, name) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING at`
		var back time.Time
		if err := db.QueryRowContext(ctx, insert, id, when, json.RawMessage(`{"a": [1, 2]}`), []byte{0, 255}, true, int64(1)<<60, "one").
			Scan(storage.Time(&back)); err != nil {
			t.Fatal(err)
		}
		if !back.Equal(want) {
			t.Errorf("RETURNING gave %v", back)
		}
		stmt, err := db.PrepareContext(ctx, insert)
		if err != nil {
			t.Fatal(err)
		}
		if err := stmt.QueryRowContext(ctx, uuid.Must(uuid.NewV7()).String(), sql.NullTime{}, json.RawMessage(nil), nil, false, 2, "two").
			Scan(storage.Time(&back)); err != nil || !back.IsZero() {
			t.Errorf("%v, %v", back, err)
		}
		_ = stmt.Close()

		var gotID uuid.UUID
		var gotAt time.Time
		var doc json.RawMessage
		var bin []byte
		var flag bool
		var number int64
		const one = `SELECT id, at, doc, bin, flag, number FROM thing WHERE at = $1`
		if err := db.QueryRowContext(ctx, one, &when).Scan(&gotID, &gotAt, &doc, &bin, &flag, &number); err != nil {
			t.Fatal(err)
		}
		var m map[string][]int
		if err := json.Unmarshal(doc, &m); err != nil || m["a"][1] != 2 {
			t.Errorf("doc is %s, %v", doc, err)
		}
		if gotID != id || gotAt != want || bin[1] != 255 || !flag || number != 1<<60 {
			t.Errorf("%v %v %v %v %v", gotID, gotAt, bin, flag, number)
		}
		var null sql.NullTime
		var ptr *time.Time
		if err := db.QueryRowContext(ctx, `SELECT at, at FROM thing WHERE name = 'two'`).Scan(&null, &ptr); err != nil || null.Valid || ptr != nil {
			t.Errorf("NULL came as %v, %v, %v", null, ptr, err)
		}
		if err := db.QueryRowContext(ctx, `SELECT max(at) FROM thing WHERE doc IS NOT NULL`).Scan(storage.Time(&gotAt)); err != nil || gotAt != want {
			t.Errorf("an expression gave %v, %v", gotAt, err)
		}
		var asText string
		if err := db.QueryRowContext(ctx, `SELECT doc->>'a' FROM thing WHERE name = 'one'`).Scan(&asText); err != nil || !strings.HasPrefix(asText, "[1") {
			t.Errorf("JSON can't be asked into: %q, %v", asText, err)
		}
		_, err = db.ExecContext(ctx, `INSERT INTO thing (id, flag, number, name) VALUES ($1, $2, 1, 'one')`, uuid.Must(uuid.NewV7()), true)
		if !storage.IsUnique(err) {
			t.Errorf("a second one: %v", err)
		}
	})
}

func TestStorage_migrates(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		db := open(t, at)
		if _, err := db.ExecContext(t.Context(), "INSERT INTO only_"+string(at.Dialect)+" (n) VALUES (1)"); err != nil {
			t.Error(err)
		}
		// A newer version, from several nodes at once.
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				next, err := storage.New(migrations("-- +goose Up\nCREATE TABLE later (n INTEGER);")).Open(t.Context(), at)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = next.ExecContext(t.Context(), "INSERT INTO later (n) VALUES (1)")
				if err := errors.Join(err, next.Close()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		_, err := storage.New(migrations("-- +goose Up\nCREATE TABLE later (n INTEGER);", "-- +goose Up\nnonsense;")).Open(t.Context(), at)
		if err == nil || !strings.Contains(err.Error(), "migration 2026010201_extra.sql") || pluginsdk.IsRetryable(err) {
			t.Errorf("a broken migration: %v", err)
		}
	})
}

func TestStorage_refusesMigrations(t *testing.T) {
	t.Parallel()
	for want, files := range map[string]fstest.MapFS{
		"the name must be":  {"migrations/first.sql": {}},
		"have the same ver": {"migrations/1_a.sql": {}, "migrations/sqlite/1_b.sql": {}},
	} {
		_, err := storage.New(files).Open(t.Context(), plugintest.SQLiteAt(t))
		if err == nil || !strings.Contains(err.Error(), want) || !pluginsdk.IsPermanent(err) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestStorage_unreachable(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://joe:hunter2@127.0.0.1:1/x?connect_timeout=1", "postgres://joe:hunter2@127.0.0.1:1/%zz"} {
		_, err := storage.New(nil).Open(t.Context(), pluginsdk.Location{Dialect: pluginsdk.Postgres, DSN: pluginsdk.NewSecret(dsn), Schema: "x"})
		if err == nil || strings.Contains(err.Error(), "hunter2") || pluginsdk.IsRetryable(err) != !strings.Contains(dsn, "%zz") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	if _, err := storage.New(nil).Open(t.Context(), pluginsdk.Location{Dialect: "oracle"}); !pluginsdk.IsPermanent(err) {
		t.Errorf("oracle: %v", err)
	}
}

func TestStorage_sqliteFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a ?#% folder", "plugin.db")
	db := open(t, pluginsdk.Location{Dialect: pluginsdk.SQLite, DSN: pluginsdk.NewSecret(path)})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		if err := db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v", pragma, got, err)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
}

// Transactions that read and then write, all at once, lose nothing.
func TestTx_concurrent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		db, ctx := open(t, at), t.Context()
		if _, err := db.ExecContext(ctx, `INSERT INTO thing (id, flag, number, name) VALUES ($1, true, 0, 'n')`, uuid.New()); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		const workers, rounds = 8, 10
		for range workers {
			group.Go(func() {
				for range rounds {
					if err := storage.Tx(ctx, db, func(tx *sql.Tx) error {
						lock := ""
						if at.Dialect == pluginsdk.Postgres {
							lock = " FOR UPDATE"
						}
						var n int64
						if err := tx.QueryRowContext(ctx, `SELECT number FROM thing WHERE name = 'n'`+lock).Scan(&n); err != nil {
							return err
						}
						_, err := tx.ExecContext(ctx, `UPDATE thing SET number = $1 WHERE name = 'n'`, n+1)
						return err
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		var n int
		if err := db.QueryRowContext(ctx, `SELECT number FROM thing`).Scan(&n); err != nil || n != workers*rounds {
			t.Errorf("counted %d, %v", n, err)
		}
	})
}

// A deadlock is broken by the database and begun anew by Tx.
func TestTx_deadlock(t *testing.T) {
	t.Parallel()
	at, ok := plugintest.PostgresAt(t)
	if !ok {
		t.Skipf("%s is not set", plugintest.PostgresEnv)
	}
	db, ctx := open(t, at), t.Context()
	for _, name := range []string{"a", "b"} {
		if _, err := db.ExecContext(ctx, `INSERT INTO thing (id, flag, number, name) VALUES ($1, true, 0, $2)`, uuid.New(), name); err != nil {
			t.Fatal(err)
		}
	}
	var both, group sync.WaitGroup
	both.Add(2)
	var attempts [2]int
	for i, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		group.Go(func() {
			if err := storage.Tx(ctx, db, func(tx *sql.Tx) error {
				attempts[i]++
				for k, name := range order {
					if _, err := tx.ExecContext(ctx, `UPDATE thing SET number = number + 1 WHERE name = $1`, name); err != nil {
						return err
					}
					if k == 0 && attempts[i] == 1 {
						both.Done()
						both.Wait()
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if attempts[0]+attempts[1] < 3 { // one at least was the victim, and more than once where they met again
		t.Errorf("attempts: %v", attempts)
	}
}

func TestTx_errors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		db, ctx := open(t, at), t.Context()
		mine := errors.New("mine")
		n := 0
		err := storage.Tx(ctx, db, func(tx *sql.Tx) error {
			n++
			if _, err := tx.ExecContext(ctx, `INSERT INTO thing (id, flag, number, name) VALUES ($1, true, 0, 'x')`, uuid.New()); err != nil {
				return err
			}
			return mine
		})
		if !errors.Is(err, mine) || n != 1 || pluginsdk.IsRetryable(err) {
			t.Errorf("%v after %d attempts", err, n)
		}
		var count int
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM thing`).Scan(&count); err != nil || count != 0 {
			t.Errorf("%d rows stayed, %v", count, err)
		}
		done, cancel := context.WithCancel(ctx)
		cancel()
		if err := storage.Tx(done, db, func(*sql.Tx) error { return nil }); !errors.Is(err, context.Canceled) || pluginsdk.IsRetryable(err) {
			t.Errorf("cancelled: %v", err)
		}
		// It panics, and the next one still gets its turn.
		func() {
			defer func() { _ = recover() }()
			_ = storage.Tx(ctx, db, func(*sql.Tx) error { panic("x") })
		}()
		if err := storage.Tx(ctx, db, func(*sql.Tx) error { return nil }); err != nil {
			t.Errorf("after a panic: %v", err)
		}
	})
}

// Another process holds the file: the transaction waits for it, and says "later" when that takes too long.
func TestTx_sqliteBusy(t *testing.T) {
	t.Parallel()
	at := plugintest.SQLiteAt(t)
	db, other := open(t, at), open(t, at)
	held, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := storage.Tx(ctx, db, func(*sql.Tx) error { return nil }); err == nil {
		t.Error("two write at once")
	}
	released := make(chan struct{})
	go func() {
		defer close(released)
		time.Sleep(100 * time.Millisecond) // stands for another process's work
		_ = held.Rollback()
	}()
	if err := storage.Tx(t.Context(), db, func(*sql.Tx) error { return nil }); err != nil {
		t.Errorf("after it was let go: %v", err)
	}
	<-released
}
