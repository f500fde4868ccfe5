package event

import (
	"context"
	"fmt"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"host_event"}}
}

// maxExported bounds a person's export, which is made in memory.
const maxExported = 1000

// Export gives the newest events about the person: those whose subject is the account's id, or "user:" and the id.
func (s *Store) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	rows, err := q.Query(ctx, `SELECT era, tx, seq, `+columns+` FROM host_event WHERE subject <> '' AND subject IN ($1, $2) ORDER BY received_at DESC, id LIMIT $3`,
		who.UserID.String(), who.Ref(), maxExported)
	if err != nil {
		return nil, fmt.Errorf("export events: %w", err)
	}
	defer rows.Close()
	var out []Event
	for rows.Next() {
		e, err := scanEvent(func(p *audit.Position, dest ...any) error {
			return rows.Scan(append([]any{&p.Era, &p.Tx, &p.Seq}, dest...)...)
		})
		if err != nil {
			return nil, fmt.Errorf("export events: %w", err)
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, rows.Err()
	}
	return out, rows.Err()
}

// Erase blanks the events about the person. Their rows stay, so that a repetition of one is still known for what it is.
func (s *Store) Erase(ctx context.Context, tx *store.Tx, who part.Subject) error {
	if _, err := tx.Exec(ctx, `UPDATE host_event SET subject = '', data = '{}' WHERE subject <> '' AND subject IN ($1, $2)`, who.UserID.String(), who.Ref()); err != nil {
		return fmt.Errorf("erase events: %w", err)
	}
	return nil
}
