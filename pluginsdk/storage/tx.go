package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/sigra-auth/sigra/pluginsdk"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxAttempts bounds how often Tx begins anew.
const maxAttempts = 10

// errBusy is what a transaction gets that waited too long for its turn.
var errBusy = errors.New("the database is busy: another transaction has been writing for 5 seconds")

// Tx runs f in a transaction and commits it, or rolls it back when f fails. It begins anew, up to ten times, when
// the database asks for it (busy, serialization failure, deadlock), so f must have no effect other than through tx. An
// error that later may heal is retryable: a sink can return it as it is.
func Tx(ctx context.Context, db *sql.DB, f func(tx *sql.Tx) error) error {
	var err error
	for attempt := range maxAttempts {
		if attempt > 0 {
			wait := time.Duration(1+rand.IntN(10)) * time.Millisecond << min(attempt, 6) //nolint:gosec // jitter
			if pause(ctx, wait) != nil {
				return classify(err)
			}
		}
		if err = once(ctx, db, f); classOf(err) != conflict {
			break
		}
	}
	return classify(err)
}

// pause waits, or fails when ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func once(ctx context.Context, db *sql.DB, f func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

type class int

const (
	other       class = iota
	conflict          // begin anew at once
	unreachable       // later, perhaps
	unique
)

func classOf(err error) class {
	if err == nil {
		return other
	}
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return conflict
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM:
			return unreachable
		}
		if se.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || se.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
			return unique
		}
		return other
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code {
		case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
			return conflict
		case "23505":
			return unique
		}
		switch pe.Code[:2] {
		case "08", "53", "57", "40", "55": // connection, resources, operator intervention, rollback, lock
			return unreachable
		}
		return other
	}
	var ce *pgconn.ConnectError
	var ne net.Error
	switch {
	case errors.Is(err, errBusy), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, errUnreachable), errors.As(err, &ce), pgconn.SafeToRetry(err):
		return unreachable
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return other
	case errors.As(err, &ne):
		return unreachable
	}
	return other
}

// classify marks what later may heal as retryable.
func classify(err error) error {
	switch classOf(err) {
	case conflict, unreachable:
		return pluginsdk.Retryable(err)
	}
	return err
}

// IsUnique reports that err says a unique constraint was hit, on either database.
func IsUnique(err error) bool { return classOf(err) == unique }
