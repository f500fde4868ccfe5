package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/store"
)

// errFenced says that somebody else runs the sink now.
var errFenced = errors.New("another node runs this sink now")

const (
	makeCursorSQL = `INSERT INTO relay_cursor (sink, log, era, tx, seq, token, node, delivered, failures, last_error, updated_at, seen_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, '', $8, $8) ON CONFLICT (sink) DO NOTHING`

	// Taking over demands a token that is not older than the last runner's.
	claimCursorSQL = `UPDATE relay_cursor SET token = $2, node = $3, seen_at = $4, detached_at = NULL WHERE sink = $1 AND token <= $2
RETURNING log, era, tx, seq`

	moveCursorSQL = `UPDATE relay_cursor SET era = $3, tx = $4, seq = $5, delivered = delivered + $6, failures = 0, retry_at = NULL,
last_error = CASE WHEN $6 > 0 THEN '' ELSE last_error END, updated_at = $7, seen_at = $7 WHERE sink = $1 AND token = $2`

	failCursorSQL = `UPDATE relay_cursor SET failures = $3, retry_at = $4, last_error = $5, last_error_at = $6, seen_at = $6 WHERE sink = $1 AND token = $2`

	deadLetterSQL = `INSERT INTO relay_dead_letter (sink, row_id, log, era, tx, seq, kind, reason, attempts, failed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9)
ON CONFLICT (sink, row_id) DO UPDATE SET reason = excluded.reason, attempts = relay_dead_letter.attempts + 1, failed_at = excluded.failed_at`

	detachedSQL = `UPDATE relay_cursor SET detached_at = $2 WHERE sink = $1`
	seenSQL     = `UPDATE relay_cursor SET seen_at = $2, detached_at = NULL WHERE sink = $1 AND seen_at < $3`
)

// deadRow is a row on its way to the dead letters.
type deadRow struct {
	id, kind, reason string
	pos              commitlog.Position
}

func (r *Relay) now() time.Time { return r.cfg.Now().UTC().Truncate(time.Microsecond) }

// claim makes this node the cursor's runner under a lease's token and reads where it stands. A cursor that is not
// there yet begins at start.
func (r *Relay) claim(ctx context.Context, sink, log string, token int64, start func() (commitlog.Position, error)) (p commitlog.Position, err error) {
	take := func(ctx context.Context, tx *store.Tx) error {
		var was string
		err := tx.QueryRow(ctx, claimCursorSQL, sink, token, r.cfg.Node, r.now()).Scan(&was, &p.Era, &p.Tx, &p.Seq)
		if err == nil && was != log {
			return fmt.Errorf("the cursor %s is of the log %s; a sink of %s needs another name", sink, was, log)
		}
		return err
	}
	err = r.cfg.DB.Tx(ctx, take)
	if !errors.Is(err, store.ErrNoRows) {
		return p, err
	}
	at, err := start()
	if err != nil {
		return p, err
	}
	err = r.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Exec(ctx, makeCursorSQL, sink, log, at.Era, at.Tx, at.Seq, token, r.cfg.Node, r.now()); err != nil {
			return err
		}
		return take(ctx, tx)
	})
	if errors.Is(err, store.ErrNoRows) {
		err = errFenced
	}
	return p, err
}

// move puts the cursor to p and the dead letters beside it, or says that this runner is fenced off.
func (r *Relay) move(ctx context.Context, sink, log string, token int64, p commitlog.Position, delivered int, dead []deadRow) error {
	return r.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		now := r.now()
		n, err := tx.Exec(ctx, moveCursorSQL, sink, token, p.Era, p.Tx, p.Seq, delivered, now)
		if err != nil {
			return err
		}
		if n == 0 {
			return errFenced
		}
		for _, d := range dead {
			if _, err := tx.Exec(ctx, deadLetterSQL, sink, d.id, log, d.pos.Era, d.pos.Tx, d.pos.Seq, d.kind, d.reason, now); err != nil {
				return err
			}
		}
		return nil
	})
}

// fail notes a failed delivery, for whoever asks.
func (r *Relay) fail(ctx context.Context, sink string, token int64, failures int, wait time.Duration, cause error) error {
	return r.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		now := r.now()
		n, err := tx.Exec(ctx, failCursorSQL, sink, token, failures, now.Add(wait), shorten(cause.Error(), 500), now)
		if err == nil && n == 0 {
			return errFenced
		}
		return err
	})
}

func (r *Relay) markDetached(ctx context.Context, sink string) error {
	return r.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, detachedSQL, sink, r.now())
		return err
	})
}
