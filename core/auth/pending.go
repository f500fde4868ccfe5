package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Pending is a sign-in between its first and its second factor. It is no session: nothing but the factor can be done with it.
type Pending struct {
	Flow      string   // secret, for the browser that showed the first factor
	Methods   []string // what can be shown, the usual one first
	Enroll    bool     // the account has no second factor and must add one of Methods now
	ExpiresAt time.Time
}

// errPending is the answer to a flow that is over, whatever ended it.
var errPending = fault.New(fault.Unauthenticated, "sign_in_expired", "This sign-in took too long or was ended. Please start again.")

// waiting is what a pending sign-in remembers of its first factor. It is kept sealed.
type waiting struct {
	Method     string           `json:"method"`
	AMR        []string         `json:"amr"`
	Persistent bool             `json:"persistent,omitempty"`
	Link       string           `json:"link,omitempty"`
	Federated  string           `json:"federated,omitempty"`
	Entry      membership.Entry `json:"entry,omitzero"`
	Meta       map[string]any   `json:"meta,omitempty"`
	Methods    []string         `json:"methods"`
	Enroll     bool             `json:"enroll,omitempty"`
	Attempt    string           `json:"attempt,omitempty"`
	NotAfter   time.Time        `json:"not_after,omitzero"`
	minted
}

// secondFactors ends sign-ins that wait for a second factor.
type secondFactors struct {
	*machine
	trustFor atomic.Int64 // time.Duration; Settings.TrustFor to begin with
}

// pending finds the sign-in that a flow token stands for.
func (s *secondFactors) pending(ctx context.Context, flowToken string) (onetime.Grant, waiting, error) {
	var w waiting
	g, err := s.kit.Onetime.LookFlow(ctx, s.kit.DB, flow.PendingSignIn, flowToken)
	if errors.Is(err, onetime.ErrInvalid) {
		return g, w, errPending
	}
	if err != nil {
		return g, w, err
	}
	if err := json.Unmarshal(g.Payload, &w); err != nil {
		return g, w, fmt.Errorf("read pending sign-in: %w", err)
	}
	return g, w, nil
}

// PendingSignIn says what a flow still waits for; it changes nothing.
func (s *secondFactors) PendingSignIn(ctx context.Context, flowToken string) (Pending, error) {
	g, w, err := s.pending(ctx, flowToken)
	if err != nil {
		return Pending{}, err
	}
	return Pending{Flow: flowToken, Methods: w.Methods, Enroll: w.Enroll, ExpiresAt: g.ExpiresAt}, nil
}

// PendingPasskey begins the ceremony with which a passkey ends a pending sign-in, or, where one must be added, makes it.
func (s *secondFactors) PendingPasskey(ctx context.Context, flowToken string) (c passkey.Ceremony, err error) {
	g, w, err := s.pending(ctx, flowToken)
	if err != nil {
		return c, err
	}
	if !slices.Contains(w.Methods, factor.Passkey) {
		return c, factor.ErrMethod
	}
	a, err := s.kit.Accounts.Get(ctx, g.AccountID)
	if err != nil {
		return c, err
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if w.Enroll {
			c, err = s.kit.Passkeys.BeginRegistration(ctx, tx, factor.PasskeyUser(a), passkey.RegistrationOptions{})
		} else {
			c, err = s.kit.Passkeys.BeginLogin(ctx, tx, passkey.LoginOptions{AccountID: a.ID, Purpose: passkey.PurposeSecondFactor, TrustUV: true})
		}
		return err
	})
	return c, err
}

// PendingTOTP begins to add an authenticator app to an account that must have a second factor and has none.
func (s *secondFactors) PendingTOTP(ctx context.Context, flowToken string) (e totp.Enrollment, err error) {
	g, w, err := s.pending(ctx, flowToken)
	if err != nil {
		return e, err
	}
	if !w.Enroll {
		return e, factor.ErrMethod
	}
	a, err := s.kit.Accounts.Get(ctx, g.AccountID)
	if err != nil {
		return e, err
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		e, err = s.factors.StartTOTP(ctx, tx, a, audit.Entry{Actor: flow.User(a.ID)})
		return err
	})
	return e, err
}

// SecondFactor ends a pending sign-in.
type SecondFactor struct {
	Flow   string
	Factor factor.Proof
	Trust  bool   // this browser is asked no more, for Service.TrustFor
	Device string // its device cookie
	Name   string // of the passkey, where one is added
}

// FinishSignIn takes the second factor and begins the session: one transaction in which the pending sign-in and the
// factor are spent. A wrong factor leaves the sign-in as it is and counts; too many of them are answered by
// fault.RateLimited, right ones too (ASVS 5.0 6.3.1).
func (s *secondFactors) FinishSignIn(ctx context.Context, f SecondFactor) (SignedIn, error) {
	g, w, err := s.pending(ctx, f.Flow)
	if err != nil {
		return SignedIn{}, err
	}
	if !slices.Contains(w.Methods, f.Factor.Method) {
		return SignedIn{}, factor.ErrMethod
	}
	a, err := s.kit.Accounts.Get(ctx, g.AccountID)
	if err != nil {
		return SignedIn{}, err
	}
	key, err := s.kit.FactorKey(ctx, s.kit.DB, a.ID, f.Device)
	if err != nil {
		return SignedIn{}, err
	}
	if err := s.kit.Factors.Check(ctx, s.kit.DB, key); err != nil {
		return SignedIn{}, err
	}
	verify := s.factors.Verify
	if w.Enroll {
		verify = func(ctx context.Context, a account.Account, x factor.Proof, _ passkey.Purpose) (factor.Verified, error) {
			return s.factors.VerifyNew(ctx, a, x, f.Name)
		}
	}
	sh, err := verify(ctx, a, f.Factor, passkey.PurposeSecondFactor)
	if err != nil {
		return SignedIn{}, err
	}
	p := proof{account: a, method: w.Method, amr: w.AMR, device: f.Device, link: w.Link, persistent: w.Persistent, federated: w.Federated, entry: w.Entry, meta: w.Meta, attempt: w.Attempt, notAfter: w.NotAfter, minted: w.minted}
	to, err := s.members.Prepare(ctx, a, w.Entry, w.Method)
	if err != nil {
		return SignedIn{}, s.noted(ctx, p, err)
	}
	attempt, err := s.kit.Resume(ctx, pendingHolder, w.Attempt)
	if err != nil {
		return SignedIn{}, err
	}
	var out SignedIn
	var answer error
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		out, answer = SignedIn{}, nil
		a, err := s.kit.Accounts.Lock(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if !s.maySignIn(a.Status) {
			return errPending
		}
		if err := p.admits(a); err != nil {
			return err
		}
		reason, say, err := sh.Spend(ctx, tx, a)
		if err != nil {
			return err
		}
		if reason != "" {
			answer = say
			return s.factors.Failed(ctx, tx, a, sh, key, reason)
		}
		if out, err = s.finish(ctx, tx, a, g, w, p, to, sh, f, key); err != nil {
			return err
		}
		return attempt.Commit(ctx, tx)
	})
	ended := err
	if err == nil && answer != nil {
		ended = answer
	}
	to.End(ctx, ended)
	attempt.End(ctx, err) // after a wrong factor it is held on
	if errors.Is(err, onetime.ErrInvalid) {
		return SignedIn{}, errPending // somebody was faster, or a credential changed meanwhile
	}
	if err == nil {
		err = answer
	}
	if err != nil {
		return SignedIn{}, s.noted(ctx, p, err)
	}
	return out, nil
}

func (s *secondFactors) finish(ctx context.Context, tx *store.Tx, a account.Account, g onetime.Grant, w waiting, p proof, to *membership.Arrival, sh factor.Verified, f SecondFactor, key string) (SignedIn, error) {
	if err := s.kit.Onetime.Spend(ctx, tx, g); err != nil {
		return SignedIn{}, err
	}
	if err := s.kit.Factors.Reset(ctx, tx, key); err != nil {
		return SignedIn{}, err
	}
	var codes []string
	var err error
	if w.Enroll {
		if codes, err = s.factors.Added(ctx, tx, a, sh.Method, audit.Entry{Actor: flow.User(a.ID)}); err != nil {
			return SignedIn{}, err
		}
	}
	if err := s.kit.Record(ctx, tx, audit.Entry{
		Action: "mfa.challenge.success", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: sh.AMR[0],
		Metadata: map[string]any{"method": sh.Method},
	}); err != nil {
		return SignedIn{}, err
	}
	if _, err := to.Judge(ctx, tx, a, principal.AAL2); err != nil { // the membership or the policy may have changed meanwhile
		return SignedIn{}, err
	}
	out, err := s.begin(ctx, tx, a, p, to, session.Grant{
		Account: a, AAL: principal.AAL2, AMR: factor.With(factor.With(w.AMR, sh.AMR...), "mfa"), Method: w.Method, Persistent: w.Persistent, Federated: w.Federated,
		NotAfter: w.NotAfter,
	}, false)
	if err != nil || !f.Trust || s.TrustFor() <= 0 {
		out.Codes = codes
		return out, err
	}
	token := f.Device
	if out.Device != "" {
		token = out.Device
	}
	if out.Device, err = s.trust(ctx, tx, a, token, out.Principal.SessionID); err != nil {
		return SignedIn{}, err
	}
	out.Codes = codes
	return out, nil
}

// WaitingTOTP gives the secret of the authenticator app that is being added in the middle of a sign-in, as PendingTOTP made
// it, so that a page can be shown again; it changes nothing.
func (s *secondFactors) WaitingTOTP(ctx context.Context, flowToken string) (e totp.Enrollment, waits bool, err error) {
	g, w, err := s.pending(ctx, flowToken)
	if err != nil || !w.Enroll {
		return e, false, err
	}
	a, err := s.kit.Accounts.Get(ctx, g.AccountID)
	if err != nil {
		return e, false, err
	}
	return s.kit.TOTP.Pending(ctx, s.kit.DB, a.ID, a.Email, s.kit.Settings.ServiceName)
}

// TrustDevices changes for how long a browser may be spared the second factor, while running; 0: it is offered no more. Trust
// there is keeps its end.
func (s *secondFactors) TrustDevices(d time.Duration) {
	s.trustFor.Store(int64(d))
	s.kit.Devices.Configure(d)
}

// TrustFor is for how long a browser may be spared the second factor; 0: it may not.
func (s *secondFactors) TrustFor() time.Duration { return time.Duration(s.trustFor.Load()) }

// trust spares this browser the second factor for a while, and gives it a new token.
func (s *secondFactors) trust(ctx context.Context, tx *store.Tx, a account.Account, token string, sessionID uuid.UUID) (renewed string, err error) {
	t, err := s.kit.Devices.Trust(ctx, tx, a.ID, token)
	if err != nil {
		return "", err
	}
	return t.Token, s.kit.Record(ctx, tx, audit.Entry{
		Action: "trusted_device.add", Actor: flow.User(a.ID), SessionID: sessionID,
		Targets:  []audit.Ref{{Type: "device", ID: t.ID.String()}, flow.User(a.ID)},
		Metadata: map[string]any{"days": int(s.kit.Devices.TrustFor().Hours() / 24)},
	})
}
