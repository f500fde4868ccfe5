package administration

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Disable stops an account and ends its sessions and links. Disabling a disabled one changes nothing.
func (s *Service) Disable(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		changed, err := s.kit.Accounts.Disable(ctx, tx, userID)
		if err != nil || !changed {
			return err
		}
		a, err := s.kit.Lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		n, err := s.kit.End(ctx, tx, a, flow.Everything, uuid.Nil, audit.Entry{Actor: actor}, "disabled")
		if err != nil {
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

// RevokeSessions ends everything that gives access to an account beside its credentials, and names the sessions. It is recorded, with the
// reason if there is one, also when there was none: somebody asked for it, and after it there are none.
func (s *Service) RevokeSessions(ctx context.Context, actor audit.Ref, reason string, userID uuid.UUID) (n session.Ended, err error) {
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.kit.Accounts.Lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		if n, err = s.kit.End(ctx, tx, a, flow.Everything, uuid.Nil, audit.Entry{Actor: actor}, "signed_out"); err != nil {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "session.revoke_all", Actor: actor, Reason: reason, Targets: []audit.Ref{flow.User(userID)}, Metadata: n.All(nil),
		})
	})
	return n, err
}
