package factor

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/store"
)

// Verified is a proof that has been looked at outside of any transaction; Spend ends the matter inside of one.
type Verified struct {
	Method     string
	AMR        []string // RFC 8176
	TwoFactors bool     // it is two factors in one
	// Spend uses the factor up, with the account's row locked. A reason means that it proved nothing, and answer is what
	// the person is told; the transaction goes on, to write that down.
	Spend func(ctx context.Context, tx *store.Tx, a account.Account) (reason string, answer error, err error)
}

// Verify looks at what somebody shows of an account. purpose binds a passkey's ceremony to what it was begun for.
func (s *Service) Verify(ctx context.Context, a account.Account, f Proof, purpose passkey.Purpose) (Verified, error) {
	switch f.Method {
	case TOTP:
		return Verified{Method: f.Method, AMR: []string{"otp"}, Spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
			got, err := s.kit.TOTP.Spend(ctx, tx, a.ID, f.Code)
			return totpReason(got), ErrWrong, err
		}}, nil
	case RecoveryCode:
		return Verified{Method: f.Method, AMR: []string{"otp"}, Spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
			return s.spendRecoveryCode(ctx, tx, a, f.Code)
		}}, nil
	case Passkey:
		return s.showPasskey(ctx, a.ID, f, purpose)
	}
	return Verified{}, ErrMethod
}

func totpReason(o totp.Outcome) string {
	switch o {
	case totp.Right:
		return ""
	case totp.Replayed:
		return "replayed_code"
	case totp.None:
		return "not_enrolled"
	}
	return "wrong_code"
}

func (s *Service) spendRecoveryCode(ctx context.Context, tx *store.Tx, a account.Account, code string) (string, error, error) {
	ok, left, err := s.kit.Codes.Spend(ctx, tx, a.ID, code)
	if err != nil || !ok {
		return "wrong_code", ErrWrong, err
	}
	if err := s.kit.Record(ctx, tx, audit.Entry{
		Action: "mfa.recovery_code.used", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: "otp", Metadata: map[string]any{"remaining": left},
	}); err != nil {
		return "", nil, err
	}
	return "", nil, s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.RecoveryCodeUsed, Count: left})
}

// showPasskey verifies what a passkey answered to a ceremony of an account.
func (s *Service) showPasskey(ctx context.Context, accountID uuid.UUID, f Proof, purpose passkey.Purpose) (Verified, error) {
	as, err := s.kit.Passkeys.VerifyLogin(ctx, purpose, accountID, f.Ceremony, f.Credential)
	reason := string(passkey.ReasonOf(err))
	if err != nil && reason == "" {
		return Verified{}, err
	}
	return s.VerifiedPasskey(as, reason), nil
}

// VerifiedPasskey is a passkey's answer that was verified, or was not, for a reason.
func (s *Service) VerifiedPasskey(as passkey.Assertion, reason string) Verified {
	sh := Verified{Method: Passkey, AMR: keyAMR(as.BackedUp), TwoFactors: as.TwoFactors}
	sh.Spend = func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
		switch {
		case passkey.Reason(reason) == passkey.ReasonBackupChanged:
			return reason, passkey.ErrChanged, nil
		case reason != "":
			return reason, errPasskey, nil
		}
		used, err := s.kit.Passkeys.Use(ctx, tx, as)
		why := string(passkey.ReasonOf(err))
		if err != nil && why == "" {
			return "", nil, err
		}
		if used.Regressed {
			if err := s.cloneAlarm(ctx, tx, a, as, used, why != ""); err != nil {
				return "", nil, err
			}
		}
		if passkey.Reason(why) == passkey.ReasonSignCount {
			return why, errCloned, nil
		}
		return why, errPasskey, nil
	}
	return sh
}

// keyAMR: a key that is kept in more than one place is not bound to hardware (RFC 8176 §2).
func keyAMR(backedUp bool) []string {
	if backedUp {
		return []string{"swk"}
	}
	return []string{"hwk"}
}

// cloneAlarm writes down that a passkey's counter did not rise, and tells the person (WebAuthn L3 §6.1.1).
func (s *Service) cloneAlarm(ctx context.Context, tx *store.Tx, a account.Account, as passkey.Assertion, used passkey.Used, blocked bool) error {
	if err := s.kit.Record(ctx, tx, audit.Entry{
		Action: "passkey.sign_count_regression", Actor: flow.User(a.ID), AuthMethod: "hwk",
		Targets:  []audit.Ref{{Type: "passkey", ID: as.PasskeyID.String()}, flow.User(a.ID)},
		Metadata: map[string]any{"stored": used.Stored, "presented": used.Presented, "blocked": blocked},
	}); err != nil {
		return err
	}
	k, err := s.kit.Passkeys.Get(ctx, tx, a.ID, as.PasskeyID)
	if err != nil {
		return err
	}
	return s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.PasskeyCloneAlarm, Name: k.Name})
}
