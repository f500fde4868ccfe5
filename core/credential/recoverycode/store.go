package recoverycode

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table of this package. It refers to the account table.
//
//go:embed migrations
var Migrations embed.FS

const (
	// Count is how many codes a set has.
	Count = 10

	purpose  = "credential_recoverycode"
	saltSize = 16
	macSize  = sha256.Size
)

// Authenticator computes keyed hashes that stay the same for good; *keyring.Ring is one.
type Authenticator interface {
	MAC(purpose string, msg []byte) []byte
}

// Config of a Store.
type Config struct {
	Keys Authenticator
	Now  func() time.Time // nil means the clock
	Rand io.Reader        // where codes come from; nil means crypto/rand (ASVS 5.0 6.5.3)
}

// Store makes and spends codes. Safe for concurrent use.
type Store struct {
	keys Authenticator
	now  func() time.Time
	rand io.Reader
}

// New makes a Store.
func New(cfg Config) (*Store, error) {
	if cfg.Keys == nil {
		return nil, errors.New("recoverycode: a keyring is needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	now := cfg.Now
	return &Store{keys: cfg.Keys, rand: cfg.Rand, now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}, nil
}

func (s *Store) mac(salt []byte, accountID uuid.UUID, code string) []byte {
	msg := make([]byte, 0, saltSize+len(accountID)+symbols) // each part has a length of its own
	return s.keys.MAC(purpose, append(append(append(msg, salt...), accountID[:]...), code...))
}

// Generate makes a set of codes in place of all the account had, spent or not. They are secret and exist nowhere else.
func (s *Store) Generate(ctx context.Context, tx *store.Tx, accountID uuid.UUID) ([]string, error) {
	raw := make([]byte, saltSize+Count*codeSize)
	if _, err := io.ReadFull(s.rand, raw); err != nil {
		return nil, fmt.Errorf("make recovery codes: %w", err)
	}
	salt, raw := raw[:saltSize], raw[saltSize:]
	codes, macs := make([]string, 0, Count), make([]byte, 0, Count*macSize)
	for b := range slices.Chunk(raw, codeSize) {
		code := encoding.EncodeToString(b)
		codes = append(codes, show(code))
		macs = append(macs, s.mac(salt, accountID, code)...)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO credential_recoverycode (account_id, salt, macs, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account_id) DO UPDATE SET salt = excluded.salt, macs = excluded.macs, created_at = excluded.created_at`,
		accountID, salt, macs, s.now()); err != nil {
		return nil, fmt.Errorf("keep recovery codes: %w", err)
	}
	return codes, nil
}

// Spend uses a code up, in the transaction of what it allows, and says how many are left. It reports false, and changes
// nothing, for what is none of the account's codes that are left.
func (s *Store) Spend(ctx context.Context, tx *store.Tx, accountID uuid.UUID, code string) (ok bool, remaining int, err error) {
	var salt, macs []byte
	// A write that changes nothing is the row lock that both dialects understand: what is read stays true until it is written back.
	err = tx.QueryRow(ctx, `UPDATE credential_recoverycode SET created_at = created_at WHERE account_id = $1 RETURNING salt, macs`, accountID).Scan(&salt, &macs)
	if errors.Is(err, store.ErrNoRows) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, fmt.Errorf("read recovery codes: %w", err)
	}
	remaining = len(macs) / macSize
	typed, valid := clean(code)
	at := find(macs, s.mac(salt, accountID, typed))
	if !valid || at < 0 {
		return false, remaining, nil
	}
	rest := slices.Delete(macs, at, at+macSize)
	if _, err := tx.Exec(ctx, `UPDATE credential_recoverycode SET macs = $2 WHERE account_id = $1`, accountID, rest); err != nil {
		return false, 0, fmt.Errorf("spend recovery code: %w", err)
	}
	return true, remaining - 1, nil
}

// find gives where a MAC begins among others, or -1; it compares with all, whatever it finds.
func find(macs, mac []byte) int {
	at := -1
	for i := 0; i+macSize <= len(macs); i += macSize {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(macs[i:i+macSize], mac), i, at)
	}
	return at
}

// Remaining says how many codes the account has left: none, too, when it never had any.
func (s *Store) Remaining(ctx context.Context, q store.Querier, accountID uuid.UUID) (int, error) {
	var n int
	err := q.QueryRow(ctx, `SELECT length(macs) FROM credential_recoverycode WHERE account_id = $1`, accountID).Scan(&n)
	if errors.Is(err, store.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("count recovery codes: %w", err)
	}
	return n / macSize, nil
}

// RemoveSince takes an account's codes if they were made at or after a moment, and reports whether it did.
func (s *Store) RemoveSince(ctx context.Context, tx *store.Tx, accountID uuid.UUID, since time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `DELETE FROM credential_recoverycode WHERE account_id = $1 AND created_at >= $2`, accountID, since)
	if err != nil {
		return false, fmt.Errorf("remove recovery codes: %w", err)
	}
	return n > 0, nil
}

// Remove takes all codes from the account, as when its last second factor is removed or the account ends. It reports
// whether there was a set, even a used-up one.
func (s *Store) Remove(ctx context.Context, tx *store.Tx, accountID uuid.UUID) (bool, error) {
	n, err := tx.Exec(ctx, `DELETE FROM credential_recoverycode WHERE account_id = $1`, accountID)
	if err != nil {
		return false, fmt.Errorf("remove recovery codes: %w", err)
	}
	return n > 0, nil
}
