package federation

import (
	"context"
	"time"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"federation_identity", "federation_state"}, Sealed: []part.SealedColumn{Sealed}}
}

// Sealed is the column that is sealed anew after the keys were rotated.
var Sealed = part.SealedColumn{
	Name:   "federation_state.payload",
	Select: `SELECT id, payload FROM federation_state WHERE payload IS NOT NULL AND id > $1 ORDER BY id LIMIT $2`,
	Update: `UPDATE federation_state SET payload = $3 WHERE id = $1 AND payload = $2`,
}

// Exported is a login elsewhere in its person's export.
type Exported struct {
	Provider   string    `json:"provider"`
	Issuer     string    `json:"issuer"`
	Subject    string    `json:"subject"`
	Email      string    `json:"email,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// Export gives the linked logins.
func (s *Service) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	list, err := s.List(ctx, q, who.UserID)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	var out []Exported
	for _, i := range list {
		out = append(out, Exported{i.Provider, i.Issuer, i.Subject, i.Email, i.CreatedAt, i.LastUsedAt})
	}
	return out, nil
}
