package ratelimit

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the tables of this package.
//
//go:embed migrations
var Migrations embed.FS

// AccountConfig says how many failures an account may have.
type AccountConfig struct {
	// Name keeps the buckets of different limits apart: "sign_in", "mail".
	Name  string
	Quota Quota
	Now   func() time.Time // nil: the system's
}

// Account counts failures in the database. Keys are whatever the caller counts by; only their hash is stored. For sign-in
// it must be the address as typed (normalized), known or not: a limit that only existing accounts have tells which do.
type Account struct {
	name  string
	quota Quota
	now   func() time.Time
}

// NewAccount makes a limiter.
func NewAccount(cfg AccountConfig) (*Account, error) {
	if err := cfg.Quota.check(); err != nil {
		return nil, err
	}
	if cfg.Name == "" {
		return nil, errors.New("a durable rate limit needs a name")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Account{name: cfg.Name, quota: cfg.Quota, now: cfg.Now}, nil
}

// Check refuses early, before anything costly is done. It counts nothing and promises nothing: see the package comment.
func (a *Account) Check(ctx context.Context, q store.Querier, key string) error {
	if a.quota.Count == 0 {
		return nil
	}
	backlog, err := a.backlog(ctx, q, key)
	if err != nil {
		return err
	}
	if d, _ := a.quota.decide(backlog); !d.Allowed && backlog <= 2*a.quota.capacity() {
		return limited(d)
	}
	return nil
}

// Fail counts one failure in the transaction of the attempt. A fault of kind RateLimited says that the bucket was full
// before: nothing was counted, and the caller must answer that fault and not what was wrong.
func (a *Account) Fail(ctx context.Context, tx *store.Tx, key string) error {
	if a.quota.Count == 0 {
		return nil
	}
	now, step := a.now().UnixMicro(), a.quota.step().Microseconds()
	// What is stale is cut to a full bucket, or nobody would get in until the old time comes again.
	// The row stays locked until the transaction ends, which puts the attempts of all nodes in one order.
	n, err := tx.Exec(ctx, `INSERT INTO ratelimit_bucket (key, empty_at) VALUES ($1, $3)
ON CONFLICT (key) DO UPDATE SET
	empty_at = CASE WHEN ratelimit_bucket.empty_at > $6 THEN $7 WHEN ratelimit_bucket.empty_at > $2 THEN ratelimit_bucket.empty_at + $4 ELSE $3 END
WHERE ratelimit_bucket.empty_at <= $5 OR ratelimit_bucket.empty_at > $6`, a.hash(key), now, now+step, step, a.latest(now), a.stale(now), a.latest(now)+step)
	if err != nil {
		return fmt.Errorf("count a failure: %w", err)
	}
	if n == 1 {
		return nil
	}
	return a.refused(ctx, tx, key)
}

// Take counts something that costs as much as several attempts, all of it or nothing, and says what is left. What doesn't fit is no error: the
// decision says so, and nothing was counted. Cost is 1 to the quota's count.
func (a *Account) Take(ctx context.Context, tx *store.Tx, key string, cost int) (Decision, error) {
	now, step := a.now().UnixMicro(), a.quota.step().Microseconds()*int64(cost)
	latest := now + a.quota.capacity().Microseconds() - step
	n, err := tx.Exec(ctx, `INSERT INTO ratelimit_bucket (key, empty_at) VALUES ($1, $3)
ON CONFLICT (key) DO UPDATE SET empty_at = CASE WHEN ratelimit_bucket.empty_at > $6 OR ratelimit_bucket.empty_at <= $2 THEN $3 ELSE ratelimit_bucket.empty_at + $4 END
WHERE ratelimit_bucket.empty_at <= $5 OR ratelimit_bucket.empty_at > $6`, a.hash(key), now, now+step, step, latest, a.stale(now))
	if err != nil {
		return Decision{}, fmt.Errorf("take from a limit: %w", err)
	}
	backlog, err := a.backlog(ctx, tx, key)
	if err != nil {
		return Decision{}, err
	}
	backlog = max(backlog, 0)
	d := Decision{
		Allowed: n == 1, Limit: a.quota.Count, Window: a.quota.Per, Reset: backlog, Remaining: max(0, int((a.quota.capacity()-backlog)/a.quota.step())),
	}
	if !d.Allowed {
		d.RetryAfter = max(backlog+time.Duration(step)*time.Microsecond-a.quota.capacity(), 0)
	}
	return d, nil
}

// Reset forgets the failures because the attempt was right. A fault of kind RateLimited says that the bucket was full
// before: the attempt must be refused although it was right.
func (a *Account) Reset(ctx context.Context, tx *store.Tx, key string) error {
	if a.quota.Count == 0 {
		return nil
	}
	now := a.now().UnixMicro()
	n, err := tx.Exec(ctx, `DELETE FROM ratelimit_bucket WHERE key = $1 AND (empty_at <= $2 OR empty_at > $3)`, a.hash(key), a.latest(now), a.stale(now))
	if err != nil {
		return fmt.Errorf("forget failures: %w", err)
	}
	if n == 1 {
		return nil
	}
	return a.Check(ctx, tx, key)
}

// Clear forgets the failures of a key in any case, because an administrator says so.
func (a *Account) Clear(ctx context.Context, tx *store.Tx, key string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM ratelimit_bucket WHERE key = $1`, a.hash(key)); err != nil {
		return fmt.Errorf("forget failures: %w", err)
	}
	return nil
}

// stale is the moment beyond which an empty moment can only be of a clock that was set back, or of a much larger quota
// before. Twice the capacity, because the clocks of two nodes may differ: a bucket that one of them has just filled lies
// a little beyond the capacity for the other, and is full all the same.
func (a *Account) stale(now int64) int64 { return now + 2*a.quota.capacity().Microseconds() }

// Prune drops what has leaked out and returns how many there were.
func (a *Account) Prune(ctx context.Context, db *store.DB) (int64, error) {
	return prune(ctx, db, `DELETE FROM ratelimit_bucket WHERE key IN (SELECT key FROM ratelimit_bucket WHERE empty_at <= $1 LIMIT 1000) AND empty_at <= $1`,
		a.now().UnixMicro())
}

// prune runs a statement that deletes a thousand rows at most until there are none left, each time in a transaction of its own.
func prune(ctx context.Context, db *store.DB, text string, now int64) (int64, error) {
	var total int64
	for {
		var n int64
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			n, err = tx.Exec(ctx, text, now)
			return err
		})
		total += n
		if err != nil {
			return total, fmt.Errorf("prune rate limits: %w", err)
		}
		if n < 1000 {
			return total, nil
		}
	}
}

func (a *Account) refused(ctx context.Context, tx *store.Tx, key string) error {
	backlog, err := a.backlog(ctx, tx, key)
	if err != nil {
		return err
	}
	d, _ := a.quota.decide(backlog)
	d.RetryAfter = max(d.RetryAfter, time.Second) // the clock may have moved between the two statements
	return limited(d)
}

func (a *Account) backlog(ctx context.Context, q store.Querier, key string) (time.Duration, error) {
	var emptyAt int64
	err := q.QueryRow(ctx, `SELECT empty_at FROM ratelimit_bucket WHERE key = $1`, a.hash(key)).Scan(&emptyAt)
	if errors.Is(err, store.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read failures: %w", err)
	}
	return time.Duration(emptyAt-a.now().UnixMicro()) * time.Microsecond, nil
}

// latest is the empty moment up to which a bucket still takes one more.
func (a *Account) latest(now int64) int64 {
	return now + (a.quota.capacity() - a.quota.step()).Microseconds()
}

func (a *Account) hash(key string) []byte {
	sum := sha256.Sum256([]byte(a.name + "\x00" + key))
	return sum[:]
}

// limited is the same for known and unknown accounts. ASVS 5.0 6.3.1, 6.3.8.
func limited(d Decision) error {
	return fault.New(fault.RateLimited, "too_many_attempts", "Too many failed attempts. Please wait before trying again.").After(d.RetryAfter)
}
