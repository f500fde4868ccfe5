package account

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"account"}}
}

// Exported is an account in its person's export.
type Exported struct {
	ID            string    `json:"id"`
	Email         string    `json:"email,omitempty"`
	Username      string    `json:"username,omitempty"`
	Display       string    `json:"display,omitempty"`
	Status        Status    `json:"status"`
	Language      string    `json:"language,omitempty"`
	Administrator bool      `json:"administrator"`
	SecondFactor  bool      `json:"second_factor"`
	ConfirmedAt   time.Time `json:"confirmed_at,omitzero"`
	LastSignInAt  time.Time `json:"last_sign_in_at,omitzero"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
}

// Export gives the account.
func (s *Store) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	a, err := s.GetIn(ctx, q, who.UserID)
	if err != nil {
		return nil, err
	}
	languages, err := s.Languages(ctx, []uuid.UUID{a.ID})
	if err != nil {
		return nil, err
	}
	return Exported{
		a.ID.String(), a.Email, a.Username, a.Display, a.Status, languages[a.ID], a.Administrator, a.SecondFactor, a.ConfirmedAt, a.LastSignInAt, a.CreatedAt, a.UpdatedAt,
	}, nil
}

// Subject is the person by all the names there are.
func (a Account) Subject() part.Subject {
	s := part.Subject{UserID: a.ID, Email: a.Email}
	if u, err := ParseUsername(a.Username); err == nil {
		s.Username = u.Key
	}
	return s
}
