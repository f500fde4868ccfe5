package audit

import (
	"context"
	"time"

	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/store"
)

// Retention says what may go.
type Retention struct {
	Before time.Time // rows that occurred earlier may go
	Floor  Position  // but only at or before this: the least position of the attached cursors; commitlog.End() when there is none
	// Anonymous leaves all but failures of nobody in particular, which strangers can make as many of as the limits let them.
	Anonymous bool
	Batch     int // rows per transaction; 0 means 500
}

const deleteTargetSQL = `DELETE FROM audit_target WHERE target_id = $1 AND target_type = $2 AND occurred_at = $3 AND id = $4`

// Retain removes old rows in small transactions, between which others get their turn, and returns how many it removed.
// The run is audited as sigra.retention: by the transaction of its first batch, and again with the total when that was
// not all. The caller sees to it that one node at a time does this.
func (l *Log) Retain(ctx context.Context, r Retention) (int, error) {
	return Prune(ctx, l, l.cl, r, func(ctx context.Context, tx *store.Tx, scan commitlog.Scan) (func() error, error) {
		row, err := scanRow(scan)
		if err != nil {
			return nil, err
		}
		return func() error {
			for _, t := range row.Targets {
				if _, err := tx.Exec(ctx, deleteTargetSQL, t.ID, t.Type, row.OccurredAt, row.ID); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
}

// Prune is the retention of any commit-ordered log, audited. gone reads a removed row and returns what else there is to
// remove for it, or nil.
func Prune(ctx context.Context, l *Log, cl *commitlog.Log, r Retention, gone func(context.Context, *store.Tx, commitlog.Scan) (func() error, error)) (int, error) {
	if r.Batch <= 0 {
		r.Batch = 500
	}
	record := func(ctx context.Context, tx *store.Tx, removed int, complete bool) error {
		which := "all"
		if r.Anonymous {
			which = "anonymous_failures"
		}
		_, err := l.Record(ctx, tx, Entry{
			Action: "sigra.retention", Actor: Ref{Type: "system"},
			Metadata: map[string]any{"log": cl.Table(), "rows": which, "before": r.Before.UTC(), "removed": removed, "complete": complete},
		})
		return err
	}
	total := 0
	for first := true; ; first = false {
		n := 0
		err := l.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			var also []func() error
			n, err = cl.Prune(ctx, tx, r.Floor, r.Before.UTC().Truncate(time.Microsecond), r.Anonymous, r.Batch, func(scan commitlog.Scan) error {
				f, err := gone(ctx, tx, scan)
				if f != nil {
					also = append(also, f)
				}
				return err
			})
			if err != nil || n == 0 && first {
				return err
			}
			for _, f := range also {
				if err := f(); err != nil {
					return err
				}
			}
			if first || n < r.Batch {
				return record(ctx, tx, total+n, n < r.Batch)
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += n
		if n < r.Batch {
			return total, nil
		}
	}
}
