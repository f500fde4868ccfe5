package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/store"
)

// Registration is what somebody signs up with.
type Registration struct {
	Email, Password string
	Username        string // as Settings.Usernames wants it
	Invitation      string // the token of an invitation's link, with which its address may sign up where nobody else may
	Device          string // the browser's device cookie
}

// Registered is the answer to every sign-up.
type Registered struct {
	Flow     string    // secret: what the same browser confirms with
	SignedIn *SignedIn // only with Settings.DeferConfirmation, and then only for a new address
}

var errClosed = fault.New(fault.Denied, "registration_closed", "This service takes no sign-ups.")

// signUp is what becomes of one sign-up, decided under the unique index.
type signUp struct {
	account account.Account
	made    bool // the account is new
	open    bool // the flow can lead to this account: it is unconfirmed, and nobody's yet
}

// signUps makes accounts and confirms them.
type signUps struct{ *machine }

// Register takes a sign-up. Known, unconfirmed and unknown addresses get the same answer for the same work; what
// happened stands in the mail. Only a username that is taken is said (account.ErrUsernameTaken), after the work of a
// sign-up and before the address is looked at.
func (s *signUps) Register(ctx context.Context, r Registration) (Registered, error) {
	if s.kit.Settings.RegistrationClosed && r.Invitation == "" {
		return Registered{}, errClosed
	}
	email, err := account.ParseEmail(r.Email)
	if err != nil {
		return Registered{}, err
	}
	if err := s.mayRegister(ctx, email, r.Invitation); err != nil {
		return Registered{}, err
	}
	if err := s.kit.Writable(ctx, email); err != nil {
		return Registered{}, err
	}
	username, err := s.kit.Settings.Usernames.Chosen(r.Username)
	if err != nil {
		return Registered{}, err
	}
	screened, err := s.kit.ScreenPassword(ctx, r.Password, email, username.Display)
	if err != nil {
		return Registered{}, err
	}
	hash, err := s.kit.Passwords.Hash(ctx, r.Password) // for every address, before anything is known of it
	if err != nil {
		return Registered{}, err
	}
	via := "form"
	if r.Invitation != "" {
		via = "invitation"
	}
	attempt, err := s.askRegistration(ctx, email, "password", "pwd", via, "")
	if err != nil {
		return Registered{}, err
	}
	if err := s.usernameFree(ctx, username, attempt); err != nil {
		attempt.End(ctx, err)
		return Registered{}, err
	}
	issued, up, err := s.signUpFlow(ctx, unconfirmed{Email: email, Username: username.Display, Hash: hash}, attempt, screened)
	if err != nil {
		return Registered{}, err
	}
	out := Registered{Flow: issued.Flow}
	if up.made && s.kit.Settings.DeferConfirmation {
		in, err := s.complete(ctx, proof{
			account: up.account, method: "registration", amr: []string{"pwd"}, device: r.Device,
		})
		if err != nil {
			return Registered{}, err
		}
		out.SignedIn = &in
	}
	return out, nil
}

// mayRegister lets only those sign up who were invited where nobody else may. What an invitation is good for is judged by itself, before
// anything is known of the address: whoever holds its link knows whom it invites.
func (s *signUps) mayRegister(ctx context.Context, email, invitation string) error {
	if !s.kit.Settings.RegistrationClosed {
		return nil
	}
	invited, err := s.members.Invites(ctx, invitation, email)
	if err == nil && !invited {
		err = errClosed
	}
	return err
}

// signUpFlow makes the account, or finds who has the address, and sends the mail, with the same statements for every address. meta
// adds to the audit row; it may be nil. What gates reserved is told to be committed where the account is new, and else abandoned.
func (s *signUps) signUpFlow(ctx context.Context, u unconfirmed, attempt *gate.Attempt, meta func(map[string]any) map[string]any) (issued onetime.Issued, up signUp, err error) {
	defer s.kit.Pad(ctx, time.Now())
	defer func() {
		ended := err
		if err == nil && !up.made {
			ended = errNobodyMade
		}
		attempt.End(ctx, ended)
	}()
	kept, err := json.Marshal(u)
	if err != nil {
		return issued, up, err
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		withheld, err := s.kit.Withheld(ctx, tx, u.Email)
		if err != nil {
			return err
		}
		if up, err = s.signUp(ctx, tx, u.Email); err != nil {
			return err
		}
		subject := uuid.Nil // a decoy
		if up.open {
			subject = up.account.ID
		}
		issued, err = s.kit.Onetime.Issue(ctx, tx, onetime.Request{
			Purpose: flow.Confirmation, AccountID: subject, TTL: s.kit.Settings.ConfirmationTTL, Flow: true, Payload: kept, Subject: u.Email,
		})
		if err != nil {
			return err
		}
		if up.made && s.kit.Settings.DeferConfirmation && u.Hash != "" {
			if err := s.kit.Passwords.Set(ctx, tx, up.account.ID, u.Hash); err != nil {
				return err
			}
		}
		if withheld == "" {
			if err := s.kit.Enqueue(ctx, tx, s.signUpLetter(u.Email, up, issued)); err != nil {
				return err
			}
		}
		if up.made {
			if err := attempt.Commit(ctx, tx); err != nil {
				return err
			}
		}
		e := s.signUpEntry(up, u)
		if up.open && !up.made {
			e.Reason = cmp.Or(withheld, e.Reason)
		}
		e.CorrelationID = attempt.CorrelationID()
		if meta != nil && e.Action != "auth.confirmation_request" {
			e.Metadata = meta(e.Metadata)
		}
		return s.kit.Record(ctx, tx, e)
	})
	return issued, up, err
}

// unconfirmed is what a sign-up keeps, sealed, until it is confirmed.
type unconfirmed struct {
	Email    string             `json:"email"`
	Username string             `json:"username,omitempty"` // becomes the account's, if it is free still
	Hash     string             `json:"hash,omitempty"`     // becomes the account's password
	Login    *federation.Claims `json:"login,omitempty"`    // becomes a login of the account
	minted
}

func unconfirmedOf(g onetime.Grant) (u unconfirmed, err error) {
	if err := json.Unmarshal(g.Payload, &u); err != nil {
		return u, fmt.Errorf("read sign-up: %w", err)
	}
	return u, nil
}

// ResendConfirmation mails a new link and code for the sign-up of a flow, which goes on as another flow; the old one's
// link and code are void. It answers alike for an address that has an account already, which is told so once more.
func (s *signUps) ResendConfirmation(ctx context.Context, token string) (Requested, error) {
	defer s.kit.Pad(ctx, time.Now())
	var out onetime.Issued
	err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		g, err := s.kit.Onetime.LookFlow(ctx, tx, flow.Confirmation, token)
		if err != nil {
			return err
		}
		u, err := unconfirmedOf(g)
		if err != nil {
			return err
		}
		// Refused, and not held back in silence: what was mailed last still works, and who holds the flow has the form before them.
		if err := s.kit.Mails.Fail(ctx, tx, u.Email); err != nil {
			return err
		}
		if err := s.kit.Onetime.Spend(ctx, tx, g); err != nil {
			return err
		}
		a, err := s.kit.Accounts.FindByEmailIn(ctx, tx, u.Email)
		if err != nil && !account.IsNotFound(err) {
			return err
		}
		up := signUp{account: a, open: !g.Decoy() && a.ID == g.AccountID && a.Status == account.Unconfirmed}
		r := onetime.Request{Purpose: flow.Confirmation, TTL: s.kit.Settings.ConfirmationTTL, Flow: true, Payload: g.Payload, Subject: u.Email}
		if up.open {
			r.AccountID = a.ID
		}
		if out, err = s.kit.Onetime.Issue(ctx, tx, r); err != nil {
			return err
		}
		if err := s.kit.Accounts.Renew(ctx, tx, a.ID); err != nil {
			return err
		}
		send := s.kit.Enqueue
		if up.account.ID == uuid.Nil {
			send = s.kit.EnqueueDecoy // it had an account once: there is nothing to tell
		}
		if err := send(ctx, tx, s.signUpLetter(u.Email, up, out)); err != nil {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "auth.confirmation_request", Reason: "asked_again", Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(a.ID)}, Metadata: map[string]any{"channel": "mail"},
		})
	})
	return Requested{Flow: out.Flow}, err
}

// signUp makes the account or finds who has the address, with the same statements.
func (s *signUps) signUp(ctx context.Context, tx *store.Tx, email string) (signUp, error) {
	a, made, err := s.kit.Accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Unconfirmed})
	if err != nil {
		return signUp{}, err
	}
	if err := s.kit.Accounts.Renew(ctx, tx, a.ID); err != nil {
		return signUp{}, err
	}
	// An administrator's account waits for the link it was given, and is not to be had by signing up.
	return signUp{account: a, made: made, open: a.Status == account.Unconfirmed && !a.Administrator}, nil
}

func (s *signUps) signUpLetter(email string, up signUp, issued onetime.Issued) mail.Letter {
	if !up.open {
		// To the address as it is stored, never as it was typed; both are the same by now.
		return mail.Letter{Purpose: mail.AlreadyRegistered, To: email, Link: s.kit.Settings.BaseURL + "/login"}
	}
	return mail.Letter{
		Purpose: mail.ConfirmEmail, To: email, Link: s.kit.Settings.BaseURL + "/confirm?token=" + issued.Link, Code: issued.Code, Valid: s.kit.Settings.ConfirmationTTL,
	}
}

func (s *signUps) signUpEntry(up signUp, u unconfirmed) audit.Entry {
	confirmation := "required"
	if s.kit.Settings.DeferConfirmation {
		confirmation = "deferred"
	}
	method, amr := "password", "pwd"
	if u.Login != nil {
		method, amr = "oauth", "fed"
	}
	e := audit.Entry{
		Action: "auth.register.success", Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(up.account.ID)}, AuthMethod: amr,
		Metadata: map[string]any{"method": method, "confirmation": confirmation},
	}
	switch {
	case up.made:
	case up.open:
		e.Action, e.Reason = "auth.confirmation_request", "signed_up_again"
		e.Metadata = map[string]any{"channel": "mail"}
	default:
		e.Action, e.Reason = "auth.register.failure", "email_taken"
		e.Metadata = map[string]any{"method": method}
	}
	return e
}

// errNobodyMade is what became of an attempt at an address that has an account.
var errNobodyMade = errors.New("no account was made")

// askRegistration asks the gates about an address, known or not. via is how it came: "form", "invitation", "provider" or "plugin".
func (s *signUps) askRegistration(ctx context.Context, email, method, amr, via, provider string) (*gate.Attempt, error) {
	if !s.kit.Gated(gate.Registration) {
		return nil, nil
	}
	attempt, err := s.kit.Allowed(ctx, gate.Ask{Question: gate.Registration, Context: map[string]any{"method": method, "via": via, "provider": provider, "email": email, "email_domain": flow.EmailDomain(email)}})
	var r flow.Refusal
	if !errors.As(err, &r) {
		return attempt, err
	}
	meta := map[string]any{"method": method}
	for k, v := range r.Meta {
		meta[k] = v
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.kit.Record(ctx, tx, audit.Entry{Action: "auth.register.failure", Reason: r.Reason, Actor: flow.Anonymous, AuthMethod: amr, Metadata: meta, CorrelationID: r.Attempt})
	})
	if err != nil {
		return nil, err
	}
	return nil, r.Err
}

// usernameFree ends a sign-up with a username that a live account has. Sign-ups that wait for their confirmation hold none, so that
// nobody can tell by a name which of them had a new address, and nobody keeps names without a mailbox.
func (s *signUps) usernameFree(ctx context.Context, u account.Username, attempt *gate.Attempt) error {
	if u == (account.Username{}) {
		return nil
	}
	if _, err := s.kit.Accounts.FindByUsernameIn(ctx, s.kit.DB, u.Key); account.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "auth.register.failure", Reason: "username_taken", Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(uuid.Nil)}, AuthMethod: "pwd", Metadata: map[string]any{"method": "password"},
			CorrelationID: attempt.CorrelationID(),
		})
	})
	if err != nil {
		return err
	}
	return account.ErrUsernameTaken
}
