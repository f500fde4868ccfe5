package factor

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/store"
)

// StartTOTP makes the secret of an authenticator app, which counts for nothing until its first code. e begins the row.
func (s *Service) StartTOTP(ctx context.Context, tx *store.Tx, a account.Account, e audit.Entry) (totp.Enrollment, error) {
	out, err := s.kit.TOTP.Enroll(ctx, tx, a.ID, a.Email, s.kit.Settings.ServiceName)
	if err != nil {
		return totp.Enrollment{}, err
	}
	e.Action, e.Targets, e.Metadata = "mfa.enrollment.start", []audit.Ref{flow.User(a.ID)}, map[string]any{"method": TOTP}
	return out, s.kit.Record(ctx, tx, e)
}

// Added is what every new second factor does: from now on one is asked, the first one brings recovery codes, other sign-ins
// that wait end, browsers trusted before are asked again, and the person is told.
func (s *Service) Added(ctx context.Context, tx *store.Tx, a account.Account, method string, e audit.Entry) (codes []string, err error) {
	if err := s.kit.Accounts.SetSecondFactor(ctx, tx, a.ID, true); err != nil {
		return nil, err
	}
	left, err := s.kit.Codes.Remaining(ctx, tx, a.ID)
	if err != nil {
		return nil, err
	}
	if left == 0 {
		if codes, err = s.kit.Codes.Generate(ctx, tx, a.ID); err != nil {
			return nil, err
		}
	}
	if err := s.Changed(ctx, tx, a, e, "factor_added"); err != nil {
		return nil, err
	}
	e.Action, e.Targets, e.Metadata = "mfa.enrollment.complete", []audit.Ref{flow.User(a.ID)}, map[string]any{"method": method}
	if err := s.kit.Record(ctx, tx, e); err != nil {
		return nil, err
	}
	return codes, s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.MFAAdded, Method: method})
}

// Removed keeps the account's flag and its recovery codes true to the factors that are left. e begins the rows it writes.
func (s *Service) Removed(ctx context.Context, tx *store.Tx, a account.Account, e audit.Entry) error {
	if err := s.Changed(ctx, tx, a, e, "factor_removed"); err != nil {
		return err
	}
	f, err := s.Of(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	if !a.SecondFactor || len(f.Second()) > 0 {
		return nil
	}
	if s.kit.Settings.RequiresSecondFactor(a) {
		return ErrLast
	}
	if _, err := s.kit.Codes.Remove(ctx, tx, a.ID); err != nil {
		return err
	}
	return s.kit.Accounts.SetSecondFactor(ctx, tx, a.ID, false)
}

// VerifyNew looks at a factor that is added in the middle of a sign-in, because one is demanded and there is none.
func (s *Service) VerifyNew(ctx context.Context, a account.Account, f Proof, name string) (Verified, error) {
	switch f.Method {
	case TOTP:
		return Verified{Method: f.Method, AMR: []string{"otp"}, Spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
			right, err := s.kit.TOTP.Confirm(ctx, tx, a.ID, f.Code)
			if err != nil || !right {
				return "wrong_code", ErrWrong, err
			}
			return "", nil, nil
		}}, nil
	case Passkey:
		reg, err := s.kit.Passkeys.VerifyRegistration(ctx, a.ID, f.Ceremony, f.Credential)
		if err != nil {
			return Verified{}, err
		}
		return Verified{Method: f.Method, AMR: keyAMR(reg.BackedUp), Spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
			return "", nil, s.AddPasskey(ctx, tx, a, reg, name, audit.Entry{Actor: flow.User(a.ID)})
		}}, nil
	}
	return Verified{}, ErrMethod
}

// Changed is what every change of a second factor does, in its transaction: sign-ins that wait for one end, because what they
// were told to show is no longer so, and browsers trusted before are asked again.
func (s *Service) Changed(ctx context.Context, tx *store.Tx, a account.Account, e audit.Entry, cause string) error {
	_, err := s.kit.End(ctx, tx, a, flow.Waiting|flow.Trust, uuid.Nil, e, cause)
	return err
}
