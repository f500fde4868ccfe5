package auth

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// SignedIn is how a sign-in goes on: with a session and its token, or, where Pending is set, with nothing but the
// question for a second factor.
type SignedIn struct {
	Token      string // secret: it exists nowhere else. Empty while Pending
	Principal  principal.Principal
	Persistent bool     // "remember me": the cookie should outlive the browser
	Device     string   // what the browser is to keep in its device cookie, for its next sign-in; secret. Empty: it keeps what it has
	Pending    *Pending // nil: signed in
	Codes      []string // recovery codes, where the sign-in made the first ones; secret, shown once

	// UsernameTaken says, of Confirm, that somebody else has the username by now that was chosen at sign-up. The account has none.
	UsernameTaken bool
}

// proof is what a method hands to complete: that somebody has shown to be the holder of an account.
type proof struct {
	account    account.Account // as it was when the factor was verified
	method     string          // for audit and gates: "password", "magic_link", "passkey", "oauth" …
	amr        []string
	twoFactors bool   // the method is two factors in one: a passkey that verified its user
	device     string // the browser's device cookie
	federated  string // the handle of a plugin's provider, see RevokeFederated
	link       string // the flow of a login elsewhere that waits to be linked (federated.go)
	persistent bool
	meta       map[string]any // more metadata of auth.login.success

	// change is what the method changes in the transaction of the session, with the account's row locked: spend the link, set
	// the password, clear the failures. It looks again at what the proof rests on, and may refuse.
	change func(ctx context.Context, tx *store.Tx, a account.Account) error
	// refused is how the method writes down a refusal: its own audit row. Nil: as auth.login.failure, as which a gate's is
	// written down for every method.
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

// complete turns the proof of a first factor into a session, or into a pending sign-in that a second factor ends. With
// FinishSignIn it is the only way to a session: gate, then one transaction.
func (s *Service) complete(ctx context.Context, p proof) (SignedIn, error) {
	stepUp, err := s.askLogin(ctx, p)
	if err != nil {
		return SignedIn{}, s.noted(ctx, p, err)
	}
	var out SignedIn
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.accounts.Lock(ctx, tx, p.account.ID)
		if err != nil {
			return err
		}
		if p.change != nil {
			if err := p.change(ctx, tx, a); err != nil {
				return err
			}
			if a.Status == account.Unconfirmed { // and may be confirmed now, without what a stranger put there
				if a, err = s.accounts.GetIn(ctx, tx, a.ID); err != nil {
					return err
				}
			}
		}
		if !s.maySignIn(a.Status) {
			return refusal{reason: "account_" + string(a.Status), err: errCredentials}
		}
		n, err := s.need(ctx, tx, a, p, stepUp)
		if err != nil {
			return err
		}
		if n.asked {
			out, err = s.suspend(ctx, tx, a, p, n)
			return err
		}
		g := session.Grant{Account: a, AAL: principal.AAL1, AMR: p.amr, Persistent: p.persistent, Federated: p.federated}
		if p.twoFactors {
			g.AAL = principal.AAL2
		}
		out, err = s.begin(ctx, tx, a, p, g, n.trusted)
		return err
	})
	if err != nil {
		return SignedIn{}, s.noted(ctx, p, err)
	}
	return out, nil
}

// noted writes a refusal down and gives what the person is told of it, as a refusalNoted; other errors stay.
func (s *Service) noted(ctx context.Context, p proof, err error) error {
	var r refusal
	if !errors.As(err, &r) {
		return err
	}
	note := p.refused
	if note == nil || strings.HasPrefix(r.reason, "gate_") {
		note = func(ctx context.Context, r refusal) error {
			return s.loginRefused(ctx, p.account, p.method, p.amr[0], r)
		}
	}
	if err := note(ctx, r); err != nil {
		return err
	}
	return refusalNoted{r.err}
}

// refusalNoted marks an error whose audit row is written.
type refusalNoted struct{ error }

func (r refusalNoted) Unwrap() error { return r.error }

// need is what a sign-in still lacks after its first factor.
type need struct {
	asked   bool
	trusted bool     // a second factor was spared because the browser is trusted
	enroll  bool     // one is demanded and the account has none: the person adds one now
	methods []string // which can be shown
}

// need decides whether a second factor is asked, under the account's lock. It is asked when the account has one, when a
// gate demands one, when policy demands one of everybody, and, as a setting, when the sign-in is suspicious. A trusted
// browser spares it in the first and third case only: the others are about this very sign-in.
func (s *Service) need(ctx context.Context, tx *store.Tx, a account.Account, p proof, gateStepUp *gate.Answer) (need, error) {
	if p.twoFactors {
		return need{}, nil
	}
	suspicious := false
	if s.set.SuspiciousStepUp {
		var err error
		if suspicious, err = s.devices.Suspicious(ctx, tx, a.ID, p.device); err != nil {
			return need{}, err
		}
	}
	asked := gateStepUp != nil || a.SecondFactor || s.set.RequireSecondFactor
	if !asked && !suspicious {
		return need{}, nil
	}
	f, err := s.factorsOf(ctx, tx, a.ID)
	if err != nil {
		return need{}, err
	}
	has := f.second()
	switch {
	case len(has) == 0 && gateStepUp != nil:
		return need{}, cannotStepUp(gateStepUp) // letting it pass would be worse
	case len(has) == 0 && !asked:
		return need{}, nil // whoever is suspicious must not be the one who adds a factor
	case len(has) == 0:
		return need{asked: true, enroll: true, methods: []string{MethodTOTP, MethodPasskey}}, nil
	}
	if gateStepUp == nil && !suspicious {
		seen, err := s.devices.Look(ctx, tx, a.ID, p.device)
		if err != nil {
			return need{}, err
		}
		if seen.Trusted {
			return need{trusted: true}, nil
		}
	}
	methods := beside(has, p.amr)
	switch {
	case len(methods) > 0:
		return need{asked: true, methods: methods}, nil
	case gateStepUp != nil:
		return need{}, cannotStepUp(gateStepUp)
	}
	return need{}, refusal{reason: "one_factor", err: errOneFactor}
}

// cannotStepUp refuses what a gate wants and nobody can give.
func cannotStepUp(by *gate.Answer) refusal {
	return refusal{reason: "gate_step_up", meta: map[string]any{"gate": by.By}, err: errStepUp}
}

// beside leaves out of an account's second factors what is none beside the first: having a passkey is one factor, however
// often it is shown and whichever of the account's passkeys it is (NIST SP 800-63B-4 §2.2.1).
func beside(methods, amr []string) []string {
	if !slices.Contains(amr, "hwk") && !slices.Contains(amr, "swk") || len(amr) > 1 {
		return methods
	}
	return slices.DeleteFunc(methods, func(m string) bool { return m == MethodPasskey })
}

// begin makes the session, in the transaction of the factors that it rests on.
func (s *Service) begin(ctx context.Context, tx *store.Tx, a account.Account, p proof, g session.Grant, trusted bool) (SignedIn, error) {
	if _, err := s.accounts.SignedIn(ctx, tx, a.ID); err != nil {
		return SignedIn{}, err
	}
	if err := s.linkWaiting(ctx, tx, a, p.link); err != nil {
		return SignedIn{}, err
	}
	in, err := s.sessions.Issue(ctx, tx, g)
	if err != nil {
		return SignedIn{}, err
	}
	noted, err := s.devices.Note(ctx, tx, a.ID, p.device)
	if err != nil {
		return SignedIn{}, err
	}
	meta := map[string]any{"method": p.method, "aal": g.AAL}
	if p.persistent {
		meta["remember"] = true
	}
	if trusted {
		meta["trusted_device"] = true
	}
	if noted.NewDevice {
		meta["new_device"] = true
	}
	for k, v := range p.meta {
		meta[k] = v
	}
	if err := s.record(ctx, tx, audit.Entry{
		Action: "auth.login.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, SessionID: in.Principal.SessionID,
		AuthMethod: p.amr[0], Metadata: meta,
	}); err != nil {
		return SignedIn{}, err
	}
	if err := s.noticeDevice(ctx, tx, a, noted, in.Principal.SessionID); err != nil {
		return SignedIn{}, err
	}
	out := SignedIn{Token: in.Token, Principal: in.Principal, Persistent: in.Persistent}
	if noted.Token != p.device {
		out.Device = noted.Token
	}
	return out, nil
}

// maySignIn: with deferred confirmation an unconfirmed account may; otherwise only an active one.
func (s *Service) maySignIn(st account.Status) bool {
	return st == account.Active || st == account.Unconfirmed && s.set.DeferConfirmation
}

// askLogin asks the gates, outside of any transaction. A step-up is the answer that demands a second factor; every
// refusal is an error.
func (s *Service) askLogin(ctx context.Context, p proof) (stepUp *gate.Answer, err error) {
	if !s.gates.Configured(gate.Login) {
		return nil, nil
	}
	who := &principal.Principal{
		Kind: principal.User, UserID: p.account.ID, Email: p.account.Email, Display: p.account.Email, Administrator: p.account.Administrator,
		AAL: principal.AAL1, AMR: p.amr, AuthTime: s.now(),
	}
	if p.twoFactors {
		who.AAL = principal.AAL2
	}
	ans, err := s.ask(ctx, gate.Ask{
		Question: gate.Login, Principal: who, Subject: user(p.account.ID),
		Context: map[string]any{"method": p.method, "email_domain": domain(p.account.Email)},
	})
	if err != nil || ans.Decision != gate.StepUp {
		return nil, err
	}
	return &ans, nil
}

// ask puts a question and turns a denial and a failure into a refusal.
func (s *Service) ask(ctx context.Context, q gate.Ask) (gate.Answer, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return gate.Answer{}, err
	}
	q.AttemptID = id.String()
	ans, err := s.gates.Ask(ctx, q)
	switch {
	case ctx.Err() != nil:
		return gate.Answer{}, ctx.Err()
	case err != nil:
		return gate.Answer{}, refusal{reason: "gate_failed", err: err}
	case ans.Decision == gate.Deny:
		return gate.Answer{}, refusal{reason: "gate_denied", meta: map[string]any{"gate": ans.By}, err: gate.Denied(ans)}
	}
	return ans, nil
}

// askFlat is ask where there is nobody to show a second factor: a step-up is a refusal like a denial.
func (s *Service) askFlat(ctx context.Context, q gate.Ask) error {
	ans, err := s.ask(ctx, q)
	if err == nil && ans.Decision == gate.StepUp {
		return refusal{reason: "gate_step_up", meta: map[string]any{"gate": ans.By}, err: errStepUp}
	}
	return err
}

var errStepUp = fault.New(fault.Denied, "second_factor_missing", "A rule of this service asks for a second factor, which this account does not have.")

func domain(email string) string {
	_, d, _ := strings.Cut(email, "@")
	return d
}

// with adds methods to an amr, each once (RFC 8176).
func with(amr []string, more ...string) []string {
	out := slices.Clone(amr)
	for _, m := range more {
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out
}
