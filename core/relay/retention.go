package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/store"
)

const (
	retentionLease = "relay.retention"
	// unseen is how long a cursor that nobody has attached, and nobody detached, still keeps rows from retention: a node
	// that is down, or a plugin block that was removed while Sigra was.
	unseen = 7 * 24 * time.Hour
)

// runRetention removes what is older than the settings keep, at most one node at a time.
func (r *Relay) runRetention(ctx context.Context) {
	t := time.NewTimer(min(r.cfg.Retention.Every, time.Minute))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := r.seen(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("cursors not marked as attached", "error", err)
		}
		if err := r.Retain(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Error("retention failed", "error", err)
		}
		t.Reset(r.cfg.Retention.Every)
	}
}

// seen notes that this node's sinks are attached.
func (r *Relay) seen(ctx context.Context) error {
	r.mu.Lock()
	var names []string
	for name := range r.sinks {
		names = append(names, name)
	}
	r.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	return r.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, name := range names {
			if _, err := tx.Exec(ctx, seenSQL, name, r.now(), r.now().Add(-r.cfg.Retention.Every/2)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Retain applies the retention settings once. Run does it by itself; this is for doing it now.
func (r *Relay) Retain(ctx context.Context) error {
	keep := r.cfg.Retention
	if keep.Audit <= 0 && keep.Anonymous <= 0 && keep.Events <= 0 && keep.DeadLetters <= 0 {
		return nil
	}
	// The lease spares work and double accounting; deleting twice would do no harm, so nothing fences it.
	held, _, err := r.cfg.Leases.Acquire(ctx, retentionLease, 10*time.Minute)
	if err != nil || !held {
		return err
	}
	defer func() { _ = r.cfg.Leases.Release(context.WithoutCancel(ctx), retentionLease) }()
	var errs []error
	for _, a := range []struct {
		keep      time.Duration
		anonymous bool
	}{{keep.Audit, false}, {keep.Anonymous, true}} {
		if a.keep <= 0 {
			continue
		}
		floor, err := r.floor(ctx, r.cfg.Audit.Commits())
		if err == nil {
			_, err = r.cfg.Audit.Retain(ctx, audit.Retention{Before: r.now().Add(-a.keep), Floor: floor, Anonymous: a.anonymous})
		}
		errs = append(errs, err)
	}
	if keep.Events > 0 {
		floor, err := r.floor(ctx, r.cfg.Events.Commits())
		if err == nil {
			_, err = r.cfg.Events.Retain(ctx, r.cfg.Audit, audit.Retention{Before: r.now().Add(-keep.Events), Floor: floor})
		}
		errs = append(errs, err)
	}
	if keep.DeadLetters > 0 {
		errs = append(errs, r.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM relay_dead_letter WHERE failed_at < $1`, r.now().Add(-keep.DeadLetters))
			return err
		}))
	}
	return errors.Join(errs...)
}

// The row comparison's minimum: no aggregate compares rows in both databases.
const floorSQL = `SELECT era, tx, seq FROM relay_cursor WHERE log = $1 AND detached_at IS NULL AND seen_at > $2 ORDER BY era, tx, seq LIMIT 1`

// floor is the position up to which every attached sink has read a log.
func (r *Relay) floor(ctx context.Context, cl *commitlog.Log) (commitlog.Position, error) {
	var p commitlog.Position
	err := r.cfg.DB.QueryRow(ctx, floorSQL, cl.Table(), r.now().Add(-unseen)).Scan(&p.Era, &p.Tx, &p.Seq)
	if errors.Is(err, store.ErrNoRows) {
		return commitlog.End(), nil
	}
	if err != nil {
		return p, fmt.Errorf("floor of retention: %w", err)
	}
	return p, nil
}
