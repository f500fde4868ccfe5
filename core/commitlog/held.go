package commitlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/store"
)

// Holder is an open transaction that holds a log back.
type Holder struct {
	Age         time.Duration `json:"age"`         // how long it has been open
	Application string        `json:"application"` // its application_name, or what else is known of it
	Database    string        `json:"database,omitempty"`
	PID         int           `json:"pid,omitempty"`
}

// Transactions of every database of the cluster count, so all are looked at.
const heldSQL = `SELECT coalesce(extract(epoch FROM clock_timestamp() - began), 0)::float8, name, coalesce(base, ''), pid FROM (
	SELECT xact_start AS began, coalesce(nullif(application_name, ''), backend_type || coalesce(' of ' || usename, '')) AS name, datname AS base, pid, age(backend_xid) AS age
	FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
	UNION ALL
	SELECT prepared, 'prepared transaction ' || gid, database, 0, age(transaction) FROM pg_prepared_xacts
) AS open ORDER BY age DESC LIMIT 1`

// unseen is the name of a transaction that the database role may not look at (it would have to be in pg_read_all_stats).
const unseen = "a transaction that this database role may not see"

// Held names the oldest transaction that keeps committed rows after a position from being read; nil when there is none,
// and always on SQLite. A transaction that the database role may not see is reported as such.
func (l *Log) Held(ctx context.Context, after Position) (*Holder, error) {
	if l.db.Dialect() == store.SQLite {
		return nil, nil
	}
	rows, oldest, err := l.Lag(ctx, after, 1)
	if err != nil || rows == 0 {
		return nil, err
	}
	head, err := l.Head(ctx)
	if err != nil || head.Compare(after) > 0 {
		return nil, err // some can be read: the reader is behind, the log is not
	}
	var seconds float64
	var h Holder
	err = l.db.QueryRow(ctx, heldSQL).Scan(&seconds, &h.Application, &h.Database, &h.PID)
	if errors.Is(err, store.ErrNoRows) {
		return &Holder{Age: max(0, time.Since(oldest)), Application: unseen}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find what holds %s back: %w", l.cfg.Table, err)
	}
	h.Age = time.Duration(seconds * float64(time.Second))
	return &h, nil
}
