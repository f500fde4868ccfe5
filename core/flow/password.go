package flow

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// ScreenPassword applies the policy to a password that somebody wants to have, and asks whether it was seen in a breach. screened
// adds to the metadata of the audit row what came of that.
func (k *Kit) ScreenPassword(ctx context.Context, pw, email, username string) (screened func(map[string]any) map[string]any, err error) {
	if err := k.Passwords.Check(pw, email, username); err != nil {
		return nil, err
	}
	sc, err := k.Passwords.Screen(ctx, pw)
	if err != nil {
		return nil, err
	}
	return func(meta map[string]any) map[string]any {
		if sc.Outcome != password.Off {
			meta["breach_check"] = string(sc.Outcome)
		}
		return meta
	}, nil
}

// ErrPasswordChanged says that what somebody showed is no longer the password.
var ErrPasswordChanged = fault.New(fault.Conflict, "password_changed", "The password was changed in the meantime. Sign in again.")

var errCode = fault.New(fault.Unauthenticated, "wrong_code", "That code is not right.").At("code")

// ReplacePassword is what every change of a password does, in its transaction: the new hash, no other session, no open
// link, no trusted browser, a notice. e begins the rows it writes. It names the sessions that ended.
func (k *Kit) ReplacePassword(ctx context.Context, tx *store.Tx, a account.Account, hash string, keep uuid.UUID, e audit.Entry) (session.Ended, error) {
	if err := k.Passwords.Set(ctx, tx, a.ID, hash); err != nil {
		return nil, err
	}
	n, err := k.End(ctx, tx, a, Everything, keep, e, "password_changed")
	if err != nil {
		return nil, err
	}
	return n, k.Notice(ctx, tx, a, mail.Letter{Purpose: mail.PasswordChanged, Link: k.Settings.BaseURL + "/reset"})
}

// PasswordLink is the address to open for the token of a link that sets a password.
func (k *Kit) PasswordLink(token string) string {
	return k.Settings.BaseURL + "/set-password?token=" + token
}

// GuessCode tries a mailed code; failed writes down a wrong one, in the transaction that counts it: for its flow, and for whom it was mailed
// to, over all flows and nodes. When those are too many, no code counts for a while, right ones neither; the mailed link still does.
func (k *Kit) GuessCode(ctx context.Context, p onetime.Purpose, token, code string, failed func(context.Context, *store.Tx, onetime.Grant) error) (g onetime.Grant, err error) {
	var right bool
	err = k.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if g, right, err = k.Onetime.Guess(ctx, tx, p, token, code); err != nil {
			return err
		}
		if right {
			return k.Factors.Reset(ctx, tx, CodeKey(g.Subject))
		}
		if err := k.Factors.Fail(ctx, tx, CodeKey(g.Subject)); err != nil {
			return err
		}
		return failed(ctx, tx, g)
	})
	if err == nil && !right {
		err = errCode
	}
	return g, err
}
