package totp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"credential_totp"}, Sealed: []part.SealedColumn{Sealed}}
}

// Sealed is the column that is sealed anew after the keys were rotated.
var Sealed = part.SealedColumn{
	Name:   "credential_totp.secret",
	Select: `SELECT account_id, secret FROM credential_totp WHERE account_id > $1 ORDER BY account_id LIMIT $2`,
	Update: `UPDATE credential_totp SET secret = $3 WHERE account_id = $1 AND secret = $2`,
}

// Exported is an authenticator app in its person's export.
type Exported struct {
	CreatedAt   time.Time  `json:"created_at"`
	ConfirmedAt *time.Time `json:"confirmed_at,omitempty"`
	LastUsedAt  *time.Time `json:"last_used_at,omitempty"`
}

// Export tells of the app without its secret.
func (s *Store) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	var e Exported
	err := q.QueryRow(ctx, `SELECT created_at, confirmed_at, last_spent_at FROM credential_totp WHERE account_id = $1`, who.UserID).
		Scan(&e.CreatedAt, &e.ConfirmedAt, &e.LastUsedAt)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("export authenticator app: %w", err)
	}
	return e, nil
}
