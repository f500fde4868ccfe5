package password

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/credential/password/argon2id"
	"github.com/sigra-auth/sigra/core/credential/password/foreign"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the tables of this package. They refer to the account table.
//
//go:embed migrations
var Migrations embed.FS

// Hooks are told what hashing does, for metrics. Any may be nil; none may block.
type Hooks struct {
	Waited  func(time.Duration) // in line
	Hashed  func(time.Duration) // one hash, without the wait
	Refused func()              // somebody was turned away
	// Screened is told what came of asking whether a password was breached.
	Screened func(Outcome)
}

// Config of a Store. The zero value of each field means the default.
type Config struct {
	Params       Params        // DefaultParams
	Places       int           // hashes at once; the number of cores
	QueueTimeout time.Duration // how long to wait in line; 2 s
	MinLength    int           // in characters
	MaxLength    int           // in bytes
	ServiceName  string        // may not be a part of a password
	Limits       Limits        // of verifying a hash with other costs; DefaultLimits
	Breaches     Breaches      // nil: Screen asks nobody
	Hooks        Hooks
	Now          func() time.Time // nil means the clock
}

// Store hashes, verifies and keeps passwords. Safe for concurrent use.
type Store struct {
	params               Params
	cost                 foreign.Cost // of params
	limits               Limits
	breaches             Breaches
	admission            *admission
	memory               *argon2id.Memory
	minLength, maxLength int
	serviceName          string
	hooks                Hooks
	now                  func() time.Time
	dummy                Hash
}

// New makes a Store.
func New(cfg Config) (*Store, error) {
	if cfg.Params == (Params{}) {
		cfg.Params = DefaultParams
	}
	if err := cfg.Params.validate(); err != nil {
		return nil, fmt.Errorf("password: the configured cost: %w", err)
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits
	}
	if cfg.Places <= 0 {
		cfg.Places = runtime.GOMAXPROCS(0)
	}
	if cfg.QueueTimeout <= 0 {
		cfg.QueueTimeout = 2 * time.Second
	}
	if cfg.MinLength <= 0 {
		cfg.MinLength = DefaultMinLength
	}
	if cfg.MaxLength <= 0 {
		cfg.MaxLength = DefaultMaxLength
	}
	if cfg.MinLength > cfg.MaxLength {
		return nil, errors.New("password: the least length is greater than the greatest")
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Now().UTC() }
	}
	now := cfg.Now
	s := &Store{
		params: cfg.Params, cost: cfg.Params.cost(), limits: cfg.Limits, breaches: cfg.Breaches,
		admission: newAdmission(cfg.Places, cfg.QueueTimeout, typical(cfg.Params)), memory: argon2id.New(cfg.Params.MemoryKiB), minLength: cfg.MinLength, maxLength: cfg.MaxLength,
		serviceName: cfg.ServiceName, hooks: cfg.Hooks,
		now: func() time.Time { return now().UTC().Truncate(time.Microsecond) },
	}
	// A random tag: nothing hashes to it.
	s.dummy = Hash{Params: cfg.Params, salt: random(saltSize), tag: random(tagSize)}
	return s, nil
}

// Typical is about how long a hash of the configured cost takes on an ordinary processor: 20 ms for the default.
func (s *Store) Typical() time.Duration { return typical(s.params) }

// typical guesses how long a hash takes, before there was one: 20 ms for the default.
func typical(p Params) time.Duration {
	return time.Duration(p.cost().Work * float64(20*time.Millisecond))
}

const (
	saltSize = 16 // RFC 9106 §3.1
	tagSize  = 32
)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return b
}

// Load is how busy hashing is right now.
func (s *Store) Load() Load { return s.admission.load() }

// Announce is for a flow that reads before it hashes: it refuses with fault.Unavailable, before those reads, whoever could
// not be served in time anyway. Call leave when the flow is over; calling it twice is allowed.
func (s *Store) Announce() (leave func(), err error) {
	leave, err = s.admission.announce()
	if err != nil {
		s.refused()
	}
	return leave, err
}

func (s *Store) refused() {
	if s.hooks.Refused != nil {
		s.hooks.Refused()
	}
}

// Hash makes the hash to keep of a password that Check has passed.
func (s *Store) Hash(ctx context.Context, password string) (string, error) {
	if err := s.Fits(password); err != nil {
		return "", err
	}
	h := Hash{Params: s.params, salt: random(saltSize), tag: make([]byte, tagSize)}
	if err := s.run(ctx, s.cost, func() { h.tag = s.derive(h, password) }); err != nil {
		return "", err
	}
	return h.String(), nil
}

// Find gives the hash of an account; empty when it has no password.
func (s *Store) Find(ctx context.Context, q store.Querier, accountID uuid.UUID) (string, error) {
	var hash string
	err := q.QueryRow(ctx, `SELECT hash FROM credential_password WHERE account_id = $1`, accountID).Scan(&hash)
	if errors.Is(err, store.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return hash, nil
}

// Set makes hash the account's password: one that Hash made, or one of another system's that Admit takes.
func (s *Store) Set(ctx context.Context, tx *store.Tx, accountID uuid.UUID, hash string) error {
	if err := s.Admit(hash); err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO credential_password (account_id, hash, created_at, changed_at) VALUES ($1, $2, $3, $3)
		ON CONFLICT (account_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at`, accountID, hash, s.now()); err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

// Upgrade replaces the hash of the same password by one with today's costs, unless it was changed meanwhile.
func (s *Store) Upgrade(ctx context.Context, tx *store.Tx, accountID uuid.UUID, from, to string) error {
	if _, err := tx.Exec(ctx, `UPDATE credential_password SET hash = $3 WHERE account_id = $1 AND hash = $2`, accountID, from, to); err != nil {
		return fmt.Errorf("upgrade password: %w", err)
	}
	return nil
}

// Erase removes the account's password.
func (s *Store) Erase(ctx context.Context, tx *store.Tx, accountID uuid.UUID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM credential_password WHERE account_id = $1`, accountID); err != nil {
		return fmt.Errorf("erase password: %w", err)
	}
	return nil
}
