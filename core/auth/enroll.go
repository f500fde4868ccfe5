package auth

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// FactorsOf says what an account has; Required that a second factor is asked after every first one.
func (s *Service) FactorsOf(ctx context.Context, p principal.Principal) (f Factors, required bool, err error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return f, false, err
	}
	f, err = s.factorsOf(ctx, s.db, a.ID)
	return f, a.SecondFactor || s.set.RequireSecondFactor, err
}

// BeginTOTP makes the secret of an authenticator app. It counts for nothing until ConfirmTOTP.
func (s *Service) BeginTOTP(ctx context.Context, p principal.Principal) (totp.Enrollment, error) {
	var out totp.Enrollment
	err := s.changeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) (err error) {
		out, err = s.startTOTP(ctx, tx, a, by(p))
		return err
	})
	return out, err
}

func (s *Service) startTOTP(ctx context.Context, tx *store.Tx, a account.Account, e audit.Entry) (totp.Enrollment, error) {
	out, err := s.totp.Enroll(ctx, tx, a.ID, a.Email, s.set.ServiceName)
	if err != nil {
		return totp.Enrollment{}, err
	}
	e.Action, e.Targets, e.Metadata = "mfa.enrollment.start", []audit.Ref{user(a.ID)}, map[string]any{"method": MethodTOTP}
	return out, s.record(ctx, tx, e)
}

// ConfirmTOTP shows that the app has the secret. From then on a second factor is asked after every first one. The session, which has
// shown both now, goes on with a new token at AAL2; the account's first second factor comes with recovery codes.
func (s *Service) ConfirmTOTP(ctx context.Context, p principal.Principal, code string) (SignedIn, error) {
	if err := s.factors.Check(ctx, s.db, p.UserID.String()); err != nil {
		return SignedIn{}, err
	}
	var out SignedIn
	var right bool
	err := s.changeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) (err error) {
		out = SignedIn{}
		if right, err = s.totp.Confirm(ctx, tx, a.ID, code); err != nil {
			return err
		}
		if !right {
			if err := s.countFactor(ctx, tx, a, a.ID.String()); err != nil {
				return err
			}
			e := by(p)
			e.Action, e.Reason, e.Targets, e.Metadata = "mfa.enrollment.failure", "wrong_code", []audit.Ref{user(a.ID)}, map[string]any{"method": MethodTOTP}
			return s.record(ctx, tx, e)
		}
		codes, err := s.enrolled(ctx, tx, a, MethodTOTP, by(p))
		if err != nil {
			return err
		}
		a.SecondFactor = true
		in, err := s.raise(ctx, tx, p, a, shown{method: MethodTOTP, amr: []string{"otp"}})
		out = SignedIn{Token: in.Token, Principal: in.Principal, Persistent: in.Persistent, Codes: codes}
		return err
	})
	if err == nil && !right {
		err = errFactor
	}
	if err != nil {
		return SignedIn{}, err
	}
	return out, nil
}

// CancelTOTP forgets a secret that was never confirmed.
func (s *Service) CancelTOTP(ctx context.Context, p principal.Principal) error {
	a, err := s.member(ctx, p)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		was, err := s.totp.Cancel(ctx, tx, a.ID)
		if err != nil || !was {
			return err
		}
		e := by(p)
		e.Action, e.Targets, e.Metadata = "mfa.enrollment.cancel", []audit.Ref{user(a.ID)}, map[string]any{"method": MethodTOTP}
		return s.record(ctx, tx, e)
	})
}

// enrolled is what every new second factor does: from now on one is asked, the first one brings recovery codes, other sign-ins
// that wait end, browsers trusted before are asked again, and the person is told.
func (s *Service) enrolled(ctx context.Context, tx *store.Tx, a account.Account, method string, e audit.Entry) (codes []string, err error) {
	if err := s.accounts.SetSecondFactor(ctx, tx, a.ID, true); err != nil {
		return nil, err
	}
	left, err := s.codes.Remaining(ctx, tx, a.ID)
	if err != nil {
		return nil, err
	}
	if left == 0 {
		if codes, err = s.codes.Generate(ctx, tx, a.ID); err != nil {
			return nil, err
		}
	}
	if err := s.factorsChanged(ctx, tx, a, e, "factor_added"); err != nil {
		return nil, err
	}
	e.Action, e.Targets, e.Metadata = "mfa.enrollment.complete", []audit.Ref{user(a.ID)}, map[string]any{"method": method}
	if err := s.record(ctx, tx, e); err != nil {
		return nil, err
	}
	return codes, s.notice(ctx, tx, a, mail.Letter{Purpose: mail.MFAAdded, Method: method})
}

// RemoveTOTP removes the authenticator app.
func (s *Service) RemoveTOTP(ctx context.Context, p principal.Principal) error {
	return s.changeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		was, err := s.totp.Remove(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if !was {
			return fault.New(fault.NotFound, "totp_not_found", "There is no authenticator app on this account.")
		}
		if err := s.factorRemoved(ctx, tx, a, by(p)); err != nil {
			return err
		}
		e := by(p)
		e.Action, e.Targets, e.Metadata = "mfa.disable", []audit.Ref{user(a.ID)}, map[string]any{"method": MethodTOTP}
		if err := s.record(ctx, tx, e); err != nil {
			return err
		}
		return s.notice(ctx, tx, a, mail.Letter{Purpose: mail.MFARemoved, Method: MethodTOTP})
	})
}

// factorRemoved keeps the account's flag and its recovery codes true to the factors that are left. e begins the rows it writes.
func (s *Service) factorRemoved(ctx context.Context, tx *store.Tx, a account.Account, e audit.Entry) error {
	if err := s.factorsChanged(ctx, tx, a, e, "factor_removed"); err != nil {
		return err
	}
	f, err := s.factorsOf(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	if !a.SecondFactor || len(f.second()) > 0 {
		return nil
	}
	if s.set.RequireSecondFactor {
		return errLastFactor
	}
	if _, err := s.codes.Remove(ctx, tx, a.ID); err != nil {
		return err
	}
	return s.accounts.SetSecondFactor(ctx, tx, a.ID, false)
}

// AskAfterPassword has a passkey asked for as the second factor after every first one, or no longer. An account with an
// authenticator app is asked in any case.
func (s *Service) AskAfterPassword(ctx context.Context, p principal.Principal, on bool) (codes []string, err error) {
	err = s.changeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		codes = nil
		f, err := s.factorsOf(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		switch {
		case a.SecondFactor == on:
			return nil
		case on && f.Passkeys == 0:
			return fault.New(fault.Conflict, "passkey_needed", "Add a passkey or an authenticator app first.")
		case !on && s.set.RequireSecondFactor:
			return errLastFactor
		case !on && f.TOTP:
			return fault.New(fault.Conflict, "totp_enrolled", "Remove the authenticator app first.")
		case on:
			codes, err = s.enrolled(ctx, tx, a, MethodPasskey, by(p))
			return err
		}
		if _, err := s.codes.Remove(ctx, tx, a.ID); err != nil {
			return err
		}
		if err := s.accounts.SetSecondFactor(ctx, tx, a.ID, false); err != nil {
			return err
		}
		e := by(p)
		if err := s.factorsChanged(ctx, tx, a, e, "factor_removed"); err != nil {
			return err
		}
		e.Action, e.Targets, e.Metadata = "mfa.disable", []audit.Ref{user(a.ID)}, map[string]any{"method": MethodPasskey}
		if err := s.record(ctx, tx, e); err != nil {
			return err
		}
		return s.notice(ctx, tx, a, mail.Letter{Purpose: mail.MFARemoved, Method: MethodPasskey})
	})
	return codes, err
}

// RenewRecoveryCodes replaces all recovery codes; the new ones are shown this once.
func (s *Service) RenewRecoveryCodes(ctx context.Context, p principal.Principal) (codes []string, err error) {
	err = s.changeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		if !a.SecondFactor {
			return fault.New(fault.Conflict, "no_second_factor", "Recovery codes stand in for a second factor, and this account has none.")
		}
		var err error
		if codes, err = s.codes.Generate(ctx, tx, a.ID); err != nil {
			return err
		}
		e := by(p)
		e.Action, e.Targets, e.Metadata = "mfa.recovery_code.regenerate", []audit.Ref{user(a.ID)}, map[string]any{"count": len(codes)}
		if err := s.record(ctx, tx, e); err != nil {
			return err
		}
		return s.notice(ctx, tx, a, mail.Letter{Purpose: mail.RecoveryCodesRenewed})
	})
	return codes, err
}

// showNew looks at a factor that is added in the middle of a sign-in, because one is demanded and there is none.
func (s *Service) showNew(ctx context.Context, a account.Account, f Factor, name string) (shown, error) {
	switch f.Method {
	case MethodTOTP:
		return shown{method: f.Method, amr: []string{"otp"}, spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
			right, err := s.totp.Confirm(ctx, tx, a.ID, f.Code)
			if err != nil || !right {
				return "wrong_code", errFactor, err
			}
			return "", nil, nil
		}}, nil
	case MethodPasskey:
		reg, err := s.passkeys.VerifyRegistration(ctx, a.ID, f.Ceremony, f.Credential)
		if err != nil {
			return shown{}, err
		}
		return shown{method: f.Method, amr: keyAMR(reg.BackedUp), spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
			return "", nil, s.addPasskey(ctx, tx, a, reg, name, audit.Entry{Actor: user(a.ID)})
		}}, nil
	}
	return shown{}, errNoMethod
}

// ResetFactors removes everything but the password, for somebody who has lost it all and whom an administrator
// knows. Sessions and trusted browsers end; the person is told.
func (s *Service) ResetFactors(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		f, err := s.factorsOf(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if err := s.eraseFactors(ctx, tx, a.ID); err != nil {
			return err
		}
		if err := s.accounts.SetSecondFactor(ctx, tx, a.ID, false); err != nil {
			return err
		}
		if _, err := s.sessions.RevokeAllIn(ctx, tx, a.ID, noSession); err != nil {
			return err
		}
		e := audit.Entry{Actor: actor}
		if err := s.factorsChanged(ctx, tx, a, e, "factors_reset"); err != nil {
			return err
		}
		e.Action, e.Targets, e.Metadata = "admin.user.reset_factors", []audit.Ref{user(a.ID)}, map[string]any{"methods": f.second()}
		if err := s.record(ctx, tx, e); err != nil {
			return err
		}
		for _, m := range f.second() {
			if m == MethodRecoveryCode {
				continue // they stand in for the others
			}
			if err := s.notice(ctx, tx, a, mail.Letter{Purpose: mail.MFARemoved, Method: m}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Service) eraseFactors(ctx context.Context, tx *store.Tx, accountID uuid.UUID) error {
	if err := s.totp.Erase(ctx, tx, accountID); err != nil { // with one that waits: whoever began it knows its secret
		return err
	}
	if _, err := s.codes.Remove(ctx, tx, accountID); err != nil {
		return err
	}
	return s.passkeys.Erase(ctx, tx, accountID)
}

// Unlock lifts the pauses that failures brought on an account.
func (s *Service) Unlock(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		known, err := s.devices.List(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		keys := []string{a.Email}
		if u, err := account.ParseUsername(a.Username); err == nil {
			keys = append(keys, usernameKey(u))
		}
		for _, d := range known {
			keys = append(keys, keyOf("device", d.ID.String()))
		}
		for _, key := range keys {
			if err := s.failures.Clear(ctx, tx, key); err != nil {
				return err
			}
		}
		for _, key := range []string{a.ID.String(), keyOf("change", a.ID.String())} {
			if err := s.factors.Clear(ctx, tx, key); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, audit.Entry{Action: "admin.user.unlock", Actor: actor, Targets: []audit.Ref{user(a.ID)}})
	})
}
