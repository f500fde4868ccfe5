package administration

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/store"
)

// Metadata gives the object of a scope of an account that is not deleted.
func (s *Service) Metadata(ctx context.Context, userID uuid.UUID, scope metadata.Scope) (metadata.Object, error) {
	a, err := s.kit.Accounts.Get(ctx, userID)
	if err != nil {
		return metadata.Object{}, err
	}
	if a.Status == account.Deleted {
		return metadata.Object{}, account.ErrNotFound
	}
	return s.kit.Metadata.Get(ctx, s.kit.DB, a.ID, scope)
}

// ChangeMetadata changes the object of a scope, for an administrator or the application.
func (s *Service) ChangeMetadata(ctx context.Context, actor audit.Ref, userID uuid.UUID, c metadata.Change) (out metadata.Object, err error) {
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.kit.Lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		out, err = s.kit.ChangeMetadata(ctx, tx, audit.Entry{Actor: actor}, a.ID, c)
		return err
	})
	return out, err
}
