package auth

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// SignedIn is how a sign-in goes on: with a session and its token, or, where Pending is set, with nothing but the
// question for a second factor.
type SignedIn struct {
	Token      string // secret: it exists nowhere else. Empty while Pending
	Principal  principal.Principal
	Persistent bool     // "remember me": the cookie should outlive the browser
	Device     string   // what the browser is to keep in its device cookie, for its next sign-in; secret. Empty: it keeps what it has
	Pending    *Pending // nil: signed in
	Codes      []string // recovery codes, where the sign-in made the first ones; secret, shown once

	// UsernameTaken says, of Confirm, that somebody else has the username by now that was chosen at sign-up. The account has none.
	UsernameTaken bool
}

// proof is what a method hands to complete: that somebody has shown to be the holder of an account.
type proof struct {
	account    account.Account // as it was when the factor was verified
	method     string          // for audit and gates: "password", "magic_link", "passkey", "oauth" …
	amr        []string
	twoFactors bool   // the method is two factors in one: a passkey that verified its user
	device     string // the browser's device cookie
	federated  string // the handle of a plugin's provider, see RevokeFederated
	link       string // the flow of a login elsewhere that waits to be linked (federated.go)
	persistent bool
	entry      membership.Entry // the organization in which the session is to begin
	authTime   time.Time        // when the person proved it, where that was elsewhere; zero: now
	notAfter   time.Time        // the session ends by then; zero: as usual
	minted                      // what a plugin that vouched for it is to be told
	meta       map[string]any   // more metadata of auth.login.success
	attempt    string           // the gates' id of the sign-in, its correlation id; empty: none was asked

	// change is what the method changes in the transaction of the session, with the account's row locked: spend the link, set
	// the password, clear the failures. It looks again at what the proof rests on, and may refuse.
	change func(ctx context.Context, tx *store.Tx, a account.Account) error
	// refused is how the method writes down a refusal: its own audit row. Nil: as auth.login.failure, as which a gate's is
	// written down for every method.
	refused func(ctx context.Context, r flow.Refusal) error
}

// minted is a sign-in that rests on a plugin's word. The zero value is any other.
type minted struct {
	Mint uuid.UUID `json:"mint,omitzero"` // what becomes of it is told the plugin
	// Person: no administrator of Sigra is signed in by this word.
	Person  bool `json:"person,omitempty"`
	Created bool `json:"created,omitempty"` // it made the account
}

// errAdministrator refuses a plugin whose block does not say that it signs in administrators.
var errAdministrator = fault.New(fault.Denied, "administrator_elsewhere", "Administrators of this service don't sign in this way. Sign in with your account's own credential.")

// admits refuses an administrator of Sigra to whom may sign in people only.
func (m minted) admits(a account.Account) error {
	if m.Person && a.Administrator {
		return flow.Refusal{Reason: "administrator", Err: errAdministrator}
	}
	return nil
}

// aal is the assurance of a session that rests on the proof alone.
func (p proof) aal() string {
	if p.twoFactors {
		return principal.AAL2
	}
	return principal.AAL1
}

// machine is what every way to sign in goes through: complete, after a first factor, and finish, after a second, both of which
// end in begin.
type machine struct {
	kit     *flow.Kit
	factors *factor.Service
	members *membership.Service
}

// complete turns the proof of a first factor into a session, or into a pending sign-in that a second factor ends: the gates are
// asked, then everything else is one transaction.
func (m *machine) complete(ctx context.Context, p proof) (out SignedIn, err error) {
	var to *membership.Arrival
	attempt, err := m.askLogin(ctx, p)
	p.attempt = attempt.CorrelationID()
	if err == nil {
		to, err = m.members.Prepare(ctx, p.account, p.entry, p.method)
	}
	if err == nil {
		err = m.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			out, err = m.admit(ctx, tx, p, to, attempt)
			return err
		})
		to.End(ctx, err)
	}
	attempt.End(ctx, err)
	if err != nil {
		return SignedIn{}, m.noted(ctx, p, err)
	}
	return out, nil
}

// askLogin asks the gates, outside of any transaction. A step-up is the answer that demands a second factor; every
// refusal is an error.
func (m *machine) askLogin(ctx context.Context, p proof) (*gate.Attempt, error) {
	if !m.kit.Gated(gate.Login) {
		return nil, nil
	}
	return m.ask(ctx, p, false)
}

// ask puts the question; dry: nothing is about to happen.
func (m *machine) ask(ctx context.Context, p proof, dry bool) (*gate.Attempt, error) {
	who := &principal.Principal{
		Kind: principal.User, UserID: p.account.ID, Email: p.account.Email, Display: p.account.Name(), Administrator: p.account.Administrator,
		AAL: p.aal(), AMR: p.amr, Method: p.method, AuthTime: p.authTime,
	}
	if who.AuthTime.IsZero() {
		who.AuthTime = m.kit.Now()
	}
	to, err := m.members.Heading(ctx, p.account.ID, p.entry)
	if err != nil {
		return nil, err
	}
	seen, err := m.kit.Devices.Look(ctx, m.kit.DB, p.account.ID, p.device)
	if err != nil {
		return nil, err
	}
	suspicious, err := m.kit.Devices.Suspicious(ctx, m.kit.DB, p.account.ID, p.device)
	if err != nil {
		return nil, err
	}
	dev := &gate.Device{Known: seen.Known, Trusted: seen.Trusted}
	if seen.Known {
		dev.ID = seen.ID.String()
	}
	who.OrganizationID, who.Role, who.Owner = to.OrganizationID, to.Role, to.Owner
	return m.kit.Ask(ctx, gate.Ask{
		Question: gate.Login, Principal: who, Subject: flow.User(p.account.ID), DryRun: dry,
		Device: dev, Context: map[string]any{
			"method": p.method, "email_domain": flow.EmailDomain(p.account.Email), "provider": p.meta["connection"], "new_network": suspicious,
		},
	})
}

// admit is that transaction: what the method changes, and then the session, unless a second factor is asked first.
func (m *machine) admit(ctx context.Context, tx *store.Tx, p proof, to *membership.Arrival, attempt *gate.Attempt) (SignedIn, error) {
	a, err := m.kit.Accounts.Lock(ctx, tx, p.account.ID)
	if err != nil {
		return SignedIn{}, err
	}
	if p.change != nil {
		if err := p.change(ctx, tx, a); err != nil {
			return SignedIn{}, err
		}
		if a.Status == account.Unconfirmed { // and may be confirmed now, without what a stranger put there
			if a, err = m.kit.Accounts.GetIn(ctx, tx, a.ID); err != nil {
				return SignedIn{}, err
			}
		}
	}
	if !m.maySignIn(a.Status) {
		return SignedIn{}, flow.Refusal{Reason: "account_" + string(a.Status), Err: errCredentials}
	}
	if err := p.admits(a); err != nil {
		return SignedIn{}, err
	}
	n, err := m.need(ctx, tx, a, p, to, attempt)
	if err != nil {
		return SignedIn{}, err
	}
	if n.asked {
		if err := attempt.Hold(ctx, tx, pendingHolder, m.kit.Now().Add(m.kit.Settings.SecondFactorTTL)); err != nil {
			return SignedIn{}, err
		}
		return m.suspend(ctx, tx, a, p, n)
	}
	if err := attempt.Commit(ctx, tx); err != nil {
		return SignedIn{}, err
	}
	g := session.Grant{Account: a, AAL: p.aal(), AMR: p.amr, Method: p.method, Persistent: p.persistent, Federated: p.federated, AuthTime: p.authTime, NotAfter: p.notAfter}
	return m.begin(ctx, tx, a, p, to, g, n.trusted)
}

// maySignIn: with deferred confirmation an unconfirmed account may; otherwise only an active one.
func (m *machine) maySignIn(st account.Status) bool {
	return st == account.Active || st == account.Unconfirmed && m.kit.Settings.DeferConfirmation
}

// need is what a sign-in still lacks after its first factor.
type need struct {
	asked   bool
	trusted bool     // a second factor was spared because the browser is trusted
	enroll  bool     // one is demanded and the account has none: the person adds one now
	methods []string // which can be shown
}

// need decides whether a second factor is asked, under the account's lock. It is asked when the account has one, when a
// gate demands one, when policy demands one of everybody or of those in the organization where the session begins, and, as a setting,
// when the sign-in is suspicious. A trusted browser spares it where the account has one or policy asks everybody: the others are about
// this very sign-in, and an organization relies on two factors that were shown.
func (m *machine) need(ctx context.Context, tx *store.Tx, a account.Account, p proof, to *membership.Arrival, attempt *gate.Attempt) (need, error) {
	gateStepUp := attempt != nil && attempt.Answer.Decision == gate.StepUp
	organization, err := to.Judge(ctx, tx, a, p.aal())
	if err != nil || p.twoFactors {
		return need{}, err
	}
	suspicious := false
	if m.kit.Settings.SuspiciousStepUp {
		if suspicious, err = m.kit.Devices.Suspicious(ctx, tx, a.ID, p.device); err != nil {
			return need{}, err
		}
	}
	elsewhere := gateStepUp || a.SecondFactor || m.kit.Settings.RequiresSecondFactor(a)
	asked := elsewhere || organization
	if !asked && !suspicious {
		return need{}, nil
	}
	f, err := m.factors.Of(ctx, tx, a.ID)
	if err != nil {
		return need{}, err
	}
	has := f.Second()
	switch {
	case len(has) == 0 && gateStepUp:
		return need{}, flow.CannotStepUp(attempt) // letting it pass would be worse
	case len(has) == 0 && !asked:
		return need{}, nil // whoever is suspicious must not be the one who adds a factor
	case len(has) == 0:
		return need{asked: true, enroll: true, methods: []string{factor.TOTP, factor.Passkey}}, nil
	}
	if !gateStepUp && !suspicious && !organization {
		seen, err := m.kit.Devices.Look(ctx, tx, a.ID, p.device)
		if err != nil {
			return need{}, err
		}
		if seen.Trusted {
			return need{trusted: true}, nil
		}
	}
	methods := factor.Beside(has, p.amr)
	switch {
	case len(methods) > 0:
		return need{asked: true, methods: methods}, nil
	case gateStepUp:
		return need{}, flow.CannotStepUp(attempt)
	case !elsewhere && !suspicious && to.Forgo():
		return need{}, nil
	}
	return need{}, flow.Refusal{Reason: "one_factor", Err: errOneFactor}
}

// pendingHolder is who holds the attempt of a sign-in that waits for its second factor.
const pendingHolder = "sign_in"

// suspend keeps what was proved until the second factor comes, in the transaction of the first one.
func (m *machine) suspend(ctx context.Context, tx *store.Tx, a account.Account, p proof, n need) (SignedIn, error) {
	b, err := json.Marshal(waiting{Method: p.method, AMR: p.amr, Persistent: p.persistent, Link: p.link, Federated: p.federated, Entry: p.entry, Meta: p.meta, Attempt: p.attempt, Methods: n.methods, Enroll: n.enroll, NotAfter: p.notAfter, minted: p.minted})
	if err != nil {
		return SignedIn{}, err
	}
	issued, err := m.kit.Onetime.Issue(ctx, tx, onetime.Request{Purpose: flow.PendingSignIn, AccountID: a.ID, TTL: m.kit.Settings.SecondFactorTTL, Flow: true, Payload: b})
	if err != nil {
		return SignedIn{}, err
	}
	if p.Mint != uuid.Nil {
		if err := m.kit.Mints.Wait(ctx, tx, p.Mint, issued.ExpiresAt, mint.Outcome{UserID: a.ID, AccountCreated: p.Created}); err != nil {
			return SignedIn{}, err
		}
	}
	return SignedIn{Pending: &Pending{Flow: issued.Flow, Methods: n.methods, Enroll: n.enroll, ExpiresAt: issued.ExpiresAt}}, nil
}

// begin makes the session, in the transaction of the factors that it rests on.
func (m *machine) begin(ctx context.Context, tx *store.Tx, a account.Account, p proof, to *membership.Arrival, g session.Grant, trusted bool) (SignedIn, error) {
	if _, err := m.kit.Accounts.SignedIn(ctx, tx, a.ID, request.From(ctx).Language); err != nil {
		return SignedIn{}, err
	}
	linked, err := m.linkWaiting(ctx, tx, a, p.link)
	if err != nil {
		return SignedIn{}, err
	}
	if g.OrganizationID, g.Role, err = to.Enter(ctx, tx); err != nil {
		return SignedIn{}, err
	}
	in, err := m.kit.Sessions.Issue(ctx, tx, g)
	if err != nil {
		return SignedIn{}, err
	}
	noted, err := m.kit.Devices.Note(ctx, tx, a.ID, p.device)
	if err != nil {
		return SignedIn{}, err
	}
	meta := map[string]any{"method": p.method, "aal": g.AAL}
	if p.persistent {
		meta["remember"] = true
	}
	if trusted {
		meta["trusted_device"] = true
	}
	if noted.NewDevice {
		meta["new_device"] = true
	}
	for k, v := range p.meta {
		meta[k] = v
	}
	if err := m.kit.Record(ctx, tx, audit.Entry{
		Action: "auth.login.success", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, SessionID: in.Principal.SessionID,
		OrganizationID: g.OrganizationID, AuthMethod: p.amr[0], Metadata: meta, CorrelationID: p.attempt,
	}); err != nil {
		return SignedIn{}, err
	}
	if err := m.noticeDevice(ctx, tx, a, noted, in.Principal.SessionID); err != nil {
		return SignedIn{}, err
	}
	for _, id := range []uuid.UUID{p.Mint, linked} {
		if err := m.kit.Mints.Settle(ctx, tx, id, mint.Outcome{
			Status: mint.SignedIn, UserID: a.ID, SessionID: in.Principal.SessionID, AccountCreated: p.Created, MembershipCreated: to.Joined(),
		}); err != nil {
			return SignedIn{}, err
		}
	}
	out := SignedIn{Token: in.Token, Principal: in.Principal, Persistent: in.Persistent}
	if noted.Token != p.device {
		out.Device = noted.Token
	}
	return out, nil
}

// noticeDevice tells the person of a sign-in in a browser that is new to the account, and writes down when it came from a
// new network as well. The first browser of an account is no news.
func (m *machine) noticeDevice(ctx context.Context, tx *store.Tx, a account.Account, n device.Noted, sessionID uuid.UUID) error {
	if !n.NewDevice || n.FirstDevice {
		return nil
	}
	if n.NewNetwork && m.kit.Settings.Suspicious {
		if err := m.kit.Record(ctx, tx, audit.Entry{
			Action: "security.suspicious_login", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, SessionID: sessionID,
			Metadata: map[string]any{"new_device": true, "new_network": true},
		}); err != nil {
			return err
		}
	}
	return m.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.NewDevice})
}

// ownerShown is for whoever has shown that an account's address is theirs: an account that was not confirmed is so now, and
// without anything of a stranger'm. A password that one chose at sign-up waits in a flow that ends here.
func (m *machine) ownerShown(ctx context.Context, tx *store.Tx, a account.Account) error {
	if a.Status != account.Unconfirmed {
		return nil
	}
	if _, err := m.kit.Accounts.Activate(ctx, tx, a.ID); err != nil {
		return err
	}
	return m.kit.Reclaim(ctx, tx, a)
}
