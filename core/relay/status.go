package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// lagCap bounds the work of counting.
const lagCap = 100_000

// CursorStatus is how one sink fares.
type CursorStatus struct {
	Sink        string             `json:"sink"`
	Log         string             `json:"log"` // audit_log or host_event
	Position    commitlog.Position `json:"position"`
	LagRows     int                `json:"lag_rows"` // rows after the position, wanted or not; counted up to 100000
	LagSeconds  float64            `json:"lag_seconds"`
	DeadLetters int                `json:"dead_letters"`
	Delivered   int64              `json:"delivered"`        // rows, ever
	Attached    bool               `json:"attached"`         // on this node
	Runner      string             `json:"runner,omitempty"` // node that runs it; empty when none does
	RunsHere    bool               `json:"runs_here"`
	Failures    int                `json:"failures"` // deliveries that failed in a row, up to now
	RetryAt     *time.Time         `json:"retry_at,omitempty"`
	LastError   string             `json:"last_error,omitempty"`
	LastErrorAt *time.Time         `json:"last_error_at,omitempty"`
	UpdatedAt   time.Time          `json:"updated_at"` // when the cursor last moved
	DetachedAt  *time.Time         `json:"detached_at,omitempty"`
	HeldBack    *commitlog.Holder  `json:"held_back,omitempty"` // the open transaction that keeps committed rows from being read
}

const statusSQL = `SELECT c.sink, c.log, c.era, c.tx, c.seq, c.node, c.delivered, c.failures, c.retry_at, c.last_error, c.last_error_at, c.updated_at, c.detached_at,
(SELECT count(*) FROM relay_dead_letter AS d WHERE d.sink = c.sink)
FROM relay_cursor AS c ORDER BY c.sink`

// Status tells of every cursor in the database, attached here or not, by name.
func (r *Relay) Status(ctx context.Context) ([]CursorStatus, error) {
	all, err := r.cursors(ctx)
	if err != nil {
		return nil, fmt.Errorf("relay status: %w", err)
	}
	now := r.now()
	for i := range all {
		s := &all[i]
		cl := r.cfg.Audit.Commits()
		if s.Log == r.cfg.Events.Commits().Table() {
			cl = r.cfg.Events.Commits()
		}
		var oldest time.Time
		if s.LagRows, oldest, err = cl.Lag(ctx, s.Position, lagCap); err != nil {
			return nil, fmt.Errorf("relay status: %w", err)
		}
		if s.LagRows > 0 {
			s.LagSeconds = max(0, now.Sub(oldest).Seconds())
			if s.HeldBack, err = cl.Held(ctx, s.Position); err != nil {
				return nil, fmt.Errorf("relay status: %w", err)
			}
		}
		r.mu.Lock()
		if a := r.sinks[s.Sink]; a != nil {
			s.Attached, s.RunsHere = true, a.leading()
		}
		r.mu.Unlock()
		if s.RunsHere {
			s.Runner = r.cfg.Node
		} else if s.Runner, err = r.cfg.Leases.Holder(ctx, "relay:"+s.Sink); err != nil {
			return nil, fmt.Errorf("relay status: %w", err)
		}
	}
	return all, nil
}

func (r *Relay) cursors(ctx context.Context) ([]CursorStatus, error) {
	rows, err := r.cfg.DB.Query(ctx, statusSQL)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []CursorStatus
	for rows.Next() {
		var s CursorStatus
		var node string
		if err := rows.Scan(&s.Sink, &s.Log, &s.Position.Era, &s.Position.Tx, &s.Position.Seq, &node, &s.Delivered, &s.Failures,
			&s.RetryAt, &s.LastError, &s.LastErrorAt, &s.UpdatedAt, &s.DetachedAt, &s.DeadLetters); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// Forget removes a sink's cursor and dead letters for good. It must not be attached on this node.
func (r *Relay) Forget(ctx context.Context, sink string) error {
	r.mu.Lock()
	_, attached := r.sinks[sink]
	r.mu.Unlock()
	if attached {
		return fault.Newf(fault.Conflict, "sink_attached", "The sink %s is attached; remove its plugin block first.", sink)
	}
	err := r.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM relay_dead_letter WHERE sink = $1`, sink); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM relay_cursor WHERE sink = $1`, sink)
		return err
	})
	if err != nil {
		return fmt.Errorf("forget sink %s: %w", sink, err)
	}
	return nil
}
