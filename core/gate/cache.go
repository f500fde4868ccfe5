package gate

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"
)

// maxCached is how many answers are kept; MaxCacheFor is for how long at most, whatever a gate says.
const (
	maxCached   = 10_000
	MaxCacheFor = 5 * time.Minute
)

// Cache answers a question that is asked again and again, of the same person about the same thing, as it was answered before, for as long as
// every gate that answered allows. Other gates, another session, assurance or role, and another request's content are another question.
// What a gate would say otherwise by then is what its cache_for accepts. Safe for concurrent use.
type Cache struct {
	table *Table
	now   func() time.Time

	mu      sync.Mutex
	since   *map[Question][]Gate // the gates that answered
	answers map[[32]byte]cached
}

type cached struct {
	answer Answer
	until  time.Time
}

// NewCache makes a Cache before a table. A nil now means the clock.
func NewCache(t *Table, now func() time.Time) *Cache {
	if now == nil {
		now = time.Now
	}
	return &Cache{table: t, now: now, answers: map[[32]byte]cached{}}
}

// Ask is Table.Ask.
func (c *Cache) Ask(ctx context.Context, a Ask) (Answer, error) {
	if !c.table.Configured(a.Question) {
		return Answer{}, nil
	}
	key, err := keyOf(a)
	if err != nil {
		return Answer{}, err
	}
	gates := c.table.gates.Load()
	if ans, ok := c.look(gates, key); ok {
		return ans, nil
	}
	ans, err := c.table.Ask(ctx, a)
	if err == nil && ans.CacheFor > 0 && len(ans.Reservations) == 0 && !a.DryRun {
		c.keep(gates, key, ans)
	}
	return ans, err
}

// keyOf tells questions apart by all that a gate is told, but for what differs with each request.
func keyOf(a Ask) ([32]byte, error) {
	var who any
	if p := a.Principal; p != nil {
		who = struct {
			Kind                  string
			User, Session, Org, I uuid.UUID
			Role, AAL             string
			Owner, Administrator  bool
			AMR, Scopes           []string
			AuthTime              time.Time
		}{string(p.Kind), p.UserID, p.SessionID, p.OrganizationID, p.ImpersonatorID, p.Role, p.AAL, p.Owner, p.Administrator, p.AMR, p.Scopes, p.AuthTime}
	}
	b, err := json.Marshal(struct {
		Question   Question
		Who        any
		Subject    any
		Context    map[string]any
		Token      *TokenContext
		Member     *MemberContext
		Device     *Device
		Attributes map[string]any
	}{a.Question, who, a.Subject, a.Context, a.Token, a.Member, a.Device, a.Attributes})
	return sha256.Sum256(b), err
}

func (c *Cache) look(gates *map[Question][]Gate, key [32]byte) (Answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since != gates { // they were replaced: nothing that others said counts
		clear(c.answers)
		c.since = gates
		return Answer{}, false
	}
	x, ok := c.answers[key]
	return x.answer, ok && c.now().Before(x.until)
}

func (c *Cache) keep(gates *map[Question][]Gate, key [32]byte, ans Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since != gates {
		return
	}
	now := c.now()
	if len(c.answers) >= maxCached {
		for k, x := range c.answers {
			if !now.Before(x.until) {
				delete(c.answers, k)
			}
		}
		if len(c.answers) >= maxCached {
			clear(c.answers)
		}
	}
	c.answers[key] = cached{ans, now.Add(min(ans.CacheFor, MaxCacheFor))}
}
