package password

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
	return part.Schema{Migrations: Migrations, Personal: []string{"credential_password"}}
}

// Exported is a password in its person's export: that there is one, and since when.
type Exported struct {
	CreatedAt time.Time `json:"created_at"`
	ChangedAt time.Time `json:"changed_at"`
}

// Export tells of the password without its hash.
func (s *Store) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	var e Exported
	err := q.QueryRow(ctx, `SELECT created_at, changed_at FROM credential_password WHERE account_id = $1`, who.UserID).Scan(&e.CreatedAt, &e.ChangedAt)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("export password: %w", err)
	}
	return e, nil
}
