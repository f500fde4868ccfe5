package auth

import (
	"context"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
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
func (s *machine) request(ctx context.Context, typed string, m mailed, link func(onetime.Issued) string) (Requested, error) {
	email, err := account.ParseEmail(typed)
	if err != nil {
		return Requested{}, err
	}
	defer s.kit.Pad(ctx, time.Now())
	var out onetime.Issued
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		withheld, err := s.kit.Withheld(ctx, tx, email)
		if err != nil {
			return err
		}
		a, err := s.kit.Accounts.FindByEmailIn(ctx, tx, email)
		if err != nil && !account.IsNotFound(err) {
			return err
		}
		// A disabled account is helped no more than an unknown one, and an administrator's first password comes by the link it was given.
		helped := a.Status.Live() && !(a.Administrator && a.Status == account.Unconfirmed)
		r := m.request
		r.Subject = email
		if helped {
			r.AccountID = a.ID
		}
		if out, err = s.kit.Onetime.Issue(ctx, tx, r); err != nil {
			return err
		}
		if !helped { // a decoy has neither, and its letter must be as long as any
			out.Link, out.Code = strings.Repeat("x", 43), "000000"
		}
		l := m.letter
		l.To, l.Link, l.Code, l.Valid = email, link(out), out.Code, r.TTL
		switch {
		case withheld != "":
		case helped:
			err = s.kit.Enqueue(ctx, tx, l)
		default:
			err = s.kit.EnqueueDecoy(ctx, tx, l)
		}
		if err != nil {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{Action: m.action, Reason: withheld, Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(a.ID)}, Metadata: m.meta})
	})
	return Requested{Flow: out.Flow}, err
}

// look gives the address of the account that a mailed link is for.
func (s *machine) look(ctx context.Context, p onetime.Purpose, token string) (email string, err error) {
	g, err := s.kit.Onetime.Look(ctx, p, token)
	if err != nil {
		return "", err
	}
	a, err := s.kit.Accounts.Get(ctx, g.AccountID)
	return a.Email, err
}
