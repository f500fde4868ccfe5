package auth

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/store"
)

// Requested is the answer to everybody who asks for a mail: the flow that the browser keeps, whoever the address is.
type Requested struct {
	Flow   string // secret
	Number string // of a magic link: two digits for who opens it on another device
}

// ask for a mail: what reset and magic links have in common. Known and unknown addresses cause the same statements in one
// transaction and get the same answer (ASVS 5.0 6.3.8); only a known one gets a mail.
type mailed struct {
	action  string // audit
	meta    map[string]any
	request onetime.Request
	letter  mail.Letter
}

// request runs m for an address, if the account there may be helped.
func (s *Service) request(ctx context.Context, typed string, m mailed, link func(onetime.Issued) string) (Requested, error) {
	email, err := account.ParseEmail(typed)
	if err != nil {
		return Requested{}, err
	}
	defer s.onBeat(ctx, time.Now())
	var out onetime.Issued
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.mails.Fail(ctx, tx, email); err != nil {
			return err
		}
		a, err := s.accounts.FindByEmailIn(ctx, tx, email)
		if err != nil && !account.IsNotFound(err) {
			return err
		}
		// A disabled account is helped no more than an unknown one, and an administrator's first password comes by the link it was given.
		helped := a.Status.Live() && !(a.Administrator && a.Status == account.Unconfirmed)
		r := m.request
		if helped {
			r.AccountID = a.ID
		}
		if out, err = s.onetime.Issue(ctx, tx, r); err != nil {
			return err
		}
		if !helped { // a decoy has neither, and its letter must be as long as any
			out.Link, out.Code = strings.Repeat("x", 43), "000000"
		}
		l := m.letter
		l.To, l.Link, l.Code, l.Valid = email, link(out), out.Code, r.TTL
		if helped {
			err = s.enqueue(ctx, tx, l)
		} else {
			err = s.enqueueDecoy(ctx, tx, l)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Entry{Action: m.action, Actor: anonymous, Targets: []audit.Ref{user(a.ID)}, Metadata: m.meta})
	})
	return Requested{Flow: out.Flow}, err
}

// RequestReset mails a link and a code to set a new password with.
func (s *Service) RequestReset(ctx context.Context, email string) (Requested, error) {
	return s.request(ctx, email, mailed{
		action: "auth.password_reset_request", meta: map[string]any{"method": "link", "channel": "mail"},
		request: onetime.Request{Purpose: passwordPurpose, TTL: s.set.ResetTTL, Flow: true},
		letter:  s.asked(ctx, mail.PasswordReset),
	}, func(i onetime.Issued) string { return s.PasswordLink(i.Link) })
}

// NewPassword is a password to be, with what allows to set it: the token of a link, or the flow of the browser that
// asked and the mailed code.
type NewPassword struct {
	Token, Flow, Code string
	Password          string
	Device            string
}

// SetPassword sets a password with a one-time link or code, of a reset or of an administrator, and begins a session: after the
// second factor, where the account has one (ASVS 5.0 6.4.3). A password that is refused leaves the link as it was; a code counts as tried.
// All sessions there were end.
func (s *Service) SetPassword(ctx context.Context, n NewPassword) (SignedIn, error) {
	g, method, err := s.resetBy(ctx, n)
	if err != nil {
		return SignedIn{}, err
	}
	a, err := s.accounts.Get(ctx, g.AccountID)
	if err != nil {
		return SignedIn{}, err
	}
	screened, err := s.screen(ctx, n.Password, a.Email, a.Username)
	if err != nil {
		return SignedIn{}, err
	}
	old, err := s.passwords.Find(ctx, s.db, a.ID)
	if err != nil {
		return SignedIn{}, err
	}
	hash, err := s.passwords.Hash(ctx, n.Password)
	if err != nil {
		return SignedIn{}, err
	}
	return s.complete(ctx, proof{
		account: a, method: "password_" + method, amr: []string{"otp"}, device: n.Device,
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := s.onetime.Spend(ctx, tx, g); err != nil {
				return err
			}
			if !a.Status.Live() {
				return refusal{reason: "account_" + string(a.Status), err: errCredentials}
			}
			if err := s.ownerShown(ctx, tx, a); err != nil {
				return err
			}
			n, err := s.newPassword(ctx, tx, a, hash, noSession, audit.Entry{Actor: user(a.ID)})
			if err != nil {
				return err
			}
			return s.record(ctx, tx, audit.Entry{
				Action: "auth.password_reset.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: "otp",
				Metadata: screened(map[string]any{"method": method, "sessions_revoked": n, "first": old == ""}),
			})
		},
		refused: func(ctx context.Context, r refusal) error {
			return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.resetFailed(ctx, tx, a.ID, method, r.reason) })
		},
	})
}

func (s *Service) resetFailed(ctx context.Context, tx *store.Tx, accountID uuid.UUID, method, reason string) error {
	return s.record(ctx, tx, audit.Entry{
		Action: "auth.password_reset.failure", Reason: reason, Actor: anonymous, Targets: []audit.Ref{user(accountID)}, AuthMethod: "otp",
		Metadata: map[string]any{"method": method},
	})
}

// resetBy finds what allows to set a password. Nothing is spent yet; a code counts as tried.
func (s *Service) resetBy(ctx context.Context, n NewPassword) (g onetime.Grant, method string, err error) {
	if n.Token != "" {
		g, err = s.onetime.Look(ctx, passwordPurpose, n.Token) // before any hash: a made-up token costs a read
		return g, "link", err
	}
	g, err = s.guess(ctx, passwordPurpose, n.Flow, n.Code, func(ctx context.Context, tx *store.Tx, g onetime.Grant) error {
		return s.resetFailed(ctx, tx, g.AccountID, "code", "wrong_code")
	})
	return g, "code", err
}

// guess tries a mailed code; failed writes down a wrong one, in the transaction that counts it.
func (s *Service) guess(ctx context.Context, p onetime.Purpose, flow, code string, failed func(context.Context, *store.Tx, onetime.Grant) error) (g onetime.Grant, err error) {
	var right bool
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if g, right, err = s.onetime.Guess(ctx, tx, p, flow, code); err != nil || right {
			return err
		}
		return failed(ctx, tx, g)
	})
	if err == nil && !right {
		err = errCode
	}
	return g, err
}

// asked begins a letter that says from where it was asked for.
func (s *Service) asked(ctx context.Context, purpose string) mail.Letter {
	return s.from(ctx, mail.Letter{Purpose: purpose})
}

// LookPassword says whose password a mailed link sets, so that a page can be shown; nothing is used up.
func (s *Service) LookPassword(ctx context.Context, token string) (email string, err error) {
	return s.look(ctx, passwordPurpose, token)
}

// look gives the address of the account that a mailed link is for.
func (s *Service) look(ctx context.Context, p onetime.Purpose, token string) (email string, err error) {
	g, err := s.onetime.Look(ctx, p, token)
	if err != nil {
		return "", err
	}
	a, err := s.accounts.Get(ctx, g.AccountID)
	return a.Email, err
}
