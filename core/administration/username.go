package administration

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/store"
)

// SetUsername is an administrator's: it also gives names that nobody may choose, and takes one away.
func (s *Service) SetUsername(ctx context.Context, actor audit.Ref, userID uuid.UUID, typed string) error {
	u, err := s.kit.Settings.Usernames.Given(typed)
	if err != nil {
		return err
	}
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.kit.Lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		if a.Username == u.Display {
			return nil
		}
		return s.giveUsername(ctx, tx, actor, a.ID, u)
	})
}

func (s *Service) giveUsername(ctx context.Context, tx *store.Tx, actor audit.Ref, id uuid.UUID, u account.Username) error {
	if err := s.kit.Accounts.SetUsername(ctx, tx, id, u); err != nil {
		return err
	}
	return s.kit.Record(ctx, tx, audit.Entry{
		Action: "account.username_change.success", Actor: actor, Targets: []audit.Ref{flow.User(id)}, Metadata: map[string]any{"via": "administrator"},
	})
}
