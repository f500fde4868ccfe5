package totp

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table of this package. It refers to the account table.
//
//go:embed migrations
var Migrations embed.FS

const (
	// EnrollmentTTL is how long an enrolment waits for its first code.
	EnrollmentTTL = 10 * time.Minute

	// secretSize is 160 bits: the length of the hash, as RFC 4226 §4 R6 recommends.
	secretSize = 20
)

var (
	// ErrEnrolled says that the account has an app already.
	ErrEnrolled = fault.New(fault.Conflict, "totp_enrolled", "An authenticator app is set up already. Remove it before you set up another one.")
	// ErrNotPending says that no enrolment waits to be confirmed.
	ErrNotPending = fault.New(fault.Conflict, "totp_not_pending", "Setting up the authenticator app took too long or was cancelled. Start again.")
)

// Sealer encrypts secrets; core/keyring is one.
type Sealer interface {
	Seal(plain []byte, purpose string) []byte
	// Open gives the plaintext back; stale says that it was sealed with a key that is no longer the newest.
	Open(sealed []byte, purpose string) (plain []byte, stale bool, err error)
}

// Config of a Store.
type Config struct {
	DB     *store.DB
	Sealer Sealer
	Now    func() time.Time // nil means the clock (ASVS 5.0 6.5.8: the server's, never the client's)
	Rand   io.Reader        // where secrets come from; nil means crypto/rand (ASVS 5.0 6.5.3)
}

// Store keeps secrets and spends codes. Safe for concurrent use.
type Store struct {
	db     *store.DB
	sealer Sealer
	now    func() time.Time
	rand   io.Reader
}

// New makes a Store.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil || cfg.Sealer == nil {
		return nil, errors.New("totp: a database and a sealer are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	now := cfg.Now
	return &Store{db: cfg.DB, sealer: cfg.Sealer, rand: cfg.Rand, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}, nil
}

// Enroll makes a secret that waits for its first code, in place of one that waited before; the name and the issuer are what
// the app shows. ErrEnrolled when a confirmed one is there.
func (s *Store) Enroll(ctx context.Context, tx *store.Tx, accountID uuid.UUID, accountName, issuer string) (Enrollment, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Enrollment{}, err
	}
	raw := make([]byte, secretSize)
	if _, err := io.ReadFull(s.rand, raw); err != nil {
		return Enrollment{}, fmt.Errorf("make authenticator secret: %w", err)
	}
	e, err := newEnrollment(raw, accountName, issuer)
	if err != nil {
		return Enrollment{}, err
	}
	n, err := tx.Exec(ctx, `INSERT INTO credential_totp (account_id, id, secret, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account_id) DO UPDATE SET id = excluded.id, secret = excluded.secret, created_at = excluded.created_at
		WHERE credential_totp.confirmed_at IS NULL`, accountID, id, s.sealer.Seal(raw, Sealed.Purpose(accountID)), s.now())
	if err != nil {
		return Enrollment{}, fmt.Errorf("enroll authenticator app: %w", err)
	}
	if n == 0 {
		return Enrollment{}, ErrEnrolled
	}
	return e, nil
}

// Pending gives the enrolment that waits once more, so that a mistyped code costs nobody a new scan; false when none does.
func (s *Store) Pending(ctx context.Context, q store.Querier, accountID uuid.UUID, accountName, issuer string) (Enrollment, bool, error) {
	_, raw, ok, err := s.pending(ctx, q, accountID)
	if err != nil || !ok {
		return Enrollment{}, false, err
	}
	e, err := newEnrollment(raw, accountName, issuer)
	return e, err == nil, err
}

func (s *Store) pending(ctx context.Context, q store.Querier, accountID uuid.UUID) (id uuid.UUID, raw []byte, ok bool, err error) {
	var sealed []byte
	err = q.QueryRow(ctx, `SELECT id, secret FROM credential_totp WHERE account_id = $1 AND confirmed_at IS NULL AND created_at > $2`,
		accountID, s.now().Add(-EnrollmentTTL)).Scan(&id, &sealed)
	if errors.Is(err, store.ErrNoRows) {
		return uuid.Nil, nil, false, nil
	}
	if err != nil {
		return uuid.Nil, nil, false, fmt.Errorf("read authenticator enrollment: %w", err)
	}
	raw, err = s.open(accountID, sealed)
	return id, raw, err == nil, err
}

func (s *Store) open(accountID uuid.UUID, sealed []byte) ([]byte, error) {
	raw, _, err := s.sealer.Open(sealed, Sealed.Purpose(accountID))
	if err != nil {
		return nil, fmt.Errorf("open authenticator secret: %w", err)
	}
	return raw, nil
}

// Confirm makes the waiting enrolment count, when code is a right one, and spends the code. It reports false for a wrong
// code, after which the enrolment goes on waiting. ErrNotPending or ErrEnrolled when none waits.
func (s *Store) Confirm(ctx context.Context, tx *store.Tx, accountID uuid.UUID, code string) (bool, error) {
	id, raw, ok, err := s.pending(ctx, tx, accountID)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, s.notPending(ctx, tx, accountID)
	}
	now := s.now()
	at, right, err := match(raw, now, code)
	if err != nil || !right {
		return false, err
	}
	n, err := tx.Exec(ctx, `UPDATE credential_totp SET confirmed_at = $3, last_step = $4, last_spent_at = $3
		WHERE account_id = $1 AND id = $2 AND confirmed_at IS NULL`, accountID, id, now, at)
	if err != nil {
		return false, fmt.Errorf("confirm authenticator app: %w", err)
	}
	if n == 0 { // another request confirmed, cancelled or replaced it
		return false, s.notPending(ctx, tx, accountID)
	}
	return true, nil
}

// notPending says why nothing waits.
func (s *Store) notPending(ctx context.Context, q store.Querier, accountID uuid.UUID) error {
	enrolled, err := s.Enrolled(ctx, q, accountID)
	if err != nil {
		return err
	}
	if enrolled {
		return ErrEnrolled
	}
	return ErrNotPending
}

// Cancel gives the waiting enrolment up; it reports whether there was one.
func (s *Store) Cancel(ctx context.Context, tx *store.Tx, accountID uuid.UUID) (bool, error) {
	return s.delete(ctx, tx, `DELETE FROM credential_totp WHERE account_id = $1 AND confirmed_at IS NULL`, accountID)
}

// Remove takes the app from the account; it reports whether there was one whose codes counted.
func (s *Store) Remove(ctx context.Context, tx *store.Tx, accountID uuid.UUID) (bool, error) {
	return s.delete(ctx, tx, `DELETE FROM credential_totp WHERE account_id = $1 AND confirmed_at IS NOT NULL`, accountID)
}

// Erase removes everything this package holds of an account.
func (s *Store) Erase(ctx context.Context, tx *store.Tx, accountID uuid.UUID) error {
	_, err := s.delete(ctx, tx, `DELETE FROM credential_totp WHERE account_id = $1`, accountID)
	return err
}

func (s *Store) delete(ctx context.Context, tx *store.Tx, query string, accountID uuid.UUID) (bool, error) {
	n, err := tx.Exec(ctx, query, accountID)
	if err != nil {
		return false, fmt.Errorf("remove authenticator app: %w", err)
	}
	return n > 0, nil
}

// Clean deletes enrolments that nobody confirmed in time, in batches, and returns how many.
func (s *Store) Clean(ctx context.Context) (int64, error) {
	const batch = 500
	var total int64
	for {
		var n int64
		err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			// The condition stands twice because one that was begun anew meanwhile must stay.
			n, err = tx.Exec(ctx, `DELETE FROM credential_totp
				WHERE account_id IN (SELECT account_id FROM credential_totp WHERE confirmed_at IS NULL AND created_at <= $1 LIMIT $2)
				AND confirmed_at IS NULL AND created_at <= $1`, s.now().Add(-EnrollmentTTL), batch)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("delete expired authenticator enrollments: %w", err)
		}
		if total += n; n < batch {
			return total, nil
		}
	}
}
