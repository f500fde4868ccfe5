package flow

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// ErrStepUpRequired says that somebody must show anew who they are before they change how they sign in.
var ErrStepUpRequired = fault.New(fault.Denied, "step_up_required", "Please confirm that it is you first.")

var errImpersonated = fault.New(fault.Denied, "impersonated", "Nobody may do this in somebody else's name.")

// Self is the account of somebody who is signed in as themselves. Nobody changes credentials in somebody else's name.
func (k *Kit) Self(ctx context.Context, p principal.Principal) (account.Account, error) {
	if err := themselves(p); err != nil {
		return account.Account{}, err
	}
	return k.Accounts.Get(ctx, p.UserID)
}

func themselves(p principal.Principal) error {
	switch {
	case !p.SignedIn():
		return session.ErrUnauthenticated
	case p.ImpersonatorID != uuid.Nil:
		return errImpersonated
	}
	return nil
}

// RequireRecentAuth is Self for what changes how somebody signs in: they must have shown who they are in the last minutes, with
// a second factor where the account has one (ASVS 5.0 7.5.1).
func (k *Kit) RequireRecentAuth(ctx context.Context, p principal.Principal) (account.Account, error) {
	a, err := k.Self(ctx, p)
	if err == nil && !k.Recent(p, a) {
		err = ErrStepUpRequired
	}
	return a, err
}

// Recent reports whether a session's proof is fresh enough to change how its person signs in.
func (k *Kit) Recent(p principal.Principal, a account.Account) bool {
	return k.Now().Sub(p.AuthTime) <= k.Settings.StepUpWindow && (!a.SecondFactor || p.AAL == principal.AAL2)
}

// ChangeOwn is the transaction of such a change, with the account's row locked. A session that was revoked, or a password that was
// reset, must not be outlived by what was under way, so what RequireRecentAuth looks at is looked at in here. To look before as well is for
// flows with costly work to do first.
func (k *Kit) ChangeOwn(ctx context.Context, p principal.Principal, change func(context.Context, *store.Tx, account.Account) error) error {
	if err := themselves(p); err != nil {
		return err
	}
	return k.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, now, err := k.StillSignedIn(ctx, tx, p)
		if err != nil {
			return err
		}
		if !k.Recent(now, a) {
			return ErrStepUpRequired
		}
		return change(ctx, tx, a)
	})
}

// StillSignedIn locks the account of who is signed in and looks whether what they showed still counts: the session stands, is theirs, and has
// the token that the request came with. A session keeps its id when it gets a new token, after a step-up or a change of the password; who
// has only the old one, which may be a copy, has nothing any more (ASVS 5.0 7.2.4). It gives the session as it is now.
func (k *Kit) StillSignedIn(ctx context.Context, tx *store.Tx, p principal.Principal) (account.Account, principal.Principal, error) {
	a, err := k.Accounts.Lock(ctx, tx, p.UserID)
	if err != nil {
		return account.Account{}, p, err
	}
	now, err := k.Standing(ctx, tx, p)
	return a, now, err
}

// Standing is the session as it is now, of somebody whose account needs no lock for what they do: as StillSignedIn says.
func (k *Kit) Standing(ctx context.Context, q store.Querier, p principal.Principal) (principal.Principal, error) {
	now, err := k.Sessions.FindIn(ctx, q, p.SessionID)
	if errors.Is(err, session.ErrGone) || err == nil && (now.UserID != p.UserID || subtle.ConstantTimeCompare(now.TokenHash, p.TokenHash) != 1) {
		return p, session.ErrUnauthenticated
	}
	return now, err
}
