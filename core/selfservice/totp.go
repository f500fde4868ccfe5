package selfservice

import (
	"context"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// FactorsOf says what an account has; Required that a second factor is asked after every first one.
func (s *own) FactorsOf(ctx context.Context, p principal.Principal) (f factor.Set, required bool, err error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return f, false, err
	}
	f, err = s.factors.Of(ctx, s.kit.DB, a.ID)
	return f, a.SecondFactor || s.kit.Settings.RequiresSecondFactor(a), err
}

// BeginTOTP makes the secret of an authenticator app. It counts for nothing until ConfirmTOTP.
func (s *own) BeginTOTP(ctx context.Context, p principal.Principal) (totp.Enrollment, error) {
	var out totp.Enrollment
	err := s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) (err error) {
		out, err = s.factors.StartTOTP(ctx, tx, a, flow.By(p))
		return err
	})
	return out, err
}

// Enrolled is the session of somebody who has added a factor, which goes on with a new token, and what came with it.
type Enrolled struct {
	session.Issued
	Codes []string // recovery codes, where these are the account's first; secret, shown once
}

// ConfirmTOTP shows that the app has the secret. From then on a second factor is asked after every first one. The session, which has
// shown both now, goes on with a new token at AAL2; the account's first second factor comes with recovery codes.
func (s *own) ConfirmTOTP(ctx context.Context, p principal.Principal, code string) (out Enrolled, err error) {
	if err := s.kit.Factors.Check(ctx, s.kit.DB, flow.SessionKey(p)); err != nil {
		return Enrolled{}, err
	}
	var right bool
	err = s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) (err error) {
		out = Enrolled{}
		if right, err = s.kit.TOTP.Confirm(ctx, tx, a.ID, code); err != nil {
			return err
		}
		if !right {
			if err := s.factors.CountFailure(ctx, tx, a, flow.SessionKey(p)); err != nil {
				return err
			}
			e := flow.By(p)
			e.Action, e.Reason, e.Targets, e.Metadata = "mfa.enrollment.failure", "wrong_code", []audit.Ref{flow.User(a.ID)}, map[string]any{"method": factor.TOTP}
			return s.kit.Record(ctx, tx, e)
		}
		out.Codes, err = s.factors.Added(ctx, tx, a, factor.TOTP, flow.By(p))
		if err != nil {
			return err
		}
		a.SecondFactor = true
		out.Issued, err = s.factors.Raise(ctx, tx, p, a, factor.Verified{Method: factor.TOTP, AMR: []string{"otp"}}, "")
		return err
	})
	if err == nil && !right {
		err = factor.ErrWrong
	}
	if err != nil {
		return Enrolled{}, err
	}
	return out, nil
}

// CancelTOTP forgets a secret that was never confirmed.
func (s *own) CancelTOTP(ctx context.Context, p principal.Principal) error {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return err
	}
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		was, err := s.kit.TOTP.Cancel(ctx, tx, a.ID)
		if err != nil || !was {
			return err
		}
		e := flow.By(p)
		e.Action, e.Targets, e.Metadata = "mfa.enrollment.cancel", []audit.Ref{flow.User(a.ID)}, map[string]any{"method": factor.TOTP}
		return s.kit.Record(ctx, tx, e)
	})
}

// RemoveTOTP removes the authenticator app.
func (s *own) RemoveTOTP(ctx context.Context, p principal.Principal) error {
	return s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		was, err := s.kit.TOTP.Remove(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if !was {
			return fault.New(fault.NotFound, "totp_not_found", "There is no authenticator app on this account.")
		}
		if err := s.factors.Removed(ctx, tx, a, flow.By(p)); err != nil {
			return err
		}
		e := flow.By(p)
		e.Action, e.Targets, e.Metadata = "mfa.disable", []audit.Ref{flow.User(a.ID)}, map[string]any{"method": factor.TOTP}
		if err := s.kit.Record(ctx, tx, e); err != nil {
			return err
		}
		return s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.MFARemoved, Method: factor.TOTP})
	})
}
