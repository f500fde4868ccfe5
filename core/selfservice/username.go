package selfservice

import (
	"context"
	"errors"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

var errUnconfirmed = fault.New(fault.Conflict, "account_unconfirmed", "Confirm your email address first.")

// ChangeUsername gives the account of who is signed in another username, or none where that is allowed. They must have lately
// shown who they are. account.ErrUsernameTaken when somebody has it, which counts, so that nobody asks for names without end.
func (s *own) ChangeUsername(ctx context.Context, p principal.Principal, typed string) error {
	a, err := s.kit.RequireRecentAuth(ctx, p)
	if err != nil {
		return err
	}
	u, err := s.kit.Settings.Usernames.Chosen(typed)
	if err != nil {
		return err
	}
	if u.Display == a.Username {
		return nil
	}
	key := flow.Key("username", a.ID.String())
	if err := s.kit.Factors.Check(ctx, s.kit.DB, key); err != nil {
		return err
	}
	row := func(ctx context.Context, tx *store.Tx, action, reason string) error {
		e := flow.By(p)
		e.Action, e.Reason, e.Targets = action, reason, []audit.Ref{flow.User(a.ID)}
		return s.kit.Record(ctx, tx, e)
	}
	err = s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		// Who was signed in before the address was confirmed may not be its owner, and holds no name.
		if a.Status != account.Active {
			return errUnconfirmed
		}
		if err := s.kit.Accounts.SetUsername(ctx, tx, a.ID, u); err != nil {
			return err
		}
		return row(ctx, tx, "account.username_change.success", "")
	})
	if !errors.Is(err, account.ErrUsernameTaken) {
		return err
	}
	if err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.kit.Factors.Fail(ctx, tx, key); err != nil {
			return err
		}
		return row(ctx, tx, "account.username_change.failure", "username_taken")
	}); err != nil {
		return err
	}
	return account.ErrUsernameTaken
}
