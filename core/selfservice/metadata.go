package selfservice

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Profile is somebody's account as they see it themselves.
type Profile struct {
	Account      account.Account
	Public, User metadata.Object
}

// Profile gives it.
func (s *own) Profile(ctx context.Context, p principal.Principal) (out Profile, err error) {
	if out.Account, err = s.reader(ctx, p); err != nil {
		return Profile{}, err
	}
	if out.Public, err = s.kit.Metadata.Get(ctx, s.kit.DB, out.Account.ID, metadata.Public); err != nil {
		return Profile{}, err
	}
	out.User, err = s.kit.Metadata.Get(ctx, s.kit.DB, out.Account.ID, metadata.User)
	return out, err
}

// reader is the account of who is signed in, in whoever's name: what is shown to an administrator who acts as somebody is what
// that person would see.
func (s *own) reader(ctx context.Context, p principal.Principal) (account.Account, error) {
	if p.Kind != principal.User || p.UserID == uuid.Nil {
		return account.Account{}, session.ErrUnauthenticated
	}
	return s.kit.Accounts.Get(ctx, p.UserID)
}

// ChangeOwnMetadata changes what people keep with their own account.
func (s *own) ChangeOwnMetadata(ctx context.Context, p principal.Principal, c metadata.Change) (out metadata.Object, err error) {
	_, err = s.kit.Self(ctx, p)
	if err != nil {
		return metadata.Object{}, err
	}
	c.Scope = metadata.User
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, _, err := s.kit.StillSignedIn(ctx, tx, p)
		if err != nil {
			return err
		}
		out, err = s.kit.ChangeMetadata(ctx, tx, flow.By(p), a.ID, c)
		return err
	})
	return out, err
}
