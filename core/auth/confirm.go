package auth

import (
	"context"
	"errors"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/store"
)

// Confirmation shows that an address is the sender's: Flow and Code, or Token and Flow, or Token and Password. With
// more than it needs, the link counts before the code and the flow before the password.
type Confirmation struct {
	Token    string // of the mailed link
	Flow     string // of the browser that signed up
	Code     string // the mailed digits
	Password string // chosen at sign-up, where the flow is not at hand
	Device   string // the browser's device cookie
}

var (
	errCode         = fault.New(fault.Unauthenticated, "wrong_code", "That code is not right.").At("code")
	errFlowPassword = fault.New(fault.Unauthenticated, "wrong_password", "That is not the password chosen at sign-up.").At("password")
	errPasswordAsk  = fault.New(fault.Unauthenticated, "password_needed", "Enter the password chosen at sign-up.").At("password")
)

// Confirm ends a sign-up: the address is its owner's, the password of this flow becomes the account's, and a session begins.
// What the flow or the link led to before (another flow's password, sessions begun with it) ends.
func (s *Service) Confirm(ctx context.Context, c Confirmation) (SignedIn, error) {
	g, method, amr, err := s.confirmedBy(ctx, c)
	if err != nil {
		return SignedIn{}, err
	}
	a, err := s.accounts.Get(ctx, g.AccountID)
	if err != nil {
		return SignedIn{}, err
	}
	u, err := unconfirmedOf(g)
	if err != nil {
		return SignedIn{}, err
	}
	taken := false
	p := proof{
		account: a, method: "confirmation", amr: []string{amr}, device: c.Device,
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := s.onetime.Spend(ctx, tx, g); err != nil {
				return err
			}
			if ok, err := s.accounts.Activate(ctx, tx, a.ID); err != nil {
				return err
			} else if !ok {
				return refusal{reason: "account_" + string(a.Status), err: onetime.ErrInvalid}
			}
			// Whoever got in before the address was confirmed (deferred confirmation) is not necessarily its owner.
			if err := s.reclaim(ctx, tx, a); err != nil {
				return err
			}
			if u.Hash != "" {
				if err := s.passwords.Set(ctx, tx, a.ID, u.Hash); err != nil {
					return err
				}
			}
			if u.Login != nil {
				if err := s.link(ctx, tx, a, *u.Login); err != nil {
					return err
				}
			}
			if taken, err = s.firstUsername(ctx, tx, a, u.Username); err != nil {
				return err
			}
			return s.record(ctx, tx, audit.Entry{
				Action: "auth.confirmation.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: amr,
				Metadata: map[string]any{"method": method},
			})
		},
		refused: func(ctx context.Context, r refusal) error { return s.confirmRefused(ctx, g, method, amr, r) },
	}
	in, err := s.complete(ctx, p)
	if errors.Is(err, account.ErrUsernameTaken) { // in this moment, by another transaction, which ended this one
		in, err = s.complete(ctx, p)
	}
	in.UsernameTaken = taken
	return in, err
}

// LookConfirmation says which address a mailed link confirms, so that a page can be shown; nothing is used up.
func (s *Service) LookConfirmation(ctx context.Context, token string) (email string, err error) {
	return s.look(ctx, confirmPurpose, token)
}

// confirmedBy finds the flow and verifies what came with it. Nothing is spent yet; attempts are counted.
func (s *Service) confirmedBy(ctx context.Context, c Confirmation) (g onetime.Grant, method, amr string, err error) {
	if c.Token == "" {
		g, err = s.guess(ctx, confirmPurpose, c.Flow, c.Code, func(ctx context.Context, tx *store.Tx, g onetime.Grant) error {
			return s.confirmFailure(ctx, tx, g, "code", "otp", refusal{reason: "wrong_code"})
		})
		return g, "code", "otp", err
	}
	if g, err = s.onetime.Look(ctx, confirmPurpose, c.Token); err != nil {
		return g, "", "", err
	}
	if g.InFlow(c.Flow) {
		return g, "link", "otp", nil
	}
	// Opened elsewhere. The link alone must not do: it may be of a sign-up that a stranger made with this address.
	if c.Password == "" {
		return g, "", "", errPasswordAsk
	}
	return g, "link_and_password", "pwd", s.flowPassword(ctx, c, g)
}

func (s *Service) flowPassword(ctx context.Context, c Confirmation, g onetime.Grant) error {
	// The attempt counts before the hash: guesses at the same time are no cheaper.
	if err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.onetime.Try(ctx, tx, g) }); err != nil {
		return err
	}
	u, err := unconfirmedOf(g)
	if err != nil {
		return err
	}
	right, _, err := s.passwords.Verify(ctx, u.Hash, c.Password)
	if err != nil {
		return err
	}
	if right {
		return nil
	}
	if err := s.confirmRefused(ctx, g, "link_and_password", "pwd", refusal{reason: "wrong_password"}); err != nil {
		return err
	}
	return errFlowPassword
}

func (s *Service) confirmRefused(ctx context.Context, g onetime.Grant, method, amr string, r refusal) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.confirmFailure(ctx, tx, g, method, amr, r) })
}

func (s *Service) confirmFailure(ctx context.Context, tx *store.Tx, g onetime.Grant, method, amr string, r refusal) error {
	return s.record(ctx, tx, audit.Entry{
		Action: "auth.confirmation.failure", Reason: r.reason, Actor: anonymous, Targets: []audit.Ref{user(g.AccountID)}, AuthMethod: amr,
		Metadata: map[string]any{"method": method},
	})
}
