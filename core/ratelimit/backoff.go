package ratelimit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// The bounds of what a history keeps, and so of its row.
const (
	MaxAfter = 100
	MaxHard  = 1000
	// beyond is how many failures more than Config.After are counted: by then every distance has reached its end.
	beyond = 64
)

// BackoffConfig says how failures slow an account down.
type BackoffConfig struct {
	// Name keeps the failures of different limits apart: "sign_in".
	Name string
	// After is how many failures in how long change nothing; a zero Count means that nothing is ever slowed. At most MaxAfter.
	After Quota
	// First is how long after that many failures the next attempt may be judged; it doubles with every further one up to
	// Longest. Zero means 1 s and 60 s.
	First, Longest time.Duration
	// Hard is how many failures in how long stop everything; a zero Count means never. At most MaxHard.
	Hard Quota
	// Verifier asks a slowed attempt for a proof; nil means that it is slowed and nothing else.
	Verifier Verifier
	Now      func() time.Time // nil: the system's
}

// Shared is the part of each of several names that one account can be reached by: whoever guesses by all of them in turn gets no
// more guesses than cfg allows, and no sooner. The names can't share one count: that would tell which of them belong together.
func (cfg BackoffConfig) Shared(names int) BackoffConfig {
	cfg = cfg.distances()
	cfg.After, cfg.Hard = cfg.After.Shared(names), cfg.Hard.Shared(names)
	cfg.First *= time.Duration(names)
	cfg.Longest *= time.Duration(names)
	return cfg
}

// distances fills in what is zero.
func (cfg BackoffConfig) distances() BackoffConfig {
	if cfg.First == 0 {
		cfg.First = time.Second
	}
	if cfg.Longest == 0 {
		cfg.Longest = max(cfg.First, time.Minute)
	}
	return cfg
}

// Backoff slows down who fails, and asks for a proof, where Account would stop. It counts in the database, in the transaction of
// the attempt. Keys are as Account's: what was typed, known or not. Safe for concurrent use.
type Backoff struct {
	name  string
	rules atomic.Pointer[rules]
}

// rules are a Backoff as the configuration of the moment makes it.
type rules struct {
	name           string
	after, hard    Quota
	first, longest time.Duration
	verifier       Verifier
	now            func() time.Time

	memory time.Duration // how long a failure counts for anything
	ahead  time.Duration // how far the clocks of nodes may differ
	keep   int           // how many failures a history holds
}

// NewBackoff makes a limiter.
func NewBackoff(cfg BackoffConfig) (*Backoff, error) {
	b := &Backoff{name: cfg.Name}
	return b, b.Configure(cfg)
}

// Configure changes everything but the name, while running. Failures there are stay, and are judged anew.
func (b *Backoff) Configure(cfg BackoffConfig) error {
	if cfg.Name != b.name {
		return fmt.Errorf("rate limit %q can't become %q", b.name, cfg.Name)
	}
	r, err := newRules(cfg)
	if err == nil {
		b.rules.Store(r)
	}
	return err
}

func newRules(cfg BackoffConfig) (*rules, error) {
	if cfg.Name == "" {
		return nil, errors.New("a durable rate limit needs a name")
	}
	if err := errors.Join(cfg.After.check(), cfg.Hard.check()); err != nil {
		return nil, err
	}
	if cfg.After.Count > MaxAfter || cfg.Hard.Count > MaxHard {
		return nil, fmt.Errorf("at most %d failures may change nothing, and %d at most stop everything", MaxAfter, MaxHard)
	}
	cfg = cfg.distances()
	if cfg.First < time.Millisecond || cfg.Longest < cfg.First {
		return nil, fmt.Errorf("attempts can't be %s apart at first and %s in the end", cfg.First, cfg.Longest)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	b := &rules{
		name: cfg.Name, after: cfg.After, hard: cfg.Hard, first: cfg.First, longest: cfg.Longest, verifier: cfg.Verifier, now: cfg.Now,
		ahead: max(cfg.After.Per, time.Minute),
	}
	if b.after.Count > 0 {
		b.memory, b.keep = b.after.Per, b.after.Count+beyond
	}
	if b.hard.Count > 0 {
		b.memory, b.keep = max(b.memory, b.hard.Per), max(b.keep, b.hard.Count)
	}
	return b, nil
}

// Pass lets one attempt be judged, as far as could be seen when it began. It comes from Check and ends in Fail or Reset.
type Pass struct {
	key    [sha256.Size]byte
	scope  string
	ticket *Ticket // of a proof that was found right
}

// Check refuses early, before anything costly is done. It counts nothing and promises nothing: see the package comment. A refused
// attempt gets a *Demand when a proof, or waiting with one, would help; a fault of kind RateLimited when nothing does. q must
// be no transaction: a proof may have to be judged elsewhere, and that takes time.
func (b *Backoff) Check(ctx context.Context, q store.Querier, key string, proof Proof) (Pass, error) {
	return b.rules.Load().check(ctx, q, key, proof)
}

func (b *rules) check(ctx context.Context, q store.Querier, key string, proof Proof) (Pass, error) {
	p := Pass{key: sha256.Sum256([]byte(b.name + "\x00" + key)), scope: b.name + "\x00" + key}
	if b.off() {
		return p, nil
	}
	s, err := b.look(ctx, q, p)
	if err != nil {
		return Pass{}, err
	}
	if !s.slow || b.verifier == nil || proof == (Proof{}) {
		if err := b.admit(s, p); err != nil {
			return Pass{}, err
		}
		return p, nil
	}
	// Before the proof is looked at: what comes too soon keeps it.
	if s.stop > 0 || s.wait > 0 {
		return Pass{}, b.tooSoon(s, p)
	}
	t, err := b.verifier.Verify(ctx, p.scope, b.step(s.count), proof)
	if err == nil {
		err = spent(ctx, q, t)
	}
	if err != nil {
		return Pass{}, b.rejected(s, p, err)
	}
	p.ticket = &t
	return p, nil
}

// Failed is what a failure led to.
type Failed struct {
	Count       int           // failures that count by now
	Wait        time.Duration // until the next attempt may be judged
	JustSlowed  bool          // this was the one after which attempts are slowed and need a proof
	JustStopped bool          // this was the one after which nothing is judged
}

// Fail counts one failure in the transaction of the attempt, and uses up the proof that let it in. An error of kind RateLimited
// says that the attempt may not be judged: nothing was counted, and the caller must answer that and not what was wrong. The
// transaction must be rolled back then, as after any error.
func (b *Backoff) Fail(ctx context.Context, tx *store.Tx, p Pass) (Failed, error) {
	return b.rules.Load().fail(ctx, tx, p)
}

func (b *rules) fail(ctx context.Context, tx *store.Tx, p Pass) (Failed, error) {
	if b.off() {
		return Failed{}, nil
	}
	now := b.now().UnixMicro()
	forget := now + (b.memory + b.ahead).Microseconds()
	// The row is made, or stays as it is, and is locked until the transaction ends: that puts the attempts of all nodes in
	// one order.
	h, err := b.read(tx.QueryRow(ctx, `INSERT INTO ratelimit_failure (key, failures, forget_at) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET forget_at = ratelimit_failure.forget_at RETURNING failures`, p.key[:], []byte{}, forget), now)
	if err != nil {
		return Failed{}, err
	}
	before := b.weigh(h, now)
	if err := b.judge(ctx, tx, before, p); err != nil {
		return Failed{}, err
	}
	h = b.add(h, now)
	if _, err := tx.Exec(ctx, `UPDATE ratelimit_failure SET failures = $2, forget_at = $3 WHERE key = $1`, p.key[:], h.encode(), forget); err != nil {
		return Failed{}, fmt.Errorf("count a failure: %w", err)
	}
	after := b.weigh(h, now)
	return Failed{
		Count: max(after.count, len(h.since(now-b.hard.Per.Microseconds()))), Wait: max(after.wait, after.stop),
		JustSlowed: after.slow && !before.slow, JustStopped: after.stop > 0,
	}, nil
}

// Reset forgets the failures because the attempt was right. An error of kind RateLimited says that the attempt may not be
// judged: it must be refused although it was right, and the transaction rolled back.
func (b *Backoff) Reset(ctx context.Context, tx *store.Tx, p Pass) error {
	return b.rules.Load().reset(ctx, tx, p)
}

func (b *rules) reset(ctx context.Context, tx *store.Tx, p Pass) error {
	if b.off() {
		return nil
	}
	now := b.now().UnixMicro()
	h, err := b.read(tx.QueryRow(ctx, `DELETE FROM ratelimit_failure WHERE key = $1 RETURNING failures`, p.key[:]), now)
	if err != nil {
		return err
	}
	return b.judge(ctx, tx, b.weigh(h, now), p)
}

// Clear forgets the failures of a key in any case: because an administrator says so, or somebody has proved in another way to be
// the owner.
func (b *Backoff) Clear(ctx context.Context, tx *store.Tx, key string) error {
	sum := sha256.Sum256([]byte(b.name + "\x00" + key))
	if _, err := tx.Exec(ctx, `DELETE FROM ratelimit_failure WHERE key = $1`, sum[:]); err != nil {
		return fmt.Errorf("forget failures: %w", err)
	}
	return nil
}

// Prune drops histories that count no more and spent proofs that nobody takes any more, of all limits, and returns how many
// there were.
func (b *Backoff) Prune(ctx context.Context, db *store.DB) (int64, error) {
	var total int64
	for _, text := range []string{
		`DELETE FROM ratelimit_failure WHERE key IN (SELECT key FROM ratelimit_failure WHERE forget_at <= $1 LIMIT 1000) AND forget_at <= $1`,
		`DELETE FROM ratelimit_spent WHERE id IN (SELECT id FROM ratelimit_spent WHERE expires_at <= $1 LIMIT 1000)`,
	} {
		n, err := prune(ctx, db, text, b.rules.Load().now().UnixMicro())
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

func (b *rules) off() bool { return b.after.Count == 0 && b.hard.Count == 0 }

func (b *rules) look(ctx context.Context, q store.Querier, p Pass) (standing, error) {
	now := b.now().UnixMicro()
	h, err := b.read(q.QueryRow(ctx, `SELECT failures FROM ratelimit_failure WHERE key = $1`, p.key[:]), now)
	return b.weigh(h, now), err
}

// read takes a history out of its row; no row is no failures.
func (b *rules) read(row store.Row, now int64) (history, error) {
	var raw []byte
	if err := row.Scan(&raw); errors.Is(err, store.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read failures: %w", err)
	}
	h, err := decodeHistory(raw)
	return b.recall(h, now), err
}

// judge decides under the row's lock, and uses the proof up where one was needed.
func (b *rules) judge(ctx context.Context, tx *store.Tx, s standing, p Pass) error {
	if p.scope == "" {
		return errors.New("an attempt must be let in by Check before it is judged")
	}
	if err := b.admit(s, p); err != nil || !s.slow || p.ticket == nil {
		return err
	}
	if err := Spend(ctx, tx, *p.ticket); err != nil {
		return b.rejected(s, p, err)
	}
	return nil
}

// admit refuses what may not be judged as things stand.
func (b *rules) admit(s standing, p Pass) error {
	switch {
	case s.stop > 0:
		return b.tooSoon(s, p)
	case s.slow && b.verifier != nil && p.ticket == nil:
		return b.verifier.Issue(p.scope, b.step(s.count)).Require(s.wait, s.open)
	case s.wait > 0:
		return b.tooSoon(s, p)
	}
	return nil
}

// tooSoon refuses an attempt that brings what it needs, too early. It gets a new challenge all the same, for a client that asks for
// one each time; the proof it has stays good.
func (b *rules) tooSoon(s standing, p Pass) error {
	late := limited(Decision{RetryAfter: max(s.stop, s.wait, time.Second)})
	if s.stop > 0 || b.verifier == nil {
		return late
	}
	return &Demand{Challenge: b.verifier.Issue(p.scope, b.step(s.count)), Unproved: s.open, fault: fault.From(late)}
}

func (b *rules) rejected(s standing, p Pass, err error) error {
	if !errors.Is(err, ErrProof) {
		return err
	}
	return b.verifier.Issue(p.scope, b.step(s.count)).Reject(s.wait, s.open, err)
}
