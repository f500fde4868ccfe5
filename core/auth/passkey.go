package auth

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// passkeyUser is who a passkey is made for.
func passkeyUser(a account.Account) passkey.User {
	return passkey.User{ID: a.ID, Name: a.Email, DisplayName: a.Email}
}

// ways counts the ways into an account that are its own: mail to its address is none of them.
func (s *Service) ways(ctx context.Context, tx *store.Tx, accountID uuid.UUID) (int, error) {
	hash, err := s.passwords.Find(ctx, tx, accountID)
	if err != nil {
		return 0, err
	}
	_, n, err := s.passkeys.Count(ctx, tx, accountID)
	if err != nil {
		return 0, err
	}
	logins, err := s.logins.Count(ctx, tx, accountID)
	if hash != "" {
		n++
	}
	return n + logins, err
}

// Passkeys lists somebody's own.
func (s *Service) Passkeys(ctx context.Context, p principal.Principal) ([]passkey.Passkey, error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.passkeys.List(ctx, s.db, a.ID)
}

// PasskeySignals is what a page of somebody's own tells their browser of their passkeys (WebAuthn L3 §5.1.10).
func (s *Service) PasskeySignals(ctx context.Context, p principal.Principal) (passkey.Signals, error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return passkey.Signals{}, err
	}
	return s.passkeys.Accepted(ctx, s.db, passkeyUser(a))
}

// BeginPasskey begins to add one. Conditional asks the browser to make it without a question, right after a sign-in with a password.
func (s *Service) BeginPasskey(ctx context.Context, p principal.Principal, conditional bool) (c passkey.Ceremony, err error) {
	a, err := s.sure(ctx, p)
	if err != nil {
		return c, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = s.passkeys.BeginRegistration(ctx, tx, passkeyUser(a), passkey.RegistrationOptions{Conditional: conditional})
		return err
	})
	return c, err
}

// AddPasskey ends it.
func (s *Service) AddPasskey(ctx context.Context, p principal.Principal, f Factor, name string) error {
	a, err := s.sure(ctx, p)
	if err != nil {
		return err
	}
	reg, err := s.passkeys.VerifyRegistration(ctx, a.ID, f.Ceremony, f.Credential)
	if err != nil {
		return s.passkeyNotAdded(ctx, a, by(p), err)
	}
	err = s.changeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		if err := s.factorsChanged(ctx, tx, a, by(p), "factor_added"); err != nil {
			return err
		}
		return s.addPasskey(ctx, tx, a, reg, name, by(p))
	})
	if err != nil && fault.KindOf(err) != fault.Internal {
		return s.passkeyNotAdded(ctx, a, by(p), err)
	}
	return err
}

func (s *Service) passkeyNotAdded(ctx context.Context, a account.Account, e audit.Entry, why error) error {
	if fault.KindOf(why) == fault.Internal {
		return why
	}
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		e.Action, e.Reason, e.Targets = "passkey.register.failure", string(passkey.ReasonOf(why)), []audit.Ref{user(a.ID)}
		return s.record(ctx, tx, e)
	})
	if err != nil {
		return err
	}
	return why
}

func (s *Service) addPasskey(ctx context.Context, tx *store.Tx, a account.Account, reg passkey.Registration, name string, e audit.Entry) error {
	k, err := s.passkeys.Add(ctx, tx, reg, name)
	if err != nil {
		return err
	}
	e.Action, e.Targets = "passkey.register.success", []audit.Ref{{Type: "passkey", ID: k.ID.String()}, user(a.ID)}
	e.Metadata = map[string]any{
		"aaguid": k.AAGUID.String(), "discoverable": k.Discoverable, "user_verified": reg.UserVerified, "backed_up": k.BackedUp, "conditional": reg.Conditional,
	}
	if err := s.record(ctx, tx, e); err != nil {
		return err
	}
	return s.notice(ctx, tx, a, mail.Letter{Purpose: mail.PasskeyAdded, Name: k.Name})
}

// RenamePasskey gives one of somebody's own another name.
func (s *Service) RenamePasskey(ctx context.Context, p principal.Principal, id uuid.UUID, name string) error {
	a, err := s.member(ctx, p)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := s.passkeys.Rename(ctx, tx, a.ID, id, name); err != nil {
			return err
		}
		e := by(p)
		e.Action, e.Targets = "passkey.rename", []audit.Ref{{Type: "passkey", ID: id.String()}, user(a.ID)}
		return s.record(ctx, tx, e)
	})
}

// DeletePasskey removes one, unless nothing would be left to sign in with.
func (s *Service) DeletePasskey(ctx context.Context, p principal.Principal, id uuid.UUID) error {
	return s.changeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		gone, err := s.passkeys.Delete(ctx, tx, a.ID, id)
		if err != nil {
			return err
		}
		left, _, err := s.passkeys.Count(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if ways, err := s.ways(ctx, tx, a.ID); err != nil {
			return err
		} else if ways == 0 {
			return errLastWay
		}
		if err := s.factorRemoved(ctx, tx, a, by(p)); err != nil {
			return err
		}
		e := by(p)
		e.Action, e.Targets = "passkey.delete", []audit.Ref{{Type: "passkey", ID: id.String()}, user(a.ID)}
		e.Metadata = map[string]any{"remaining": left}
		if err := s.record(ctx, tx, e); err != nil {
			return err
		}
		return s.notice(ctx, tx, a, mail.Letter{Purpose: mail.PasskeyRemoved, Name: gone.Name})
	})
}
