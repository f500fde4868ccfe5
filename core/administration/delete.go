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
	if err := s.askDelete(ctx, actor, a); err != nil {
		return err
	}
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.kit.Erase(ctx, tx, actor, userID, "", true) })
}

func (s *Service) askDelete(ctx context.Context, actor audit.Ref, a account.Account) error {
	if !s.kit.Gated(gate.UserDelete) {
		return nil
	}
	by := &principal.Principal{Kind: principal.Kind(actor.Type), Display: actor.Display}
	if id, err := uuid.Parse(actor.ID); err == nil {
		by.UserID = id
	}
	return flow.Public(s.kit.Allowed(ctx, gate.Ask{
		Question: gate.UserDelete, Principal: by, Subject: flow.User(a.ID),
		Context: map[string]any{"email_domain": flow.EmailDomain(a.Email)},
	}))
}
