package onetime

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"onetime"}, Sealed: []part.SealedColumn{Sealed}}
}

// Sealed is the column that is sealed anew after the keys were rotated.
var Sealed = part.SealedColumn{
	Name:   "onetime.payload",
	Select: `SELECT id, payload FROM onetime WHERE payload IS NOT NULL AND id > $1 ORDER BY id LIMIT $2`,
	Update: `UPDATE onetime SET payload = $3 WHERE id = $1 AND payload = $2`,
}

// Erase removes everything this package holds of an account, spent or not.
func (s *Store) Erase(ctx context.Context, tx *store.Tx, accountID uuid.UUID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM onetime WHERE account_id = $1`, accountID); err != nil {
		return fmt.Errorf("erase one-time secrets: %w", err)
	}
	return nil
}
