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
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// linkPurpose is what onetime keeps a login elsewhere as, until the account's own credential has been shown.
const linkPurpose onetime.Purpose = "link_login"

var (
	errAccountOff = fault.New(fault.Denied, "account_disabled", "This account is disabled.")
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
	Confirm  *Requested   // set: no session; the address gets a mail to confirm it, see Confirm
}

// vouch is a provider's word on who somebody is.
type vouch struct {
	federation.Claims
	signUp bool      // it may make an account
	userID uuid.UUID // of who vouches and knows the account; the nil id: the claims decide
	index  string    // the provider's handle of the session
}

// SignInFederated takes what another provider vouched for. SignUp says whether it may make an account.
func (s *Service) SignInFederated(ctx context.Context, c federation.Claims, signUp bool, device string) (Federated, error) {
	return s.signInVouched(ctx, vouch{Claims: c, signUp: signUp}, device)
}

func (s *Service) signInVouched(ctx context.Context, c vouch, device string) (Federated, error) {
	out, err := s.federated(ctx, c, device)
	if err == nil || fault.KindOf(err) == fault.Internal {
		return out, err
	}
	var noted refusalNoted
	if errors.As(err, &noted) {
		return out, noted.error
	}
	return out, s.FederatedFailed(ctx, c.Provider, "account", fault.From(err).Code, err)
}

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

// situation gathers what the linking rule rests on, and the account that it would be about.
func (s *Service) situation(ctx context.Context, q store.Querier, c vouch) (federation.Situation, account.Account, error) {
	sit := federation.Situation{Purpose: federation.SignIn, EmailVerified: c.EmailVerified, SignUp: c.signUp && !s.set.RegistrationClosed}
	var owner, named account.Account
	if c.userID != uuid.Nil {
		owner, err := s.accounts.GetIn(ctx, q, c.userID)
		sit.Owner, sit.EmailIsOwners = federation.Standing(owner.Status), c.Email != "" && owner.Email == c.Email
		if owner.Status == account.Deleted {
			return sit, owner, account.ErrNotFound
		}
		return sit, owner, err
	}
	known, err := s.logins.Find(ctx, q, c.Claims)
	if err != nil && !errors.Is(err, federation.ErrNotLinked) {
		return sit, owner, err
	}
	if err == nil {
		if owner, err = s.accounts.GetIn(ctx, q, known.AccountID); err != nil {
			return sit, owner, err
		}
		sit.Owner, sit.EmailIsOwners = federation.Standing(owner.Status), c.Email != "" && owner.Email == c.Email
	}
	if c.EmailVerified && c.Email != "" {
		if named, err = s.accounts.FindByEmailIn(ctx, q, c.Email); err != nil && !account.IsNotFound(err) {
			return sit, owner, err
		}
		sit.ByEmail = federation.Standing(named.Status)
		if named.Administrator && named.Status == account.Unconfirmed {
			sit.ByEmail = federation.Disabled // it waits for the link it was given, and is not to be had otherwise
		}
	}
	if owner.ID == uuid.Nil {
		owner = named
	}
	return sit, owner, nil
}

func (s *Service) federated(ctx context.Context, c vouch, device string) (Federated, error) {
	sit, a, err := s.situation(ctx, s.db, c)
	if err != nil {
		return Federated{}, err
	}
	d := federation.Decide(sit)
	// What the decision rests on may change meanwhile: it is made again under the account's lock.
	still := func(ctx context.Context, tx *store.Tx, a account.Account) error {
		sit, now, err := s.situation(ctx, tx, c)
		if err == nil && (federation.Decide(sit) != d || now.ID != a.ID) {
			err = refusal{reason: "changed_meanwhile", err: errCredentials}
		}
		return err
	}
	switch d {
	case federation.DoSignIn:
		in, err := s.vouched(ctx, a, c, device, func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := still(ctx, tx, a); err != nil {
				return err
			}
			if c.userID != uuid.Nil {
				return nil
			}
			known, err := s.logins.Find(ctx, tx, c.Claims)
			if err != nil {
				return err
			}
			return s.logins.Touch(ctx, tx, known.ID)
		})
		return Federated{SignedIn: in}, err
	case federation.DoReclaim:
		// Somebody signed up with an address that they never showed to be theirs. It is the one who comes now (pre-hijack).
		in, err := s.vouched(ctx, a, c, device, func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := still(ctx, tx, a); err != nil {
				return err
			}
			if err := s.ownerShown(ctx, tx, a); err != nil {
				return err
			}
			return s.link(ctx, tx, a, c.Claims)
		})
		return Federated{SignedIn: in}, err
	case federation.DoProve:
		return s.holdLink(ctx, a, c.Claims)
	case federation.DoCreate:
		return s.signUpFederated(ctx, c, device)
	case federation.DoConfirm:
		return s.confirmFederated(ctx, c.Claims)
	case federation.RefuseDisabled:
		return Federated{}, errAccountOff
	case federation.RefuseUnconfirmed:
		return Federated{}, errUnverified
	}
	return Federated{}, errNoSignUp
}

// vouched completes a sign-in on the word of a provider.
func (s *Service) vouched(ctx context.Context, a account.Account, c vouch, device string, change func(context.Context, *store.Tx, account.Account) error) (SignedIn, error) {
	return s.complete(ctx, proof{
		account: a, method: "oauth", amr: []string{"fed"}, device: device, federated: c.index, meta: map[string]any{"connection": c.Provider},
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := change(ctx, tx, a); err != nil {
				return err
			}
			return s.record(ctx, tx, audit.Entry{
				Action: "oauth.login.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: "fed", Metadata: map[string]any{"provider": c.Provider},
			})
		},
	})
}

// signUpFederated makes an account whose address the provider has verified.
func (s *Service) signUpFederated(ctx context.Context, c vouch, device string) (Federated, error) {
	if err := s.askRegistration(ctx, c.Email, "oauth", "fed"); err != nil {
		return Federated{}, err
	}
	var a account.Account
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var made bool
		var err error
		if a, made, err = s.accounts.Create(ctx, tx, account.NewAccount{Email: c.Email, Status: account.Active}); err != nil {
			return err
		}
		if !made {
			return errTaken // somebody was faster: look again
		}
		if err := s.link(ctx, tx, a, c.Claims); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "auth.register.success", Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: "fed",
			Metadata: map[string]any{"method": "oauth", "confirmation": "provider"},
		})
	})
	if errors.Is(err, errTaken) {
		return s.federated(ctx, c, device)
	}
	if err != nil {
		return Federated{}, err
	}
	in, err := s.vouched(ctx, a, c, device, func(context.Context, *store.Tx, account.Account) error { return nil })
	return Federated{SignedIn: in}, err
}

// confirmFederated makes an account for a login whose provider does not vouch for the address: a mail has to show that it is
// the person's, as at any sign-up, and the answer tells nobody whether the address has an account.
func (s *Service) confirmFederated(ctx context.Context, c federation.Claims) (Federated, error) {
	email, err := account.ParseEmail(c.Email)
	if err != nil {
		return Federated{}, errNoEmail
	}
	if err := s.askRegistration(ctx, email, "oauth", "fed"); err != nil {
		return Federated{}, err
	}
	flow, _, err := s.signUpFlow(ctx, unconfirmed{Email: email, Login: &c}, nil)
	if err != nil {
		return Federated{}, err
	}
	return Federated{Confirm: &Requested{Flow: flow.Flow}}, nil
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
		if flow, err = s.onetime.Issue(ctx, tx, onetime.Request{Purpose: linkPurpose, AccountID: a.ID, TTL: s.set.LinkTTL, Flow: true, Payload: b}); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Entry{
			Action: "oauth.link_request", Actor: anonymous, Targets: []audit.Ref{user(a.ID)}, AuthMethod: "fed", Metadata: map[string]any{"provider": c.Provider},
		})
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
	err = s.link(ctx, tx, a, c)
	if errors.Is(err, federation.ErrLinkedElsewhere) || errors.Is(err, federation.ErrTooMany) { // the sign-in is good all the same
		return s.record(ctx, tx, audit.Entry{
			Action: "oauth.login.failure", Reason: fault.From(err).Code, Actor: user(a.ID), Targets: []audit.Ref{user(a.ID)}, AuthMethod: "fed",
			Metadata: map[string]any{"provider": c.Provider, "stage": "account"},
		})
	}
	return err
}

// link binds a login elsewhere to an account, and tells the person.
func (s *Service) link(ctx context.Context, tx *store.Tx, a account.Account, c federation.Claims) error {
	_, made, err := s.logins.Link(ctx, tx, a.ID, c)
	if err != nil || !made {
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
func (s *Service) LinkLogin(ctx context.Context, p principal.Principal, c federation.Claims) error {
	return s.changeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		switch d := federation.Decide(federation.Situation{
			Purpose: federation.Link, SignedIn: federation.Standing(a.Status), SameAccount: true,
		}); d {
		case federation.DoLink:
		case federation.RefuseUnconfirmed:
			return errConfirmFirst
		default:
			return session.ErrUnauthenticated
		}
		return s.link(ctx, tx, a, c) // which knows whose login it is
	})
}

var errConfirmFirst = fault.New(fault.Conflict, "confirm_first", "Confirm your e-mail address first.")

// Logins lists the logins elsewhere of who is signed in.
func (s *Service) Logins(ctx context.Context, p principal.Principal) ([]federation.Identity, error) {
	a, err := s.member(ctx, p)
	if err != nil {
		return nil, err
	}
	return s.logins.List(ctx, s.db, a.ID)
}

// UnlinkLogin removes one, unless nothing would be left to sign in with.
func (s *Service) UnlinkLogin(ctx context.Context, p principal.Principal, id uuid.UUID) error {
	return s.changeOwn(ctx, p, func(ctx context.Context, tx *store.Tx, a account.Account) error {
		gone, err := s.logins.Unlink(ctx, tx, a.ID, id)
		if err != nil {
			return err
		}
		if left, err := s.ways(ctx, tx, a.ID); err != nil {
			return err
		} else if left == 0 {
			return errLastWay
		}
		if err := s.onetime.Forget(ctx, tx, a.ID, pendingPurpose); err != nil { // it may have been begun with this login
			return err
		}
		e := by(p)
		e.Action, e.Targets, e.Metadata = "oauth.unlink.success", []audit.Ref{user(a.ID)}, map[string]any{"provider": gone.Provider}
		if err := s.record(ctx, tx, e); err != nil {
			return err
		}
		return s.notice(ctx, tx, a, mail.Letter{Purpose: mail.OAuthUnlinked, Provider: s.providerTitle(gone.Provider)})
	})
}

// providerTitle is what people call a provider.
func (s *Service) providerTitle(name string) string {
	for _, p := range s.logins.Providers() {
		if p.Name == name {
			return p.Title
		}
	}
	return name
}
