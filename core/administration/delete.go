package administration

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// Delete executes a deletion, when no gate "user.delete" objects: everything that says who it was goes, the id stays, so
// that the audit log goes on pointing at something. account.ErrNotFound when it is deleted already.
func (s *Service) Delete(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	a, err := s.kit.Accounts.Get(ctx, userID)
	if err != nil {
		return err
	}
	if a.Status == account.Deleted {
		return account.ErrNotFound
	}
	attempt, err := s.askDelete(ctx, actor, a)
	if err != nil {
		return err
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := attempt.Commit(ctx, tx); err != nil {
			return err
		}
		return s.kit.Erase(ctx, tx, audit.Entry{Actor: actor, CorrelationID: attempt.CorrelationID()}, userID, true)
	})
	attempt.End(ctx, err)
	return err
}

func (s *Service) askDelete(ctx context.Context, actor audit.Ref, a account.Account) (*gate.Attempt, error) {
	if !s.kit.Gated(gate.UserDelete) {
		return nil, nil
	}
	by := &principal.Principal{Kind: principal.Kind(actor.Type), Display: actor.Display}
	if id, err := uuid.Parse(actor.ID); err == nil {
		by.UserID = id
	}
	attempt, err := s.kit.Allowed(ctx, gate.Ask{
		Question: gate.UserDelete, Principal: by, Subject: flow.User(a.ID),
		Context: map[string]any{"email_domain": flow.EmailDomain(a.Email)},
	})
	return attempt, flow.Public(err)
}
