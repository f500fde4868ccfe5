package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

var (
	errAccountOff = fault.New(fault.Denied, "account_disabled", "This account is disabled.")
	errNoEmail    = fault.New(fault.Denied, "no_email", "The provider did not say which email address is yours, so no account can be made. Sign up with an address first, and link this login from your account.")
	errUnverified = fault.New(fault.Denied, "email_unverified", "The provider has not verified your email address. Verify it there, or sign up here first and link this login from your account.")
	errNotLinked  = fault.New(fault.Denied, "identity_not_linked", "This login is not linked to that account.")
	errNoSignUp   = fault.New(fault.Denied, "registration_closed", "There is no account for this login, and this service takes no sign-ups through it.")
)

// Federated is how a sign-in through another provider goes on.
type Federated struct {
	SignedIn SignedIn
	Link     *LinkWaiting // set: no session; sign in with the account's own credential
	Confirm  *Requested   // set: no session; the address gets a mail to confirm it, see Confirm

	// Of a plugin's sign-in that was for something else.
	Linked    bool            // the login belongs to the account that is signed in now
	SteppedUp *session.Issued // set: who is signed in proved it anew
	Tested    bool            // nothing was changed
}

// vouch is a provider's word on who somebody is.
type vouch struct {
	federation.Claims
	signUp bool             // it may make an account
	userID uuid.UUID        // the account that it must be; the nil id: the claims decide
	index  string           // the provider's handle of the session
	entry  membership.Entry // the organization whose own provider it is
	domain bool             // it speaks for the owner of the address's domain, see ownsDomain
	shown                   // how the person proved it there
	minted
	plugin     string
	attributes map[string]any // kept as the account's public metadata below the plugin's name
}

// shown is what a provider has verified of a person. The zero value says nothing beyond its word.
type shown struct {
	methods  []string  // RFC 8176, besides its word
	two      bool      // they were two factors, and its word on that is believed
	acr      string    // what the provider calls it
	authTime time.Time // zero: now
	notAfter time.Time // nothing that rests on it outlives this; zero: no bound
}

// via is who vouches, as the gates are told.
func (c vouch) via() string {
	if c.plugin != "" {
		return "plugin"
	}
	return "provider"
}

// federatedSignIns signs in on the word of another provider.
type federatedSignIns struct {
	*machine
	signUps *signUps
}

// SignInFederated takes what another provider vouched for. SignUp says whether it may make an account.
func (s *federatedSignIns) SignInFederated(ctx context.Context, c federation.Claims, signUp bool, device string) (Federated, error) {
	return s.signInVouched(ctx, vouch{Claims: c, signUp: signUp}, device)
}

func (s *federatedSignIns) signInVouched(ctx context.Context, c vouch, device string) (Federated, error) {
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
func (s *federatedSignIns) FederatedFailed(ctx context.Context, provider, stage, reason string, why error) error {
	return s.failed(ctx, provider, stage, reason, map[string]any{}, why)
}

func (s *federatedSignIns) failed(ctx context.Context, provider, stage, reason string, meta map[string]any, why error) error {
	meta["provider"], meta["stage"] = provider, stage
	err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "oauth.login.failure", Reason: reason, Actor: flow.Anonymous, AuthMethod: "fed", Metadata: meta,
		})
	})
	if err != nil {
		return err
	}
	return why
}

// situation gathers what the linking rule rests on, and the account that it would be about.
func (s *federatedSignIns) situation(ctx context.Context, q store.Querier, c vouch) (federation.Situation, account.Account, error) {
	sit := federation.Situation{Purpose: federation.SignIn, EmailVerified: c.EmailVerified, SignUp: c.signUp && !s.kit.Settings.RegistrationClosed}
	var owner, named account.Account
	known, err := s.kit.Logins.Find(ctx, q, c.Claims)
	if err != nil && !errors.Is(err, federation.ErrNotLinked) {
		return sit, owner, err
	}
	if err == nil {
		if owner, err = s.kit.Accounts.GetIn(ctx, q, known.AccountID); err != nil {
			return sit, owner, err
		}
		sit.Owner, sit.EmailIsOwners = federation.Standing(owner.Status), c.Email != "" && owner.Email == c.Email
	}
	if c.EmailVerified && c.Email != "" {
		if named, err = s.kit.Accounts.FindByEmailIn(ctx, q, c.Email); err != nil && !account.IsNotFound(err) {
			return sit, owner, err
		}
		sit.ByEmail = federation.Standing(named.Status)
		// Who administers Sigra itself is nobody's but their own: an organization's provider could otherwise make anybody one.
		if sit.DomainOwned, err = s.ownsDomain(ctx, q, c); err != nil {
			return sit, owner, err
		}
		sit.DomainOwned = sit.DomainOwned && !named.Administrator
		if named.Administrator && named.Status == account.Unconfirmed {
			sit.ByEmail = federation.Disabled // it waits for the link it was given, and is not to be had otherwise
		}
	}
	if owner.ID == uuid.Nil {
		owner = named
	}
	return sit, owner, nil
}

// ownsDomain reports whether a provider speaks for the organization that has proven the domain of the address. It is asked again in the
// transaction that relies on it.
func (s *federatedSignIns) ownsDomain(ctx context.Context, q store.Querier, c vouch) (bool, error) {
	if !c.domain || c.entry.OrganizationID == uuid.Nil {
		return false, nil
	}
	owner, err := s.kit.Orgs.OwnerOf(ctx, q, c.Email)
	if errors.Is(err, org.ErrNoDomain) {
		return false, nil
	}
	return err == nil && owner == c.entry.OrganizationID, err
}

func (s *federatedSignIns) federated(ctx context.Context, c vouch, device string) (Federated, error) {
	sit, a, err := s.situation(ctx, s.kit.DB, c)
	if err != nil {
		return Federated{}, err
	}
	d := federation.Decide(sit)
	if c.userID != uuid.Nil && (d != federation.DoSignIn || a.ID != c.userID) {
		return Federated{}, errNotLinked // who somebody is follows from the linked login, and not from what else is said of them
	}
	// What the decision rests on may change meanwhile: it is made again under the account's lock.
	still := func(ctx context.Context, tx *store.Tx, a account.Account) error {
		sit, now, err := s.situation(ctx, tx, c)
		if err == nil && (federation.Decide(sit) != d || now.ID != a.ID) {
			err = flow.Refusal{Reason: "changed_meanwhile", Err: errCredentials}
		}
		return err
	}
	switch d {
	case federation.DoSignIn:
		in, err := s.vouched(ctx, a, c, device, func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := still(ctx, tx, a); err != nil {
				return err
			}
			known, err := s.kit.Logins.Find(ctx, tx, c.Claims)
			if err != nil {
				return err
			}
			return s.kit.Logins.Touch(ctx, tx, known.ID)
		})
		return Federated{SignedIn: in}, err
	case federation.DoAdopt:
		in, err := s.vouched(ctx, a, c, device, func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := still(ctx, tx, a); err != nil {
				return err
			}
			return s.kit.Link(ctx, tx, a, c.Claims)
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
			return s.kit.Link(ctx, tx, a, c.Claims)
		})
		return Federated{SignedIn: in}, err
	case federation.DoProve:
		return s.holdLink(ctx, a, linkable{c.Claims, c.Mint})
	case federation.DoCreate:
		return s.signUpFederated(ctx, c, device)
	case federation.DoConfirm:
		return s.confirmFederated(ctx, c)
	case federation.RefuseDisabled:
		return Federated{}, errAccountOff
	case federation.RefuseUnconfirmed:
		return Federated{}, errUnverified
	}
	return Federated{}, errNoSignUp
}

// vouched completes a sign-in on the word of a provider.
func (s *federatedSignIns) vouched(ctx context.Context, a account.Account, c vouch, device string, change func(context.Context, *store.Tx, account.Account) error) (SignedIn, error) {
	meta := map[string]any{"connection": c.Provider}
	if c.plugin != "" {
		meta["plugin"] = c.plugin
	}
	return s.complete(ctx, proof{
		account: a, method: c.method(), amr: c.amr(), twoFactors: c.two, device: device, federated: c.index, entry: c.entry, meta: meta,
		authTime: c.authTime, notAfter: c.notAfter, minted: c.minted,
		change: func(ctx context.Context, tx *store.Tx, a account.Account) error {
			if err := c.admits(a); err != nil {
				return err
			}
			if err := change(ctx, tx, a); err != nil {
				return err
			}
			said := c.said()
			if err := s.describe(ctx, tx, a, c, said); err != nil {
				return err
			}
			return s.kit.Record(ctx, tx, audit.Entry{
				Action: "oauth.login.success", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: "fed", Metadata: said,
			})
		},
	})
}

// method is how a session that rests on it began.
func (c vouch) method() string {
	if c.entry.OrganizationID != uuid.Nil {
		return "sso"
	}
	return "oauth"
}

// amr is what was shown, in the words of RFC 8176. The first is how the session is counted.
func (s shown) amr() []string { return factor.With([]string{"fed"}, s.methods...) }

// said is what the audit log keeps of a provider's word.
func (c vouch) said() map[string]any {
	meta := map[string]any{"provider": c.Provider}
	if c.plugin != "" {
		meta["plugin"], meta["aal"], meta["amr"] = c.plugin, proof{twoFactors: c.two}.aal(), c.amr()
		if c.acr != "" {
			meta["acr"] = c.acr
		}
	}
	if c.Created {
		meta["created"] = true
	}
	return meta
}

// describe keeps what a plugin says of a person beyond who they are, in place of what it said before. What the rules of the metadata don't
// take is left out, and the row that is being written says so: nobody is kept from signing in by it.
func (s *federatedSignIns) describe(ctx context.Context, tx *store.Tx, a account.Account, c vouch, said map[string]any) error {
	if len(c.attributes) == 0 {
		return nil
	}
	have, err := s.kit.Metadata.Get(ctx, tx, a.ID, metadata.Public)
	if err != nil {
		return err
	}
	object := map[string]any{}
	if err := json.Unmarshal(have.Value, &object); err != nil {
		return fmt.Errorf("read public metadata: %w", err)
	}
	object[c.plugin] = c.attributes
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = s.kit.ChangeMetadata(ctx, tx, audit.Entry{Actor: audit.Ref{Type: "plugin", ID: c.plugin}}, a.ID, metadata.Change{Scope: metadata.Public, Replace: text})
	if k := fault.KindOf(err); err != nil && (k == fault.Invalid || k == fault.TooLarge) {
		said["attributes"] = "refused"
		s.kit.Log.Warn("attributes of a plugin left out of an account's metadata", "plugin", c.plugin, "error", err)
		return nil
	}
	return err
}

// signUpFederated makes an account whose address the provider has verified.
func (s *federatedSignIns) signUpFederated(ctx context.Context, c vouch, device string) (Federated, error) {
	attempt, err := s.signUps.askRegistration(ctx, c.Email, "oauth", "fed", c.via(), c.Provider)
	if err != nil {
		return Federated{}, err
	}
	var a account.Account
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var made bool
		var err error
		if a, made, err = s.kit.Accounts.Create(ctx, tx, account.NewAccount{Email: c.Email, Status: account.Active, Display: c.Name}); err != nil {
			return err
		}
		if !made {
			return errTaken // somebody was faster: look again
		}
		if err := s.kit.Link(ctx, tx, a, c.Claims); err != nil {
			return err
		}
		if err := attempt.Commit(ctx, tx); err != nil {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{
			CorrelationID: attempt.CorrelationID(),
			Action:        "auth.register.success", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: "fed",
			Metadata: map[string]any{"method": "oauth", "confirmation": "provider"},
		})
	})
	attempt.End(ctx, err)
	if errors.Is(err, errTaken) {
		return s.federated(ctx, c, device)
	}
	if err != nil {
		return Federated{}, err
	}
	c.Created = true
	in, err := s.vouched(ctx, a, c, device, func(context.Context, *store.Tx, account.Account) error { return nil })
	return Federated{SignedIn: in}, err
}

// confirmFederated makes an account for a login whose provider does not vouch for the address: a mail has to show that it is
// the person's, as at any sign-up, and the answer tells nobody whether the address has an account.
func (s *federatedSignIns) confirmFederated(ctx context.Context, c vouch) (Federated, error) {
	email, err := account.ParseEmail(c.Email)
	if err != nil {
		return Federated{}, errNoEmail
	}
	attempt, err := s.signUps.askRegistration(ctx, email, "oauth", "fed", c.via(), c.Provider)
	if err != nil {
		return Federated{}, err
	}
	issued, _, err := s.signUps.signUpFlow(ctx, unconfirmed{Email: email, Login: &c.Claims, minted: c.minted}, attempt, nil)
	if err == nil && c.Mint != uuid.Nil {
		err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return s.kit.Mints.Wait(ctx, tx, c.Mint, issued.ExpiresAt, mint.Outcome{})
		})
	}
	if err != nil {
		return Federated{}, err
	}
	return Federated{Confirm: &Requested{Flow: issued.Flow}}, nil
}

var errTaken = errors.New("the address was taken meanwhile")
