package mail

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the tables of this package.
//
//go:embed migrations
var Migrations embed.FS

// Keys encrypt what waits in the queue and name whom it is for; core/keyring is one. The purpose is bound to the result.
type Keys interface {
	Seal(plain []byte, purpose string) []byte
	// Open gives the plaintext back; stale says that it was sealed with a key that is no longer the newest.
	Open(sealed []byte, purpose string) (plain []byte, stale bool, err error)
	// MAC gives a keyed hash that stays the same for good.
	MAC(purpose string, msg []byte) []byte
}

// Leases lets one node at a time send; core/lease is one.
type Leases interface {
	// Acquire takes or renews the lease called name for ttl, and reports whether this node holds it.
	Acquire(ctx context.Context, name string, ttl time.Duration) (held bool, token int64, err error)
	// Release gives it up, if held.
	Release(ctx context.Context, name string) error
}

// DefaultTTL is how long a message without a deadline of its own may be tried.
const DefaultTTL = 24 * time.Hour

// Config of a Queue.
type Config struct {
	DB     *store.DB
	Keys   Keys
	Leases Leases // nil: this is the only node
	Mailer Mailer // what sends when no plugin does: the development Inbox, or SMTP
	From   Address
	Now    func() time.Time // nil means the clock
	Logger hclog.Logger     // nil means silent
	// Observe is told how each attempt ended: sent, accepted, retry, failed, expired, uncertain, withheld. Nil: nobody.
	Observe func(purpose, outcome string)
}

// Queue takes messages in the transaction of what they tell of, and sends them. Safe for concurrent use.
type Queue struct {
	db      *store.DB
	keys    Keys
	leases  Leases
	builtin Mailer
	from    Address
	now     func() time.Time
	log     hclog.Logger
	observe func(purpose, outcome string)
	mailer  atomic.Pointer[Mailer]
	wake    chan struct{}
	running sync.Mutex
}

// New makes a Queue; Run sends.
func New(cfg Config) (*Queue, error) {
	if cfg.DB == nil || cfg.Keys == nil || cfg.Mailer == nil {
		return nil, errors.New("mail: a database, a keyring and a mailer are needed")
	}
	if err := checkAddress(cfg.From); err != nil {
		return nil, fmt.Errorf("mail: the sender: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC() }
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, string) {}
	}
	now := cfg.Now
	q := &Queue{
		db: cfg.DB, keys: cfg.Keys, leases: cfg.Leases, builtin: cfg.Mailer, from: cfg.From, log: cfg.Logger, observe: cfg.Observe,
		now:  func() time.Time { return now().UTC().Truncate(time.Microsecond) },
		wake: make(chan struct{}, 1),
	}
	q.SetMailer(nil)
	return q, nil
}

// SetMailer has m send from the next message on; nil returns to the built-in one. What is being sent is left to end.
func (q *Queue) SetMailer(m Mailer) {
	if m == nil {
		m = q.builtin
	}
	q.mailer.Store(&m)
	q.nudge()
}

// Mailer is what sends at the moment.
func (q *Queue) Mailer() Mailer { return *q.mailer.Load() }

// Check says why a message of a purpose would not reach an address, as far as the mailer knows: a fault of kind Invalid, which tells that the
// address gets no mail. Ask it only for somebody who may know that, and not for a stranger who typed an address.
func (q *Queue) Check(ctx context.Context, purpose, address string, organization uuid.UUID) error {
	if err := q.Writable(ctx, address); err != nil {
		return err
	}
	if c, ok := q.Mailer().(Checker); ok {
		return c.Check(ctx, purpose, address, organization)
	}
	return nil
}

// owner is the name of the mailer that owns what it accepts; empty: the one that sends at the moment does not.
func (q *Queue) owner() string {
	if o, ok := q.Mailer().(Owner); ok {
		return o.Owns()
	}
	return ""
}

func (q *Queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Enqueue puts a message in the queue, in the caller's transaction, and returns its id. An empty id, sender and
// deadline are filled in. A message with an id that is in the queue already changes nothing.
func (q *Queue) Enqueue(ctx context.Context, tx *store.Tx, m Message) (uuid.UUID, error) {
	return q.enqueue(ctx, tx, m, false)
}

// EnqueueDecoy does for a message that nobody gets whatever Enqueue does: for flows that must not tell whether an address has an account. The row has
// the same size and goes the same way, down to its last statement, but to no mailer.
func (q *Queue) EnqueueDecoy(ctx context.Context, tx *store.Tx, m Message) (uuid.UUID, error) {
	return q.enqueue(ctx, tx, m, true)
}

func (q *Queue) enqueue(ctx context.Context, tx *store.Tx, m Message, decoy bool) (uuid.UUID, error) {
	now := q.now()
	if m.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return uuid.Nil, err
		}
		m.ID = id
	}
	if m.From.Address == "" {
		m.From = q.from
	}
	if m.Deadline.IsZero() {
		m.Deadline = now.Add(DefaultTTL)
	}
	if err := m.Check(); err != nil {
		return uuid.Nil, err
	}
	m.From.Address, m.To.Address = ASCIIDomain(m.From.Address), ASCIIDomain(m.To.Address)
	plain, err := json.Marshal(m)
	if err != nil {
		return uuid.Nil, fmt.Errorf("encode mail: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO mail_queue (id, purpose, state, payload, next_at, deadline, created_at, decoy, recipient, lane)
		VALUES ($1, $2, 'queued', $3, $4, $5, $4, $6, $7, $8) ON CONFLICT (id) DO NOTHING`,
		m.ID, m.Purpose, q.keys.Seal(plain, Sealed.Purpose(m.ID)), now, m.Deadline.UTC().Truncate(time.Microsecond), decoy, q.recipient(m.To.Address), laneOf(m))
	if err != nil {
		return uuid.Nil, fmt.Errorf("queue mail: %w", err)
	}
	tx.AfterCommit(q.nudge)
	return m.ID, nil
}

// Send queues a message in a transaction of its own: for what belongs to no change, such as a plugin's mail.
func (q *Queue) Send(ctx context.Context, m Message) (id uuid.UUID, err error) {
	err = q.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		id, err = q.Enqueue(ctx, tx, m)
		return err
	})
	return id, err
}
