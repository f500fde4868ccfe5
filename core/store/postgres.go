package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// minPostgres is the oldest server version that has pg_current_xact_id, which the audit log's order rests on.
const minPostgres = 130000

type pgEngine struct {
	pool   *pgxpool.Pool
	schema string
}

func openPostgres(ctx context.Context, cfg Config) (*pgEngine, string, error) {
	pc, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		// pgx names the url in its message, password and all: say only that it can't be read.
		return nil, "", errors.New("the database url can't be read as a Postgres connection string")
	}
	name := fmt.Sprintf("postgres://%s/%s", net.JoinHostPort(pc.ConnConfig.Host, fmt.Sprint(pc.ConnConfig.Port)), pc.ConnConfig.Database)
	pc.MaxConns = 16
	if cfg.MaxConns > 0 {
		pc.MaxConns = int32(min(cfg.MaxConns, 1000))
	}
	pc.MaxConnIdleTime = 5 * time.Minute
	if pc.ConnConfig.ConnectTimeout == 0 {
		pc.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	rp := pc.ConnConfig.RuntimeParams
	if rp["application_name"] == "" {
		rp["application_name"] = "sigra"
	}
	rp["timezone"] = "UTC"
	if cfg.Schema != "" {
		rp["search_path"] = pgx.Identifier{cfg.Schema}.Sanitize()
	}
	pc.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		c.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
		registerUUID(c.TypeMap())
		// A node that was stopped in the middle of a transaction must not hold its locks, and the audit log's readers,
		// for ever. Not a startup parameter: poolers refuse those they don't know.
		_, err := c.Exec(ctx, "SET idle_in_transaction_session_timeout = '60s'", pgx.QueryExecModeSimpleProtocol)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, "", fmt.Errorf("open database %s: %w", name, err)
	}
	var version int
	err = pool.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version)
	if err != nil {
		err = fmt.Errorf("connect to database %s: %w", name, err)
	} else {
		err = checkVersion(name, version)
	}
	if err != nil {
		pool.Close()
		return nil, "", err
	}
	return &pgEngine{pool, cfg.Schema}, name, nil
}

// checkVersion takes the number that Postgres calls server_version_num.
func checkVersion(name string, version int) error {
	if version < minPostgres {
		return fmt.Errorf("database %s is Postgres %d.%d; Sigra needs 13 or newer", name, version/10000, version%10000)
	}
	return nil
}

func (e *pgEngine) Dialect() Dialect { return Postgres }

func (e *pgEngine) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	rows, err := e.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, e.translate(err)
	}
	return pgRows{rows, e}, nil
}

func (e *pgEngine) QueryRow(ctx context.Context, query string, args ...any) Row {
	return pgRow{e.pool.QueryRow(ctx, query, args...), e}
}

func (e *pgEngine) begin(ctx context.Context, serializable bool) (engineTx, error) {
	var o pgx.TxOptions
	if serializable {
		o.IsoLevel = pgx.Serializable
	}
	tx, err := e.pool.BeginTx(ctx, o)
	// A pooled connection may have died with the server's last restart. Nothing was done yet: take another one.
	var refused *pgconn.ConnectError
	for again := 0; err != nil && again < 3 && ctx.Err() == nil && !errors.As(err, &refused); again++ {
		tx, err = e.pool.BeginTx(ctx, o)
	}
	if err != nil {
		return nil, e.translate(err)
	}
	return &pgTx{tx, e}, nil
}

func (e *pgEngine) retryable(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code {
		case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
			return true
		case "0A000": // a migration changed a table under a prepared statement, which pgx has now forgotten
			return strings.Contains(pe.Message, "cached plan")
		}
	}
	return false
}

func (e *pgEngine) translate(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code[:min(2, len(pe.Code))] {
		case "08", "53", "57", "40", "55": // connection, resources, operator intervention, rollback, lock
			return unavailable(err)
		}
		return err
	}
	var ce *pgconn.ConnectError
	var ne net.Error
	if errors.As(err, &ce) || errors.As(err, &ne) || pgconn.SafeToRetry(err) {
		return unavailable(err)
	}
	return err
}

func (e *pgEngine) sqlDB() (*sql.DB, func(), error) {
	db := stdlib.OpenDBFromPool(e.pool)
	return db, func() { _ = db.Close() }, nil
}

// lockSchema takes an advisory lock on a connection of its own: the lock ends with it, and with the process.
func (e *pgEngine) lockSchema(ctx context.Context) (func(), error) {
	conn, err := pgx.ConnectConfig(ctx, e.pool.Config().ConnConfig)
	if err != nil {
		return nil, e.translate(err)
	}
	unlock := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended('sigra migrate ' || $1, 0))", e.schema); err != nil {
		unlock()
		return nil, e.translate(err)
	}
	return unlock, nil
}

func (e *pgEngine) ping(ctx context.Context) error { return e.pool.Ping(ctx) }
func (e *pgEngine) close() error                   { e.pool.Close(); return nil }

type pgRow struct {
	pgx.Row
	e *pgEngine
}

func (r pgRow) Scan(dest ...any) error {
	err := r.Row.Scan(dest...)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNoRows
	}
	return r.e.translate(err)
}

type pgTx struct {
	tx pgx.Tx
	e  *pgEngine
}

func (t *pgTx) Dialect() Dialect { return Postgres }

func (t *pgTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(ctx, query, args...)
	return tag.RowsAffected(), t.e.translate(err)
}

func (t *pgTx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	rows, err := t.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, t.e.translate(err)
	}
	return pgRows{rows, t.e}, nil
}

func (t *pgTx) QueryRow(ctx context.Context, query string, args ...any) Row {
	return pgRow{t.tx.QueryRow(ctx, query, args...), t.e}
}

// commitLimit is how long a commit may take once it is on its way.
const commitLimit = 15 * time.Second

// commit is not given the caller's context beyond the first look: a caller who gives up must not leave it unknown
// whether the change was made.
func (t *pgTx) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitLimit)
	defer cancel()
	err := t.tx.Commit(ctx)
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return errAborted
	}
	return err
}

func (t *pgTx) rollback() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return t.tx.Rollback(ctx)
}

// pgRows says of errors what pgRow does.
type pgRows struct {
	pgx.Rows
	e *pgEngine
}

func (r pgRows) Err() error { return r.e.translate(r.Rows.Err()) }

func isPgUnique(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == "23505"
}
