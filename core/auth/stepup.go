package auth

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// stepUps renews sessions.
type stepUps struct{ *machine }

// StepUpMethods says how somebody who is signed in can show anew who they are, the usual way first: with a second
// factor where the account has one, else with what it has, and with a mailed code only where it has nothing.
func (s *stepUps) StepUpMethods(ctx context.Context, p principal.Principal) ([]string, error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.stepUpMethods(ctx, s.kit.DB, p, a)
}

func (s *stepUps) stepUpMethods(ctx context.Context, q store.Querier, p principal.Principal, a account.Account) ([]string, error) {
	f, err := s.factors.Of(ctx, q, a.ID)
	if err != nil {
		return nil, err
	}
	if a.SecondFactor && len(f.Second()) > 0 {
		return factor.Beside(f.Second(), p.AMR), nil
	}
	var out []string
	if hash, err := s.kit.Passwords.Find(ctx, q, a.ID); err != nil {
		return nil, err
	} else if hash != "" {
		out = append(out, factor.Password)
	}
	if f.Passkeys > 0 {
		out = append(out, factor.Passkey)
	}
	if len(out) == 0 {
		out = append(out, factor.Mail)
	}
	return out, nil
}

// StepUpPasskey begins the ceremony with which a passkey shows who somebody is.
func (s *stepUps) StepUpPasskey(ctx context.Context, p principal.Principal) (c passkey.Ceremony, err error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return c, err
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = s.kit.Passkeys.BeginLogin(ctx, tx, passkey.LoginOptions{AccountID: a.ID, Purpose: passkey.PurposeStepUp, RequireUV: !a.SecondFactor})
		return err
	})
	return c, err
}

// StepUpMail sends a code to the account's address, for who has nothing else to show.
func (s *stepUps) StepUpMail(ctx context.Context, p principal.Principal) (flowToken string, err error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return "", err
	}
	methods, err := s.stepUpMethods(ctx, s.kit.DB, p, a)
	if err != nil {
		return "", err
	}
	if !slices.Contains(methods, factor.Mail) {
		return "", factor.ErrMethod
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.kit.Mails.Fail(ctx, tx, flow.Key("step_up", a.Email)); err != nil {
			return err
		}
		out, err := s.kit.Onetime.Issue(ctx, tx, onetime.Request{Purpose: flow.StepUpCode, AccountID: a.ID, TTL: s.kit.Settings.StepUpWindow, Flow: true})
		if err != nil {
			return err
		}
		flowToken = out.Flow
		e := flow.By(p)
		e.Action, e.Targets, e.Metadata = "auth.step_up_request", []audit.Ref{flow.User(a.ID)}, map[string]any{"channel": "mail"}
		if err := s.kit.Record(ctx, tx, e); err != nil {
			return err
		}
		return s.kit.Enqueue(ctx, tx, mail.Letter{Purpose: mail.OTP, To: a.Email, Link: s.kit.Settings.BaseURL + "/step-up", Code: out.Code, Valid: s.kit.Settings.StepUpWindow})
	})
	return flowToken, err
}

// StepUp takes what somebody who is signed in shows, and renews their session: a new token, the moment as its
// auth_time and, where it was a second factor, the higher assurance.
func (s *stepUps) StepUp(ctx context.Context, p principal.Principal, f factor.Proof) (session.Issued, error) {
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return session.Issued{}, err
	}
	methods, err := s.stepUpMethods(ctx, s.kit.DB, p, a)
	if err != nil {
		return session.Issued{}, err
	}
	if !slices.Contains(methods, f.Method) {
		return session.Issued{}, factor.ErrMethod
	}
	if err := s.kit.Factors.Check(ctx, s.kit.DB, flow.SessionKey(p)); err != nil {
		return session.Issued{}, err
	}
	sh, err := s.showStepUp(ctx, a, f)
	if err != nil {
		return session.Issued{}, err
	}
	attempt, refused, err := s.askStepUp(ctx, p, a, sh)
	if err != nil {
		return session.Issued{}, err
	}
	var out session.Issued
	var answer error
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		answer = nil
		a, _, err := s.kit.StillSignedIn(ctx, tx, p)
		if err != nil {
			return err
		}
		// What the account has may have changed meanwhile: a password doesn't do where there is a second factor by now.
		if methods, err := s.stepUpMethods(ctx, tx, p, a); err != nil {
			return err
		} else if !slices.Contains(methods, f.Method) {
			return factor.ErrMethod
		}
		reason, say, err := sh.Spend(ctx, tx, a)
		if err != nil {
			return err
		}
		if reason == "" && refused != nil {
			// The factor is spent all the same, or a gate could be asked again and again with one code.
			answer = refused.Err
			return s.stepUpRefused(ctx, tx, p, sh, *refused)
		}
		if reason != "" {
			answer = say
			if err := s.factors.CountFailure(ctx, tx, a, flow.SessionKey(p)); err != nil {
				return err
			}
			// A new session has a new bucket, so it must take the second factor to get one: no browser is spared it any more (NIST SP
			// 800-63B-4 §3.2.2 bounds failures per account).
			if fault.KindOf(s.kit.Factors.Check(ctx, tx, flow.SessionKey(p))) == fault.RateLimited {
				if _, err := s.kit.End(ctx, tx, a, flow.Trust, uuid.Nil, flow.By(p), "too_many_failures"); err != nil {
					return err
				}
			}
			return s.stepUpRefused(ctx, tx, p, sh, flow.Refusal{Reason: reason, Attempt: attempt.CorrelationID()})
		}
		if err := attempt.Commit(ctx, tx); err != nil {
			return err
		}
		out, err = s.factors.Raise(ctx, tx, p, a, sh, attempt.CorrelationID())
		return err
	})
	if err == nil {
		attempt.End(ctx, answer)
	} else {
		attempt.End(ctx, err)
	}
	switch {
	case errors.Is(err, session.ErrGone):
		return session.Issued{}, session.ErrUnauthenticated // revoked in the meantime
	case err == nil:
		err = answer
	}
	if err != nil {
		return session.Issued{}, err
	}
	return out, nil
}

func (s *stepUps) stepUpRefused(ctx context.Context, tx *store.Tx, p principal.Principal, sh factor.Verified, r flow.Refusal) error {
	e := flow.By(p)
	e.Action, e.Reason, e.Targets, e.AuthMethod = "auth.step_up.failure", r.Reason, []audit.Ref{flow.User(p.UserID)}, sh.AMR[0]
	e.CorrelationID = r.Attempt
	e.Metadata = map[string]any{"method": sh.Method}
	for k, v := range r.Meta {
		e.Metadata[k] = v
	}
	return s.kit.Record(ctx, tx, e)
}

// showStepUp is show with the two ways that are no second factor.
func (s *stepUps) showStepUp(ctx context.Context, a account.Account, f factor.Proof) (factor.Verified, error) {
	switch f.Method {
	case factor.Password:
		return s.showPassword(ctx, a, f.Password)
	case factor.Mail:
		return factor.Verified{Method: f.Method, AMR: []string{"otp"}, Spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
			g, right, err := s.kit.Onetime.Guess(ctx, tx, flow.StepUpCode, f.Flow, f.Code)
			if errors.Is(err, onetime.ErrInvalid) || err == nil && (!right || g.AccountID != a.ID) {
				return "wrong_code", factor.ErrWrong, nil
			}
			if err != nil {
				return "", nil, err
			}
			return "", nil, s.kit.Onetime.Spend(ctx, tx, g)
		}}, nil
	}
	return s.factors.Verify(ctx, a, f, passkey.PurposeStepUp)
}

func (s *stepUps) showPassword(ctx context.Context, a account.Account, given string) (factor.Verified, error) {
	hash, err := s.kit.Passwords.Find(ctx, s.kit.DB, a.ID)
	if err != nil {
		return factor.Verified{}, err
	}
	right, _, err := s.kit.Passwords.Verify(ctx, hash, given)
	if err != nil && !errors.Is(err, password.ErrHash) {
		return factor.Verified{}, err
	}
	return factor.Verified{Method: factor.Password, AMR: []string{"pwd"}, Spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
		if !right {
			return "wrong_password", errOwnPassword, nil
		}
		now, err := s.kit.Passwords.Find(ctx, tx, a.ID)
		if err == nil && now != hash {
			err = flow.ErrPasswordChanged
		}
		return "", nil, err
	}}, nil
}

var errOwnPassword = fault.New(fault.Unauthenticated, "wrong_password", "That is not your password.").At("password")

// askStepUp asks the gates. A refusal comes back apart from errors: it is written down where the factor is spent.
func (s *stepUps) askStepUp(ctx context.Context, p principal.Principal, a account.Account, sh factor.Verified) (*gate.Attempt, *flow.Refusal, error) {
	if !s.kit.Gated(gate.SessionStepUp) {
		return nil, nil, nil
	}
	reached := p.AAL
	if factor.RaisesTo2(a, sh) {
		reached = principal.AAL2
	}
	attempt, err := s.kit.Allowed(ctx, gate.Ask{
		Question: gate.SessionStepUp, Principal: &p, Subject: flow.User(a.ID),
		Context: map[string]any{"method": sh.Method, "email_domain": flow.EmailDomain(a.Email), "aal": reached},
	})
	var r flow.Refusal
	if errors.As(err, &r) {
		return nil, &r, nil
	}
	return attempt, nil, err
}
