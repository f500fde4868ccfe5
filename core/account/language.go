package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// Languages gives the languages (BCP 47) in which people last signed in, of those of whom one is known.
func (s *Store) Languages(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	out := map[uuid.UUID]string{}
	for _, id := range ids { // see GetMany
		var language string
		err := s.db.QueryRow(ctx, `SELECT language FROM account WHERE id = $1 AND language IS NOT NULL AND status <> 'deleted'`, id).Scan(&language)
		if errors.Is(err, store.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read languages: %w", err)
		}
		out[id] = language
	}
	return out, nil
}

// Administrators are the ids of Sigra's administrators that may sign in, at most 1000.
func (s *Store) Administrators(ctx context.Context) ([]uuid.UUID, error) {
	rows, err := s.db.Query(ctx, `SELECT id FROM account WHERE administrator AND status = 'active' ORDER BY id LIMIT 1000`)
	if err != nil {
		return nil, fmt.Errorf("list administrators: %w", err)
	}
	defer rows.Close()
	var out []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list administrators: %w", err)
		}
		out = append(out, id)
	}
	return out, rows.Err()
}
