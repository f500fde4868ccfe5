package device

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

// ErrUnknown says that the account was never used from the browser it wants to trust.
var ErrUnknown = fault.New(fault.Conflict, "unknown_device", "This browser is not known to your account. Sign in again and try once more.")

// Trusted is a device that skips the second factor.
type Trusted struct {
	ID    uuid.UUID
	Token string // for the browser, instead of the one it had; secret
	Until time.Time
}

// Trust lets the browser with this token skip the account's second factor from now on, for Config.TrustFor. The caller has just seen
// the second factor, and has noted the device. The browser gets a new token: whoever copied the old one, perhaps before the
// account was first used there, gains nothing (see the package comment). ErrUnknown when the account doesn't know the browser.
func (s *Store) Trust(ctx context.Context, tx *store.Tx, accountID uuid.UUID, token string) (Trusted, error) {
	old, ok := hashToken(token)
	if !ok {
		return Trusted{}, ErrUnknown
	}
	out := Trusted{Until: s.now().Add(s.TrustFor())}
	err := tx.QueryRow(ctx, `UPDATE device SET trusted_until = $3 WHERE account_id = $1 AND token_hash = $2 RETURNING id`, accountID, old, out.Until).Scan(&out.ID)
	if errors.Is(err, store.ErrNoRows) {
		return Trusted{}, ErrUnknown
	}
	if err != nil {
		return Trusted{}, fmt.Errorf("trust device: %w", err)
	}
	next, hash := newToken()
	if _, err := tx.Exec(ctx, `UPDATE device SET token_hash = $2 WHERE token_hash = $1`, old, hash); err != nil {
		return Trusted{}, fmt.Errorf("renew device token: %w", err)
	}
	out.Token = next
	return out, nil
}

// RevokeTrust ends the trust in one of the account's devices, which stays known; it reports whether there was any.
func (s *Store) RevokeTrust(ctx context.Context, tx *store.Tx, accountID, id uuid.UUID) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE device SET trusted_until = NULL WHERE account_id = $1 AND id = $2 AND trusted_until IS NOT NULL`, accountID, id)
	if err != nil {
		return false, fmt.Errorf("revoke trust in device: %w", err)
	}
	return n > 0, nil
}

// RevokeAllTrust ends the trust in all of the account's devices, as every change of a credential must, and returns how many
// were trusted until now.
func (s *Store) RevokeAllTrust(ctx context.Context, tx *store.Tx, accountID uuid.UUID) (int64, error) {
	var n int64
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM device WHERE account_id = $1 AND trusted_until > $2`, accountID, s.now()).Scan(&n); err != nil {
		return 0, fmt.Errorf("count trusted devices: %w", err)
	}
	// Trust that has run out goes too: it must not come back when the clock is set back.
	if _, err := tx.Exec(ctx, `UPDATE device SET trusted_until = NULL WHERE account_id = $1 AND trusted_until IS NOT NULL`, accountID); err != nil {
		return 0, fmt.Errorf("revoke trust in devices: %w", err)
	}
	return n, nil
}
