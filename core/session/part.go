package session

import (
	"context"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"session"}}
}

// Exported is a session in its person's export.
type Exported struct {
	ID         string    `json:"id"`
	AAL        string    `json:"aal"`
	AMR        []string  `json:"amr"`
	CreatedAt  time.Time `json:"created_at"`
	LastSeenAt time.Time `json:"last_seen_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	IP         string    `json:"ip,omitempty"`
	UserAgent  string    `json:"user_agent,omitempty"`
}

// Export gives the sessions that have a row, also those that are over and not yet deleted.
func (s *Store) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	rows, err := q.Query(ctx, `SELECT id, aal, amr, created_at, last_seen_at, expires_at, ip, user_agent FROM session WHERE account_id = $1 ORDER BY id`, who.UserID)
	if err != nil {
		return nil, fmt.Errorf("export sessions: %w", err)
	}
	defer rows.Close()
	out := []Exported{}
	for rows.Next() {
		var e Exported
		var amr string
		if err := rows.Scan(&e.ID, &e.AAL, &amr, &e.CreatedAt, &e.LastSeenAt, &e.ExpiresAt, &e.IP, &e.UserAgent); err != nil {
			return nil, fmt.Errorf("export sessions: %w", err)
		}
		e.AMR = methods(amr)
		out = append(out, e)
	}
	return out, rows.Err()
}
