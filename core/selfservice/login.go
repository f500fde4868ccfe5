package selfservice

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// LinkLogin binds a login elsewhere to the account of who is signed in and has shown it lately.
func (s *own) LinkLogin(ctx context.Context, p principal.Principal, c federation.Claims) error {
	return s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		switch d := federation.Decide(federation.Situation{
			Purpose: federation.Link, SignedIn: federation.Standing(a.Status), SameAccount: true,
		}); d {
		case federation.DoLink:
		case federation.RefuseUnconfirmed:
			return errConfirmFirst
		default:
			return session.ErrUnauthenticated
		}
		return s.kit.Link(ctx, tx, a, c) // which knows whose login it is
	})
}

var errConfirmFirst = fault.New(fault.Conflict, "confirm_first", "Confirm your email address first.")

// Logins lists the logins elsewhere of who is signed in.
func (s *own) Logins(ctx context.Context, p principal.Principal) ([]federation.Identity, error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.kit.Logins.List(ctx, s.kit.DB, a.ID)
}

// UnlinkLogin removes one, unless nothing would be left to sign in with.
func (s *own) UnlinkLogin(ctx context.Context, p principal.Principal, id uuid.UUID) error {
	return s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		gone, err := s.kit.Logins.Unlink(ctx, tx, a.ID, id)
		if err != nil {
			return err
		}
		if left, err := s.ways(ctx, tx, a.ID); err != nil {
			return err
		} else if left == 0 {
			return errLastWay
		}
		if err := s.kit.Onetime.Forget(ctx, tx, a.ID, flow.PendingSignIn); err != nil { // it may have been begun with this login
			return err
		}
		e := flow.By(p)
		e.Action, e.Targets, e.Metadata = "oauth.unlink.success", []audit.Ref{flow.User(a.ID)}, map[string]any{"provider": gone.Provider}
		if err := s.kit.Record(ctx, tx, e); err != nil {
			return err
		}
		return s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.OAuthUnlinked, Provider: s.kit.ProviderTitle(gone.Provider)})
	})
}
