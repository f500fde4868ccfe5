package recoverycode

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"credential_recoverycode"}}
}

// Exported is a set of recovery codes in its person's export.
type Exported struct {
	Remaining int       `json:"remaining"`
	CreatedAt time.Time `json:"created_at"`
}

// Export says how many codes are left.
func (s *Store) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	n, err := s.Remaining(ctx, q, who.UserID)
	if err != nil || n == 0 {
		return nil, err
	}
	e := Exported{Remaining: n}
	if err := q.QueryRow(ctx, `SELECT created_at FROM credential_recoverycode WHERE account_id = $1`, who.UserID).Scan(&e.CreatedAt); err != nil {
		return nil, fmt.Errorf("export recovery codes: %w", err)
	}
	return e, nil
}

// Erase removes everything this package holds of an account.
func (s *Store) Erase(ctx context.Context, tx *store.Tx, accountID uuid.UUID) error {
	_, err := s.Remove(ctx, tx, accountID)
	return err
}
