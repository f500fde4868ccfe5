package passkey

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"credential_passkey", "credential_passkey_user", "credential_passkey_ceremony"}}
}

// Exported is a passkey in its person's export.
type Exported struct {
	CredentialID string    `json:"credential_id"` // base64url, as in WebAuthn's JSON
	Name         string    `json:"name"`
	Model        string    `json:"model,omitempty"`
	BackedUp     bool      `json:"backed_up"`
	CreatedAt    time.Time `json:"created_at"`
	LastUsedAt   time.Time `json:"last_used_at,omitzero"`
}

// Export gives the passkeys. Their public keys would be of no use to anybody.
func (s *Store) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	keys, err := s.List(ctx, q, who.UserID)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	var out []Exported
	for _, k := range keys {
		out = append(out, Exported{base64.RawURLEncoding.EncodeToString(k.CredentialID), k.Name, k.Model(), k.BackedUp, k.CreatedAt, k.LastUsedAt})
	}
	return out, nil
}
