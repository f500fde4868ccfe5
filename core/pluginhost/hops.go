package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/relay"
	"github.com/sigra-auth/sigra/core/store"
)

// Two plugins that each record a row for every row they get would feed each other for ever. What a plugin records or publishes while it
// is being delivered something counts as coming of that, and bears one hop more; what has come through too many plugins goes to the dead
// letters of the next, where an operator sees it.
const (
	maxHops  = 8
	keepHops = 7 * 24 * time.Hour // a sink that is down for longer gets them as if they came of nothing
)

const (
	hopPutSQL = `INSERT INTO plugin_hop (key, hops, expires_at) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET hops = excluded.hops WHERE plugin_hop.hops < excluded.hops`
	hopGetSQL     = `SELECT hops FROM plugin_hop WHERE key = $1`
	hopExpiredSQL = `DELETE FROM plugin_hop WHERE expires_at <= $1`
)

// hops is the table plugin_hop, and what is being delivered here just now.
type hops struct {
	db  *store.DB
	now func() time.Time

	mu        sync.Mutex
	delivered map[string][]int // by plugin: the most hops of each delivery in flight
}

func newHops(db *store.DB, now func() time.Time) *hops {
	return &hops{db: db, now: now, delivered: map[string][]int{}}
}

func rowKey(id string) string           { return "row/" + id }
func eventKey(source, id string) string { return "event/" + source + "/" + id }

// begin notes a delivery to a plugin, until end is called.
func (s *hops) begin(plugin string, most int) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered[plugin] = append(s.delivered[plugin], most)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		left := s.delivered[plugin]
		if i := slices.Index(left, most); i >= 0 {
			left = slices.Delete(left, i, i+1)
		}
		if s.delivered[plugin] = left; len(left) == 0 {
			delete(s.delivered, plugin)
		}
	}
}

// of is what a plugin's next row bears; 0: it comes of nothing.
func (s *hops) of(plugin string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.delivered[plugin]; len(d) > 0 {
		return slices.Max(d) + 1
	}
	return 0
}

// put notes what something bears, in the transaction that writes it.
func (s *hops) put(ctx context.Context, tx *store.Tx, key string, n int) error {
	if n == 0 {
		return nil
	}
	now := s.now()
	if _, err := tx.Exec(ctx, hopExpiredSQL, now); err != nil {
		return fmt.Errorf("note hops: %w", err)
	}
	if _, err := tx.Exec(ctx, hopPutSQL, key, n, now.Add(keepHops)); err != nil {
		return fmt.Errorf("note hops: %w", err)
	}
	return nil
}

func (s *hops) get(ctx context.Context, key string) (n int, err error) {
	err = s.db.QueryRow(ctx, hopGetSQL, key).Scan(&n)
	if errors.Is(err, store.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// tooFar takes out of a delivery what has come through too many plugins; most are the hops of what is left.
func tooFar[T any](ctx context.Context, s *hops, in []T, key func(*T) (hop, id string)) (left []T, refused []relay.Refusal, most int, err error) {
	left = make([]T, 0, len(in))
	for i := range in {
		k, id := key(&in[i])
		n := 0
		if k != "" {
			if n, err = s.get(ctx, k); err != nil {
				return nil, nil, 0, err
			}
		}
		if n >= maxHops {
			refused = append(refused, relay.Refusal{ID: id, Reason: fmt.Sprintf("it came of what %d plugins did, each of what the one before did: a circle of plugins, perhaps", n)})
			continue
		}
		left, most = append(left, in[i]), max(most, n)
	}
	return left, refused, most, nil
}

// rowHop is the key of a row that a plugin recorded; Sigra's own come of nothing.
func rowHop(r *audit.Row) (hop, id string) {
	if audit.Reserved(r.Action) {
		return "", r.ID.String()
	}
	return rowKey(r.ID.String()), r.ID.String()
}

func eventHop(e *event.Event) (hop, id string) { return eventKey(e.Source, e.ID), e.ID }
