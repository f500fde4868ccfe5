package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

type sqliteEngine struct {
	w    *sqliteWriter
	r    *sqlitePool
	path string
}

// writerBusy is how long one attempt to begin waits for another process's transaction. It can't be cut short by the
// caller's context, so it is brief; DB.Tx tries again.
const writerBusy = 200 * time.Millisecond

// maxStatements bounds the prepared statements kept per connection, in case a query's text varies.
const maxStatements = 512

func openSQLite(ctx context.Context, path string, readers int) (*sqliteEngine, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := createSQLite(path); err != nil {
		return nil, err
	}
	if readers <= 0 {
		readers = 4
	}
	w, err := newSQLiteWriter(ctx, sqliteDSN(path, writerBusy)+sqliteWrites)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	r, err := sql.Open("sqlite", sqliteDSN(path, 5*time.Second)+"&_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), w.close())
	}
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers)
	return &sqliteEngine{w: w, r: &sqlitePool{db: r}, path: path}, nil
}

const sqliteWrites = "&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=journal_size_limit(67108864)&_txlock=immediate"

func sqliteDSN(path string, busy time.Duration) string {
	return (&url.URL{Scheme: "file", Path: path}).String() + fmt.Sprintf(
		"?_pragma=busy_timeout(%d)&_pragma=foreign_keys(1)&_pragma=temp_store(2)&_pragma=cache_size(-8192)", busy.Milliseconds())
}

// createSQLite makes an empty file when there is none. It holds everything about every account: only its owner may
// read it (ASVS 5.0 14.2.4), and SQLite gives its companions the same mode.
//
// An existing file is not opened, not even to look: closing any descriptor of it would drop the locks that another
// handle of this process holds on it (https://sqlite.org/howtocorrupt.html §2.2).
func createSQLite(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the database folder: %w", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(dir, ".sigra-db-*") // 0600
	if err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := f.Close(); err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the database: %w", err)
	}
	return nil
}

// sqlitePool is the readers with their prepared statements: preparing costs more than most of the queries here.
type sqlitePool struct {
	db    *sql.DB
	stmts sync.Map // query text -> *sql.Stmt
	count atomic.Int32
}

// prepare gives the kept statement; nil means that there are too many and the query is to be run without one.
func (p *sqlitePool) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.stmts.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	if p.count.Load() >= maxStatements {
		return nil, nil
	}
	s, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if was, loaded := p.stmts.LoadOrStore(query, s); loaded {
		_ = s.Close()
		return was.(*sql.Stmt), nil
	}
	p.count.Add(1)
	return s, nil
}

func (p *sqlitePool) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	s, err := p.prepare(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return p.db.QueryContext(ctx, query, sqliteArgs(args)...)
	}
	return s.QueryContext(ctx, sqliteArgs(args)...)
}

func (p *sqlitePool) close() error {
	p.stmts.Range(func(_, s any) bool { _ = s.(*sql.Stmt).Close(); return true })
	return p.db.Close()
}

func (e *sqliteEngine) Dialect() Dialect { return SQLite }

func (e *sqliteEngine) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	rows, err := e.r.query(ctx, query, args)
	if err != nil {
		return nil, e.translate(err)
	}
	return &sqliteRows{Rows: rows, e: e}, nil
}

func (e *sqliteEngine) QueryRow(ctx context.Context, query string, args ...any) Row {
	rows, err := e.Query(ctx, query, args...)
	if err != nil {
		return errRow{err}
	}
	return oneRow{rows}
}

func (e *sqliteEngine) begin(ctx context.Context, _ bool) (engineTx, error) {
	tx, err := e.w.begin(ctx)
	if err != nil {
		return nil, e.translate(err)
	}
	tx.e = e
	return tx, nil
}

func (e *sqliteEngine) retryable(err error) bool {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return false
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return true
	}
	return false
}

func (e *sqliteEngine) translate(err error) error {
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
			return unavailable(err)
		}
	}
	return err
}

func (e *sqliteEngine) sqlDB() (*sql.DB, func(), error) {
	db, err := sql.Open("sqlite", sqliteDSN(e.path, 30*time.Second)+sqliteWrites)
	if err != nil {
		return nil, nil, err
	}
	return db, func() { _ = db.Close() }, nil
}

// lockSchema holds a file lock, which ends with the process: SQLite's own locks are taken by every step of a migration
// and would let two processes alternate.
func (e *sqliteEngine) lockSchema(ctx context.Context) (func(), error) {
	f, err := os.OpenFile(e.path+".migrating", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (e *sqliteEngine) ping(ctx context.Context) error {
	var one int
	return e.r.db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// close closes the writer last: the last connection folds the write-ahead log into the database.
func (e *sqliteEngine) close() error { return errors.Join(e.r.close(), e.w.close()) }

type sqliteRows struct {
	*sql.Rows
	e *sqliteEngine
}

func (r *sqliteRows) Scan(dest ...any) error { return r.Rows.Scan(sqliteDest(dest)...) }
func (r *sqliteRows) Err() error             { return r.e.translate(r.Rows.Err()) }
func (r *sqliteRows) Close()                 { _ = r.Rows.Close() }

// oneRow makes a Row of Rows.
type oneRow struct{ rows Rows }

func (r oneRow) Scan(dest ...any) error {
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

type errRow struct{ err error }

func (r errRow) Scan(...any) error { return r.err }

func isSQLiteUnique(err error) (is, known bool) {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return false, false
	}
	return se.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || se.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, true
}
