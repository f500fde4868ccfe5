package auth

import (
	"context"
	"errors"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/store"
)

// Confirmation shows that an address is the sender's: Flow and Code, or Token and Flow, or Token and Password. With
// more than it needs, the link counts before the code and the flow before the password.
type Confirmation struct {
	Token    string // of the mailed link
	Flow     string // of the browser that signed up
	Code     string // the mailed digits
	Password string // chosen at sign-up, where the flowToken is not at hand
	Device   string // the browser's device cookie
}

var (
	errFlowPassword = fault.New(fault.Unauthenticated, "wrong_password", "That is not the password chosen at sign-up.").At("password")
	errPasswordAsk  = fault.New(fault.Unauthenticated, "password_needed", "Enter the password chosen at sign-up.").At("password")
)

// Confirm ends a sign-up: the address is its owner's, the password of this flow becomes the account's, and a session begins.
// What the flow or the link led to before (another flow's password, sessions begun with it) ends.
func (s *signUps) Confirm(ctx context.Context, c Confirmation) (SignedIn, error) {
	g, method, amr, err := s.confirmedBy(ctx, c)
	if err != nil {
		return SignedIn{}, err
	}
	a, err := s.kit.Accounts.Get(ctx, g.AccountID)
	if err != nil {
		return SignedIn{}, err
	}
	u, err := unconfirmedOf(g)
	if err != nil {
		return SignedIn{}, err
	}
	taken := false
	p := proof{
		account: a, method: "confirmation", amr: []string{amr}, device: c.Device, minted: u.minted,
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := s.kit.Onetime.Spend(ctx, tx, g); err != nil {
				return err
			}
			if ok, err := s.kit.Accounts.Activate(ctx, tx, a.ID); err != nil {
				return err
			} else if !ok {
				return flow.Refusal{Reason: "account_" + string(a.Status), Err: onetime.ErrInvalid}
			}
			// Whoever got in before the address was confirmed (deferred confirmation) is not necessarily its owner.
			if err := s.kit.Reclaim(ctx, tx, a); err != nil {
				return err
			}
			if u.Hash != "" {
				if err := s.kit.Passwords.Set(ctx, tx, a.ID, u.Hash); err != nil {
					return err
				}
			}
			if u.Login != nil {
				if err := s.kit.Link(ctx, tx, a, *u.Login); err != nil {
					return err
				}
			}
			if taken, err = s.firstUsername(ctx, tx, a, u.Username); err != nil {
				return err
			}
			return s.kit.Record(ctx, tx, audit.Entry{
				Action: "auth.confirmation.success", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: amr,
				Metadata: map[string]any{"method": method},
			})
		},
		refused: func(ctx context.Context, r flow.Refusal) error { return s.confirmRefused(ctx, g, method, amr, r) },
	}
	in, err := s.complete(ctx, p)
	if errors.Is(err, account.ErrUsernameTaken) { // in this moment, by another transaction, which ended this one
		in, err = s.complete(ctx, p)
	}
	in.UsernameTaken = taken
	return in, err
}

// LookConfirmation says which address a mailed link confirms, so that a page can be shown; nothing is used up.
func (s *signUps) LookConfirmation(ctx context.Context, token string) (email string, err error) {
	return s.look(ctx, flow.Confirmation, token)
}

// confirmedBy finds the flow and verifies what came with it. Nothing is spent yet; attempts are counted.
func (s *signUps) confirmedBy(ctx context.Context, c Confirmation) (g onetime.Grant, method, amr string, err error) {
	if c.Token == "" {
		g, err = s.kit.GuessCode(ctx, flow.Confirmation, c.Flow, c.Code, func(ctx context.Context, tx *store.Tx, g onetime.Grant) error {
			return s.confirmFailure(ctx, tx, g, "code", "otp", flow.Refusal{Reason: "wrong_code"})
		})
		return g, "code", "otp", err
	}
	if g, err = s.kit.Onetime.Look(ctx, flow.Confirmation, c.Token); err != nil {
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

func (s *signUps) flowPassword(ctx context.Context, c Confirmation, g onetime.Grant) error {
	// The attempt counts before the hash: guesses at the same time are no cheaper.
	if err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.kit.Onetime.Try(ctx, tx, g) }); err != nil {
		return err
	}
	u, err := unconfirmedOf(g)
	if err != nil {
		return err
	}
	right, _, err := s.kit.Passwords.Verify(ctx, u.Hash, c.Password)
	if err != nil {
		return err
	}
	if right {
		return nil
	}
	if err := s.confirmRefused(ctx, g, "link_and_password", "pwd", flow.Refusal{Reason: "wrong_password"}); err != nil {
		return err
	}
	return errFlowPassword
}

func (s *signUps) confirmRefused(ctx context.Context, g onetime.Grant, method, amr string, r flow.Refusal) error {
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.confirmFailure(ctx, tx, g, method, amr, r) })
}

func (s *signUps) confirmFailure(ctx context.Context, tx *store.Tx, g onetime.Grant, method, amr string, r flow.Refusal) error {
	return s.kit.Record(ctx, tx, audit.Entry{
		Action: "auth.confirmation.failure", Reason: r.Reason, Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(g.AccountID)}, AuthMethod: amr,
		Metadata: map[string]any{"method": method},
	})
}

// firstUsername gives an account the username of its sign-up, in the transaction that confirms it. It reports that somebody
// else has it by now; the account goes without then, and its owner chooses another one.
func (s *signUps) firstUsername(ctx context.Context, tx *store.Tx, a account.Account, chosen string) (taken bool, err error) {
	u, err := account.ParseUsername(chosen)
	if err != nil || !s.kit.Settings.Usernames.On() {
		return false, nil // none was asked for, or there are none any more
	}
	e := audit.Entry{Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, Metadata: map[string]any{"via": "sign_up"}}
	other, err := s.kit.Accounts.FindByUsernameIn(ctx, tx, u.Key)
	switch {
	case err == nil && other.ID != a.ID:
		e.Action, e.Reason = "account.username_change.failure", "username_taken"
		return true, s.kit.Record(ctx, tx, e)
	case err != nil && !account.IsNotFound(err):
		return false, err
	}
	if err := s.kit.Accounts.SetUsername(ctx, tx, a.ID, u); err != nil {
		return false, err
	}
	e.Action = "account.username_change.success"
	return false, s.kit.Record(ctx, tx, e)
}
