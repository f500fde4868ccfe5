package auth

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// SignedIn is a new session with its token.
type SignedIn struct {
	Token      string // secret: it exists nowhere else
	Principal  session.Principal
	Persistent bool   // "remember me": the cookie should outlive the browser
	Device     string // the browser's mark, for its next sign-in; secret. Empty: it keeps what it has
}

// proof is what a method hands to complete: that somebody has shown to be the holder of an account.
type proof struct {
	account    account.Account // as it was when the factor was verified
	method     string          // for audit and gates: "password", "confirmation", "password_link"
	amr        []string
	persistent bool
	marked     bool           // the browser has a mark already that stays good
	meta       map[string]any // more metadata of auth.login.success

	// change is what the method changes in the transaction of the session, with the account's row locked: spend the link, set
	// the password, clear the failures. It looks again at what the proof rests on, and may refuse.
	change func(ctx context.Context, tx *store.Tx, a account.Account) error
	// refused is how the method writes down that change refused: its own audit row. A gate's refusal is written down by
	// complete, as auth.login.failure for every method.
	refused func(ctx context.Context, r refusal) error
}

// refusal is why a sign-in was refused: a code for the audit row, and what the person is told.
type refusal struct {
	reason string
	meta   map[string]any
	err    error
}

func (r refusal) Error() string { return r.reason + ": " + r.err.Error() }
func (r refusal) Unwrap() error { return r.err }

// complete turns a proof into a session. It is the only way to get one: gate, then [second factor], then one transaction.
func (s *Service) complete(ctx context.Context, p proof) (SignedIn, error) {
	if err := s.askLogin(ctx, p); err != nil {
		var r refusal
		if errors.As(err, &r) {
			if err := s.loginRefused(ctx, p.account, p.method, p.amr[0], r); err != nil {
				return SignedIn{}, err
			}
			return SignedIn{}, r.err
		}
		return SignedIn{}, err
	}
	// The second factor goes here: between the gate and the session, for every method.
	var out session.Issued
	var device string
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.accounts.SignedIn(ctx, tx, p.account.ID)
		if err != nil {
			return err
		}
		if p.change != nil {
			if err := p.change(ctx, tx, a); err != nil {
				return err
			}
			if a.Status == account.Unconfirmed { // the change may have activated it
				if a, err = s.accounts.GetIn(ctx, tx, a.ID); err != nil {
					return err
				}
			}
		}
		if !s.maySignIn(a.Status) {
			return refusal{reason: "account_" + string(a.Status), err: errCredentials}
		}
		out, err = s.sessions.Issue(ctx, tx, session.Grant{Account: a, AAL: session.AAL1, AMR: p.amr, Persistent: p.persistent})
		if err != nil {
			return err
		}
		if !p.marked {
			if device, err = s.newMark(ctx, tx, a.ID); err != nil {
				return err
			}
		}
		meta := map[string]any{"method": p.method, "aal": session.AAL1}
		if p.persistent {
			meta["remember"] = true
		}
		for k, v := range p.meta {
			meta[k] = v
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "auth.login.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, SessionID: out.Principal.SessionID,
			AuthMethod: p.amr[0], Metadata: meta,
		})
	})
	var r refusal
	if errors.As(err, &r) {
		if p.refused != nil {
			if err := p.refused(ctx, r); err != nil {
				return SignedIn{}, err
			}
		}
		return SignedIn{}, r.err
	}
	if err != nil {
		return SignedIn{}, err
	}
	return SignedIn{Token: out.Token, Principal: out.Principal, Persistent: out.Persistent, Device: device}, nil
}

// maySignIn: with deferred confirmation an unconfirmed account may; otherwise only an active one.
func (s *Service) maySignIn(st account.Status) bool {
	return st == account.Active || st == account.Unconfirmed && s.set.DeferConfirmation
}

// askLogin asks the gates, outside of any transaction.
func (s *Service) askLogin(ctx context.Context, p proof) error {
	if !s.gates.Configured(gate.Login) {
		return nil
	}
	return s.ask(ctx, gate.Ask{
		Question: gate.Login,
		Principal: &session.Principal{
			Kind: "user", UserID: p.account.ID, Email: p.account.Email, Display: p.account.Email, Administrator: p.account.Administrator,
			AAL: session.AAL1, AMR: p.amr, AuthTime: s.now(),
		},
		Subject: user(p.account.ID),
		Context: map[string]any{"method": p.method, "email_domain": domain(p.account.Email)},
	})
}

// ask puts a question and turns every answer but "allow" into a refusal.
func (s *Service) ask(ctx context.Context, q gate.Ask) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	q.AttemptID = id.String()
	ans, err := s.gates.Ask(ctx, q)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return refusal{reason: "gate_failed", err: err}
	case ans.Decision == gate.Deny:
		return refusal{reason: "gate_denied", meta: map[string]any{"gate": ans.By}, err: gate.Denied(ans)}
	case ans.Decision == gate.StepUp:
		// There is no second factor yet: what a gate wants can't be given, and letting it pass would be worse.
		return refusal{reason: "gate_step_up", meta: map[string]any{"gate": ans.By}, err: errStepUp}
	}
	return nil
}

var errStepUp = fault.New(fault.Denied, "step_up_required", "A rule of this service asks for a second factor, which this account does not have.")

func domain(email string) string {
	_, d, _ := strings.Cut(email, "@")
	return d
}
