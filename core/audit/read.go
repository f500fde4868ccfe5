package audit

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/commitlog"
)

// MaxRead is the most rows one Read gives.
const MaxRead = 1000

// Read gives up to limit rows after a position in commit order, and the position to go on from. No row ever appears at
// or before it, so a reader that goes on from there misses nothing.
func (l *Log) Read(ctx context.Context, after Position, limit int) ([]Row, Position, error) {
	if limit <= 0 || limit > MaxRead {
		limit = MaxRead
	}
	rows := make([]Row, 0, min(limit, 64))
	err := l.cl.Read(ctx, after, limit, func(scan commitlog.Scan) error {
		r, err := scanRow(scan)
		if err != nil {
			return err
		}
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		return nil, after, err
	}
	if n := len(rows); n > 0 {
		after = rows[n-1].Position
	}
	return rows, after, nil
}

// Head is the position of the newest row that Read would give.
func (l *Log) Head(ctx context.Context) (Position, error) { return l.cl.Head(ctx) }

// Follow calls f with the rows after a position, in commit order, as they come, until ctx ends or f fails. On Postgres
// rows of other nodes are noticed within poll.
func (l *Log) Follow(ctx context.Context, after Position, poll time.Duration, f func([]Row) error) error {
	wake := make(chan struct{}, 1)
	stop := l.cl.OnCommit(func(Position) {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	defer stop()
	tick := time.NewTicker(max(poll, 10*time.Millisecond))
	defer tick.Stop()
	for {
		rows, next, err := l.Read(ctx, after, 200)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			if err := f(rows); err != nil {
				return err
			}
			after = next
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-tick.C:
		}
	}
}

func scanRow(scan commitlog.Scan) (Row, error) {
	var r Row
	var outcome string
	var org, session *uuid.UUID
	var impersonator, targets, metadata json.RawMessage
	err := scan(&r.Position, &r.ID, &r.OccurredAt, &r.Action, &r.Category, &r.CRUD, &outcome, &r.Reason,
		&r.Actor.Type, &r.Actor.ID, &r.Actor.Display, &impersonator, &targets, &org, &session,
		&r.RequestID, &r.CorrelationID, &r.IP, &r.UserAgent, &r.AuthMethod, &metadata)
	if err != nil {
		return Row{}, err
	}
	r.Outcome = Outcome(outcome)
	r.OccurredAt = r.OccurredAt.UTC()
	if org != nil {
		r.OrganizationID = *org
	}
	if session != nil {
		r.SessionID = *session
	}
	for _, c := range []struct {
		b    json.RawMessage
		into any
	}{{impersonator, &r.Impersonator}, {targets, &r.Targets}, {metadata, &r.Metadata}} {
		if len(c.b) == 0 {
			continue
		}
		if err := json.Unmarshal(c.b, c.into); err != nil {
			return Row{}, err
		}
	}
	return r, nil
}
