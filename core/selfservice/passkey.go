package selfservice

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// passkeys are the ones of somebody's own account.
type passkeys struct{ *own }

// ways counts the ways into an account that are its own: mail to its address is none of them.
func (s *own) ways(ctx context.Context, tx *store.Tx, accountID uuid.UUID) (int, error) {
	hash, err := s.kit.Passwords.Find(ctx, tx, accountID)
	if err != nil {
		return 0, err
	}
	_, n, err := s.kit.Passkeys.Count(ctx, tx, accountID)
	if err != nil {
		return 0, err
	}
	logins, err := s.kit.Logins.Count(ctx, tx, accountID)
	if hash != "" {
		n++
	}
	return n + logins, err
}

// Passkeys lists somebody's own.
func (s *passkeys) Passkeys(ctx context.Context, p principal.Principal) ([]passkey.Passkey, error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.kit.Passkeys.List(ctx, s.kit.DB, a.ID)
}

// PasskeySignals is what a page of somebody's own tells their browser of their passkeys (WebAuthn L3 §5.1.10).
func (s *passkeys) PasskeySignals(ctx context.Context, p principal.Principal) (passkey.Signals, error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return passkey.Signals{}, err
	}
	return s.kit.Passkeys.Accepted(ctx, s.kit.DB, factor.PasskeyUser(a))
}

// BeginPasskey begins to add one. Conditional asks the browser to make it without a question, right after a sign-in with a password.
func (s *passkeys) BeginPasskey(ctx context.Context, p principal.Principal, conditional bool) (c passkey.Ceremony, err error) {
	a, err := s.kit.RequireRecentAuth(ctx, p)
	if err != nil {
		return c, err
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = s.kit.Passkeys.BeginRegistration(ctx, tx, factor.PasskeyUser(a), passkey.RegistrationOptions{Conditional: conditional})
		return err
	})
	return c, err
}

// AddPasskey ends it.
func (s *passkeys) AddPasskey(ctx context.Context, p principal.Principal, f factor.Proof, name string) error {
	a, err := s.kit.RequireRecentAuth(ctx, p)
	if err != nil {
		return err
	}
	reg, err := s.kit.Passkeys.VerifyRegistration(ctx, a.ID, f.Ceremony, f.Credential)
	if err != nil {
		return s.passkeyNotAdded(ctx, a, flow.By(p), err)
	}
	err = s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		if err := s.factors.Changed(ctx, tx, a, flow.By(p), "factor_added"); err != nil {
			return err
		}
		return s.factors.AddPasskey(ctx, tx, a, reg, name, flow.By(p))
	})
	if err != nil && fault.KindOf(err) != fault.Internal {
		return s.passkeyNotAdded(ctx, a, flow.By(p), err)
	}
	return err
}

func (s *passkeys) passkeyNotAdded(ctx context.Context, a account.Account, e audit.Entry, why error) error {
	if fault.KindOf(why) == fault.Internal {
		return why
	}
	err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		e.Action, e.Reason, e.Targets = "passkey.register.failure", string(passkey.ReasonOf(why)), []audit.Ref{flow.User(a.ID)}
		return s.kit.Record(ctx, tx, e)
	})
	if err != nil {
		return err
	}
	return why
}

// RenamePasskey gives one of somebody's own another name.
func (s *passkeys) RenamePasskey(ctx context.Context, p principal.Principal, id uuid.UUID, name string) error {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return err
	}
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := s.kit.Passkeys.Rename(ctx, tx, a.ID, id, name); err != nil {
			return err
		}
		e := flow.By(p)
		e.Action, e.Targets = "passkey.rename", []audit.Ref{{Type: "passkey", ID: id.String()}, flow.User(a.ID)}
		return s.kit.Record(ctx, tx, e)
	})
}

// DeletePasskey removes one, unless nothing would be left to sign in with.
func (s *passkeys) DeletePasskey(ctx context.Context, p principal.Principal, id uuid.UUID) error {
	return s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		gone, err := s.kit.Passkeys.Delete(ctx, tx, a.ID, id)
		if err != nil {
			return err
		}
		left, _, err := s.kit.Passkeys.Count(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if ways, err := s.ways(ctx, tx, a.ID); err != nil {
			return err
		} else if ways == 0 {
			return errLastWay
		}
		if err := s.factors.Removed(ctx, tx, a, flow.By(p)); err != nil {
			return err
		}
		e := flow.By(p)
		e.Action, e.Targets = "passkey.delete", []audit.Ref{{Type: "passkey", ID: id.String()}, flow.User(a.ID)}
		e.Metadata = map[string]any{"remaining": left}
		if err := s.kit.Record(ctx, tx, e); err != nil {
			return err
		}
		return s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.PasskeyRemoved, Name: gone.Name})
	})
}
