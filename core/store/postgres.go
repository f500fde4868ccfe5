package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// minPostgres is the oldest server version that has pg_current_xact_id, which the audit log's order rests on.
const minPostgres = 130000

type pgEngine struct{ pool *pgxpool.Pool }

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
	pc.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		c.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
		registerUUID(c.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, "", fmt.Errorf("open database %s: %w", name, err)
	}
	var version int
	if err := pool.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		pool.Close()
		return nil, "", fmt.Errorf("connect to database %s: %w", name, err)
	}
	if version < minPostgres {
		pool.Close()
		return nil, "", fmt.Errorf("database %s is Postgres %d.%d; Sigra needs 13 or newer", name, version/10000, version%10000)
	}
	return &pgEngine{pool}, name, nil
}

// registerUUID lets uuid.UUID travel in binary, without the detour over its text form.
func registerUUID(m *pgtype.Map) {
	m.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{func(v any) (pgtype.WrappedEncodePlanNextSetter, any, bool) {
		if u, ok := v.(uuid.UUID); ok {
			return &uuidEncode{}, [16]byte(u), true
		}
		return nil, nil, false
	}}, m.TryWrapEncodePlanFuncs...)
}

type uuidEncode struct{ next pgtype.EncodePlan }

func (p *uuidEncode) SetNext(next pgtype.EncodePlan) { p.next = next }
func (p *uuidEncode) Encode(v any, buf []byte) ([]byte, error) {
	return p.next.Encode([16]byte(v.(uuid.UUID)), buf)
}

func (e *pgEngine) Dialect() Dialect { return Postgres }

func (e *pgEngine) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	rows, err := e.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, e.translate(err)
	}
	return rows, nil
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
	if err != nil {
		return nil, err
	}
	return &pgTx{tx, e}, nil
}

func (e *pgEngine) retryable(err error) bool {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch pe.Code {
		case "40001", "40P01", "55P03": // serialization failure, deadlock, lock not available
			return true
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
		switch pe.Code[:2] {
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
	return tag.RowsAffected(), err
}

func (t *pgTx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	rows, err := t.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func (t *pgTx) QueryRow(ctx context.Context, query string, args ...any) Row {
	return pgTxRow{t.tx.QueryRow(ctx, query, args...)}
}

// pgTxRow keeps the database's own error, which decides whether the transaction is retried.
type pgTxRow struct{ pgx.Row }

func (r pgTxRow) Scan(dest ...any) error {
	err := r.Row.Scan(dest...)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNoRows
	}
	return err
}

func (t *pgTx) commit(ctx context.Context) error { return t.tx.Commit(ctx) }

func (t *pgTx) rollback() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return t.tx.Rollback(ctx)
}

func isPgUnique(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == "23505"
}
