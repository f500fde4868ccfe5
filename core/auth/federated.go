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
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// linkPurpose is what onetime keeps a login elsewhere as, until the account's own credential has been shown.
const linkPurpose onetime.Purpose = "link_login"

var (
	errLoginTaken = fault.New(fault.Conflict, "login_linked_elsewhere", "That login belongs to another account here.")
	errNoEmail    = fault.New(fault.Denied, "no_email", "The provider did not say which e-mail address is yours, so no account can be made. Sign up with an address first, and link this login from your account.")
	errUnverified = fault.New(fault.Denied, "email_unverified", "The provider has not verified your e-mail address. Verify it there, or sign up here first and link this login from your account.")
	errNoSignUp   = fault.New(fault.Denied, "registration_closed", "There is no account for this login, and this service takes no sign-ups through it.")
)

// LinkWaiting says that a login elsewhere names the address of an account here: it is linked when that account's own
// credential is shown in a sign-in that carries Flow. Nobody is linked silently.
type LinkWaiting struct {
	Flow     string // secret
	Email    string
	Provider string
}

// Federated is how a sign-in through another provider goes on.
type Federated struct {
	SignedIn SignedIn
	Link     *LinkWaiting // set: no session; sign in with the account's own credential
}

// SignInFederated takes what another provider vouched for. SignUp says whether it may make an account.
func (s *Service) SignInFederated(ctx context.Context, c federation.Claims, signUp bool, device string) (Federated, error) {
	out, err := s.federated(ctx, c, signUp, device)
	if err == nil || fault.KindOf(err) == fault.Internal {
		return out, err
	}
	var noted refusalNoted
	if errors.As(err, &noted) {
		return out, noted.error
	}
	return out, s.FederatedFailed(ctx, c.Provider, "account", fault.From(err).Code, err)
}

// refusalNoted marks an error whose audit row is written.
type refusalNoted struct{ error }

// FederatedFailed writes down that a sign-in through a provider came to nothing, and gives why back.
func (s *Service) FederatedFailed(ctx context.Context, provider, stage, reason string, why error) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.record(ctx, tx, audit.Entry{
			Action: "oauth.login.failure", Reason: reason, Actor: anonymous, AuthMethod: "fed", Metadata: map[string]any{"provider": provider, "stage": stage},
		})
	})
	if err != nil {
		return err
	}
	return why
}

func (s *Service) federated(ctx context.Context, c federation.Claims, signUp bool, device string) (Federated, error) {
	known, err := s.logins.Find(ctx, s.db, c.Provider, c.Subject)
	if err != nil {
		return Federated{}, err
	}
	if known.ID != uuid.Nil {
		a, err := s.accounts.Get(ctx, known.AccountID)
		if err != nil {
			return Federated{}, err
		}
		in, err := s.vouched(ctx, a, c, device, func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if now, err := s.logins.Find(ctx, tx, c.Provider, c.Subject); err != nil {
				return err
			} else if now.AccountID != a.ID {
				return refusal{reason: "unlinked", err: errCredentials}
			}
			return s.logins.Touch(ctx, tx, known.ID)
		})
		return Federated{SignedIn: in}, err
	}
	email, err := account.ParseEmail(c.Email)
	switch {
	case c.Email == "" || err != nil:
		return Federated{}, errNoEmail
	case !c.EmailVerified:
		return Federated{}, errUnverified // it is anybody's word
	}
	a, err := s.accounts.FindByEmailIn(ctx, s.db, email)
	switch {
	case err == nil && a.Status == account.Unconfirmed && !a.Administrator:
		// Somebody signed up with an address that they never showed to be theirs. It is the one who comes now (pre-hijack).
		in, err := s.vouched(ctx, a, c, device, func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if a.Status == account.Unconfirmed {
				if _, err := s.accounts.Activate(ctx, tx, a.ID); err != nil {
					return err
				}
				if err := s.reclaim(ctx, tx, a); err != nil {
					return err
				}
				return s.link(ctx, tx, a, c)
			}
			return refusal{reason: "confirmed_meanwhile", err: errCredentials}
		})
		return Federated{SignedIn: in}, err
	case err == nil:
		return s.holdLink(ctx, a, c)
	case !account.IsNotFound(err):
		return Federated{}, err
	case !signUp || s.set.RegistrationClosed:
		return Federated{}, errNoSignUp
	}
	return s.signUpFederated(ctx, email, c, device)
}

// vouched completes a sign-in on the word of a provider.
func (s *Service) vouched(ctx context.Context, a account.Account, c federation.Claims, device string, change func(context.Context, *store.Tx, account.Account) error) (SignedIn, error) {
	return s.complete(ctx, proof{
		account: a, method: "oauth", amr: []string{"fed"}, device: device, meta: map[string]any{"connection": c.Provider},
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := change(ctx, tx, a); err != nil {
				return err
			}
			return s.record(ctx, tx, audit.Entry{
				Action: "oauth.login.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: "fed", Metadata: map[string]any{"provider": c.Provider},
			})
		},
		refused: func(ctx context.Context, r refusal) error { return s.loginRefused(ctx, a, "oauth", "fed", r) },
	})
}

// signUpFederated makes an account whose address the provider has verified.
func (s *Service) signUpFederated(ctx context.Context, email string, c federation.Claims, device string) (Federated, error) {
	if err := s.askRegistration(ctx, email, "oauth", "fed"); err != nil {
		return Federated{}, err
	}
	var a account.Account
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var made bool
		var err error
		if a, made, err = s.accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Active}); err != nil {
			return err
		}
		if !made {
			return errTaken // somebody was faster: look again
		}
		if err := s.link(ctx, tx, a, c); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "auth.register.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: "fed",
			Metadata: map[string]any{"method": "oauth", "confirmation": "provider"},
		})
	})
	if errors.Is(err, errTaken) {
		if a, err = s.accounts.FindByEmailIn(ctx, s.db, email); err != nil {
			return Federated{}, err
		}
		return s.holdLink(ctx, a, c)
	}
	if err != nil {
		return Federated{}, err
	}
	in, err := s.vouched(ctx, a, c, device, func(context.Context, *store.Tx, account.Account) error { return nil })
	return Federated{SignedIn: in}, err
}

var errTaken = errors.New("the address was taken meanwhile")

// holdLink keeps the claims until the account's own credential is shown.
func (s *Service) holdLink(ctx context.Context, a account.Account, c federation.Claims) (Federated, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return Federated{}, err
	}
	var flow onetime.Issued
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		flow, err = s.onetime.Issue(ctx, tx, onetime.Request{Purpose: linkPurpose, AccountID: a.ID, TTL: s.set.LinkTTL, Flow: true, Payload: b})
		return err
	})
	if err != nil {
		return Federated{}, err
	}
	return Federated{Link: &LinkWaiting{Flow: flow.Flow, Email: a.Email, Provider: c.Provider}}, nil
}

// LookLink says what a flow waits to link; it changes nothing.
func (s *Service) LookLink(ctx context.Context, flow string) (LinkWaiting, error) {
	g, c, err := s.waitingLink(ctx, s.db, flow)
	if err != nil {
		return LinkWaiting{}, err
	}
	a, err := s.accounts.Get(ctx, g.AccountID)
	return LinkWaiting{Flow: flow, Email: a.Email, Provider: c.Provider}, err
}

func (s *Service) waitingLink(ctx context.Context, q store.Querier, flow string) (g onetime.Grant, c federation.Claims, err error) {
	if g, err = s.onetime.LookFlow(ctx, q, linkPurpose, flow); err != nil {
		return g, c, err
	}
	if err := json.Unmarshal(g.Payload, &c); err != nil {
		return g, c, fmt.Errorf("read login to link: %w", err)
	}
	return g, c, nil
}

// linkWaiting links what waits for this account's credential, in the transaction of the session that it was shown for.
// A flow that is over, or is another account's, is let go: the sign-in itself is good.
func (s *Service) linkWaiting(ctx context.Context, tx *store.Tx, a account.Account, flow string) error {
	if flow == "" {
		return nil
	}
	g, c, err := s.waitingLink(ctx, tx, flow)
	if errors.Is(err, onetime.ErrInvalid) || err == nil && g.AccountID != a.ID {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.onetime.Spend(ctx, tx, g); err != nil {
		return err
	}
	return s.link(ctx, tx, a, c)
}

// link binds a login elsewhere to an account, and tells the person.
func (s *Service) link(ctx context.Context, tx *store.Tx, a account.Account, c federation.Claims) error {
	if have, err := s.logins.Find(ctx, tx, c.Provider, c.Subject); err != nil {
		return err
	} else if have.ID != uuid.Nil {
		if have.AccountID == a.ID {
			return nil
		}
		return errLoginTaken
	}
	if _, err := s.logins.Link(ctx, tx, a.ID, c); err != nil {
		return err
	}
	if err := s.record(ctx, tx, audit.Entry{
		Action: "oauth.link.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: "fed", Metadata: map[string]any{"provider": c.Provider},
	}); err != nil {
		return err
	}
	return s.notice(ctx, tx, a, mail.Letter{Purpose: mail.OAuthLinked, Provider: s.providerTitle(c.Provider)})
}

// LinkLogin binds a login elsewhere to the account of who is signed in and has shown it lately.
func (s *Service) LinkLogin(ctx context.Context, p session.Principal, c federation.Claims) error {
	a, err := s.sure(ctx, p)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.accounts.Lock(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		return s.link(ctx, tx, a, c)
	})
}

// Logins lists the logins elsewhere of who is signed in.
func (s *Service) Logins(ctx context.Context, p session.Principal) ([]federation.Login, error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.logins.List(ctx, s.db, a.ID)
}

// UnlinkLogin removes one, unless nothing would be left to sign in with.
func (s *Service) UnlinkLogin(ctx context.Context, p session.Principal, id uuid.UUID) error {
	a, err := s.sure(ctx, p)
	if err != nil {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.accounts.Lock(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		gone, err := s.logins.Unlink(ctx, tx, a.ID, id)
		if err != nil {
			return err
		}
		if left, err := s.ways(ctx, tx, a.ID); err != nil {
			return err
		} else if left == 0 {
			return errLastWay
		}
		e := by(p)
		e.Action, e.Targets, e.Metadata = "oauth.unlink.success", []audit.Ref{user(a.ID)}, map[string]any{"provider": gone.Provider}
		if err := s.record(ctx, tx, e); err != nil {
			return err
		}
		return s.notice(ctx, tx, a, mail.Letter{Purpose: mail.OAuthUnlinked, Provider: s.providerTitle(gone.Provider)})
	})
}

func (s *Service) providerTitle(name string) string {
	if s.set.ProviderTitle == nil {
		return name
	}
	return s.set.ProviderTitle(name)
}
