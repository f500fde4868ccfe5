package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// sqliteWriter is the one connection that writes. Whoever holds turn has it, and with it all that follows turn.
//
// Its statements run under no context that can end: the driver would interrupt a statement, SQLite would then roll the
// whole transaction back by itself, and what came next would be committed alone. The caller's context is looked at
// between statements instead, all of which are short.
type sqliteWriter struct {
	db     *sql.DB
	closed chan struct{}
	once   sync.Once
	turn   chan struct{}

	conn  *sql.Conn // nil: to be opened
	stmts map[string]*writerStmt
}

// writerStmt is a prepared statement. SQLite can run it once at a time: busy means that its rows are being read.
type writerStmt struct {
	*sql.Stmt
	busy bool
	kept bool
}

var (
	errClosed  = errors.New("the database is closed")
	errEnded   = errors.New("the transaction has ended")
	errAborted = errors.New("the transaction is aborted: a statement before this one failed")
)

func newSQLiteWriter(ctx context.Context, dsn string) (*sqliteWriter, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	w := &sqliteWriter{db: db, closed: make(chan struct{}), turn: make(chan struct{}, 1), stmts: map[string]*writerStmt{}}
	if err := w.connect(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return w, nil
}

func (w *sqliteWriter) connect(ctx context.Context) (err error) {
	if w.conn == nil {
		w.conn, err = w.db.Conn(ctx)
	}
	return err
}

// discard gives up the connection, which rolls back whatever it was in.
func (w *sqliteWriter) discard() {
	for _, s := range w.stmts {
		_ = s.Close()
	}
	clear(w.stmts)
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // not back into the pool
	_ = w.conn.Close()
	w.conn = nil
}

func (w *sqliteWriter) begin(ctx context.Context) (*sqliteTx, error) {
	select {
	case <-w.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	default:
	}
	select {
	case w.turn <- struct{}{}:
	case <-w.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	tx := &sqliteTx{w: w}
	if err := w.connect(ctx); err != nil {
		<-w.turn
		return nil, err
	}
	if _, err := tx.run("BEGIN IMMEDIATE", nil); err != nil {
		_ = tx.rollback() // in case it is open after all
		return nil, err
	}
	tx.failed = nil
	return tx, nil
}

// statement gives a prepared statement that nobody is reading from.
func (w *sqliteWriter) statement(query string) (*writerStmt, error) {
	kept := w.stmts[query]
	if kept != nil && !kept.busy {
		return kept, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	ws := &writerStmt{Stmt: s}
	if kept == nil && len(w.stmts) < maxStatements {
		ws.kept = true
		w.stmts[query] = ws
	}
	return ws, nil
}

func (s *writerStmt) release() {
	s.busy = false
	if !s.kept {
		_ = s.Close()
	}
}

func (w *sqliteWriter) close() error {
	w.once.Do(func() { close(w.closed) })
	w.turn <- struct{}{} // the transaction in progress ends first; nobody gets the turn any more
	if w.conn == nil {
		return w.db.Close()
	}
	for _, s := range w.stmts {
		_ = s.Close()
	}
	return errors.Join(w.conn.Close(), w.db.Close())
}

type sqliteTx struct {
	w      *sqliteWriter
	e      *sqliteEngine
	failed error         // the first failure; as on Postgres, nothing goes on after it
	open   []*writerRows // results being read
	ended  bool
}

func (t *sqliteTx) Dialect() Dialect { return SQLite }

// ready says whether a statement may run now.
func (t *sqliteTx) ready(ctx context.Context) error {
	switch {
	case t.ended:
		return errEnded
	case t.failed != nil:
		return errAborted
	}
	return ctx.Err()
}

func (t *sqliteTx) fail(err error) error {
	if t.failed == nil {
		t.failed = err
	}
	return t.e.translate(err)
}

func (t *sqliteTx) run(query string, args []any) (int64, error) {
	s, err := t.w.statement(query)
	if err != nil {
		return 0, err
	}
	defer s.release()
	res, err := s.ExecContext(context.Background(), sqliteArgs(args)...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *sqliteTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := t.ready(ctx); err != nil {
		return 0, err
	}
	n, err := t.run(query, args)
	if err != nil {
		return 0, t.fail(err)
	}
	return n, nil
}

func (t *sqliteTx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	s, err := t.w.statement(query)
	if err != nil {
		return nil, t.fail(err)
	}
	rows, err := s.QueryContext(context.Background(), sqliteArgs(args)...)
	if err != nil {
		s.release()
		return nil, t.fail(err)
	}
	s.busy = true
	r := &writerRows{Rows: rows, stmt: s, tx: t}
	t.open = append(t.open, r)
	return r, nil
}

func (t *sqliteTx) QueryRow(ctx context.Context, query string, args ...any) Row {
	rows, err := t.Query(ctx, query, args...)
	if err != nil {
		return errRow{err}
	}
	return oneRow{rows}
}

// commit is not given the caller's context beyond the first look: a caller who gives up must not leave it unknown
// whether the change was made.
func (t *sqliteTx) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.failed != nil {
		return fmt.Errorf("%w: %w", errAborted, t.failed)
	}
	t.closeRows()
	if _, err := t.run("COMMIT", nil); err != nil {
		return err
	}
	t.end()
	return nil
}

func (t *sqliteTx) rollback() error {
	if t.ended {
		return nil
	}
	t.closeRows()
	_, err := t.run("ROLLBACK", nil)
	// SQLite rolls back by itself on some failures (full disk, i/o) and then has nothing left to do. Whatever else goes
	// wrong leaves a connection in a state we don't know: the next transaction gets a new one.
	if err != nil && !strings.Contains(err.Error(), "no transaction is active") {
		t.w.discard()
	} else {
		err = nil
	}
	t.end()
	return err
}

func (t *sqliteTx) closeRows() {
	for len(t.open) > 0 {
		t.open[len(t.open)-1].Close() // takes itself off the list
	}
}

func (t *sqliteTx) end() {
	t.ended = true
	<-t.w.turn
}

// writerRows gives its statement back when it is closed.
type writerRows struct {
	*sql.Rows
	stmt *writerStmt
	tx   *sqliteTx
}

func (r *writerRows) Scan(dest ...any) error { return r.Rows.Scan(sqliteDest(dest)...) }

func (r *writerRows) Err() error {
	err := r.Rows.Err()
	if err == nil {
		return nil
	}
	return r.tx.fail(err)
}

func (r *writerRows) Close() {
	if r.stmt == nil {
		return
	}
	_ = r.Rows.Close()
	r.stmt.release()
	r.stmt = nil
	for i, o := range r.tx.open {
		if o == r {
			r.tx.open = append(r.tx.open[:i], r.tx.open[i+1:]...)
			break
		}
	}
}
