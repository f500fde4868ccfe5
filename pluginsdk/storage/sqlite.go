package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
)

// maxSQLite is how many connections read at once; writers take turns.
const maxSQLite = 5

// busyTimeout is how long a statement waits for another process, and a transaction for its turn.
const busyTimeout = 5 * time.Second

// A table with several indexes takes its rows at random places. What doesn't fit into the cache, 2 MB if nothing is said,
// is read again for each row, and what is checkpointed after every 4 MB is written again as often.
const (
	cacheKiB        = 8192 // of each connection, as far as it is used
	checkpointPages = 4000 // of 4 KiB
)

func openSQLite(path string) (*sql.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the database folder: %w", err)
	}
	// It may hold anything about anybody: only its owner reads it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	dsn := (&url.URL{Scheme: "file", Path: path}).String() + fmt.Sprintf(
		"?_pragma=busy_timeout(%d)&_pragma=foreign_keys(1)&_pragma=temp_store(2)&_pragma=journal_mode(wal)&_pragma=synchronous(full)"+
			"&_pragma=cache_size(-%d)&_pragma=wal_autocheckpoint(%d)&_txlock=immediate",
		busyTimeout.Milliseconds(), cacheKiB, checkpointPages)
	base, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db := sql.OpenDB(&connector{Connector: base, turn: make(chan struct{}, 1)})
	db.SetMaxOpenConns(maxSQLite)
	db.SetMaxIdleConns(maxSQLite)
	return db, nil
}

// connector puts a conn around each connection.
type connector struct {
	driver.Connector
	turn chan struct{} // held by the one transaction that writes
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := inner.(sqliteConn)
	if !ok {
		_ = inner.Close()
		return nil, fmt.Errorf("the SQLite driver's connection lacks what database/sql offers: %T", inner)
	}
	return &conn{full, c.turn}, nil
}

// sqliteConn is what modernc's connections implement.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// conn lets transactions that write take turns inside the process, instead of finding the file busy and polling, and
// translates values.
type conn struct {
	sqliteConn
	turn chan struct{}
}

var _ driver.NamedValueChecker = (*conn)(nil)

// CheckNamedValue implements driver.NamedValueChecker.
func (c *conn) CheckNamedValue(nv *driver.NamedValue) (err error) {
	nv.Value, err = toSQLite(nv.Value)
	return err
}

// BeginTx implements driver.ConnBeginTx.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	opts.Isolation = 0 // SQLite has one, serializable
	if opts.ReadOnly {
		return c.sqliteConn.BeginTx(ctx, opts)
	}
	wait := time.NewTimer(busyTimeout)
	defer wait.Stop()
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-wait.C:
		return nil, errBusy
	}
	inner, err := c.sqliteConn.BeginTx(ctx, opts)
	if err != nil {
		<-c.turn
		return nil, err
	}
	return &tx{inner, c.turn}, nil
}

// tx gives the turn back at its end.
type tx struct {
	driver.Tx
	turn chan struct{}
}

func (t *tx) Commit() error   { defer t.release(); return t.Tx.Commit() }
func (t *tx) Rollback() error { defer t.release(); return t.Tx.Rollback() }

func (t *tx) release() {
	if t.turn != nil {
		<-t.turn
		t.turn = nil
	}
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	full, ok := s.(sqliteStmt)
	if !ok {
		_ = s.Close()
		return nil, fmt.Errorf("the SQLite driver's statement lacks what database/sql offers: %T", s)
	}
	return &stmt{full}, nil
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return wrapRows(c.sqliteConn.QueryContext(ctx, query, args))
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type stmt struct{ sqliteStmt }

// CheckNamedValue implements driver.NamedValueChecker.
func (s *stmt) CheckNamedValue(nv *driver.NamedValue) (err error) {
	nv.Value, err = toSQLite(nv.Value)
	return err
}

// QueryContext implements driver.StmtQueryContext.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return wrapRows(s.sqliteStmt.QueryContext(ctx, args))
}
