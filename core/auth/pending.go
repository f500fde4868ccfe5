package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/fault"
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

// pendingPurpose is what onetime keeps a pending sign-in as: a flow token, never mailed.
const pendingPurpose onetime.Purpose = "second_factor"

// errPending is the answer to a flow that is over, whatever ended it.
var errPending = fault.New(fault.Unauthenticated, "sign_in_expired", "This sign-in took too long or was ended. Please start again.")

// waiting is what a pending sign-in remembers of its first factor. It is kept sealed.
type waiting struct {
	Method     string         `json:"method"`
	AMR        []string       `json:"amr"`
	Persistent bool           `json:"persistent,omitempty"`
	Link       string         `json:"link,omitempty"`
	Federated  string         `json:"federated,omitempty"`
	Meta       map[string]any `json:"meta,omitempty"`
	Methods    []string       `json:"methods"`
	Enroll     bool           `json:"enroll,omitempty"`
}

// suspend keeps what was proved until the second factor comes, in the transaction of the first one.
func (s *Service) suspend(ctx context.Context, tx *store.Tx, a account.Account, p proof, n need) (SignedIn, error) {
	b, err := json.Marshal(waiting{Method: p.method, AMR: p.amr, Persistent: p.persistent, Link: p.link, Federated: p.federated, Meta: p.meta, Methods: n.methods, Enroll: n.enroll})
	if err != nil {
		return SignedIn{}, err
	}
	flow, err := s.onetime.Issue(ctx, tx, onetime.Request{Purpose: pendingPurpose, AccountID: a.ID, TTL: s.set.SecondFactorTTL, Flow: true, Payload: b})
	if err != nil {
		return SignedIn{}, err
	}
	return SignedIn{Pending: &Pending{Flow: flow.Flow, Methods: n.methods, Enroll: n.enroll, ExpiresAt: flow.ExpiresAt}}, nil
}

// pending finds the sign-in that a flow token stands for.
func (s *Service) pending(ctx context.Context, flow string) (onetime.Grant, waiting, error) {
	var w waiting
	g, err := s.onetime.LookFlow(ctx, s.db, pendingPurpose, flow)
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
func (s *Service) PendingSignIn(ctx context.Context, flow string) (Pending, error) {
	g, w, err := s.pending(ctx, flow)
	if err != nil {
		return Pending{}, err
	}
	return Pending{Flow: flow, Methods: w.Methods, Enroll: w.Enroll, ExpiresAt: g.ExpiresAt}, nil
}

// PendingPasskey begins the ceremony with which a passkey ends a pending sign-in, or, where one must be added, makes it.
func (s *Service) PendingPasskey(ctx context.Context, flow string) (c passkey.Ceremony, err error) {
	g, w, err := s.pending(ctx, flow)
	if err != nil {
		return c, err
	}
	if !slices.Contains(w.Methods, MethodPasskey) {
		return c, errNoMethod
	}
	a, err := s.accounts.Get(ctx, g.AccountID)
	if err != nil {
		return c, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if w.Enroll {
			c, err = s.passkeys.BeginRegistration(ctx, tx, passkeyUser(a), passkey.RegistrationOptions{})
		} else {
			c, err = s.passkeys.BeginLogin(ctx, tx, passkey.LoginOptions{AccountID: a.ID, Purpose: passkey.PurposeSecondFactor, TrustUV: true})
		}
		return err
	})
	return c, err
}

// PendingTOTP begins to add an authenticator app to an account that must have a second factor and has none.
func (s *Service) PendingTOTP(ctx context.Context, flow string) (e totp.Enrollment, err error) {
	g, w, err := s.pending(ctx, flow)
	if err != nil {
		return e, err
	}
	if !w.Enroll {
		return e, errNoMethod
	}
	a, err := s.accounts.Get(ctx, g.AccountID)
	if err != nil {
		return e, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		e, err = s.startTOTP(ctx, tx, a, audit.Entry{Actor: user(a.ID)})
		return err
	})
	return e, err
}

// SecondFactor ends a pending sign-in.
type SecondFactor struct {
	Flow   string
	Factor Factor
	Trust  bool   // this browser is asked no more, for Service.TrustFor
	Device string // its device cookie
	Name   string // of the passkey, where one is added
}

// FinishSignIn takes the second factor and begins the session: one transaction in which the pending sign-in and the
// factor are spent. A wrong factor leaves the sign-in as it is and counts; too many of them are answered by
// fault.RateLimited, right ones too (ASVS 5.0 6.3.1).
func (s *Service) FinishSignIn(ctx context.Context, f SecondFactor) (SignedIn, error) {
	g, w, err := s.pending(ctx, f.Flow)
	if err != nil {
		return SignedIn{}, err
	}
	if !slices.Contains(w.Methods, f.Factor.Method) {
		return SignedIn{}, errNoMethod
	}
	a, err := s.accounts.Get(ctx, g.AccountID)
	if err != nil {
		return SignedIn{}, err
	}
	if err := s.factors.Check(ctx, s.db, a.ID.String()); err != nil {
		return SignedIn{}, err
	}
	show := s.show
	if w.Enroll {
		show = func(ctx context.Context, a account.Account, x Factor, _ passkey.Purpose) (shown, error) {
			return s.showNew(ctx, a, x, f.Name)
		}
	}
	sh, err := show(ctx, a, f.Factor, passkey.PurposeSecondFactor)
	if err != nil {
		return SignedIn{}, err
	}
	var out SignedIn
	var answer error
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		out, answer = SignedIn{}, nil
		a, err := s.accounts.Lock(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if !s.maySignIn(a.Status) {
			return errPending
		}
		reason, say, err := sh.spend(ctx, tx, a)
		if err != nil {
			return err
		}
		if reason != "" {
			answer = say
			return s.factorFailed(ctx, tx, a, sh, reason)
		}
		out, err = s.finish(ctx, tx, a, g, w, sh, f)
		return err
	})
	if errors.Is(err, onetime.ErrInvalid) {
		return SignedIn{}, errPending // somebody was faster, or a credential changed meanwhile
	}
	if err == nil {
		err = answer
	}
	if err != nil {
		return SignedIn{}, err
	}
	return out, nil
}

func (s *Service) finish(ctx context.Context, tx *store.Tx, a account.Account, g onetime.Grant, w waiting, sh shown, f SecondFactor) (SignedIn, error) {
	if err := s.onetime.Spend(ctx, tx, g); err != nil {
		return SignedIn{}, err
	}
	if err := s.factors.Reset(ctx, tx, a.ID.String()); err != nil {
		return SignedIn{}, err
	}
	var codes []string
	var err error
	if w.Enroll {
		if codes, err = s.enrolled(ctx, tx, a, sh.method, audit.Entry{Actor: user(a.ID)}); err != nil {
			return SignedIn{}, err
		}
	}
	if err := s.record(ctx, tx, audit.Entry{
		Action: "mfa.challenge.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: sh.amr[0],
		Metadata: map[string]any{"method": sh.method},
	}); err != nil {
		return SignedIn{}, err
	}
	p := proof{account: a, method: w.Method, amr: w.AMR, device: f.Device, link: w.Link, persistent: w.Persistent, meta: w.Meta}
	out, err := s.begin(ctx, tx, a, p, session.Grant{
		Account: a, AAL: principal.AAL2, AMR: with(with(w.AMR, sh.amr...), "mfa"), Persistent: w.Persistent, Federated: w.Federated,
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
