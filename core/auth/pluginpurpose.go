package auth

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// This file is what a plugin's sign-in can be for beside signing in.

var (
	errOtherSession = fault.New(fault.Denied, "link_other_session", "You are not signed in any more as who began this. Sign in and begin again.")
	errConfirmFirst = fault.New(fault.Conflict, "confirm_first", "Confirm your email address first.")
)

// themselves refuses everybody but who began it, in the session in which they did.
func (m VerifiedByPlugin) themselves(who principal.Principal) error {
	if !who.SignedIn() || who.SessionID != m.SessionID || who.ImpersonatorID != uuid.Nil {
		return errOtherSession
	}
	return nil
}

// link gives the login to the account that is signed in and asked for it. The proof of that account must be fresh still.
func (s *pluginSignIns) link(ctx context.Context, m VerifiedByPlugin, who principal.Principal) error {
	if err := m.themselves(who); err != nil {
		return err
	}
	c := m.claims()
	return s.kit.ChangeOwn(ctx, who, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		sit := federation.Situation{Purpose: federation.Link, SignedIn: federation.Standing(a.Status), SameAccount: true}
		known, err := s.kit.Logins.Find(ctx, tx, c)
		switch {
		case err == nil:
			sit.Owner, sit.OwnerIsCaller = federation.Active, known.AccountID == a.ID // whoever has it: it is not the caller's to take
		case !errors.Is(err, federation.ErrNotLinked):
			return err
		}
		switch federation.Decide(sit) {
		case federation.DoLink:
			if err := s.kit.Link(ctx, tx, a, c); err != nil {
				return err
			}
		case federation.DoNothing:
		case federation.RefuseElsewhere:
			return federation.ErrLinkedElsewhere
		case federation.RefuseUnconfirmed:
			return errConfirmFirst
		default:
			return session.ErrUnauthenticated
		}
		return s.kit.Mints.Settle(ctx, tx, m.Mint, mint.Outcome{Status: mint.Linked, UserID: a.ID, SessionID: who.SessionID})
	})
}

// stepUp renews the session of who is signed in on the word of a provider whose login is linked to their account: a new token, the
// moment of the proof as its auth_time and, where the provider's word on two factors counts, the higher assurance. An account with a second
// factor takes nothing less, as at every step-up.
func (s *pluginSignIns) stepUp(ctx context.Context, m VerifiedByPlugin, who principal.Principal) (out session.Issued, err error) {
	if err := m.themselves(who); err != nil {
		return out, err
	}
	a, err := s.kit.Self(ctx, who)
	if err != nil {
		return out, err
	}
	v := m.vouch()
	sh := factor.Verified{Method: factor.SSO, AMR: v.amr(), TwoFactors: v.two}
	asked := &stepUps{s.machine}
	attempt, refused, err := asked.askStepUp(ctx, who, a, sh)
	if err != nil {
		return out, err
	}
	var answer error
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		answer = nil
		a, now, err := s.kit.StillSignedIn(ctx, tx, who)
		if err != nil {
			return err
		}
		r, err := s.mayStepUp(ctx, tx, a, v)
		if err != nil {
			return err
		}
		if r == nil {
			r = refused
		}
		if r != nil {
			answer = r.Err
			return asked.stepUpRefused(ctx, tx, who, sh, *r)
		}
		if v.authTime.After(now.AuthTime) {
			now.AuthTime = v.authTime
		}
		now.AMR = factor.With(now.AMR, v.amr()...)
		if v.two {
			now.AAL = principal.AAL2
		}
		if !v.notAfter.IsZero() && v.notAfter.Before(now.ExpiresAt) {
			now.ExpiresAt = v.notAfter
		}
		if out, err = s.kit.Sessions.Rotate(ctx, tx, now); err != nil {
			return err
		}
		e := flow.By(who)
		e.Action, e.Targets, e.AuthMethod = "auth.step_up.success", []audit.Ref{flow.User(a.ID)}, sh.AMR[0]
		e.Metadata, e.CorrelationID = map[string]any{"method": sh.Method, "aal": now.AAL}, attempt.CorrelationID()
		if err := s.kit.Record(ctx, tx, e); err != nil {
			return err
		}
		if err := attempt.Commit(ctx, tx); err != nil {
			return err
		}
		return s.kit.Mints.Settle(ctx, tx, m.Mint, mint.Outcome{Status: mint.SteppedUp, UserID: a.ID, SessionID: who.SessionID})
	})
	if err == nil {
		attempt.End(ctx, answer)
	} else {
		attempt.End(ctx, err)
	}
	switch {
	case errors.Is(err, session.ErrGone):
		err = session.ErrUnauthenticated
	case err == nil:
		err = answer
	}
	return out, err
}

// mayStepUp says why a provider's word renews no session of an account, or nil.
func (s *pluginSignIns) mayStepUp(ctx context.Context, tx *store.Tx, a account.Account, v vouch) (*flow.Refusal, error) {
	known, err := s.kit.Logins.Find(ctx, tx, v.Claims)
	switch {
	case errors.Is(err, federation.ErrNotLinked), err == nil && known.AccountID != a.ID:
		return &flow.Refusal{Reason: errNotLinked.Code, Err: errNotLinked}, nil
	case err != nil:
		return nil, err
	case a.SecondFactor && !v.two:
		return &flow.Refusal{Reason: errTooWeak.Code, Err: errTooWeak}, nil
	}
	var r flow.Refusal
	if errors.As(v.admits(a), &r) {
		return &r, nil
	}
	return nil, s.kit.Logins.Touch(ctx, tx, known.ID)
}

// errNothingHappens is what becomes of an attempt that was a trial.
var errNothingHappens = errors.New("it was a trial")

// try judges a sign-in and changes nothing: gates are asked without anything about to happen. The reason of what would go well is the decision.
func (s *federatedSignIns) try(ctx context.Context, c vouch) (mint.Outcome, error) {
	refused := func(reason string) (mint.Outcome, error) {
		return mint.Outcome{Status: mint.Refused, Reason: reason}, nil
	}
	sit, a, err := s.situation(ctx, s.kit.DB, c)
	if err != nil {
		return mint.Outcome{}, err
	}
	d := federation.Decide(sit)
	signsIn := d == federation.DoSignIn || d == federation.DoAdopt
	switch {
	case d.Refused():
		return refused(string(d))
	case c.userID != uuid.Nil && (d != federation.DoSignIn || a.ID != c.userID):
		return refused(errNotLinked.Code)
	case !signsIn:
		return mint.Outcome{Status: mint.Tested, Reason: string(d)}, nil
	}
	var r flow.Refusal
	if errors.As(c.admits(a), &r) {
		return refused(r.Reason)
	}
	to, err := s.members.Heading(ctx, a.ID, c.entry)
	if err != nil {
		return mint.Outcome{}, err
	}
	if c.entry.OrganizationID != uuid.Nil && to.OrganizationID == uuid.Nil {
		return refused("not_a_member")
	}
	if s.kit.Gated(gate.Login) {
		attempt, err := s.ask(ctx, proof{account: a, method: c.method(), amr: c.amr(), twoFactors: c.two, entry: c.entry, authTime: c.authTime}, true)
		if errors.As(err, &r) {
			return refused(r.Reason)
		}
		if err != nil {
			return mint.Outcome{}, err
		}
		attempt.End(ctx, errNothingHappens)
	}
	return mint.Outcome{Status: mint.Tested, Reason: string(d), UserID: a.ID}, nil
}
