package session

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

const (
	flushEvery = 5 * time.Second
	flushBatch = 200
	// maxSeen bounds the memory of sightings that the database does not take: about 30 MB at worst.
	maxSeen = 100_000
)

type sighting struct {
	at            time.Time
	ip, userAgent string
}

// activity is what was seen since the last flush.
type activity struct {
	mu   sync.Mutex
	seen map[uuid.UUID]sighting
}

func (a *activity) note(id uuid.UUID, at time.Time, info request.Info) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if was, ok := a.seen[id]; ok {
		if at.Sub(was.at) < time.Second {
			return
		}
	} else if len(a.seen) >= maxSeen {
		return
	}
	a.seen[id] = sighting{at: at, ip: info.IPString(), userAgent: userAgent(info)}
}

// last is when a session was seen after what the database says; zero when it was not.
func (a *activity) last(id uuid.UUID) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[id].at
}

func (a *activity) take() map[uuid.UUID]sighting {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.seen) == 0 {
		return nil
	}
	out := a.seen
	a.seen = make(map[uuid.UUID]sighting, len(out))
	return out
}

// putBack returns what could not be written, unless something newer was seen meanwhile.
func (a *activity) putBack(m map[uuid.UUID]sighting) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, s := range m {
		if _, newer := a.seen[id]; !newer && len(a.seen) < maxSeen {
			a.seen[id] = s
		}
	}
}

// Run writes activity in the background until ctx ends; then it writes what is left. It is the owner of this package's only goroutine: the caller's.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			return s.Flush(last)
		case <-tick.C:
			if err := s.Flush(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("session activity not written, will try again", "error", err)
			}
		}
	}
}

// Flush writes the activity seen so far.
func (s *Store) Flush(ctx context.Context) error {
	seen := s.activity.take()
	for len(seen) > 0 {
		batch := make(map[uuid.UUID]sighting, min(len(seen), flushBatch))
		for id, v := range seen {
			batch[id] = v
			delete(seen, id)
			if len(batch) == flushBatch {
				break
			}
		}
		err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			for id, v := range batch {
				if _, err := tx.Exec(ctx, `UPDATE session SET last_seen_at = $2, ip = $3, user_agent = $4 WHERE id = $1 AND last_seen_at < $2`,
					id, v.at, v.ip, v.userAgent); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			s.activity.putBack(batch)
			s.activity.putBack(seen)
			return fmt.Errorf("write session activity: %w", err)
		}
	}
	return nil
}

// Clean deletes sessions past their absolute end or idle for longer than allowed, in batches, and returns how many. Each person's are
// audited as session.expire, in one row or more: what rests on a session elsewhere ends with it.
func (s *Store) Clean(ctx context.Context) (int64, error) {
	var total int64
	for {
		now := s.now()
		var n int64
		err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			ended, err := s.expire(ctx, tx, now)
			if err != nil {
				return err
			}
			n = 0
			for _, id := range slices.SortedFunc(maps.Keys(ended), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }) {
				n += int64(len(ended[id]))
				for part := range slices.Chunk(ended[id], maxEnded) {
					if err := s.record(ctx, tx, audit.Entry{
						Action: "session.expire", Actor: audit.Ref{Type: "system"}, Targets: []audit.Ref{user(id)},
						Metadata: map[string]any{"count": len(part), "session_ids": part.texts()},
					}); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return total, fmt.Errorf("delete expired sessions: %w", err)
		}
		if total += n; n < 500 {
			return total, nil
		}
	}
}

// expire deletes one batch, and gives the sessions by their person.
func (s *Store) expire(ctx context.Context, tx *store.Tx, now time.Time) (map[uuid.UUID]Ended, error) {
	rows, err := tx.Query(ctx, `DELETE FROM session WHERE id IN (
		SELECT id FROM session WHERE expires_at <= $1 OR (NOT persistent AND last_seen_at <= $2) LIMIT 500) RETURNING id, account_id`,
		now, now.Add(-s.settings.Load().IdleTimeout-time.Minute))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[uuid.UUID]Ended{}
	for rows.Next() {
		var id, account uuid.UUID
		if err := rows.Scan(&id, &account); err != nil {
			return nil, err
		}
		out[account] = append(out[account], id)
	}
	return out, rows.Err()
}
