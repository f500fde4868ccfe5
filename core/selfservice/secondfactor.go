package selfservice

import (
	"context"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// AskAfterPassword has a passkey asked for as the second factor after every first one, or no longer. An account with an
// authenticator app is asked in any case.
func (s *own) AskAfterPassword(ctx context.Context, p principal.Principal, on bool) (codes []string, err error) {
	err = s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		codes = nil
		f, err := s.factors.Of(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		switch {
		case a.SecondFactor == on:
			return nil
		case on && f.Passkeys == 0:
			return fault.New(fault.Conflict, "passkey_needed", "Add a passkey or an authenticator app first.")
		case !on && s.kit.Settings.RequiresSecondFactor(a):
			return factor.ErrLast
		case !on && f.TOTP:
			return fault.New(fault.Conflict, "totp_enrolled", "Remove the authenticator app first.")
		case on:
			codes, err = s.factors.Added(ctx, tx, a, factor.Passkey, flow.By(p))
			return err
		}
		if _, err := s.kit.Codes.Remove(ctx, tx, a.ID); err != nil {
			return err
		}
		if err := s.kit.Accounts.SetSecondFactor(ctx, tx, a.ID, false); err != nil {
			return err
		}
		e := flow.By(p)
		if err := s.factors.Changed(ctx, tx, a, e, "factor_removed"); err != nil {
			return err
		}
		e.Action, e.Targets, e.Metadata = "mfa.disable", []audit.Ref{flow.User(a.ID)}, map[string]any{"method": factor.Passkey}
		if err := s.kit.Record(ctx, tx, e); err != nil {
			return err
		}
		return s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.MFARemoved, Method: factor.Passkey})
	})
	return codes, err
}

// RenewRecoveryCodes replaces all recovery codes; the new ones are shown this once.
func (s *own) RenewRecoveryCodes(ctx context.Context, p principal.Principal) (codes []string, err error) {
	err = s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		if !a.SecondFactor {
			return fault.New(fault.Conflict, "no_second_factor", "Recovery codes stand in for a second factor, and this account has none.")
		}
		var err error
		if codes, err = s.kit.Codes.Generate(ctx, tx, a.ID); err != nil {
			return err
		}
		e := flow.By(p)
		e.Action, e.Targets, e.Metadata = "mfa.recovery_code.regenerate", []audit.Ref{flow.User(a.ID)}, map[string]any{"count": len(codes)}
		if err := s.kit.Record(ctx, tx, e); err != nil {
			return err
		}
		return s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.RecoveryCodesRenewed})
	})
	return codes, err
}
