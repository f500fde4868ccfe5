package flow

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/store"
)

// Lock locks the row of an account that somebody else acts upon; a deleted one is none any more.
func (k *Kit) Lock(ctx context.Context, tx *store.Tx, userID uuid.UUID) (account.Account, error) {
	a, err := k.Accounts.Lock(ctx, tx, userID)
	if err == nil && a.Status == account.Deleted {
		err = account.ErrNotFound
	}
	return a, err
}

// Erase removes a person, in the caller's transaction: everything that says who it was goes, the id stays, so that the audit
// log goes on pointing at something. Its audit rows begin with e.
func (k *Kit) Erase(ctx context.Context, tx *store.Tx, e audit.Entry, userID uuid.UUID, notify bool) error {
	a, err := k.Lock(ctx, tx, userID)
	if err != nil {
		return err
	}
	n, err := k.Sessions.RevokeAllIn(ctx, tx, userID, uuid.Nil)
	if err != nil {
		return err
	}
	if err := k.Passwords.Erase(ctx, tx, userID); err != nil {
		return err
	}
	if err := k.EraseFactors(ctx, tx, userID); err != nil {
		return err
	}
	if err := k.Devices.Erase(ctx, tx, userID); err != nil {
		return err
	}
	if _, err := k.Logins.Erase(ctx, tx, userID); err != nil {
		return err
	}
	if err := k.Metadata.Erase(ctx, tx, userID); err != nil {
		return err
	}
	if err := k.Mints.Erase(ctx, tx, userID); err != nil {
		return err
	}
	if err := k.Orgs.Erase(ctx, tx, e, userID, a.Email); err != nil {
		return err
	}
	if err := k.Onetime.ForgetAll(ctx, tx, userID); err != nil {
		return err
	}
	for _, erase := range k.erasers {
		if err := erase(ctx, tx, userID); err != nil {
			return err
		}
	}
	if err := k.Erasures.Enqueue(ctx, tx, a.Subject()); err != nil {
		return err
	}
	if _, err := k.Accounts.Erase(ctx, tx, userID); err != nil {
		return err
	}
	if notify {
		if err := k.Enqueue(ctx, tx, mail.Letter{Purpose: mail.AccountDeleted, To: a.Email, When: k.Now()}); err != nil {
			return err
		}
	}
	e.Action, e.Targets = "account.deletion_execute", []audit.Ref{User(userID)}
	e.Metadata = n.In(map[string]any{"erased": []string{"email", "username", "password", "factors", "devices", "logins", "metadata", "organizations", "sessions", "links"}})
	return k.Record(ctx, tx, e)
}

// Reclaim takes away from an unconfirmed account what somebody who never had its mailbox may have put there.
func (k *Kit) Reclaim(ctx context.Context, tx *store.Tx, a account.Account) error {
	if err := k.Passwords.Erase(ctx, tx, a.ID); err != nil {
		return err
	}
	if err := k.EraseFactors(ctx, tx, a.ID); err != nil {
		return err
	}
	if err := k.Accounts.SetSecondFactor(ctx, tx, a.ID, false); err != nil {
		return err
	}
	if _, err := k.Logins.Erase(ctx, tx, a.ID); err != nil {
		return err
	}
	if err := k.Metadata.Erase(ctx, tx, a.ID, metadata.User); err != nil {
		return err
	}
	if err := k.Devices.Erase(ctx, tx, a.ID); err != nil {
		return err
	}
	if err := k.Onetime.Retire(ctx, tx, a.ID, mailedPurposes...); err != nil {
		return err
	}
	if err := k.Onetime.ForgetAll(ctx, tx, a.ID); err != nil {
		return err
	}
	_, err := k.Sessions.RevokeAllIn(ctx, tx, a.ID, uuid.Nil)
	return err
}

// EraseFactors removes what an account has to show beside its password.
func (k *Kit) EraseFactors(ctx context.Context, tx *store.Tx, accountID uuid.UUID) error {
	if err := k.TOTP.Erase(ctx, tx, accountID); err != nil { // with one that waits: whoever began it knows its secret
		return err
	}
	if _, err := k.Codes.Remove(ctx, tx, accountID); err != nil {
		return err
	}
	return k.Passkeys.Erase(ctx, tx, accountID)
}
