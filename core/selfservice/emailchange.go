package selfservice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

var errElsewhere = fault.New(fault.Unauthenticated, "sign_in_first", "Open this link in the browser that asked for the change, or sign in to the account there first.")

var errSameEmail = fault.New(fault.Conflict, "same_email", "That is your address already.").At("email")

// emailChanges moves an account to another address, and back.
type emailChanges struct{ *own }

// newAddress is what a change of address remembers, sealed.
type newAddress struct {
	From string    `json:"from"`
	To   string    `json:"to"`
	At   time.Time `json:"at"`
}

// RequestEmailChange mails a link and a code to a new address, and a notice to the present one. Nothing changes before the new
// mailbox has answered. Whether another account has the address shows in nothing but the mail that gets there.
func (s *emailChanges) RequestEmailChange(ctx context.Context, p principal.Principal, typed string) (token string, err error) {
	a, err := s.kit.RequireRecentAuth(ctx, p)
	if err != nil {
		return "", err
	}
	email, err := account.ParseEmail(typed)
	if err != nil {
		return "", err
	}
	if email == a.Email {
		return "", errSameEmail
	}
	if err := s.kit.Reaches(ctx, mail.EmailChangeConfirm, email, uuid.Nil); err != nil {
		return "", err
	}
	defer s.kit.Pad(ctx, time.Now())
	was := a.Email
	b, err := json.Marshal(newAddress{From: was, To: email, At: s.kit.Now()})
	if err != nil {
		return "", err
	}
	var out onetime.Issued
	err = s.kit.ChangeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		if a.Email != was {
			return session.ErrUnauthenticated // another change came first
		}
		if err := s.kit.Mails.Fail(ctx, tx, email); err != nil {
			return err
		}
		taken, err := s.kit.Accounts.FindByEmailIn(ctx, tx, email)
		if err != nil && !account.IsNotFound(err) {
			return err
		}
		if err := s.kit.Onetime.Retire(ctx, tx, a.ID, flow.EmailChange); err != nil {
			return err
		}
		r := onetime.Request{Purpose: flow.EmailChange, TTL: s.kit.Settings.EmailChangeTTL, Flow: true, Payload: b, Subject: a.ID.String()}
		free := taken.ID == uuid.Nil || nobodys(taken)
		if free {
			r.AccountID = a.ID
		}
		if out, err = s.kit.Onetime.Issue(ctx, tx, r); err != nil {
			return err
		}
		l := s.kit.WithOrigin(ctx, mail.Letter{Purpose: mail.EmailChangeConfirm, To: email, Link: s.kit.Settings.BaseURL + "/account/email/confirm?token=" + out.Link, Code: out.Code, Valid: r.TTL})
		if !free {
			l = mail.Letter{Purpose: mail.AlreadyRegistered, To: email, Link: s.kit.Settings.BaseURL + "/login"}
		}
		if err := s.kit.Enqueue(ctx, tx, l); err != nil {
			return err
		}
		if err := s.noticeWithUndo(ctx, tx, a, mail.EmailChangeNotice, b, email); err != nil {
			return err
		}
		e := flow.By(p)
		e.Action, e.Targets = "account.email_change.request", []audit.Ref{flow.User(a.ID)}
		return s.kit.Record(ctx, tx, e)
	})
	return out.Flow, err
}

// EmailChange is what somebody has of a change: the token of the link, or the flow and the code.
type EmailChange struct{ Token, Flow, Code string }

// ConfirmEmailChange gives the account its new address: by the code and the flow, or by the link in the browser that asked or one
// that is signed in (sign_in_first in any other: an address may have been typed wrong, and whoever has that mailbox must not get the
// account by opening what came there). Every session ends but the one of current (the zero one: none is kept); the old address is
// told and gets a link to undo it.
func (s *emailChanges) ConfirmEmailChange(ctx context.Context, current principal.Principal, c EmailChange) error {
	g, err := s.emailChangeBy(ctx, current, c)
	if err != nil {
		return err
	}
	to, err := addressOf(g)
	if err != nil {
		return err
	}
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.kit.Accounts.Lock(ctx, tx, g.AccountID)
		if err != nil {
			return err
		}
		if err := s.kit.Onetime.Spend(ctx, tx, g); err != nil {
			return err
		}
		if a.Email != to.From {
			return onetime.ErrInvalid // another change came first
		}
		keep := uuid.Nil
		if current.UserID == a.ID {
			keep = current.SessionID
		}
		n, err := s.moveTo(ctx, tx, a, to.To, keep)
		if err != nil {
			return err
		}
		if _, err := s.kit.Accounts.Activate(ctx, tx, a.ID); err != nil { // its address is somebody's now
			return err
		}
		if err := s.noticeWithUndo(ctx, tx, a, mail.EmailChanged, g.Payload, to.To); err != nil { // a is as it was: to the old address
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "account.email_change.confirm", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: "otp",
			Metadata: n.In(map[string]any{}),
		})
	})
}

// emailChangeBy finds the change that somebody has a part of. Nothing is spent yet; a code counts as tried.
func (s *emailChanges) emailChangeBy(ctx context.Context, current principal.Principal, c EmailChange) (onetime.Grant, error) {
	if c.Token == "" {
		return s.kit.GuessCode(ctx, flow.EmailChange, c.Flow, c.Code, func(ctx context.Context, tx *store.Tx, g onetime.Grant) error {
			return s.kit.Record(ctx, tx, audit.Entry{
				Action: "account.email_change.failure", Reason: "wrong_code", Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(g.AccountID)}, AuthMethod: "otp",
				Metadata: map[string]any{"method": "code"},
			})
		})
	}
	g, err := s.kit.Onetime.Look(ctx, flow.EmailChange, c.Token)
	if err == nil && !g.InFlow(c.Flow) && (current.UserID != g.AccountID || current.ImpersonatorID != uuid.Nil) {
		err = errElsewhere
	}
	return g, err
}

// nobodys reports an account that was signed up and whose address nobody has shown to be theirs. An administrator's waits for
// the link it was given.
func nobodys(a account.Account) bool { return a.Status == account.Unconfirmed && !a.Administrator }

// moveTo changes the address and ends what rests on the old one: sessions, links, trust. The ways back to addresses from before
// stay, or two changes in a row would leave none. Whoever comes here has shown the mailbox of email: a sign-up with that address
// that nobody confirmed was somebody else's, and goes.
func (s *emailChanges) moveTo(ctx context.Context, tx *store.Tx, a account.Account, email string, keep uuid.UUID) (session.Ended, error) {
	if err := s.vacate(ctx, tx, email, a.ID); err != nil {
		return nil, err
	}
	if err := s.kit.Accounts.ChangeEmail(ctx, tx, a.ID, email); err != nil {
		if errors.Is(err, account.ErrEmailTaken) {
			return nil, onetime.ErrInvalid // somebody signed up with it meanwhile; that is nobody's business here
		}
		return nil, err
	}
	return s.kit.End(ctx, tx, a, flow.Everything, keep, audit.Entry{Actor: flow.User(a.ID)}, "email_changed")
}

// vacate erases a sign-up of an address that somebody else has shown to be theirs.
func (s *emailChanges) vacate(ctx context.Context, tx *store.Tx, email string, by uuid.UUID) error {
	a, err := s.kit.Accounts.FindByEmailIn(ctx, tx, email)
	if account.IsNotFound(err) || err == nil && (a.ID == by || !nobodys(a)) {
		return nil
	}
	if err != nil {
		return err
	}
	if a, err = s.kit.Accounts.Lock(ctx, tx, a.ID); err != nil || !nobodys(a) { // it may have been confirmed meanwhile
		return err
	}
	return s.kit.Erase(ctx, tx, audit.Entry{Actor: flow.System, Reason: "address_proved"}, a.ID, false)
}

// noticeWithUndo tells the present address of a change, with a link to undo it. An address that nobody has shown to be theirs
// may have been typed wrong: whoever has that mailbox gets no way into the account.
func (s *emailChanges) noticeWithUndo(ctx context.Context, tx *store.Tx, a account.Account, purpose string, change []byte, to string) error {
	if a.Status != account.Active {
		return nil
	}
	undo, err := s.kit.Onetime.Issue(ctx, tx, onetime.Request{Purpose: flow.EmailChangeUndo, AccountID: a.ID, TTL: s.kit.Settings.EmailChangeTTL, Payload: change})
	if err != nil {
		return err
	}
	return s.kit.Notice(ctx, tx, a, mail.Letter{
		Purpose: purpose, Link: s.kit.Settings.BaseURL + "/account/email/undo?token=" + undo.Link, Valid: s.kit.Settings.EmailChangeTTL, Address: to,
	})
}

// UndoEmailChange gives the account its old address back, or keeps it from being changed, by the link that went there. Somebody
// else asked for the change in the account, so every session ends, and with it what they may have left to come back with: the
// password, and every passkey, app, recovery code and linked login that is not older than a day before the change was asked for. The
// old address gets a link to set a new password.
func (s *emailChanges) UndoEmailChange(ctx context.Context, token string) error {
	g, err := s.kit.Onetime.Look(ctx, flow.EmailChangeUndo, token)
	if err != nil {
		return err
	}
	back, err := addressOf(g)
	if err != nil {
		return err
	}
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.kit.Accounts.Lock(ctx, tx, g.AccountID)
		if err != nil {
			return err
		}
		if err := s.kit.Onetime.Spend(ctx, tx, g); err != nil {
			return err
		}
		n, err := s.moveTo(ctx, tx, a, back.From, uuid.Nil)
		if err != nil {
			return err
		}
		// The older address counts: whoever has this one back is not to be sent away by one that came later.
		if err := s.kit.Onetime.ForgetLater(ctx, tx, g); err != nil {
			return err
		}
		if err := s.kit.Passwords.Erase(ctx, tx, a.ID); err != nil {
			return err
		}
		gone, err := s.evict(ctx, tx, a, back.At.Add(-s.kit.Settings.EmailChangeTTL))
		if err != nil {
			return err
		}
		a.Email = back.From
		link, err := s.kit.Onetime.Issue(ctx, tx, onetime.Request{Purpose: flow.SetPassword, AccountID: a.ID, TTL: s.kit.Settings.ResetTTL})
		if err != nil {
			return err
		}
		if err := s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.EmailChangeUndone, Link: s.kit.PasswordLink(link.Link), Valid: s.kit.Settings.ResetTTL}); err != nil {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "account.email_change.undo", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: "otp",
			Metadata: n.In(map[string]any{"removed": gone}),
		})
	})
}

// evict removes what was added to an account since then, and says what kinds of things that were.
func (s *emailChanges) evict(ctx context.Context, tx *store.Tx, a account.Account, since time.Time) (gone []string, err error) {
	note := func(what string) {
		if !slices.Contains(gone, what) {
			gone = append(gone, what)
		}
	}
	passkeys, err := s.kit.Passkeys.List(ctx, tx, a.ID)
	if err != nil {
		return nil, err
	}
	for _, k := range passkeys {
		if k.CreatedAt.Before(since) {
			continue
		}
		if _, err := s.kit.Passkeys.Delete(ctx, tx, a.ID, k.ID); err != nil {
			return nil, err
		}
		note("passkey")
	}
	logins, err := s.kit.Logins.List(ctx, tx, a.ID)
	if err != nil {
		return nil, err
	}
	for _, l := range logins {
		if l.CreatedAt.Before(since) {
			continue
		}
		if _, err := s.kit.Logins.Unlink(ctx, tx, a.ID, l.ID); err != nil {
			return nil, err
		}
		note("login")
	}
	app, on, err := s.kit.TOTP.Find(ctx, tx, a.ID)
	if err != nil {
		return nil, err
	}
	if !on || !app.ConfirmedAt.Before(since) { // one that waits for its first code too
		if err := s.kit.TOTP.Erase(ctx, tx, a.ID); err != nil {
			return nil, err
		}
		if on {
			note("totp")
		}
	}
	if renewed, err := s.kit.Codes.RemoveSince(ctx, tx, a.ID, since); err != nil {
		return nil, err
	} else if renewed {
		note("recovery_codes")
	}
	f, err := s.factors.Of(ctx, tx, a.ID)
	if err != nil || len(f.Second()) > 0 {
		return gone, err
	}
	if _, err := s.kit.Codes.Remove(ctx, tx, a.ID); err != nil {
		return nil, err
	}
	return gone, s.kit.Accounts.SetSecondFactor(ctx, tx, a.ID, false)
}

func addressOf(g onetime.Grant) (n newAddress, err error) {
	if err := json.Unmarshal(g.Payload, &n); err != nil {
		return n, fmt.Errorf("read change of address: %w", err)
	}
	return n, nil
}

// LookEmailChange says which address a link leads to, so that a page can be shown; undo is for the link that goes back.
func (s *emailChanges) LookEmailChange(ctx context.Context, token string, undo bool) (address string, err error) {
	p := flow.EmailChange
	if undo {
		p = flow.EmailChangeUndo
	}
	g, err := s.kit.Onetime.Look(ctx, p, token)
	if err != nil {
		return "", err
	}
	n, err := addressOf(g)
	if undo {
		return n.From, err
	}
	return n.To, err
}
