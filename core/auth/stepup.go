package auth

import (
	"context"
	"errors"
	"slices"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// stepUpPurpose is what onetime keeps a mailed step-up code as.
const stepUpPurpose onetime.Purpose = "step_up"

// member is the account of who is signed in as themselves. Nobody changes credentials in somebody else's name.
func (s *Service) member(ctx context.Context, p principal.Principal) (account.Account, error) {
	if err := themselves(p); err != nil {
		return account.Account{}, err
	}
	return s.accounts.Get(ctx, p.UserID)
}

func themselves(p principal.Principal) error {
	switch {
	case p.Kind != principal.User || p.UserID == noSession:
		return session.ErrUnauthenticated
	case p.ImpersonatorID != noSession:
		return errImpersonated
	}
	return nil
}

// sure is member for what changes how somebody signs in: they must have shown who they are in the last minutes, with
// a second factor where the account has one (ASVS 5.0 7.5.1).
func (s *Service) sure(ctx context.Context, p principal.Principal) (account.Account, error) {
	a, err := s.member(ctx, p)
	if err == nil && !s.fresh(p, a) {
		err = errIsFactor
	}
	return a, err
}

// changeOwn is the transaction of such a change, with the account's row locked. A session that was revoked, or a password that was
// reset, must not be outlived by what was under way, so what sure looks at is looked at in here. Sure before it is for flows with costly
// work to do first.
func (s *Service) changeOwn(ctx context.Context, p principal.Principal, change func(context.Context, *store.Tx, account.Account) error) error {
	if err := themselves(p); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.accounts.Lock(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		now, err := s.sessions.FindIn(ctx, tx, p.SessionID)
		if errors.Is(err, session.ErrGone) || err == nil && now.UserID != a.ID {
			return session.ErrUnauthenticated
		}
		if err != nil {
			return err
		}
		if !s.fresh(now, a) {
			return errIsFactor
		}
		return change(ctx, tx, a)
	})
}

func (s *Service) fresh(p principal.Principal, a account.Account) bool {
	return s.now().Sub(p.AuthTime) <= s.set.StepUpWindow && (!a.SecondFactor || p.AAL == principal.AAL2)
}

// by is the beginning of an audit row of what somebody does to their own account.
func by(p principal.Principal) audit.Entry {
	return audit.Entry{Actor: user(p.UserID), SessionID: p.SessionID}
}

// StepUpMethods says how somebody who is signed in can show anew who they are, the usual way first: with a second
// factor where the account has one, else with what it has, and with a mailed code only where it has nothing.
func (s *Service) StepUpMethods(ctx context.Context, p principal.Principal) ([]string, error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.stepUpMethods(ctx, p, a)
}

func (s *Service) stepUpMethods(ctx context.Context, p principal.Principal, a account.Account) ([]string, error) {
	f, err := s.factorsOf(ctx, s.db, a.ID)
	if err != nil {
		return nil, err
	}
	if a.SecondFactor && len(f.second()) > 0 {
		return beside(f.second(), p.AMR), nil
	}
	var out []string
	if hash, err := s.passwords.Find(ctx, s.db, a.ID); err != nil {
		return nil, err
	} else if hash != "" {
		out = append(out, MethodPassword)
	}
	if f.Passkeys > 0 {
		out = append(out, MethodPasskey)
	}
	if len(out) == 0 {
		out = append(out, MethodMail)
	}
	return out, nil
}

// StepUpPasskey begins the ceremony with which a passkey shows who somebody is.
func (s *Service) StepUpPasskey(ctx context.Context, p principal.Principal) (c passkey.Ceremony, err error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return c, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = s.passkeys.BeginLogin(ctx, tx, passkey.LoginOptions{AccountID: a.ID, Purpose: passkey.PurposeStepUp, RequireUV: !a.SecondFactor})
		return err
	})
	return c, err
}

// StepUpMail sends a code to the account's address, for who has nothing else to show.
func (s *Service) StepUpMail(ctx context.Context, p principal.Principal) (flow string, err error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return "", err
	}
	methods, err := s.stepUpMethods(ctx, p, a)
	if err != nil {
		return "", err
	}
	if !slices.Contains(methods, MethodMail) {
		return "", errNoMethod
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.mails.Fail(ctx, tx, keyOf("step_up", a.Email)); err != nil {
			return err
		}
		out, err := s.onetime.Issue(ctx, tx, onetime.Request{Purpose: stepUpPurpose, AccountID: a.ID, TTL: s.set.StepUpWindow, Flow: true})
		if err != nil {
			return err
		}
		flow = out.Flow
		e := by(p)
		e.Action, e.Targets, e.Metadata = "auth.step_up_request", []audit.Ref{user(a.ID)}, map[string]any{"channel": "mail"}
		if err := s.record(ctx, tx, e); err != nil {
			return err
		}
		return s.enqueue(ctx, tx, mail.Letter{Purpose: mail.OTP, To: a.Email, Link: s.set.BaseURL + "/step-up", Code: out.Code, Valid: s.set.StepUpWindow})
	})
	return flow, err
}

// StepUp takes what somebody who is signed in shows, and renews their session: a new token, the moment as its
// auth_time and, where it was a second factor, the higher assurance.
func (s *Service) StepUp(ctx context.Context, p principal.Principal, f Factor) (SignedIn, error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return SignedIn{}, err
	}
	methods, err := s.stepUpMethods(ctx, p, a)
	if err != nil {
		return SignedIn{}, err
	}
	if !slices.Contains(methods, f.Method) {
		return SignedIn{}, errNoMethod
	}
	if err := s.factors.Check(ctx, s.db, a.ID.String()); err != nil {
		return SignedIn{}, err
	}
	sh, err := s.showStepUp(ctx, a, f)
	if err != nil {
		return SignedIn{}, err
	}
	refused, err := s.askStepUp(ctx, p, a, sh)
	if err != nil {
		return SignedIn{}, err
	}
	var out session.Issued
	var answer error
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		answer = nil
		a, err := s.accounts.Lock(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if !a.Status.Live() {
			return session.ErrUnauthenticated
		}
		reason, say, err := sh.spend(ctx, tx, a)
		if err != nil {
			return err
		}
		if reason == "" && refused != nil {
			// The factor is spent all the same, or a gate could be asked again and again with one code.
			answer = refused.err
			return s.stepUpRefused(ctx, tx, p, sh, *refused)
		}
		if reason != "" {
			answer = say
			if err := s.countFactor(ctx, tx, a, a.ID.String()); err != nil {
				return err
			}
			return s.stepUpRefused(ctx, tx, p, sh, refusal{reason: reason})
		}
		out, err = s.raise(ctx, tx, p, a, sh)
		return err
	})
	switch {
	case errors.Is(err, session.ErrGone):
		return SignedIn{}, session.ErrUnauthenticated // revoked in the meantime
	case err == nil:
		err = answer
	}
	if err != nil {
		return SignedIn{}, err
	}
	return SignedIn{Token: out.Token, Principal: out.Principal, Persistent: out.Persistent}, nil
}

// raise renews the session after a factor proved right.
func (s *Service) raise(ctx context.Context, tx *store.Tx, p principal.Principal, a account.Account, sh shown) (session.Issued, error) {
	if err := s.factors.Reset(ctx, tx, a.ID.String()); err != nil {
		return session.Issued{}, err
	}
	p.AuthTime, p.AMR = s.now(), with(p.AMR, sh.amr...)
	if second := a.SecondFactor || sh.alone; second {
		p.AAL, p.AMR = principal.AAL2, with(p.AMR, "mfa")
	}
	out, err := s.sessions.Rotate(ctx, tx, p)
	if err != nil {
		return session.Issued{}, err
	}
	e := by(p)
	e.Action, e.Targets, e.AuthMethod = "auth.step_up.success", []audit.Ref{user(a.ID)}, sh.amr[0]
	e.Metadata = map[string]any{"method": sh.method, "aal": p.AAL}
	return out, s.record(ctx, tx, e)
}

func (s *Service) stepUpRefused(ctx context.Context, tx *store.Tx, p principal.Principal, sh shown, r refusal) error {
	e := by(p)
	e.Action, e.Reason, e.Targets, e.AuthMethod = "auth.step_up.failure", r.reason, []audit.Ref{user(p.UserID)}, sh.amr[0]
	e.Metadata = map[string]any{"method": sh.method}
	for k, v := range r.meta {
		e.Metadata[k] = v
	}
	return s.record(ctx, tx, e)
}

// showStepUp is show with the two ways that are no second factor.
func (s *Service) showStepUp(ctx context.Context, a account.Account, f Factor) (shown, error) {
	switch f.Method {
	case MethodPassword:
		return s.showPassword(ctx, a, f.Password)
	case MethodMail:
		return shown{method: f.Method, amr: []string{"otp"}, spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
			g, right, err := s.onetime.Guess(ctx, tx, stepUpPurpose, f.Flow, f.Code)
			if errors.Is(err, onetime.ErrInvalid) || err == nil && (!right || g.AccountID != a.ID) {
				return "wrong_code", errFactor, nil
			}
			if err != nil {
				return "", nil, err
			}
			return "", nil, s.onetime.Spend(ctx, tx, g)
		}}, nil
	}
	return s.show(ctx, a, f, passkey.PurposeStepUp)
}

func (s *Service) showPassword(ctx context.Context, a account.Account, given string) (shown, error) {
	hash, err := s.passwords.Find(ctx, s.db, a.ID)
	if err != nil {
		return shown{}, err
	}
	right, _, err := s.passwords.Verify(ctx, hash, given)
	if err != nil && !errors.Is(err, password.ErrHash) {
		return shown{}, err
	}
	return shown{method: MethodPassword, amr: []string{"pwd"}, spend: func(ctx context.Context, tx *store.Tx, a account.Account) (string, error, error) {
		if !right {
			return "wrong_password", errOwnPassword, nil
		}
		now, err := s.passwords.Find(ctx, tx, a.ID)
		if err == nil && now != hash {
			err = errMeanwhile
		}
		return "", nil, err
	}}, nil
}

var errOwnPassword = fault.New(fault.Unauthenticated, "wrong_password", "That is not your password.").At("password")

// askStepUp asks the gates. A refusal comes back apart from errors: it is written down where the factor is spent.
func (s *Service) askStepUp(ctx context.Context, p principal.Principal, a account.Account, sh shown) (*refusal, error) {
	if !s.gates.Configured(gate.SessionStepUp) {
		return nil, nil
	}
	err := s.askFlat(ctx, gate.Ask{
		Question: gate.SessionStepUp, Principal: &p, Subject: user(a.ID),
		Context: map[string]any{"method": sh.method, "email_domain": domain(a.Email)},
	})
	var r refusal
	if errors.As(err, &r) {
		return &r, nil
	}
	return nil, err
}
