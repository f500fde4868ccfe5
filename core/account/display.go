package account

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// SetDisplay gives an account that is not deleted another display name, one line of at most MaxDisplay characters, or none.
func (s *Store) SetDisplay(ctx context.Context, tx *store.Tx, id uuid.UUID, name string) error {
	if _, err := tx.Exec(ctx, `UPDATE account SET display = nullif($3, ''), updated_at = $2 WHERE id = $1 AND status <> 'deleted'`, id, s.now(), name); err != nil {
		return fmt.Errorf("set display name: %w", err)
	}
	return nil
}
