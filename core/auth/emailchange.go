package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

const (
	emailPurpose onetime.Purpose = "email_change"
	undoPurpose  onetime.Purpose = "email_change_undo"
)

var errSameEmail = fault.New(fault.Conflict, "same_email", "That is your address already.").At("email")

// newAddress is what a change of address remembers, sealed.
type newAddress struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// RequestEmailChange mails a link and a code to a new address, and a notice to the present one. Nothing changes before the new
// mailbox has answered. Whether another account has the address shows in nothing but the mail that gets there.
func (s *Service) RequestEmailChange(ctx context.Context, p session.Principal, typed string) (Requested, error) {
	a, err := s.sure(ctx, p)
	if err != nil {
		return Requested{}, err
	}
	email, err := account.ParseEmail(typed)
	if err != nil {
		return Requested{}, err
	}
	if email == a.Email {
		return Requested{}, errSameEmail
	}
	b, err := json.Marshal(newAddress{From: a.Email, To: email})
	if err != nil {
		return Requested{}, err
	}
	var out onetime.Issued
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.mails.Fail(ctx, tx, email); err != nil {
			return err
		}
		taken, err := s.accounts.FindByEmailIn(ctx, tx, email)
		if err != nil && !account.IsNotFound(err) {
			return err
		}
		for _, open := range []onetime.Purpose{emailPurpose, undoPurpose} {
			if err := s.onetime.Forget(ctx, tx, a.ID, open); err != nil {
				return err
			}
		}
		r := onetime.Request{Purpose: emailPurpose, TTL: s.set.EmailChangeTTL, Flow: true, Payload: b}
		free := taken.ID == noSession
		if free {
			r.AccountID = a.ID
		}
		if out, err = s.onetime.Issue(ctx, tx, r); err != nil {
			return err
		}
		l := s.from(ctx, mail.Letter{Purpose: mail.EmailChangeConfirm, To: email, Link: s.set.BaseURL + "/account/email/confirm?token=" + out.Link, Code: out.Code, Valid: r.TTL})
		if !free {
			l = mail.Letter{Purpose: mail.AlreadyRegistered, To: email, Link: s.set.BaseURL + "/login"}
		}
		if err := s.enqueue(ctx, tx, l); err != nil {
			return err
		}
		if err := s.noticeWithUndo(ctx, tx, a, mail.EmailChangeNotice, b, email); err != nil {
			return err
		}
		e := by(p)
		e.Action, e.Targets = "account.email_change.request", []audit.Ref{user(a.ID)}
		return s.record(ctx, tx, e)
	})
	return Requested{Flow: out.Flow}, err
}

// EmailChange is what somebody has of a change: the token of the link, or the flow and the code.
type EmailChange struct{ Token, Flow, Code string }

// ConfirmEmailChange gives the account its new address. It needs the link or the code, and no session: the new mailbox is the
// proof. Every session ends but the one of current (the zero one: none is kept); the old address is told and gets a link to undo it.
func (s *Service) ConfirmEmailChange(ctx context.Context, current session.Principal, c EmailChange) error {
	var g onetime.Grant
	var err error
	if c.Token != "" {
		g, err = s.onetime.Look(ctx, emailPurpose, c.Token)
	} else {
		g, err = s.guess(ctx, emailPurpose, c.Flow, c.Code, func(context.Context, *store.Tx, onetime.Grant) error { return nil })
	}
	if err != nil {
		return err
	}
	to, err := addressOf(g)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.accounts.Lock(ctx, tx, g.AccountID)
		if err != nil {
			return err
		}
		if err := s.onetime.Spend(ctx, tx, g); err != nil {
			return err
		}
		if a.Email != to.From {
			return onetime.ErrInvalid // another change came first
		}
		keep := noSession
		if current.UserID == a.ID {
			keep = current.SessionID
		}
		n, err := s.moveTo(ctx, tx, a, to.To, keep)
		if err != nil {
			return err
		}
		if err := s.noticeWithUndo(ctx, tx, a, mail.EmailChanged, g.Payload, to.To); err != nil { // a is as it was: to the old address
			return err
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "account.email_change.confirm", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: "otp",
			Metadata: map[string]any{"sessions_revoked": n},
		})
	})
}

// moveTo changes the address and ends what rests on the old one: sessions, links, trust.
func (s *Service) moveTo(ctx context.Context, tx *store.Tx, a account.Account, email string, keep uuid.UUID) (int64, error) {
	if err := s.accounts.ChangeEmail(ctx, tx, a.ID, email); err != nil {
		if errors.Is(err, account.ErrEmailTaken) {
			return 0, onetime.ErrInvalid // somebody signed up with it meanwhile; that is nobody's business here
		}
		return 0, err
	}
	if err := s.onetime.Forget(ctx, tx, a.ID, ""); err != nil {
		return 0, err
	}
	if err := s.distrust(ctx, tx, a, audit.Entry{Actor: user(a.ID)}, "email_changed"); err != nil {
		return 0, err
	}
	return s.sessions.RevokeAllIn(ctx, tx, a.ID, keep)
}

// noticeWithUndo tells the present address of a change, with a link to undo it.
func (s *Service) noticeWithUndo(ctx context.Context, tx *store.Tx, a account.Account, purpose string, change []byte, to string) error {
	undo, err := s.onetime.Issue(ctx, tx, onetime.Request{Purpose: undoPurpose, AccountID: a.ID, TTL: s.set.EmailChangeTTL, Payload: change})
	if err != nil {
		return err
	}
	return s.notice(ctx, tx, a, mail.Letter{
		Purpose: purpose, Link: s.set.BaseURL + "/account/email/undo?token=" + undo.Link, Valid: s.set.EmailChangeTTL, Address: to,
	})
}

// UndoEmailChange gives the account its old address back, or keeps it from being changed, by the link that went there. Somebody
// else asked for the change in the account, so every session ends and the password too: the old address gets a link to set a new one.
func (s *Service) UndoEmailChange(ctx context.Context, token string) error {
	g, err := s.onetime.Look(ctx, undoPurpose, token)
	if err != nil {
		return err
	}
	back, err := addressOf(g)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.accounts.Lock(ctx, tx, g.AccountID)
		if err != nil {
			return err
		}
		if err := s.onetime.Spend(ctx, tx, g); err != nil {
			return err
		}
		n, err := s.moveTo(ctx, tx, a, back.From, noSession)
		if err != nil {
			return err
		}
		if err := s.passwords.Erase(ctx, tx, a.ID); err != nil {
			return err
		}
		a.Email = back.From
		link, err := s.onetime.Issue(ctx, tx, onetime.Request{Purpose: passwordPurpose, AccountID: a.ID, TTL: s.set.ResetTTL})
		if err != nil {
			return err
		}
		if err := s.notice(ctx, tx, a, mail.Letter{Purpose: mail.EmailChangeUndone, Link: s.PasswordLink(link.Link), Valid: s.set.ResetTTL}); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "account.email_change.undo", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: "otp",
			Metadata: map[string]any{"sessions_revoked": n},
		})
	})
}

func addressOf(g onetime.Grant) (n newAddress, err error) {
	if err := json.Unmarshal(g.Payload, &n); err != nil {
		return n, fmt.Errorf("read change of address: %w", err)
	}
	return n, nil
}

// LookEmailChange says which address a link leads to, so that a page can be shown; undo is for the link that goes back.
func (s *Service) LookEmailChange(ctx context.Context, token string, undo bool) (address string, err error) {
	p := emailPurpose
	if undo {
		p = undoPurpose
	}
	g, err := s.onetime.Look(ctx, p, token)
	if err != nil {
		return "", err
	}
	n, err := addressOf(g)
	if undo {
		return n.From, err
	}
	return n.To, err
}
