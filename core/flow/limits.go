package flow

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// Withheld counts a mail that a stranger has sent to an address, and says why it stays unsent: "too_many_mails" when the address has had as
// many as it may, empty otherwise. Whoever asks is answered the same either way: a refusal would keep the address's owner out for as
// long as somebody else asks in their name.
func (k *Kit) Withheld(ctx context.Context, tx *store.Tx, email string) (reason string, err error) {
	err = k.Mails.Fail(ctx, tx, email)
	if fault.KindOf(err) == fault.RateLimited {
		return "too_many_mails", nil
	}
	return "", err
}

// FactorKey names what wrong second factors are counted by, at a sign-in: apart in a browser that the account has been used from, so that
// whoever knows the password and guesses can't keep the account's owner out (ASVS 5.0 6.1.1).
func (k *Kit) FactorKey(ctx context.Context, q store.Querier, accountID uuid.UUID, device string) (string, error) {
	if device != "" {
		seen, err := k.Devices.Look(ctx, q, accountID, device)
		if err != nil {
			return "", err
		}
		if seen.Known {
			return Key("device", seen.ID.String()), nil
		}
	}
	return accountID.String(), nil
}

// SessionKey names what wrong proofs of somebody who is signed in are counted by.
func SessionKey(p principal.Principal) string { return Key("session", p.SessionID.String()) }

// CodeKey names what wrong mailed codes are counted by, over all flows of a subject (onetime.SubjectOf).
func CodeKey(subject string) string { return Key("code", subject) }

// ClearLimits lifts the pauses that failures brought on an account. The account's devices must still be there.
func (k *Kit) ClearLimits(ctx context.Context, tx *store.Tx, who part.Subject) error {
	known, err := k.Devices.List(ctx, tx, who.UserID)
	if err != nil {
		return err
	}
	keys := []string{who.Email}
	if who.Username != "" {
		keys = append(keys, UsernameKey(account.Username{Key: who.Username}))
	}
	for _, d := range known {
		keys = append(keys, Key("device", d.ID.String()))
	}
	for _, key := range keys {
		if err := k.Failures.Clear(ctx, tx, key); err != nil {
			return err
		}
	}
	factors := []string{
		who.UserID.String(), Key("change", who.UserID.String()), Key("username", who.UserID.String()),
		CodeKey(onetime.SubjectOf(who.UserID.String())), CodeKey(onetime.SubjectOf(who.Email)),
	}
	for _, d := range known {
		factors = append(factors, Key("device", d.ID.String()))
	}
	live, err := k.Sessions.ListIn(ctx, tx, who.UserID)
	if err != nil {
		return err
	}
	for _, in := range live {
		factors = append(factors, Key("session", in.ID.String()))
	}
	for _, key := range factors {
		if err := k.Factors.Clear(ctx, tx, key); err != nil {
			return err
		}
	}
	return nil
}

// EraseLimits forgets everything that was counted of somebody who is deleted: failures, and mails sent to their address.
func (k *Kit) EraseLimits(ctx context.Context, tx *store.Tx, who part.Subject) error {
	if err := k.ClearLimits(ctx, tx, who); err != nil {
		return err
	}
	for _, key := range []string{who.Email, Key("step_up", who.Email)} {
		if err := k.Mails.Clear(ctx, tx, key); err != nil {
			return err
		}
	}
	return nil
}
