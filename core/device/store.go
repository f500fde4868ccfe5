package device

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the tables of this package. They refer to the account table.
//
//go:embed migrations
var Migrations embed.FS

const (
	// DefaultTrustFor is how long a device is trusted.
	DefaultTrustFor = 30 * 24 * time.Hour

	// What is kept, and for how long. Cookies live no longer than 400 days (RFC 6265bis §5.5).
	maxDevices  = 100
	maxNetworks = 50
	deviceTTL   = 400 * 24 * time.Hour
	networkTTL  = 90 * 24 * time.Hour

	// noteEvery is how old what is noted of the last use may be before a sign-in writes it anew.
	noteEvery = time.Hour
)

// Config of a Store.
type Config struct {
	DB       *store.DB
	TrustFor time.Duration    // how long a device is trusted; 0 means DefaultTrustFor
	Now      func() time.Time // nil means the clock
}

// Store notes and finds devices. Safe for concurrent use.
type Store struct {
	db       *store.DB
	trustFor atomic.Int64 // time.Duration
	now      func() time.Time
}

// New makes a Store.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil {
		return nil, errors.New("device: a database is needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	now := cfg.Now
	s := &Store{db: cfg.DB, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}
	s.Configure(cfg.TrustFor)
	return s, nil
}

// Configure changes how long devices will be trusted, while running; 0 means DefaultTrustFor. Trust there is keeps its end.
func (s *Store) Configure(trustFor time.Duration) {
	if trustFor <= 0 {
		trustFor = DefaultTrustFor
	}
	s.trustFor.Store(int64(trustFor))
}

// TrustFor is how long a device will be trusted.
func (s *Store) TrustFor() time.Duration { return time.Duration(s.trustFor.Load()) }

// Seen is what is known of a browser for an account.
type Seen struct {
	ID      uuid.UUID // of the device
	Known   bool      // the account has signed in with it
	Trusted bool      // and let it skip the second factor
}

const lookQuery = `SELECT id, trusted_until FROM device WHERE account_id = $1 AND token_hash = $2`

// Look finds what is known of the browser with a token, for one account. What is no token, or is another account's, is simply not
// known. It costs one indexed read, whether there is such an account or not.
func (s *Store) Look(ctx context.Context, q store.Querier, accountID uuid.UUID, token string) (Seen, error) {
	hash, ok := hashToken(token)
	if !ok {
		return Seen{}, nil
	}
	var seen Seen
	var until *time.Time
	err := q.QueryRow(ctx, lookQuery, accountID, hash).Scan(&seen.ID, &until)
	if errors.Is(err, store.ErrNoRows) {
		return Seen{}, nil
	}
	if err != nil {
		return Seen{}, fmt.Errorf("look for device: %w", err)
	}
	seen.Known, seen.Trusted = true, until != nil && until.After(s.now())
	return seen, nil
}

// Device is a browser that an account was used from.
type Device struct {
	ID           uuid.UUID
	UserAgent    string // as the browser said, when it was last seen; Describe makes it readable
	FirstSeenAt  time.Time
	LastSeenAt   time.Time // to the hour
	TrustedUntil time.Time // zero when it is not trusted
}

// List gives the account's devices, the last seen first.
func (s *Store) List(ctx context.Context, q store.Querier, accountID uuid.UUID) ([]Device, error) {
	rows, err := q.Query(ctx, `SELECT id, user_agent, first_seen_at, last_seen_at, trusted_until FROM device WHERE account_id = $1
		ORDER BY last_seen_at DESC, id DESC`, accountID)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	defer rows.Close()
	now := s.now()
	var out []Device
	for rows.Next() {
		var d Device
		var until *time.Time
		if err := rows.Scan(&d.ID, &d.UserAgent, &d.FirstSeenAt, &d.LastSeenAt, &until); err != nil {
			return nil, fmt.Errorf("list devices: %w", err)
		}
		if until != nil && until.After(now) {
			d.TrustedUntil = *until
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return out, nil
}

// Forget makes a device unknown to the account; it reports whether there was such a device. Other accounts still know it.
func (s *Store) Forget(ctx context.Context, tx *store.Tx, accountID, id uuid.UUID) (bool, error) {
	n, err := tx.Exec(ctx, `DELETE FROM device WHERE account_id = $1 AND id = $2`, accountID, id)
	if err != nil {
		return false, fmt.Errorf("forget device: %w", err)
	}
	return n > 0, nil
}

// ForgetOthers makes all of the account's devices but one unknown, and returns how many. keep may be uuid.Nil.
func (s *Store) ForgetOthers(ctx context.Context, tx *store.Tx, accountID, keep uuid.UUID) (int64, error) {
	n, err := tx.Exec(ctx, `DELETE FROM device WHERE account_id = $1 AND id <> $2`, accountID, keep)
	if err != nil {
		return 0, fmt.Errorf("forget devices: %w", err)
	}
	return n, nil
}

// Erase removes everything this package holds of an account.
func (s *Store) Erase(ctx context.Context, tx *store.Tx, accountID uuid.UUID) error {
	for _, query := range []string{
		`DELETE FROM device WHERE account_id = $1`, `DELETE FROM device_network WHERE account_id = $1`, `DELETE FROM device_account WHERE account_id = $1`,
	} {
		if _, err := tx.Exec(ctx, query, accountID); err != nil {
			return fmt.Errorf("erase devices: %w", err)
		}
	}
	return nil
}

// Clean deletes devices and networks that were not seen for too long, in batches, and returns how many.
func (s *Store) Clean(ctx context.Context) (int64, error) {
	now := s.now()
	// The condition stands twice because one that was seen meanwhile must stay.
	devices, err := s.clean(ctx, `DELETE FROM device WHERE id IN (SELECT id FROM device WHERE last_seen_at <= $1 LIMIT $2) AND last_seen_at <= $1`,
		now.Add(-deviceTTL))
	if err != nil {
		return devices, err
	}
	networks, err := s.clean(ctx, `DELETE FROM device_network
		WHERE (account_id, network) IN (SELECT account_id, network FROM device_network WHERE last_seen_at <= $1 LIMIT $2) AND last_seen_at <= $1`,
		now.Add(-networkTTL))
	return devices + networks, err
}

func (s *Store) clean(ctx context.Context, query string, before time.Time) (int64, error) {
	const batch = 500
	var total int64
	for {
		var n int64
		err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			n, err = tx.Exec(ctx, query, before, batch)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("delete old devices: %w", err)
		}
		if total += n; n < batch {
			return total, nil
		}
	}
}
