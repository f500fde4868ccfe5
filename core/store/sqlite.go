package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sigra-auth/sigra/core/fault"
)

type sqliteEngine struct {
	w   *sqliteWriter
	r   *sqlitePool
	dsn string // of the writer
}

// sqlitePool is the readers with their prepared statements: preparing costs more than most of the queries here.
type sqlitePool struct {
	db    *sql.DB
	stmts sync.Map // query text -> *sql.Stmt
}

// sqliteWriter is the one connection that writes. Whoever holds turn has it, and with it the statements.
type sqliteWriter struct {
	db    *sql.DB
	conn  *sql.Conn
	turn  chan struct{}
	stmts map[string]*sql.Stmt
}

func openSQLite(ctx context.Context, path string, readers int) (*sqliteEngine, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the database folder: %w", err)
	}
	// The file holds everything about every account: only its owner may read it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if readers <= 0 {
		readers = 4
	}
	dsn := func(extra string) string {
		return (&url.URL{Scheme: "file", Path: path}).String() +
			"?_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_pragma=temp_store(2)&_pragma=cache_size(-8192)" + extra
	}
	writeDSN := dsn("&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_txlock=immediate")
	w, err := sql.Open("sqlite", writeDSN)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	conn, err := w.Conn(ctx)
	if err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	r, err := sql.Open("sqlite", dsn("&_pragma=query_only(1)"))
	if err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers)
	writer := &sqliteWriter{db: w, conn: conn, turn: make(chan struct{}, 1), stmts: map[string]*sql.Stmt{}}
	return &sqliteEngine{w: writer, r: &sqlitePool{db: r}, dsn: writeDSN}, nil
}

func (w *sqliteWriter) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := w.stmts[query]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	w.stmts[query] = s
	return s, nil
}

func (w *sqliteWriter) exec(ctx context.Context, query string, args ...any) (int64, error) {
	s, err := w.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(ctx, sqliteArgs(args)...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (w *sqliteWriter) close() error {
	w.turn <- struct{}{} // the transaction in progress ends first
	for _, s := range w.stmts {
		_ = s.Close()
	}
	return errors.Join(w.conn.Close(), w.db.Close())
}

func (p *sqlitePool) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.stmts.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if was, loaded := p.stmts.LoadOrStore(query, s); loaded {
		_ = s.Close()
		return was.(*sql.Stmt), nil
	}
	return s, nil
}

func (p *sqlitePool) close() error {
	p.stmts.Range(func(_, s any) bool { _ = s.(*sql.Stmt).Close(); return true })
	return p.db.Close()
}

func (e *sqliteEngine) Dialect() Dialect { return SQLite }

func (e *sqliteEngine) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	s, err := e.r.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, sqliteArgs(args)...)
	if err != nil {
		return nil, err
	}
	return sqliteRows{rows}, nil
}

func (e *sqliteEngine) QueryRow(ctx context.Context, query string, args ...any) Row {
	s, err := e.r.prepare(ctx, query)
	if err != nil {
		return errRow{err}
	}
	return sqliteRow{s.QueryRowContext(ctx, sqliteArgs(args)...)}
}

func (e *sqliteEngine) begin(ctx context.Context, _ bool) (engineTx, error) {
	select {
	case e.w.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if _, err := e.w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		<-e.w.turn
		return nil, err
	}
	return &sqliteTx{w: e.w}, nil
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
	db, err := sql.Open("sqlite", e.dsn)
	if err != nil {
		return nil, nil, err
	}
	return db, func() { _ = db.Close() }, nil
}

func (e *sqliteEngine) ping(ctx context.Context) error {
	var one int
	return e.r.db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}
func (e *sqliteEngine) close() error { return errors.Join(e.r.close(), e.w.close()) }

type sqliteTx struct {
	w     *sqliteWriter
	ended bool
}

func (t *sqliteTx) Dialect() Dialect { return SQLite }

func (t *sqliteTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	return t.w.exec(ctx, query, args...)
}

func (t *sqliteTx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	s, err := t.w.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, sqliteArgs(args)...)
	if err != nil {
		return nil, err
	}
	return sqliteRows{rows}, nil
}

func (t *sqliteTx) QueryRow(ctx context.Context, query string, args ...any) Row {
	s, err := t.w.prepare(ctx, query)
	if err != nil {
		return errRow{err}
	}
	return sqliteRow{s.QueryRowContext(ctx, sqliteArgs(args)...)}
}

// commit is not given the caller's context: a caller who gives up must not leave it unknown whether the change
// was made.
func (t *sqliteTx) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := t.w.exec(context.WithoutCancel(ctx), "COMMIT"); err != nil {
		return err
	}
	t.end()
	return nil
}

func (t *sqliteTx) rollback() error {
	if t.ended {
		return nil
	}
	_, err := t.w.exec(context.Background(), "ROLLBACK")
	t.end()
	return err
}

func (t *sqliteTx) end() {
	t.ended = true
	<-t.w.turn
}

// sqliteArgs turns what Postgres takes natively into what SQLite stores: times become microseconds since 1970,
// JSON becomes text.
func sqliteArgs(args []any) []any {
	for i, a := range args {
		switch v := a.(type) {
		case time.Time:
			args[i] = v.UnixMicro()
		case *time.Time:
			if v == nil {
				args[i] = nil
			} else {
				args[i] = v.UnixMicro()
			}
		case json.RawMessage:
			if v == nil {
				args[i] = nil
			} else {
				args[i] = string(v)
			}
		}
	}
	return args
}

// sqliteDest does the same the other way.
func sqliteDest(dest []any) []any {
	for i, d := range dest {
		switch v := d.(type) {
		case *time.Time:
			dest[i] = microTime{v}
		case **time.Time:
			dest[i] = microTimePtr{v}
		case *json.RawMessage:
			dest[i] = (*[]byte)(v)
		}
	}
	return dest
}

type microTime struct{ t *time.Time }

func (m microTime) Scan(src any) error {
	us, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a time column holds %T", src)
	}
	*m.t = time.UnixMicro(us).UTC()
	return nil
}

type microTimePtr struct{ t **time.Time }

func (m microTimePtr) Scan(src any) error {
	if src == nil {
		*m.t = nil
		return nil
	}
	var t time.Time
	if err := (microTime{&t}).Scan(src); err != nil {
		return err
	}
	*m.t = &t
	return nil
}

type sqliteRows struct{ *sql.Rows }

func (r sqliteRows) Scan(dest ...any) error { return r.Rows.Scan(sqliteDest(dest)...) }
func (r sqliteRows) Close()                 { _ = r.Rows.Close() }

type sqliteRow struct{ *sql.Row }

func (r sqliteRow) Scan(dest ...any) error { return r.Row.Scan(sqliteDest(dest)...) }

type errRow struct{ err error }

func (r errRow) Scan(...any) error { return r.err }

// IsUnique reports that err says a unique constraint was hit, on either database.
func IsUnique(err error) bool {
	var se *sqlite.Error
	if errors.As(err, &se) {
		return se.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || se.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return isPgUnique(err)
}

func unavailable(err error) error {
	if strings.Contains(err.Error(), context.Canceled.Error()) {
		return err
	}
	return fault.New(fault.Unavailable, "database_unavailable", "The database can't be reached or is too busy. Try again shortly.").
		After(time.Second).Because(err)
}
