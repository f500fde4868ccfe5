package auth

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/store"
)

// resets sets a password by mail or by an administrator's link.
type resets struct{ *machine }

// RequestReset mails a link and a code to set a new password with.
func (s *resets) RequestReset(ctx context.Context, email string) (Requested, error) {
	return s.request(ctx, email, mailed{
		action: "auth.password_reset_request", meta: map[string]any{"method": "link", "channel": "mail"},
		request: onetime.Request{Purpose: flow.SetPassword, TTL: s.kit.Settings.ResetTTL, Flow: true},
		letter:  s.kit.WithOrigin(ctx, mail.Letter{Purpose: mail.PasswordReset}),
	}, func(i onetime.Issued) string { return s.kit.PasswordLink(i.Link) })
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
func (s *resets) SetPassword(ctx context.Context, n NewPassword) (SignedIn, error) {
	g, method, err := s.resetBy(ctx, n)
	if err != nil {
		return SignedIn{}, err
	}
	a, err := s.kit.Accounts.Get(ctx, g.AccountID)
	if err != nil {
		return SignedIn{}, err
	}
	screened, err := s.kit.ScreenPassword(ctx, n.Password, a.Email, a.Username)
	if err != nil {
		return SignedIn{}, err
	}
	old, err := s.kit.Passwords.Find(ctx, s.kit.DB, a.ID)
	if err != nil {
		return SignedIn{}, err
	}
	hash, err := s.kit.Passwords.Hash(ctx, n.Password)
	if err != nil {
		return SignedIn{}, err
	}
	return s.complete(ctx, proof{
		account: a, method: "password_" + method, amr: []string{"otp"}, device: n.Device,
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := s.kit.Onetime.Spend(ctx, tx, g); err != nil {
				return err
			}
			if !a.Status.Live() {
				return flow.Refusal{Reason: "account_" + string(a.Status), Err: errCredentials}
			}
			if err := s.ownerShown(ctx, tx, a); err != nil {
				return err
			}
			n, err := s.kit.ReplacePassword(ctx, tx, a, hash, uuid.Nil, audit.Entry{Actor: flow.User(a.ID)})
			if err != nil {
				return err
			}
			return s.kit.Record(ctx, tx, audit.Entry{
				Action: "auth.password_reset.success", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: "otp",
				Metadata: screened(n.In(map[string]any{"method": method, "first": old == ""})),
			})
		},
		refused: func(ctx context.Context, r flow.Refusal) error {
			return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.resetFailed(ctx, tx, a.ID, method, r.Reason) })
		},
	})
}

func (s *resets) resetFailed(ctx context.Context, tx *store.Tx, accountID uuid.UUID, method, reason string) error {
	return s.kit.Record(ctx, tx, audit.Entry{
		Action: "auth.password_reset.failure", Reason: reason, Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(accountID)}, AuthMethod: "otp",
		Metadata: map[string]any{"method": method},
	})
}

// resetBy finds what allows to set a password. Nothing is spent yet; a code counts as tried.
func (s *resets) resetBy(ctx context.Context, n NewPassword) (g onetime.Grant, method string, err error) {
	if n.Token != "" {
		g, err = s.kit.Onetime.Look(ctx, flow.SetPassword, n.Token) // before any hash: a made-up token costs a read
		return g, "link", err
	}
	g, err = s.kit.GuessCode(ctx, flow.SetPassword, n.Flow, n.Code, func(ctx context.Context, tx *store.Tx, g onetime.Grant) error {
		return s.resetFailed(ctx, tx, g.AccountID, "code", "wrong_code")
	})
	return g, "code", err
}

// LookPassword says whose password a mailed link sets, so that a page can be shown; nothing is used up.
func (s *resets) LookPassword(ctx context.Context, token string) (email string, err error) {
	return s.look(ctx, flow.SetPassword, token)
}
