package store_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// Write skew: each of two transactions reads both rows and, finding the other's still 0, sets its own. One at a
// time would leave one row at 0; so must two at once.
func TestPostgres_writeSkewIsRetried(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.Postgres, sources...)
	var runs, commits atomic.Int32
	var bothRead, wg sync.WaitGroup
	bothRead.Add(2)
	for id := range 2 {
		wg.Go(func() {
			first := true
			err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				runs.Add(1)
				tx.AfterCommit(func() { commits.Add(1) })
				free := count(t, tx, "SELECT count(*) FROM counter WHERE id IN (1, 2) AND n = 0") == 2
				if first { // both have read before either writes
					first = false
					bothRead.Done()
					bothRead.Wait()
				}
				if !free {
					return nil
				}
				_, err := tx.Exec(ctx, "UPDATE counter SET n = 1 WHERE id = $1", id+1)
				return err
			}, store.Serializable())
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, db, "SELECT count(*) FROM counter WHERE n = 1"); n != 1 {
		t.Errorf("%d rows were set", n)
	}
	if runs.Load() < 3 || commits.Load() != 2 {
		t.Errorf("%d runs, AfterCommit %d times", runs.Load(), commits.Load())
	}
}

func TestPostgres_deadlockIsRetried(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.Postgres, sources...)
	var runs atomic.Int32
	var bothHold, wg sync.WaitGroup
	bothHold.Add(2)
	for i := range 2 {
		wg.Go(func() {
			first := true
			err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				runs.Add(1)
				if _, err := tx.Exec(ctx, "UPDATE counter SET n = n + 1 WHERE id = $1", 1+i); err != nil {
					return err
				}
				if first {
					first = false
					bothHold.Done()
					bothHold.Wait()
				}
				_, err := tx.Exec(ctx, "UPDATE counter SET n = n + 1 WHERE id = $1", 2-i)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if a, b := count(t, db, "SELECT n FROM counter WHERE id = 1"), count(t, db, "SELECT n FROM counter WHERE id = 2"); a != 2 || b != 2 || runs.Load() < 3 {
		t.Errorf("%d, %d after %d runs", a, b, runs.Load())
	}
}

// A wrapped conflict is still one, and so is one that comes only at the commit; a fault of the caller's is none.
func TestTx_onlyConflictsAreRetried(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		runs := 0
		denied := fault.New(fault.Denied, "no", "No.")
		err := db.Tx(context.Background(), func(context.Context, *store.Tx) error { runs++; return denied })
		if err != error(denied) || runs != 1 {
			t.Errorf("%v after %d runs", err, runs)
		}
		runs = 0
		err = db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			runs++
			_, err := tx.Exec(ctx, "INSERT INTO counter (id, n) VALUES (1, 1)")
			return err
		})
		if !store.IsUnique(err) || runs != 1 {
			t.Errorf("%v after %d runs", err, runs)
		}
		if err := exec(db, "THIS IS NOT SQL"); err == nil || fault.KindOf(err) != fault.Internal {
			t.Errorf("%v", err)
		}
	})
}

func TestPostgres_conflictsWithoutEndGiveUp(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.Postgres, sources...)
	runs := 0
	err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		runs++
		_, err := tx.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION 'always' USING ERRCODE = '40001'; END $$")
		return err
	})
	if runs != 12 || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v after %d runs", err, runs)
	}
}

// The server dies in the middle of a commit: nobody knows whether it took place, so it is not tried again.
func TestPostgres_ambiguousCommitIsNotRetried(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.Postgres, append([]store.Source{fstest.MapFS{"migrations/2020010102_trap.sql": {Data: []byte(`-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    PERFORM pg_sleep(5);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER trap AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die();
`)}}}, sources...)...)
	runs := 0
	err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		runs++
		tx.AfterCommit(func() { t.Error("called although nobody knows") })
		_, err := tx.Exec(ctx, "INSERT INTO ledger (id, a, b) VALUES (1, 1, 1)") // the trap closes at the commit
		return err
	})
	if err == nil || runs != 1 || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v after %d runs", err, runs)
	}
	if err := db.Tx(context.Background(), increment); err != nil {
		t.Error("the next transaction got the dead connection:", err)
	}
}

func TestPostgres_restartBetweenTransactions(t *testing.T) {
	t.Parallel()
	c := storetest.StartPostgres(t, "fsync=off")
	db := storetest.Dial(t, c.Database())
	if _, err := db.Migrate(context.Background(), sources...); err != nil {
		t.Fatal(err)
	}
	if err := db.Tx(context.Background(), increment); err != nil {
		t.Fatal(err)
	}
	c.Stop()
	err := db.Tx(context.Background(), increment)
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("while it is down: %v", err)
	}
	if err := db.Ping(context.Background()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ping while it is down: %v", err)
	}
	c.Start()
	if err := db.Tx(context.Background(), increment); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if n := count(t, db, "SELECT n FROM counter WHERE id = 1"); n != 2 {
		t.Error(n)
	}
}

// locked holds SQLite's write lock from outside, as another process would.
func locked(t *testing.T, path string) (unlock func()) {
	t.Helper()
	other, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := other.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := errors.Join(tx.Rollback(), other.Close()); err != nil {
			t.Error(err)
		}
	})
}

func TestSQLite_busyIsWaitedOut(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	unlock := locked(t, db.Name())
	defer unlock()
	// Reads go on meanwhile.
	if n := count(t, db, "SELECT n FROM counter WHERE id = 1"); n != 0 {
		t.Error(n)
	}
	runs := 0
	timer := time.AfterFunc(900*time.Millisecond, unlock) // several attempts later
	defer timer.Stop()
	start := time.Now()
	err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		runs++
		return increment(ctx, tx)
	})
	if err != nil || runs != 1 || time.Since(start) < 800*time.Millisecond {
		t.Errorf("%v after %s and %d runs", err, time.Since(start), runs)
	}
}

func TestSQLite_busyForTooLong(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	unlock := locked(t, db.Name())
	defer unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := db.Tx(ctx, increment)
	if err == nil || time.Since(start) > 20*time.Second {
		t.Errorf("a caller in a hurry waited %s: %v", time.Since(start), err)
	}
	if err := db.Tx(context.Background(), increment); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "too busy") {
		t.Errorf("%v", err)
	}
	unlock()
	if err := db.Tx(context.Background(), increment); err != nil {
		t.Error("the writer is unusable:", err)
	}
}

// SQLite rolls back by itself when a statement fails badly. The transaction must not go on as if it were open.
func TestSQLite_fullDisk(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	if err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRow(ctx, "PRAGMA max_page_count = 40").Scan(new(int))
	}); err != nil {
		t.Fatal(err)
	}
	err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		if err := increment(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO kind (id, s) VALUES ('x', $1)", strings.Repeat("x", 1<<20))
		if err == nil {
			t.Error("the disk is not full")
		}
		if err := increment(ctx, tx); err == nil {
			t.Error("a statement outside of any transaction")
		}
		return nil
	})
	if err == nil || count(t, db, "SELECT n FROM counter WHERE id = 1") != 0 {
		t.Errorf("half written: %v", err)
	}
	if err := db.Tx(context.Background(), increment); err != nil {
		t.Error("the writer is unusable:", err)
	}
}
