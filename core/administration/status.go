package administration

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/store"
)

// Disable stops an account and ends its sessions and links. Disabling a disabled one changes nothing.
func (s *Service) Disable(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		changed, err := s.kit.Accounts.Disable(ctx, tx, userID)
		if err != nil || !changed {
			return err
		}
		n, err := s.kit.Sessions.RevokeAllIn(ctx, tx, userID, uuid.Nil)
		if err != nil {
			return err
		}
		if err := s.kit.Onetime.Forget(ctx, tx, userID, ""); err != nil {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "admin.user.disable", Actor: actor, Targets: []audit.Ref{flow.User(userID)}, Metadata: n.In(map[string]any{}),
		})
	})
}

// Enable lets a disabled account live again. Enabling one that is not disabled changes nothing.
func (s *Service) Enable(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		changed, err := s.kit.Accounts.Enable(ctx, tx, userID)
		if err != nil || !changed {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{Action: "admin.user.enable", Actor: actor, Targets: []audit.Ref{flow.User(userID)}})
	})
}

// RevokeSessions ends all sessions of a user.
func (s *Service) RevokeSessions(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	if _, err := s.kit.Accounts.Get(ctx, userID); err != nil {
		return err
	}
	_, err := s.kit.Sessions.RevokeAll(ctx, actor, "", userID)
	return err
}
