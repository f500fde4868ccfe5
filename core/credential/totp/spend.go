package totp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// Outcome is what became of a code. Only Right lets anybody in.
type Outcome uint8

// The outcomes.
const (
	None     Outcome = iota // the account has no app
	Wrong                   // no code of these 90 seconds
	Replayed                // a right code, and it or a newer one was spent before
	Right                   // spent just now
)

var outcomeNames = [...]string{"none", "wrong", "replayed", "right"}

// String gives the outcome's name, for audit rows and logs.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return outcomeNames[None]
}

// Spend takes a code from the account's app and uses it up, in the transaction of what it allows.
func (s *Store) Spend(ctx context.Context, tx *store.Tx, accountID uuid.UUID, code string) (Outcome, error) {
	var id uuid.UUID
	var sealed []byte
	err := tx.QueryRow(ctx, `SELECT id, secret FROM credential_totp WHERE account_id = $1 AND confirmed_at IS NOT NULL`, accountID).Scan(&id, &sealed)
	if errors.Is(err, store.ErrNoRows) {
		return None, nil
	}
	if err != nil {
		return None, fmt.Errorf("read authenticator app: %w", err)
	}
	raw, err := s.open(accountID, sealed)
	if err != nil {
		return None, err
	}
	now := s.now()
	at, right, err := match(raw, now, code)
	if err != nil {
		return None, err
	}
	if !right {
		return Wrong, nil
	}
	// RFC 6238 §5.2, ASVS 5.0 6.5.1: the row's lock puts equal codes in one order, and the first of them leaves nothing for the rest.
	n, err := tx.Exec(ctx, `UPDATE credential_totp SET last_step = $3, last_spent_at = $4 WHERE account_id = $1 AND id = $2 AND last_step < $3`,
		accountID, id, at, now)
	if err != nil {
		return None, fmt.Errorf("spend authenticator code: %w", err)
	}
	if n == 0 {
		return Replayed, nil
	}
	return Right, nil
}

// Enrolled reports whether the account has an app whose codes count.
func (s *Store) Enrolled(ctx context.Context, q store.Querier, accountID uuid.UUID) (bool, error) {
	_, ok, err := s.Find(ctx, q, accountID)
	return ok, err
}

// App is what may be shown of an account's app.
type App struct {
	ConfirmedAt time.Time
	LastSpentAt time.Time
}

// Find gives the account's app, false when it has none whose codes count.
func (s *Store) Find(ctx context.Context, q store.Querier, accountID uuid.UUID) (App, bool, error) {
	var a App
	err := q.QueryRow(ctx, `SELECT confirmed_at, last_spent_at FROM credential_totp WHERE account_id = $1 AND confirmed_at IS NOT NULL`, accountID).
		Scan(&a.ConfirmedAt, &a.LastSpentAt)
	if errors.Is(err, store.ErrNoRows) {
		return App{}, false, nil
	}
	if err != nil {
		return App{}, false, fmt.Errorf("read authenticator app: %w", err)
	}
	return a, true, nil
}
