package store

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/fault"
)

// Dialect names a database kind.
type Dialect string

// The databases Sigra runs on.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// ErrNoRows is what Row.Scan returns when the query had no result, on either database.
var ErrNoRows = sql.ErrNoRows

// Querier runs statements. Both *DB (reads) and *Tx implement it.
type Querier interface {
	Query(ctx context.Context, query string, args ...any) (Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) Row
	Dialect() Dialect
}

// Rows is a result being read; Close must be called, and Err after the last Next.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// Row is the result of a query for at most one row.
type Row interface {
	// Scan copies the columns out, or returns ErrNoRows.
	Scan(dest ...any) error
}

// Config says which database to open.
type Config struct {
	// URL is postgres://…, sqlite:///absolute/path.db, or empty for the embedded default DataDir/sigra.db.
	URL string
	// DataDir is where the embedded database lies; made with mode 0700 when missing.
	DataDir string
	// MaxConns bounds the connections (readers, for SQLite). Zero means 16 for Postgres and 4 readers for SQLite.
	MaxConns int
	// Schema is the Postgres schema to work in; empty means the connection's own search path.
	Schema string
	Logger hclog.Logger // nil means silent
	// Trace, when set, is told of every statement before it runs, without its arguments: BEGIN, COMMIT and ROLLBACK too,
	// migrations not. It must be safe for concurrent use.
	Trace func(query string)
}

// engine is what differs between the two databases.
type engine interface {
	Querier
	begin(ctx context.Context, serializable bool) (engineTx, error)
	retryable(err error) bool
	translate(err error) error
	sqlDB() (*sql.DB, func(), error) // for migrations
	lockSchema(ctx context.Context) (unlock func(), err error)
	ping(ctx context.Context) error
	close() error
}

type engineTx interface {
	Querier
	exec(ctx context.Context, query string, args ...any) (int64, error)
	commit(ctx context.Context) error
	rollback() error
}

// DB is an open database. Its Query methods read; writing needs Tx. Safe for concurrent use.
type DB struct {
	engine
	dialect Dialect
	name    string
	log     hclog.Logger
}

// Open opens the database and checks that it answers. It does not migrate.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	db, err := open(ctx, cfg)
	if err == nil && cfg.Trace != nil {
		db.engine = traced{db.engine, cfg.Trace}
	}
	return db, err
}

func open(ctx context.Context, cfg Config) (*DB, error) {
	switch {
	case strings.HasPrefix(cfg.URL, "postgres://"), strings.HasPrefix(cfg.URL, "postgresql://"):
		e, name, err := openPostgres(ctx, cfg)
		if err != nil {
			return nil, err
		}
		return &DB{engine: e, dialect: Postgres, name: name, log: cfg.Logger}, nil
	case cfg.URL == "" || strings.HasPrefix(cfg.URL, "sqlite:"):
		path, err := sqlitePath(cfg)
		if err != nil {
			return nil, err
		}
		e, err := openSQLite(ctx, path, cfg.MaxConns)
		if err != nil {
			return nil, err
		}
		return &DB{engine: e, dialect: SQLite, name: path, log: cfg.Logger}, nil
	}
	// The url may hold a password anywhere when it is malformed: none of it is repeated.
	return nil, errors.New("the database url must be postgres://… or sqlite:///path, or empty for the embedded database")
}

func sqlitePath(cfg Config) (string, error) {
	if cfg.URL == "" {
		if cfg.DataDir == "" {
			return "", errors.New("the embedded database needs a data_dir")
		}
		return filepath.Join(cfg.DataDir, "sigra.db"), nil
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Path == "" || u.Host != "" || u.User != nil {
		return "", errors.New("a SQLite url has an absolute path: sqlite:///var/lib/sigra/sigra.db")
	}
	return u.Path, nil
}

// Dialect says which database this is.
func (db *DB) Dialect() Dialect { return db.dialect }

// Name describes the database for people, without its password.
func (db *DB) Name() string { return db.name }

// Ping checks that the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.translate(db.ping(ctx)) }

// Close lets a transaction in progress end and refuses new ones. End the users of the database first.
func (db *DB) Close() error { return db.close() }

// Tx is a transaction in progress. It is not safe for concurrent use.
type Tx struct {
	engineTx
	after []func()
}

// Exec runs a statement and returns how many rows it touched.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	return tx.exec(ctx, query, args...)
}

// AfterCommit has f called once the transaction is durable, in order of registration, on the goroutine that
// called DB.Tx. It is not called when the transaction rolls back or is retried. f must be quick.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

// Option changes how a transaction runs.
type Option func(*txOptions)

type txOptions struct{ serializable bool }

// Serializable asks for full isolation on Postgres (SQLite always has it). Without it a transaction reads what
// was committed before each statement, which is enough where rows are claimed by compare-and-swap.
func Serializable() Option { return func(o *txOptions) { o.serializable = true } }

const (
	txAttempts  = 12
	txFirstWait = 5 * time.Millisecond
	txMaxWait   = 400 * time.Millisecond
)

// openTx is in the context that a transaction's function gets, to notice a transaction begun inside of it.
type openTx struct {
	db   *DB
	open atomic.Bool
}

type openTxKey struct{}

type conditionKey struct{}

// Require gives a context in which every transaction begins with condition and commits nothing when it fails. It is for what a
// whole request rests on, whoever does the work in the end: what was checked before the work is checked again in the transaction.
// It replaces a condition that ctx has.
func Require(ctx context.Context, condition func(ctx context.Context, tx *Tx) error) context.Context {
	return context.WithValue(ctx, conditionKey{}, condition)
}

var errNested = errors.New("a transaction was begun inside another one of the same database: pass the *store.Tx along")

// Tx runs f in a transaction and commits it when f returns nil. f runs again, from the start, when the database
// reports a serialization conflict, a deadlock or that it is busy: at most 12 times, backing off with jitter, and
// never past ctx's end. An error from f rolls back and is returned as it is. After a failed statement nothing else
// succeeds in the transaction, on either database.
//
// When the connection is lost during the commit, nobody knows whether it took place: the error is returned and
// nothing is retried.
//
// A transaction begun inside f, with the context that f was given, is refused: on SQLite it would wait for itself.
func (db *DB) Tx(ctx context.Context, f func(ctx context.Context, tx *Tx) error, opts ...Option) error {
	if o, ok := ctx.Value(openTxKey{}).(*openTx); ok && o.db == db && o.open.Load() {
		return errNested
	}
	var o txOptions
	for _, opt := range opts {
		opt(&o)
	}
	wait := txFirstWait
	for attempt := 1; ; attempt++ {
		after, err := db.try(ctx, o, f)
		if err == nil {
			for _, g := range after {
				g()
			}
			return nil
		}
		if attempt == txAttempts || ctx.Err() != nil || !db.retryable(err) {
			return err
		}
		db.log.Trace("transaction retried", "attempt", attempt, "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(wait) + wait/2):
		}
		wait = min(2*wait, txMaxWait)
	}
}

func (db *DB) try(ctx context.Context, o txOptions, f func(context.Context, *Tx) error) (after []func(), err error) {
	etx, err := db.begin(ctx, o.serializable)
	if err != nil {
		return nil, err
	}
	mark := &openTx{db: db}
	mark.open.Store(true)
	committed := false
	defer func() {
		mark.open.Store(false)
		if !committed { // an error, a panic on its way up, or runtime.Goexit
			_ = etx.rollback()
		}
	}()
	tx := &Tx{engineTx: etx}
	within := context.WithValue(ctx, openTxKey{}, mark)
	if condition, ok := ctx.Value(conditionKey{}).(func(context.Context, *Tx) error); ok {
		if err := condition(within, tx); err != nil {
			return nil, err
		}
	}
	if err := f(within, tx); err != nil {
		return nil, err
	}
	if err := etx.commit(ctx); err != nil {
		return nil, db.translate(err)
	}
	committed = true
	return tx.after, nil
}

// IsUnique reports that err says a unique constraint was hit, on either database.
func IsUnique(err error) bool {
	if is, known := isSQLiteUnique(err); known {
		return is
	}
	return isPgUnique(err)
}

// unavailable is what a caller may be told of a database that can't be reached or is too busy.
func unavailable(err error) error {
	var f *fault.Error
	if errors.As(err, &f) || errors.Is(err, context.Canceled) {
		return err
	}
	return fault.New(fault.Unavailable, "database_unavailable", "The database can't be reached or is too busy. Try again shortly.").
		After(time.Second).Because(err)
}
