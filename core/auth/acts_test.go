package auth_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/selfservice"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// act is one way in which a method of the service ends. audit_test.go checks the rows of each, crash_test.go that it is
// done whole or not at all.
type act struct {
	method string // its first word is the method's name
	ready  func(w *world, email string) deed
	code   string   // of the refusal; empty: it is done
	rows   []string // audit
	at     string   // how the service is configured: see configurations
	domain string   // of the address, by which a gate decides; empty: example.org
	// before is the table that is written to in a transaction of its own before the one that can be cut off: the attempt that counts
	// however it ends. Empty: none.
	before string
}

// wanted is the code that it ends with.
func (a act) wanted() string {
	if a.code == "" {
		return "ok"
	}
	return a.code
}

// deed calls the method. given is the session or pending sign-in that came of it.
type deed func() (given string, err error)

var configurations = map[string]options{
	"":              {},
	"policy":        {settings: flow.Settings{RequireSecondFactor: true}},
	"deferred":      {settings: flow.Settings{DeferConfirmation: true}},
	"closed":        {settings: flow.Settings{RegistrationClosed: true}},
	"usernames":     {settings: flow.Settings{Usernames: flow.OptionalUsernames}},
	"suspicious":    {settings: flow.Settings{Suspicious: true}},
	"trusting":      {settings: flow.Settings{TrustFor: 30 * 24 * time.Hour}},
	"blocks clones": {block: true},
	"one failure":   {failures: ratelimit.Quota{Count: 1, Per: time.Hour}, factors: ratelimit.Quota{Count: 1, Per: time.Hour}},
	"one mail":      {mails: ratelimit.Quota{Count: 1, Per: time.Hour}},
}

// The gates of these tests decide by the domain of the address.
const (
	deniedDomain = "denied.example.org"
	stepUpDomain = "stepup.example.org"
)

// stage is one database with a world for each configuration.
type stage struct {
	base   *world
	worlds map[string]*world
}

func newStage(t *testing.T, db *store.DB) *stage {
	return &stage{base: newWorld(t, db, options{still: time.Now()}), worlds: map[string]*world{}}
}

// prepare makes what an act needs.
func (s *stage) prepare(t *testing.T, i int, a act) (*world, deed) {
	t.Helper()
	w := s.worlds[a.at]
	if w == nil {
		o, ok := configurations[a.at]
		if !ok {
			t.Fatalf("%s: no configuration %q", a.method, a.at)
		}
		w = s.base.second(o)
		asked := gateFunc(func(_ context.Context, q gate.Ask) (gate.Answer, error) {
			switch q.Context["email_domain"] {
			case deniedDomain:
				return gate.Answer{Decision: gate.Deny, Reason: "not_today", By: "plugin.test"}, nil
			case stepUpDomain:
				return gate.Answer{Decision: gate.StepUp, RequiredAAL: principal.AAL2, By: "plugin.test"}, nil
			}
			return gate.Answer{}, nil
		})
		all := map[gate.Question][]gate.Gate{}
		for _, q := range []gate.Question{gate.Login, gate.Registration, gate.SessionStepUp, gate.UserDelete} {
			all[q] = []gate.Gate{asked}
		}
		w.gates.Set(all)
		s.worlds[a.at] = w
	}
	w.t = t
	domain := a.domain
	if domain == "" {
		domain = "example.org"
	}
	return w, a.ready(w, fmt.Sprintf("act%d@%s", i, domain))
}

// Every exported method of the service is in the table.
func TestActs_everyMethod(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{"Run": true} // Sweep, again and again
	for _, a := range acts {
		name, _, _ := strings.Cut(a.method, ",")
		seen[name] = true
	}
	for _, service := range []reflect.Type{reflect.TypeFor[*auth.Service](), reflect.TypeFor[*selfservice.Service](), reflect.TypeFor[*administration.Service]()} {
		for i := range service.NumMethod() {
			name := service.Method(i).Name
			if !seen[name] {
				t.Errorf("%s: what it writes down, and what is left when it is cut off, is not in the table", name)
			}
			delete(seen, name)
		}
	}
	for name := range seen {
		t.Errorf("%s is no method", name)
	}
}

func signed(in auth.SignedIn, err error) (string, error) {
	if in.Pending != nil {
		return in.Pending.Flow, err
	}
	return in.Token, err
}

func vouched(out auth.Federated, err error) (string, error) { return signed(out.SignedIn, err) }

func done(err error) (string, error) { return "", err }

// only leaves out what a method gives beside the error.
func only[T any](_ T, err error) (string, error) { return "", err }

// bare is somebody with a login elsewhere and no password.
func (w *world) bare(email string, h has) *person {
	w.t.Helper()
	h.login = true
	p := w.person(email, h)
	w.tx(func(ctx context.Context, tx *store.Tx) error { return w.passwords.Erase(ctx, tx, p.id) })
	return p
}

// nameOf is a username of the person with the address, and nobody else's.
func nameOf(email string) string {
	local, _, _ := strings.Cut(email, "@")
	return local
}

// stale is a session of an hour ago.
func (p *person) stale() principal.Principal {
	p.w.t.Helper()
	return p.session(principal.AAL1, time.Hour, "fed").Principal
}

// beginsTOTP begins to add an app and gives it.
func (p *person) beginsTOTP(who principal.Principal) *app {
	p.w.t.Helper()
	e, err := p.w.BeginTOTP(p.w.ctx(), who)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return newApp(e.Secret.Reveal())
}

// newPasskey is what a new authenticator answers to a registration.
func (p *person) newPasskey(who principal.Principal) factor.Proof {
	w := p.w
	w.t.Helper()
	c, err := w.BeginPasskey(w.ctx(), who, false)
	if err != nil {
		w.t.Fatal(err)
	}
	return factor.Proof{Ceremony: c.Token, Credential: must(w.t)(passkeytest.New(w.t, base).Create(c.Options))}
}

// passkeyAnswer is what the person's authenticator answers to a sign-in.
func (p *person) passkeyAnswer() auth.PasskeySignIn {
	w := p.w
	w.t.Helper()
	c, err := w.BeginPasskeySignIn(w.ctx())
	if err != nil {
		w.t.Fatal(err)
	}
	return auth.PasskeySignIn{Ceremony: c.Token, Credential: p.device.Get(c.Options)}
}

// claimed are the claims of a provider that has verified the address.
func claimed(email string) federation.Claims {
	return federation.Claims{Provider: "google", Issuer: "https://accounts.google.com", Subject: "sub " + email, Email: email, EmailVerified: true}
}

func (w *world) fails(err error) {
	w.t.Helper()
	if err == nil {
		w.t.Fatal("what was to fail beforehand succeeded")
	}
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// held keeps a plugin's word.
func (w *world) held(m auth.VerifiedByPlugin) string {
	w.t.Helper()
	m.Plugin, m.Provider = "relyra", "okta"
	flow, _, err := w.HoldPluginSignIn(w.ctx(), m)
	w.ok(err)
	return flow
}

// forPurpose is a browser that goes on with a plugin's word for who is signed in.
func (w *world) forPurpose(purpose auth.Purpose, who principal.Principal, subject string) deed {
	w.t.Helper()
	b := auth.PluginBegun{Plugin: "relyra", Provider: "okta", Purpose: purpose, SessionID: who.SessionID}
	if purpose == auth.ToTest {
		b.SessionID = uuid.Nil
	}
	st, err := w.BeginPluginSignIn(w.ctx(), b, auth.DefaultPluginState)
	w.ok(err)
	flow := w.held(auth.VerifiedByPlugin{Subject: subject, Purpose: purpose, State: st.State, Key: st.Key, AuthTime: w.now()})
	return func() (string, error) {
		_, _, err := w.SignInPlugin(w.ctx(), auth.PluginArrival{Flow: flow, Who: who, Cookie: func(string) string { return st.Key }})
		return "", err
	}
}

// finishesWith ends a pending sign-in of the person with a factor, which spoil may change.
func (p *person) finishesWith(method string, spoil func(*auth.SecondFactor)) deed {
	p.w.t.Helper()
	flow := p.pending().Flow
	f := auth.SecondFactor{Flow: flow, Factor: p.show(method, flow), Device: p.browser}
	if spoil != nil {
		spoil(&f)
	}
	return func() (string, error) { return signed(p.w.FinishSignIn(p.w.ctx(), f)) }
}

func nonsense(f *auth.SecondFactor) { f.Factor.Code = "nonsense" }

// What acts write before the transaction that can be cut off.
const (
	attempts = "onetime" // that a code was tried
	spentOff = "onetime" // that a flow was used
)

var acts = []act{
	{method: "Register", rows: []string{"auth.register.success"}, ready: registers(horse)},
	{method: "Register, deferred", at: "deferred", rows: []string{"auth.login.success", "auth.register.success"}, ready: registers(horse)},
	{method: "Register, an unconfirmed address", rows: []string{"auth.confirmation_request/signed_up_again"}, ready: func(w *world, email string) deed {
		w.register(email, horse)
		return registers(staple)(w, email)
	}},
	{method: "Register, a taken address", rows: []string{"auth.register.failure/email_taken"}, ready: func(w *world, email string) deed {
		w.person(email, has{})
		return registers(staple)(w, email)
	}},
	{method: "Register, denied by a gate", domain: deniedDomain, code: "not_today", rows: []string{"auth.register.failure/gate_denied"}, ready: registers(horse)},
	{method: "Register, where nobody may", at: "closed", code: "registration_closed", ready: registers(horse)},
	{method: "Register, a bad password", code: "password_too_short", ready: registers("short")},
	{method: "Register, too many mails", at: "one mail", rows: []string{"auth.confirmation_request/too_many_mails"}, ready: func(w *world, email string) deed {
		w.register(email, horse)
		return registers(horse)(w, email)
	}},
	{method: "ResendConfirmation", rows: []string{"auth.confirmation_request/asked_again"}, ready: func(w *world, email string) deed {
		flow := w.register(email, horse).Flow
		return func() (string, error) { return only(w.ResendConfirmation(w.ctx(), flow)) }
	}},
	{method: "ResendConfirmation, of a taken address", rows: []string{"auth.confirmation_request/asked_again"}, ready: func(w *world, email string) deed {
		w.person(email, has{})
		flow := w.register(email, staple).Flow
		return func() (string, error) { return only(w.ResendConfirmation(w.ctx(), flow)) }
	}},
	{method: "ResendConfirmation, of nothing", code: "invalid_or_expired", ready: func(w *world, _ string) deed {
		return func() (string, error) { return only(w.ResendConfirmation(w.ctx(), "nothing")) }
	}},

	{method: "LookConfirmation", ready: func(w *world, email string) deed {
		_, token, _ := w.signsUp(email)
		return func() (string, error) { return only(w.LookConfirmation(w.ctx(), token)) }
	}},
	{method: "Confirm, by the link", rows: []string{"auth.confirmation.success", "auth.login.success"}, ready: func(w *world, email string) deed {
		flow, token, _ := w.signsUp(email)
		return confirming(w, auth.Confirmation{Token: token, Flow: flow})
	}},
	{method: "Confirm, by the link and the password", rows: []string{"auth.confirmation.success", "auth.login.success"}, before: attempts, ready: func(w *world, email string) deed {
		_, token, _ := w.signsUp(email)
		return confirming(w, auth.Confirmation{Token: token, Password: horse})
	}},
	{method: "Confirm, by the code", rows: []string{"auth.confirmation.success", "auth.login.success"}, before: attempts, ready: func(w *world, email string) deed {
		flow, _, digits := w.signsUp(email)
		return confirming(w, auth.Confirmation{Flow: flow, Code: digits})
	}},
	{method: "Confirm, a second factor is due", at: "policy", rows: []string{"auth.confirmation.success"}, ready: func(w *world, email string) deed {
		flow, token, _ := w.signsUp(email)
		return confirming(w, auth.Confirmation{Token: token, Flow: flow})
	}},
	{method: "Confirm, a login elsewhere", rows: []string{"auth.confirmation.success", "auth.login.success", "oauth.link.success"}, ready: func(w *world, email string) deed {
		c, at := claimed(email), since(w.t)
		c.EmailVerified = false
		out, err := w.SignInFederated(w.ctx(), c, true, "")
		w.ok(err)
		if out.Confirm == nil {
			w.t.Fatalf("%+v", out)
		}
		token, _ := w.secrets(at, mail.ConfirmEmail)
		return confirming(w, auth.Confirmation{Token: token, Flow: out.Confirm.Flow})
	}},
	{method: "Confirm, a wrong code", code: "wrong_code", rows: []string{"auth.confirmation.failure/wrong_code"}, ready: func(w *world, email string) deed {
		flow, _, digits := w.signsUp(email)
		return confirming(w, auth.Confirmation{Flow: flow, Code: wrongCode(digits)})
	}},
	{method: "Confirm, a wrong password", code: "wrong_password", rows: []string{"auth.confirmation.failure/wrong_password"}, before: attempts, ready: func(w *world, email string) deed {
		_, token, _ := w.signsUp(email)
		return confirming(w, auth.Confirmation{Token: token, Password: staple})
	}},
	{method: "Confirm, no password", code: "password_needed", ready: func(w *world, email string) deed {
		_, token, _ := w.signsUp(email)
		return confirming(w, auth.Confirmation{Token: token})
	}},
	{method: "Confirm, nonsense", code: "invalid_or_expired", ready: func(w *world, _ string) deed {
		return confirming(w, auth.Confirmation{Token: "z", Flow: "x", Code: "y"})
	}},
	{method: "Confirm, denied by a gate", domain: deniedDomain, code: "not_today", rows: []string{"auth.login.failure/gate_denied"}, ready: func(w *world, email string) deed {
		s := *w // the sign-up itself is let in
		other := s.second(options{})
		flow, token, _ := other.signsUp(email)
		return confirming(w, auth.Confirmation{Token: token, Flow: flow})
	}},

	{method: "SignIn", rows: []string{"auth.login.success"}, ready: signsIn(has{}, horse)},
	{method: "SignIn, in a new browser on a new network", at: "suspicious", rows: []string{"auth.login.success", "security.suspicious_login"}, ready: func(w *world, email string) deed {
		w.person(email, has{known: true})
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM device_network`)
			return err
		})
		return func() (string, error) { return signed(w.signIn(email, horse)) }
	}},
	{method: "SignIn, a second factor is due", ready: signsIn(has{totp: true}, horse)},
	{method: "SignIn, one must be added", at: "policy", ready: signsIn(has{}, horse)},
	{method: "SignIn, and a login elsewhere is linked", rows: []string{"auth.login.success", "oauth.link.success"}, ready: func(w *world, email string) deed {
		w.person(email, has{})
		held, err := w.SignInFederated(w.ctx(), claimed(email), true, "")
		w.ok(err)
		return func() (string, error) {
			return signed(w.SignIn(w.ctx(), auth.Credentials{Email: email, Password: horse, Link: held.Link.Flow}))
		}
	}},
	{method: "SignIn, and the login was linked elsewhere meanwhile", rows: []string{"auth.login.success", "oauth.login.failure/identity_linked_elsewhere"}, ready: func(w *world, email string) deed {
		w.person(email, has{})
		held, err := w.SignInFederated(w.ctx(), claimed(email), true, "")
		w.ok(err)
		w.ok(w.LinkLogin(w.ctx(), w.person("other-"+email, has{}).fresh(), claimed(email)))
		return func() (string, error) {
			return signed(w.SignIn(w.ctx(), auth.Credentials{Email: email, Password: horse, Link: held.Link.Flow}))
		}
	}},
	{method: "SignIn, a wrong password", code: "invalid_credentials", rows: []string{"auth.login.failure/wrong_password"}, ready: signsIn(has{}, staple)},
	{method: "SignIn, an unknown address", code: "invalid_credentials", rows: []string{"auth.login.failure/unknown_user"}, ready: func(w *world, email string) deed {
		return func() (string, error) { return signed(w.signIn(email, horse)) }
	}},
	{method: "SignIn, no password", code: "invalid_credentials", rows: []string{"auth.login.failure/no_password"}, ready: func(w *world, email string) deed {
		w.bare(email, has{})
		return func() (string, error) { return signed(w.signIn(email, horse)) }
	}},
	{method: "SignIn, unconfirmed", code: "invalid_credentials", rows: []string{"auth.login.failure/no_password"}, ready: func(w *world, email string) deed {
		w.register(email, horse)
		return func() (string, error) { return signed(w.signIn(email, horse)) }
	}},
	{method: "SignIn, disabled", code: "invalid_credentials", rows: []string{"auth.login.failure/account_disabled"}, ready: func(w *world, email string) deed {
		w.ok(w.Disable(w.ctx(), operator, w.person(email, has{}).id))
		return func() (string, error) { return signed(w.signIn(email, horse)) }
	}},
	{method: "SignIn, the failure that fills the bucket", at: "one failure", code: "invalid_credentials", rows: []string{"auth.login.failure/wrong_password", "security.lockout/too_many_failures"}, ready: signsIn(has{}, staple)},
	{method: "SignIn, a full bucket", at: "one failure", code: "too_many_attempts", ready: func(w *world, email string) deed {
		w.person(email, has{})
		_, err := w.signIn(email, staple)
		w.fails(err)
		return func() (string, error) { return signed(w.signIn(email, horse)) }
	}},
	{method: "SignIn, denied by a gate", domain: deniedDomain, code: "not_today", rows: []string{"auth.login.failure/gate_denied"}, ready: signsIn(has{}, horse)},
	{method: "SignIn, a gate wants what there is not", domain: stepUpDomain, code: "second_factor_missing", rows: []string{"auth.login.failure/gate_step_up"}, ready: signsIn(has{}, horse)},

	{method: "PendingSignIn", ready: func(w *world, email string) deed {
		flow := w.person(email, has{totp: true}).pending().Flow
		return func() (string, error) { return only(w.PendingSignIn(w.ctx(), flow)) }
	}},
	{method: "PendingPasskey", ready: func(w *world, email string) deed {
		flow := w.person(email, has{passkey: true, asks: true}).pending().Flow
		return func() (string, error) { return only(w.PendingPasskey(w.ctx(), flow)) }
	}},
	{method: "PendingTOTP", at: "policy", rows: []string{"mfa.enrollment.start"}, ready: func(w *world, email string) deed {
		flow := w.person(email, has{}).pending().Flow
		return func() (string, error) { return only(w.PendingTOTP(w.ctx(), flow)) }
	}},
	{method: "WaitingTOTP", at: "policy", ready: func(w *world, email string) deed {
		flow := w.person(email, has{}).pending().Flow
		_, err := w.PendingTOTP(w.ctx(), flow)
		w.ok(err)
		return func() (string, error) { _, _, err := w.WaitingTOTP(w.ctx(), flow); return "", err }
	}},
	{method: "FinishSignIn, with an app", rows: []string{"auth.login.success", "mfa.challenge.success"}, ready: func(w *world, email string) deed {
		return w.person(email, has{totp: true}).finishesWith(factor.TOTP, nil)
	}},
	{method: "FinishSignIn, with a recovery code", rows: []string{"auth.login.success", "mfa.challenge.success", "mfa.recovery_code.used"}, ready: func(w *world, email string) deed {
		return w.person(email, has{totp: true}).finishesWith(factor.RecoveryCode, nil)
	}},
	{method: "FinishSignIn, with a passkey", rows: []string{"auth.login.success", "mfa.challenge.success"}, ready: func(w *world, email string) deed {
		return w.person(email, has{passkey: true, asks: true}).finishesWith(factor.Passkey, nil)
	}},
	{method: "FinishSignIn, with a passkey that may be copied", rows: []string{"auth.login.success", "mfa.challenge.success", "passkey.sign_count_regression"}, ready: func(w *world, email string) deed {
		return w.copied(email).finishesWith(factor.Passkey, nil)
	}},
	{method: "FinishSignIn, with a copied passkey", at: "blocks clones", code: "passkey_blocked", rows: []string{"mfa.challenge.failure/sign_count", "passkey.sign_count_regression"}, ready: func(w *world, email string) deed {
		return w.copied(email).finishesWith(factor.Passkey, nil)
	}},
	{method: "FinishSignIn, and the browser is trusted", at: "trusting", rows: []string{"auth.login.success", "mfa.challenge.success", "trusted_device.add"}, ready: func(w *world, email string) deed {
		return w.person(email, has{totp: true}).finishesWith(factor.TOTP, func(f *auth.SecondFactor) { f.Trust = true })
	}},
	{method: "FinishSignIn, an app is added", at: "policy", rows: []string{"auth.login.success", "mfa.challenge.success", "mfa.enrollment.complete"}, ready: func(w *world, email string) deed {
		flow := w.person(email, has{}).pending().Flow
		e, err := w.PendingTOTP(w.ctx(), flow)
		w.ok(err)
		f := auth.SecondFactor{Flow: flow, Factor: factor.Proof{Method: factor.TOTP, Code: w.next(newApp(e.Secret.Reveal()))}}
		return func() (string, error) { return signed(w.FinishSignIn(w.ctx(), f)) }
	}},
	{method: "FinishSignIn, a passkey is added", at: "policy", rows: []string{"auth.login.success", "mfa.challenge.success", "mfa.enrollment.complete", "passkey.register.success"}, ready: func(w *world, email string) deed {
		flow := w.person(email, has{}).pending().Flow
		c, err := w.PendingPasskey(w.ctx(), flow)
		w.ok(err)
		f := factor.Proof{Method: factor.Passkey, Ceremony: c.Token, Credential: must(w.t)(passkeytest.New(w.t, base).Create(c.Options))}
		return func() (string, error) {
			return signed(w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: f}))
		}
	}},
	{method: "FinishSignIn, a wrong code", code: "wrong_factor", rows: []string{"mfa.challenge.failure/wrong_code"}, ready: func(w *world, email string) deed {
		return w.person(email, has{totp: true}).finishesWith(factor.TOTP, nonsense)
	}},
	{method: "FinishSignIn, a wrong recovery code", code: "wrong_factor", rows: []string{"mfa.challenge.failure/wrong_code"}, ready: func(w *world, email string) deed {
		return w.person(email, has{totp: true}).finishesWith(factor.RecoveryCode, nonsense)
	}},
	{method: "FinishSignIn, a code once more", code: "wrong_factor", rows: []string{"mfa.challenge.failure/replayed_code"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{totp: true})
		one, two := p.pending().Flow, p.pending().Flow
		f := p.show(factor.TOTP, "")
		_, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: one, Factor: f})
		w.ok(err)
		return func() (string, error) {
			return signed(w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: two, Factor: f}))
		}
	}},
	{method: "FinishSignIn, nobody's passkey", code: "passkey_refused", rows: []string{"mfa.challenge.failure/ceremony_unknown"}, ready: func(w *world, email string) deed {
		return w.person(email, has{passkey: true, asks: true}).finishesWith(factor.Passkey, func(f *auth.SecondFactor) { f.Factor.Ceremony = "nonsense" })
	}},
	{method: "FinishSignIn, what is not asked for", code: "unknown_method", ready: func(w *world, email string) deed {
		return w.person(email, has{totp: true}).finishesWith(factor.TOTP, func(f *auth.SecondFactor) { f.Factor.Method = factor.Password })
	}},
	{method: "FinishSignIn, the failure that fills the bucket", at: "one failure", code: "wrong_factor", rows: []string{"mfa.challenge.failure/wrong_code", "security.lockout/too_many_failures"}, ready: func(w *world, email string) deed {
		return w.person(email, has{totp: true}).finishesWith(factor.TOTP, nonsense)
	}},
	{method: "FinishSignIn, a full bucket", at: "one failure", code: "too_many_attempts", ready: func(w *world, email string) deed {
		p := w.person(email, has{totp: true})
		_, err := p.finishesWith(factor.TOTP, nonsense)()
		w.fails(err)
		return p.finishesWith(factor.TOTP, nil)
	}},
	{method: "FinishSignIn, of nothing", code: "sign_in_expired", ready: func(w *world, _ string) deed {
		return func() (string, error) { return signed(w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: "nothing"})) }
	}},
	{method: "SignOut", rows: []string{"auth.logout"}, ready: func(w *world, email string) deed {
		token := w.person(email, has{}).session(principal.AAL1, 0).Token
		return func() (string, error) { return done(w.SignOut(w.ctx(), token)) }
	}},
	{method: "SignOut, nobody", code: "unauthenticated", ready: func(w *world, _ string) deed {
		return func() (string, error) { return done(w.SignOut(w.ctx(), "nothing")) }
	}},

	{method: "PasskeysOffered", ready: func(w *world, _ string) deed {
		return func() (string, error) { w.PasskeysOffered(); return "", nil }
	}},
	{method: "BeginPasskeySignIn", ready: func(w *world, _ string) deed {
		return func() (string, error) { return only(w.BeginPasskeySignIn(w.ctx())) }
	}},
	{method: "SignInPasskey", rows: []string{"auth.login.success"}, ready: func(w *world, email string) deed {
		in := w.person(email, has{passkey: true}).passkeyAnswer()
		return func() (string, error) { return signed(w.SignInPasskey(w.ctx(), in)) }
	}},
	{method: "SignInPasskey, that may be copied", rows: []string{"auth.login.success", "passkey.sign_count_regression"}, ready: func(w *world, email string) deed {
		in := w.copied(email).passkeyAnswer()
		return func() (string, error) { return signed(w.SignInPasskey(w.ctx(), in)) }
	}},
	{method: "SignInPasskey, a copied one", at: "blocks clones", code: "passkey_blocked", rows: []string{"auth.login.failure/sign_count", "passkey.sign_count_regression"}, ready: func(w *world, email string) deed {
		in := w.copied(email).passkeyAnswer()
		return func() (string, error) { return signed(w.SignInPasskey(w.ctx(), in)) }
	}},
	{method: "SignInPasskey, a removed one", code: "passkey_refused", rows: []string{"auth.login.failure/credential_unknown"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{passkey: true})
		in := p.passkeyAnswer()
		w.ok(w.DeletePasskey(w.ctx(), p.fresh(), p.passkeyID(0)))
		return func() (string, error) { return signed(w.SignInPasskey(w.ctx(), in)) }
	}},
	{method: "SignInPasskey, once more", code: "passkey_refused", rows: []string{"auth.login.failure/ceremony_spent"}, ready: func(w *world, email string) deed {
		in := w.person(email, has{passkey: true}).passkeyAnswer()
		_, err := w.SignInPasskey(w.ctx(), in)
		w.ok(err)
		return func() (string, error) { return signed(w.SignInPasskey(w.ctx(), in)) }
	}},
	{method: "SignInPasskey, disabled", code: "invalid_credentials", rows: []string{"auth.login.failure/account_disabled"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{passkey: true})
		in := p.passkeyAnswer()
		w.ok(w.Disable(w.ctx(), operator, p.id))
		return func() (string, error) { return signed(w.SignInPasskey(w.ctx(), in)) }
	}},
	{method: "SignInPasskey, not relied upon and alone", at: "policy", code: "another_factor_required", rows: []string{"auth.login.failure/one_factor"}, ready: func(w *world, email string) deed {
		in := w.person(email, has{passkey: true, unproved: true}).passkeyAnswer()
		return func() (string, error) { return signed(w.SignInPasskey(w.ctx(), in)) }
	}},

	{method: "RequestMagicLink", rows: []string{"auth.magic_link_request"}, ready: func(w *world, email string) deed {
		w.person(email, has{})
		return func() (string, error) { return only(w.RequestMagicLink(w.ctx(), email)) }
	}},
	{method: "RequestMagicLink, for nobody", rows: []string{"auth.magic_link_request"}, ready: func(w *world, email string) deed {
		return func() (string, error) { return only(w.RequestMagicLink(w.ctx(), email)) }
	}},
	{method: "RequestMagicLink, too many mails", at: "one mail", rows: []string{"auth.magic_link_request/too_many_mails"}, ready: func(w *world, email string) deed {
		_, err := w.RequestMagicLink(w.ctx(), email)
		w.ok(err)
		return func() (string, error) { return only(w.RequestMagicLink(w.ctx(), email)) }
	}},
	{method: "LookMagicLink", ready: magic(func(w *world, m mailedLink) (string, error) { return only(w.LookMagicLink(w.ctx(), m.token, m.flow)) })},
	{method: "MagicLinkNumber", ready: magic(func(w *world, m mailedLink) (string, error) { return only(w.MagicLinkNumber(w.ctx(), m.flow)) })},
	{method: "MagicLinkApproved", ready: magic(func(w *world, m mailedLink) (string, error) { return only(w.MagicLinkApproved(w.ctx(), m.flow)) })},
	{method: "ApproveMagicLink", rows: []string{"auth.magic_link_approve"}, ready: magic(func(w *world, m mailedLink) (string, error) {
		return done(w.ApproveMagicLink(w.ctx(), m.token, m.number))
	})},
	{method: "ApproveMagicLink, a wrong number", code: "wrong_number", rows: []string{"auth.magic_link_verify.failure/wrong_number"}, ready: magic(func(w *world, m mailedLink) (string, error) {
		return done(w.ApproveMagicLink(w.ctx(), m.token, m.number+"0"))
	})},
	{method: "ApproveMagicLink, of nothing", code: "invalid_or_expired", ready: magic(func(w *world, m mailedLink) (string, error) {
		return done(w.ApproveMagicLink(w.ctx(), m.flow, m.number))
	})},
	{method: "SignInMagicLink", rows: []string{"auth.login.success", "auth.magic_link_verify.success"}, ready: magic(func(w *world, m mailedLink) (string, error) {
		return signed(w.SignInMagicLink(w.ctx(), auth.MagicLink{Token: m.token}))
	})},
	{method: "SignInMagicLink, by the code", before: attempts, rows: []string{"auth.login.success", "auth.magic_link_verify.success"}, ready: magic(func(w *world, m mailedLink) (string, error) {
		return signed(w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: m.flow, Code: m.code}))
	})},
	{method: "SignInMagicLink, a wrong code", code: "wrong_code", rows: []string{"auth.magic_link_verify.failure/wrong_code"}, ready: magic(func(w *world, m mailedLink) (string, error) {
		return signed(w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: m.flow, Code: wrongCode(m.code)}))
	})},
	{method: "SignInMagicLink, not approved yet", code: "not_approved", ready: magic(func(w *world, m mailedLink) (string, error) {
		return signed(w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: m.flow}))
	})},
	{method: "SignInMagicLink, denied by a gate", domain: deniedDomain, code: "not_today", rows: []string{"auth.login.failure/gate_denied"}, ready: magic(func(w *world, m mailedLink) (string, error) {
		return signed(w.SignInMagicLink(w.ctx(), auth.MagicLink{Token: m.token}))
	})},
	{method: "SignInMagicLink, approved elsewhere", rows: []string{"auth.login.success", "auth.magic_link_verify.success"}, ready: func(w *world, email string) deed {
		w.person(email, has{})
		m := magicLink(w, email)
		w.ok(w.ApproveMagicLink(w.ctx(), m.token, m.number))
		return func() (string, error) { return signed(w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: m.flow})) }
	}},
	{method: "SignInMagicLink, unconfirmed", rows: []string{"auth.login.success", "auth.magic_link_verify.success"}, ready: func(w *world, email string) deed {
		w.register(email, horse)
		m := magicLink(w, email)
		return func() (string, error) { return signed(w.SignInMagicLink(w.ctx(), auth.MagicLink{Token: m.token})) }
	}},

	{method: "RequestReset", rows: []string{"auth.password_reset_request"}, ready: func(w *world, email string) deed {
		w.person(email, has{})
		return func() (string, error) { return only(w.RequestReset(w.ctx(), email)) }
	}},
	{method: "RequestReset, for nobody", rows: []string{"auth.password_reset_request"}, ready: func(w *world, email string) deed {
		return func() (string, error) { return only(w.RequestReset(w.ctx(), email)) }
	}},
	{method: "RequestReset, for no address", code: "invalid_email", ready: func(w *world, _ string) deed {
		return func() (string, error) { return only(w.RequestReset(w.ctx(), "nobody")) }
	}},
	{method: "LookPassword", ready: func(w *world, email string) deed {
		_, token, _ := w.asksReset(w.person(email, has{}))
		return func() (string, error) { _, err := w.LookPassword(w.ctx(), token); return done(err) }
	}},
	{method: "SetPassword, by the link", rows: []string{"auth.login.success", "auth.password_reset.success"}, ready: resets(has{}, func(w *world, flow, token, digits string) (string, error) {
		return signed(w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: staple}))
	})},
	{method: "SetPassword, by the code", before: attempts, rows: []string{"auth.login.success", "auth.password_reset.success"}, ready: resets(has{}, func(w *world, flow, token, digits string) (string, error) {
		return signed(w.SetPassword(w.ctx(), auth.NewPassword{Flow: flow, Code: digits, Password: staple}))
	})},
	{method: "SetPassword, a second factor is due", rows: []string{"auth.password_reset.success"}, ready: resets(has{totp: true}, func(w *world, flow, token, digits string) (string, error) {
		return signed(w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: staple}))
	})},
	{method: "SetPassword, unconfirmed", rows: []string{"auth.login.success", "auth.password_reset.success"}, ready: func(w *world, email string) deed {
		w.register(email, horse)
		_, token, _ := w.asksReset(&person{email: email})
		return func() (string, error) {
			return signed(w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: staple}))
		}
	}},
	{method: "SetPassword, browsers were trusted", at: "trusting", rows: []string{"auth.login.success", "auth.password_reset.success", "trusted_device.revoke"}, ready: resets(has{trusted: true}, func(w *world, flow, token, digits string) (string, error) {
		return signed(w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: staple}))
	})},
	{method: "SetPassword, a wrong code", code: "wrong_code", rows: []string{"auth.password_reset.failure/wrong_code"}, ready: resets(has{}, func(w *world, flow, token, digits string) (string, error) {
		return signed(w.SetPassword(w.ctx(), auth.NewPassword{Flow: flow, Code: wrongCode(digits), Password: staple}))
	})},
	{method: "SetPassword, a bad one", code: "password_too_short", ready: resets(has{}, func(w *world, flow, token, digits string) (string, error) {
		return signed(w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: "short"}))
	})},
	{method: "SetPassword, denied by a gate", domain: deniedDomain, code: "not_today", rows: []string{"auth.login.failure/gate_denied"}, ready: resets(has{}, func(w *world, flow, token, digits string) (string, error) {
		return signed(w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: staple}))
	})},
	{method: "SetPassword, of nothing", code: "invalid_or_expired", ready: resets(has{}, func(w *world, flow, token, digits string) (string, error) {
		return signed(w.SetPassword(w.ctx(), auth.NewPassword{Token: flow, Password: staple}))
	})},
	{method: "ChangePassword", rows: []string{"account.password_change.success"}, ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return renewed(p.w.ChangePassword(p.w.ctx(), who, horse, staple))
	})},
	{method: "ChangePassword, a wrong one", code: "wrong_password", rows: []string{"account.password_change.failure/wrong_password"}, ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return renewed(p.w.ChangePassword(p.w.ctx(), who, staple, unicorn))
	})},
	{method: "ChangePassword, the failure that fills the bucket", at: "one failure", code: "wrong_password", rows: []string{"account.password_change.failure/wrong_password", "security.lockout/too_many_failures"}, ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return renewed(p.w.ChangePassword(p.w.ctx(), who, staple, unicorn))
	})},
	{method: "ChangePassword, to a bad one", code: "password_too_short", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return renewed(p.w.ChangePassword(p.w.ctx(), who, horse, "short"))
	})},
	{method: "AddPassword", rows: []string{"account.password_change.success"}, ready: func(w *world, email string) deed {
		who := w.bare(email, has{}).fresh()
		return func() (string, error) { return done(w.AddPassword(w.ctx(), who, staple)) }
	}},
	{method: "AddPassword, to one", code: "has_password", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return done(p.w.AddPassword(p.w.ctx(), who, staple))
	})},
	{method: "HasPassword", ready: member(has{}, func(p *person, who principal.Principal) (string, error) { return only(p.w.HasPassword(p.w.ctx(), who)) })},

	{method: "RequestEmailChange", rows: []string{"account.email_change.request"}, ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.RequestEmailChange(p.w.ctx(), who, "new-"+p.email))
	})},
	{method: "RequestEmailChange, to a taken one", rows: []string{"account.email_change.request"}, ready: func(w *world, email string) deed {
		w.person("new-"+email, has{})
		who := w.person(email, has{}).fresh()
		return func() (string, error) { return only(w.RequestEmailChange(w.ctx(), who, "new-"+email)) }
	}},
	{method: "RequestEmailChange, to the same", code: "same_email", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.RequestEmailChange(p.w.ctx(), who, p.email))
	})},
	{method: "LookEmailChange", ready: moves(func(w *world, flow, token, digits string) (string, error) {
		return only(w.LookEmailChange(w.ctx(), token, false))
	})},
	{method: "ConfirmEmailChange, by the link", rows: []string{"account.email_change.confirm"}, ready: moves(func(w *world, flow, token, digits string) (string, error) {
		return done(w.ConfirmEmailChange(w.ctx(), principal.Principal{}, selfservice.EmailChange{Token: token, Flow: flow}))
	})},
	{method: "ConfirmEmailChange, by the code", before: attempts, rows: []string{"account.email_change.confirm"}, ready: moves(func(w *world, flow, token, digits string) (string, error) {
		return done(w.ConfirmEmailChange(w.ctx(), principal.Principal{}, selfservice.EmailChange{Flow: flow, Code: digits}))
	})},
	{method: "ConfirmEmailChange, a wrong code", code: "wrong_code", rows: []string{"account.email_change.failure/wrong_code"}, ready: moves(func(w *world, flow, token, digits string) (string, error) {
		return done(w.ConfirmEmailChange(w.ctx(), principal.Principal{}, selfservice.EmailChange{Flow: flow, Code: wrongCode(digits)}))
	})},
	{method: "ConfirmEmailChange, in another browser", code: "sign_in_first", ready: moves(func(w *world, flow, token, digits string) (string, error) {
		return done(w.ConfirmEmailChange(w.ctx(), principal.Principal{}, selfservice.EmailChange{Token: token}))
	})},
	{method: "ConfirmEmailChange, somebody's unconfirmed sign-up goes", rows: []string{"account.deletion_execute/address_proved", "account.email_change.confirm"}, ready: func(w *world, email string) deed {
		flow, token, _ := w.asksEmailChange(w.person(email, has{}))
		w.register("new-"+email, horse)
		return func() (string, error) {
			return done(w.ConfirmEmailChange(w.ctx(), principal.Principal{}, selfservice.EmailChange{Token: token, Flow: flow}))
		}
	}},
	{method: "ConfirmEmailChange, taken meanwhile", code: "invalid_or_expired", ready: func(w *world, email string) deed {
		flow, token, _ := w.asksEmailChange(w.person(email, has{}))
		w.person("new-"+email, has{})
		return func() (string, error) {
			return done(w.ConfirmEmailChange(w.ctx(), principal.Principal{}, selfservice.EmailChange{Token: token, Flow: flow}))
		}
	}},
	{method: "UndoEmailChange", rows: []string{"account.email_change.undo"}, ready: func(w *world, email string) deed {
		p, at := w.person(email, has{}), since(w.t)
		w.ok(p.changesEmail(p.fresh(), "new-"+email))
		undo, _ := w.secrets(at, mail.EmailChanged)
		return func() (string, error) { return done(w.UndoEmailChange(w.ctx(), undo)) }
	}},
	{method: "UndoEmailChange, of nothing", code: "invalid_or_expired", ready: func(w *world, _ string) deed {
		return func() (string, error) { return done(w.UndoEmailChange(w.ctx(), "nothing")) }
	}},

	{method: "StepUpMethods", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.StepUpMethods(p.w.ctx(), who))
	})},
	{method: "StepUpPasskey", ready: member(has{passkey: true}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.StepUpPasskey(p.w.ctx(), who))
	})},
	{method: "StepUpMail", rows: []string{"auth.step_up_request"}, ready: func(w *world, email string) deed {
		who := w.bare(email, has{}).stale()
		return func() (string, error) { return only(w.StepUpMail(w.ctx(), who)) }
	}},
	{method: "StepUpMail, with a password at hand", code: "unknown_method", ready: member(has{}, func(p *person, who principal.Principal) (string, error) { return only(p.w.StepUpMail(p.w.ctx(), who)) })},
	{method: "StepUp, with the password", rows: []string{"auth.step_up.success"}, ready: stepping(has{}, factor.Password, nil)},
	{method: "StepUp, with an app", rows: []string{"auth.step_up.success"}, ready: stepping(has{totp: true}, factor.TOTP, nil)},
	{method: "StepUp, with a recovery code", rows: []string{"auth.step_up.success", "mfa.recovery_code.used"}, ready: stepping(has{totp: true}, factor.RecoveryCode, nil)},
	{method: "StepUp, with a passkey", rows: []string{"auth.step_up.success"}, ready: stepping(has{passkey: true}, factor.Passkey, nil)},
	{method: "StepUp, by mail", rows: []string{"auth.step_up.success"}, ready: func(w *world, email string) deed {
		p := w.bare(email, has{})
		who := p.stale()
		f := p.stepUp(who, factor.Mail)
		return func() (string, error) { return renewed(w.StepUp(w.ctx(), who, f)) }
	}},
	{method: "StepUp, a wrong password", code: "wrong_password", rows: []string{"auth.step_up.failure/wrong_password"}, ready: stepping(has{}, factor.Password, func(f *factor.Proof) { f.Password = staple })},
	{method: "StepUp, a wrong code", code: "wrong_factor", rows: []string{"auth.step_up.failure/wrong_code"}, ready: stepping(has{totp: true}, factor.TOTP, func(f *factor.Proof) { f.Code = "nonsense" })},
	{method: "StepUp, nobody's passkey", code: "passkey_refused", rows: []string{"auth.step_up.failure/ceremony_unknown"}, ready: stepping(has{passkey: true}, factor.Passkey, func(f *factor.Proof) { f.Ceremony = "nonsense" })},
	{method: "StepUp, what the account does not have", code: "unknown_method", ready: stepping(has{}, factor.Password, func(f *factor.Proof) { f.Method = factor.TOTP })},
	{method: "StepUp, the failure that fills the bucket", at: "one failure", code: "wrong_factor", rows: []string{"auth.step_up.failure/wrong_code", "security.lockout/too_many_failures"}, ready: stepping(has{totp: true}, factor.TOTP, func(f *factor.Proof) { f.Code = "nonsense" })},
	{method: "StepUp, denied by a gate", domain: deniedDomain, code: "not_today", rows: []string{"auth.step_up.failure/gate_denied"}, ready: stepping(has{}, factor.Password, nil)},
	{method: "RequireRecentAuth", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return done(p.w.RequireRecentAuth(p.w.ctx(), who))
	})},
	{method: "RequireRecentAuth, no more", code: "step_up_required", ready: func(w *world, email string) deed {
		who := w.person(email, has{}).stale()
		return func() (string, error) { return done(w.RequireRecentAuth(w.ctx(), who)) }
	}},

	{method: "FactorsOf", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		_, _, err := p.w.FactorsOf(p.w.ctx(), who)
		return "", err
	})},
	{method: "Overview", ready: member(has{totp: true}, func(p *person, who principal.Principal) (string, error) { return only(p.w.Overview(p.w.ctx(), who)) })},
	{method: "Authenticator", ready: member(has{totp: true}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.Authenticator(p.w.ctx(), who))
	})},
	{method: "BeginTOTP", rows: []string{"mfa.enrollment.start"}, ready: member(has{}, func(p *person, who principal.Principal) (string, error) { return only(p.w.BeginTOTP(p.w.ctx(), who)) })},
	{method: "BeginTOTP, a second one", code: "totp_enrolled", ready: member(has{totp: true}, func(p *person, who principal.Principal) (string, error) { return only(p.w.BeginTOTP(p.w.ctx(), who)) })},
	{method: "ConfirmTOTP", rows: []string{"auth.step_up.success", "mfa.enrollment.complete"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{})
		who := p.fresh()
		right := w.next(p.beginsTOTP(who))
		return func() (string, error) { return enrolled(w.ConfirmTOTP(w.ctx(), who, right)) }
	}},
	{method: "ConfirmTOTP, a wrong code", code: "wrong_factor", rows: []string{"mfa.enrollment.failure/wrong_code"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{})
		who := p.fresh()
		p.beginsTOTP(who)
		return func() (string, error) { return enrolled(w.ConfirmTOTP(w.ctx(), who, "nonsense")) }
	}},
	{method: "ConfirmTOTP, the failure that fills the bucket", at: "one failure", code: "wrong_factor", rows: []string{"mfa.enrollment.failure/wrong_code", "security.lockout/too_many_failures"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{})
		who := p.fresh()
		p.beginsTOTP(who)
		return func() (string, error) { return enrolled(w.ConfirmTOTP(w.ctx(), who, "nonsense")) }
	}},
	{method: "CancelTOTP", rows: []string{"mfa.enrollment.cancel"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{})
		who := p.fresh()
		p.beginsTOTP(who)
		return func() (string, error) { return done(w.CancelTOTP(w.ctx(), who)) }
	}},
	{method: "CancelTOTP, none", ready: member(has{}, func(p *person, who principal.Principal) (string, error) { return done(p.w.CancelTOTP(p.w.ctx(), who)) })},
	{method: "RemoveTOTP", rows: []string{"mfa.disable"}, ready: member(has{totp: true}, func(p *person, who principal.Principal) (string, error) { return done(p.w.RemoveTOTP(p.w.ctx(), who)) })},
	{method: "RemoveTOTP, browsers were trusted", at: "trusting", rows: []string{"mfa.disable", "trusted_device.revoke"}, ready: member(has{totp: true, trusted: true}, func(p *person, who principal.Principal) (string, error) {
		return done(p.w.RemoveTOTP(p.w.ctx(), who))
	})},
	{method: "RemoveTOTP, none", code: "totp_not_found", ready: member(has{}, func(p *person, who principal.Principal) (string, error) { return done(p.w.RemoveTOTP(p.w.ctx(), who)) })},
	{method: "RemoveTOTP, the last factor", at: "policy", code: "second_factor_required", ready: member(has{totp: true}, func(p *person, who principal.Principal) (string, error) { return done(p.w.RemoveTOTP(p.w.ctx(), who)) })},
	{method: "AskAfterPassword, on", rows: []string{"mfa.enrollment.complete"}, ready: member(has{passkey: true}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.AskAfterPassword(p.w.ctx(), who, true))
	})},
	{method: "AskAfterPassword, off", rows: []string{"mfa.disable"}, ready: member(has{passkey: true, asks: true}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.AskAfterPassword(p.w.ctx(), who, false))
	})},
	{method: "AskAfterPassword, as it is", ready: member(has{passkey: true, asks: true}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.AskAfterPassword(p.w.ctx(), who, true))
	})},
	{method: "AskAfterPassword, without a passkey", code: "passkey_needed", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.AskAfterPassword(p.w.ctx(), who, true))
	})},
	{method: "RenewRecoveryCodes", rows: []string{"mfa.recovery_code.regenerate"}, ready: member(has{totp: true}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.RenewRecoveryCodes(p.w.ctx(), who))
	})},
	{method: "RenewRecoveryCodes, for nothing", code: "no_second_factor", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.RenewRecoveryCodes(p.w.ctx(), who))
	})},

	{method: "Passkeys", ready: member(has{passkey: true}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.SelfService.Passkeys(p.w.ctx(), who))
	})},
	{method: "PasskeySignals", ready: member(has{passkey: true}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.PasskeySignals(p.w.ctx(), who))
	})},
	{method: "BeginPasskey", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.BeginPasskey(p.w.ctx(), who, false))
	})},
	{method: "AddPasskey", rows: []string{"passkey.register.success"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{})
		who := p.fresh()
		f := p.newPasskey(who)
		return func() (string, error) { return done(w.AddPasskey(w.ctx(), who, f, "mine")) }
	}},
	{method: "AddPasskey, nonsense", code: "passkey_refused", rows: []string{"passkey.register.failure/ceremony_unknown"}, ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return done(p.w.AddPasskey(p.w.ctx(), who, factor.Proof{Ceremony: "nonsense"}, ""))
	})},
	{method: "AddPasskey, once more", code: "passkey_refused", rows: []string{"passkey.register.failure/ceremony_spent"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{})
		who := p.fresh()
		f := p.newPasskey(who)
		w.ok(w.AddPasskey(w.ctx(), who, f, "mine"))
		return func() (string, error) { return done(w.AddPasskey(w.ctx(), who, f, "mine")) }
	}},
	{method: "RenamePasskey", rows: []string{"passkey.rename"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{passkey: true})
		who, id := p.fresh(), p.passkeyID(0)
		return func() (string, error) { return done(w.RenamePasskey(w.ctx(), who, id, "mine")) }
	}},
	{method: "RenamePasskey, nobody's", code: "passkey_not_found", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return done(p.w.RenamePasskey(p.w.ctx(), who, uuid.New(), "mine"))
	})},
	{method: "DeletePasskey", rows: []string{"passkey.delete"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{passkey: true})
		who, id := p.fresh(), p.passkeyID(0)
		return func() (string, error) { return done(w.DeletePasskey(w.ctx(), who, id)) }
	}},
	{method: "DeletePasskey, the last way in", code: "last_way_in", ready: func(w *world, email string) deed {
		p := w.person(email, has{passkey: true})
		w.tx(func(ctx context.Context, tx *store.Tx) error { return w.passwords.Erase(ctx, tx, p.id) })
		who, id := p.fresh(), p.passkeyID(0)
		return func() (string, error) { return done(w.DeletePasskey(w.ctx(), who, id)) }
	}},

	{method: "ChangeUsername", at: "usernames", rows: []string{"account.username_change.success"}, ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return done(p.w.ChangeUsername(p.w.ctx(), who, nameOf(p.email)))
	})},
	{method: "ChangeUsername, to a taken one", at: "usernames", code: "username_taken", rows: []string{"account.username_change.failure/username_taken"}, ready: func(w *world, email string) deed {
		w.ok(w.SetUsername(w.ctx(), operator, w.person("other-"+email, has{}).id, nameOf(email)))
		who := w.person(email, has{}).fresh()
		return func() (string, error) { return done(w.ChangeUsername(w.ctx(), who, nameOf(email))) }
	}},
	{method: "Register, with a taken username", at: "usernames", code: "username_taken", rows: []string{"auth.register.failure/username_taken"}, ready: func(w *world, email string) deed {
		w.ok(w.SetUsername(w.ctx(), operator, w.person("other-"+email, has{}).id, nameOf(email)))
		return func() (string, error) {
			return only(w.Register(w.ctx(), auth.Registration{Email: email, Username: nameOf(email), Password: horse}))
		}
	}},
	{method: "SetUsername", at: "usernames", rows: []string{"account.username_change.success"}, ready: func(w *world, email string) deed {
		id := w.person(email, has{}).id
		return func() (string, error) { return done(w.SetUsername(w.ctx(), operator, id, nameOf(email))) }
	}},
	{method: "Profile", ready: member(has{}, func(p *person, who principal.Principal) (string, error) { return only(p.w.Profile(p.w.ctx(), who)) })},
	{method: "ChangeOwnMetadata", rows: []string{"account.update"}, ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.ChangeOwnMetadata(p.w.ctx(), who, metadata.Change{Merge: []byte(`{"theme":"dark"}`)}))
	})},
	{method: "Metadata", ready: administered(func(w *world, id uuid.UUID) (string, error) {
		return only(w.Administration.Metadata(w.ctx(), id, metadata.Public))
	})},
	{method: "ChangeMetadata", rows: []string{"account.update"}, ready: administered(func(w *world, id uuid.UUID) (string, error) {
		return only(w.ChangeMetadata(w.ctx(), operator, id, metadata.Change{Scope: metadata.Private, Replace: []byte(`{"risk":1}`)}))
	})},
	{method: "ChangeMetadata, to what is none", code: "invalid_metadata", ready: administered(func(w *world, id uuid.UUID) (string, error) {
		return only(w.ChangeMetadata(w.ctx(), operator, id, metadata.Change{Scope: metadata.Private, Replace: []byte(`[]`)}))
	})},

	{method: "Devices", ready: member(has{known: true}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.SelfService.Devices(p.w.ctx(), who))
	})},
	{method: "ThisDevice", ready: member(has{known: true}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.ThisDevice(p.w.ctx(), who, p.browser))
	})},
	{method: "TrustDevices", ready: func(w *world, _ string) deed {
		return func() (string, error) { w.TrustDevices(w.TrustFor()); return "", nil }
	}},
	{method: "TrustFor", ready: func(w *world, _ string) deed {
		return func() (string, error) { w.TrustFor(); return "", nil }
	}},
	{method: "ForgetDevice", rows: []string{"trusted_device.revoke"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{known: true})
		who := p.fresh()
		id, err := w.ThisDevice(w.ctx(), who, p.browser)
		w.ok(err)
		return func() (string, error) { return done(w.ForgetDevice(w.ctx(), who, id)) }
	}},
	{method: "ForgetDevice, nobody's", code: "device_not_found", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return done(p.w.ForgetDevice(p.w.ctx(), who, uuid.New()))
	})},

	{method: "SignInFederated, linked", rows: []string{"auth.login.success", "oauth.login.success"}, ready: func(w *world, email string) deed {
		c := w.person(email, has{login: true}).claims
		return func() (string, error) { return vouched(w.SignInFederated(w.ctx(), c, true, "")) }
	}},
	{method: "SignInFederated, new", rows: []string{"auth.login.success", "auth.register.success", "oauth.link.success", "oauth.login.success"}, ready: func(w *world, email string) deed {
		return func() (string, error) { return vouched(w.SignInFederated(w.ctx(), claimed(email), true, "")) }
	}},
	{method: "SignInFederated, an unverified address", rows: []string{"auth.register.success"}, ready: func(w *world, email string) deed {
		c := claimed(email)
		c.EmailVerified = false
		return func() (string, error) { return vouched(w.SignInFederated(w.ctx(), c, true, "")) }
	}},
	{method: "SignInFederated, somebody's address", rows: []string{"oauth.link_request"}, ready: func(w *world, email string) deed {
		w.person(email, has{})
		return func() (string, error) { return vouched(w.SignInFederated(w.ctx(), claimed(email), true, "")) }
	}},
	{method: "SignInFederated, an unconfirmed address", rows: []string{"auth.login.success", "oauth.link.success", "oauth.login.success"}, ready: func(w *world, email string) deed {
		w.register(email, horse)
		return func() (string, error) { return vouched(w.SignInFederated(w.ctx(), claimed(email), true, "")) }
	}},
	{method: "SignInFederated, disabled", code: "account_disabled", rows: []string{"oauth.login.failure/account_disabled"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{login: true})
		w.ok(w.Disable(w.ctx(), operator, p.id))
		return func() (string, error) { return vouched(w.SignInFederated(w.ctx(), p.claims, true, "")) }
	}},
	{method: "SignInFederated, where nobody may sign up", code: "registration_closed", rows: []string{"oauth.login.failure/registration_closed"}, ready: func(w *world, email string) deed {
		return func() (string, error) { return vouched(w.SignInFederated(w.ctx(), claimed(email), false, "")) }
	}},
	{method: "SignInFederated, denied by a gate", domain: deniedDomain, code: "not_today", rows: []string{"auth.login.failure/gate_denied"}, ready: func(w *world, email string) deed {
		c := w.person(email, has{login: true}).claims
		return func() (string, error) { return vouched(w.SignInFederated(w.ctx(), c, true, "")) }
	}},
	{method: "FederatedFailed", code: "internal: elsewhere", rows: []string{"oauth.login.failure/denied"}, ready: func(w *world, _ string) deed {
		return func() (string, error) {
			return done(w.FederatedFailed(w.ctx(), "google", "authorize", "denied", errElsewhere))
		}
	}},
	{method: "LookLink", ready: func(w *world, email string) deed {
		w.person(email, has{})
		held, err := w.SignInFederated(w.ctx(), claimed(email), true, "")
		w.ok(err)
		return func() (string, error) { return only(w.LookLink(w.ctx(), held.Link.Flow)) }
	}},
	{method: "LinkLogin", rows: []string{"oauth.link.success"}, ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return done(p.w.LinkLogin(p.w.ctx(), who, claimed(p.email)))
	})},
	{method: "LinkLogin, somebody else's", code: "identity_linked_elsewhere", ready: func(w *world, email string) deed {
		c, who := w.person("other-"+email, has{login: true}).claims, w.person(email, has{}).fresh()
		return func() (string, error) { return done(w.LinkLogin(w.ctx(), who, c)) }
	}},
	{method: "Logins", ready: member(has{login: true}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.SelfService.Logins(p.w.ctx(), who))
	})},
	{method: "UnlinkLogin", rows: []string{"oauth.unlink.success"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{login: true})
		who, id := p.fresh(), p.loginID()
		return func() (string, error) { return done(w.UnlinkLogin(w.ctx(), who, id)) }
	}},
	{method: "UnlinkLogin, the last way in", code: "last_way_in", ready: func(w *world, email string) deed {
		p := w.bare(email, has{})
		who, id := p.fresh(), p.loginID()
		return func() (string, error) { return done(w.UnlinkLogin(w.ctx(), who, id)) }
	}},
	{method: "BeginPluginSignIn", ready: func(w *world, email string) deed {
		return func() (string, error) {
			return only(w.BeginPluginSignIn(w.ctx(), auth.PluginBegun{Plugin: "relyra", Provider: "okta"}, auth.DefaultPluginState))
		}
	}},
	{method: "HoldPluginSignIn", ready: func(w *world, email string) deed {
		return func() (string, error) {
			_, _, err := w.HoldPluginSignIn(w.ctx(), auth.VerifiedByPlugin{Plugin: "relyra", Provider: "okta", Subject: email})
			return "", err
		}
	}},
	{method: "SignInPlugin", before: spentOff, rows: []string{"auth.login.success", "oauth.login.success"}, ready: func(w *world, email string) deed {
		w.linked(w.person(email, has{}).id, email)
		flow := w.held(auth.VerifiedByPlugin{Subject: email, Index: email})
		return func() (string, error) {
			out, _, err := w.goOn(w.ctx(), flow)
			return vouched(out, err)
		}
	}},
	{method: "SignInPlugin, in another browser", before: spentOff, code: "sign_in_expired", rows: []string{"oauth.login.failure/other_browser"}, ready: func(w *world, email string) deed {
		flow := w.held(auth.VerifiedByPlugin{Subject: email})
		return func() (string, error) {
			out, _, err := w.goOn(w.from("198.51.100.9"), flow)
			return vouched(out, err)
		}
	}},
	{method: "SignInPlugin, of nothing", code: "sign_in_expired", ready: func(w *world, _ string) deed {
		return func() (string, error) {
			out, _, err := w.goOn(w.ctx(), "nothing")
			return vouched(out, err)
		}
	}},
	{method: "SignInPlugin, to link", before: spentOff, rows: []string{"oauth.link.success"}, ready: func(w *world, email string) deed {
		return w.forPurpose(auth.ToLink, w.person(email, has{}).fresh(), email)
	}},
	{method: "SignInPlugin, to step up", before: spentOff, rows: []string{"auth.step_up.success"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{})
		w.linked(p.id, email)
		return w.forPurpose(auth.ToStepUp, p.fresh(), email)
	}},
	{method: "SignInPlugin, to step up with another's login", before: spentOff, code: "identity_not_linked", rows: []string{"auth.step_up.failure/identity_not_linked"}, ready: func(w *world, email string) deed {
		return w.forPurpose(auth.ToStepUp, w.person(email, has{}).fresh(), email)
	}},
	{method: "SignInPlugin, to test", ready: func(w *world, email string) deed {
		p := w.person(email, has{})
		w.linked(p.id, email)
		return w.forPurpose(auth.ToTest, p.fresh(), email)
	}},
	{method: "OutcomeOfPlugin", ready: func(w *world, email string) deed {
		_, id, err := w.HoldPluginSignIn(w.ctx(), auth.VerifiedByPlugin{Plugin: "relyra", Provider: "okta", Subject: email})
		w.ok(err)
		return func() (string, error) { return only(w.OutcomeOfPlugin(w.ctx(), "relyra", id)) }
	}},
	{method: "RevokeFederated", rows: []string{"session.revoke/slo"}, ready: func(w *world, email string) deed {
		w.linked(w.person(email, has{}).id, email)
		flow := w.held(auth.VerifiedByPlugin{Subject: email, Index: email})
		_, _, err := w.goOn(w.ctx(), flow)
		w.ok(err)
		return func() (string, error) { return only(w.RevokeFederated(w.ctx(), "relyra", email, "slo")) }
	}},
	{method: "RevokeFederated, nothing", ready: func(w *world, email string) deed {
		return func() (string, error) { return only(w.RevokeFederated(w.ctx(), "relyra", email, "slo")) }
	}},

	{method: "CreateUser", rows: []string{"admin.user.create", "auth.password_reset_request"}, ready: func(w *world, email string) deed {
		return func() (string, error) {
			_, _, err := w.CreateUser(w.ctx(), operator, administration.NewUser{Email: email, Mail: true})
			return "", err
		}
	}},
	{method: "CreateUser, a taken address", code: "email_taken", ready: func(w *world, email string) deed {
		w.person(email, has{})
		return func() (string, error) {
			_, _, err := w.CreateUser(w.ctx(), operator, administration.NewUser{Email: email})
			return "", err
		}
	}},
	{method: "ResetLink", rows: []string{"admin.user.reset_link", "auth.password_reset_request"}, ready: administered(func(w *world, id uuid.UUID) (string, error) { return only(w.ResetLink(w.ctx(), operator, id)) })},
	{method: "ResetLink, disabled", code: "account_disabled", ready: off(func(w *world, id uuid.UUID) (string, error) { return only(w.ResetLink(w.ctx(), operator, id)) })},
	{method: "Disable", rows: []string{"admin.user.disable"}, ready: administered(func(w *world, id uuid.UUID) (string, error) { return done(w.Disable(w.ctx(), operator, id)) })},
	{method: "Disable, again", ready: off(func(w *world, id uuid.UUID) (string, error) { return done(w.Disable(w.ctx(), operator, id)) })},
	{method: "Enable", rows: []string{"admin.user.enable"}, ready: off(func(w *world, id uuid.UUID) (string, error) { return done(w.Enable(w.ctx(), operator, id)) })},
	{method: "Enable, again", ready: administered(func(w *world, id uuid.UUID) (string, error) { return done(w.Enable(w.ctx(), operator, id)) })},
	{method: "RevokeSessions", rows: []string{"session.revoke_all"}, ready: administered(func(w *world, id uuid.UUID) (string, error) { return only(w.RevokeSessions(w.ctx(), operator, "", id)) })},
	{method: "Check", ready: administered(func(w *world, id uuid.UUID) (string, error) {
		return done(w.Administration.Check(w.ctx(), principal.Principal{Kind: principal.Operator}, true))
	})},
	{method: "Guard", ready: administered(func(w *world, id uuid.UUID) (string, error) {
		return done(w.Administration.Guard(w.ctx(), principal.Principal{Kind: principal.Operator}, true).Err())
	})},
	{method: "ListSessions", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.ListSessions(p.w.ctx(), who))
	})},
	{method: "EndSession", rows: []string{"session.revoke"}, ready: func(w *world, email string) deed {
		p := w.person(email, has{})
		who, other := p.fresh(), p.fresh()
		return func() (string, error) { return done(w.EndSession(w.ctx(), who, other.SessionID)) }
	}},
	{method: "EndSession, nobody's", code: "session_not_found", ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return done(p.w.EndSession(p.w.ctx(), who, uuid.New()))
	})},
	{method: "SignOutElsewhere", rows: []string{"session.revoke_all"}, ready: member(has{}, func(p *person, who principal.Principal) (string, error) {
		return only(p.w.SignOutElsewhere(p.w.ctx(), who))
	})},
	{method: "ResetFactors", rows: []string{"admin.user.reset_factors"}, ready: administered(func(w *world, id uuid.UUID) (string, error) { return done(w.ResetFactors(w.ctx(), operator, id)) })},
	{method: "Unlock", rows: []string{"admin.user.unlock"}, ready: administered(func(w *world, id uuid.UUID) (string, error) { return done(w.Unlock(w.ctx(), operator, id)) })},
	{method: "Delete", rows: []string{"account.deletion_execute"}, ready: administered(func(w *world, id uuid.UUID) (string, error) { return done(w.Delete(w.ctx(), operator, id)) })},
	{method: "Delete, again", code: "account_not_found", ready: func(w *world, email string) deed {
		id := w.person(email, has{}).id
		w.ok(w.Delete(w.ctx(), operator, id))
		return func() (string, error) { return done(w.Delete(w.ctx(), operator, id)) }
	}},
	{method: "Delete, denied by a gate", domain: deniedDomain, code: "not_today", ready: administered(func(w *world, id uuid.UUID) (string, error) { return done(w.Delete(w.ctx(), operator, id)) })},
	{method: "Sweep", rows: []string{"account.deletion_execute/never_confirmed"}, ready: func(w *world, email string) deed {
		w.register(email, horse)
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE account SET updated_at = $1 WHERE email = $2`, w.now().Add(-30*24*time.Hour), email)
			return err
		})
		return func() (string, error) { return only(w.Sweep(w.ctx())) }
	}},
}

var errElsewhere = errors.New("elsewhere")

func registers(pw string) func(*world, string) deed {
	return func(w *world, email string) deed {
		return func() (string, error) {
			r, err := w.Register(w.ctx(), auth.Registration{Email: email, Password: pw})
			if r.SignedIn != nil {
				return r.SignedIn.Token, err
			}
			return "", err
		}
	}
}

func confirming(w *world, c auth.Confirmation) deed {
	return func() (string, error) { return signed(w.Confirm(w.ctx(), c)) }
}

func signsIn(h has, pw string) func(*world, string) deed {
	return func(w *world, email string) deed {
		w.person(email, h)
		return func() (string, error) { return signed(w.signIn(email, pw)) }
	}
}

// magic is for who has asked for a magic link.
func magic(f func(w *world, m mailedLink) (string, error)) func(*world, string) deed {
	return func(w *world, email string) deed {
		w.person(email, has{})
		m := magicLink(w, email)
		return func() (string, error) { return f(w, m) }
	}
}

// resets is for who has asked for a reset.
func resets(h has, f func(w *world, flow, token, digits string) (string, error)) func(*world, string) deed {
	return func(w *world, email string) deed {
		flow, token, digits := w.asksReset(w.person(email, h))
		return func() (string, error) { return f(w, flow, token, digits) }
	}
}

// moves is for who has asked for another address.
func moves(f func(w *world, flow, token, digits string) (string, error)) func(*world, string) deed {
	return func(w *world, email string) deed {
		flow, token, digits := w.asksEmailChange(w.person(email, has{}))
		return func() (string, error) { return f(w, flow, token, digits) }
	}
}

// member is for who is signed in and may change everything.
func member(h has, f func(p *person, who principal.Principal) (string, error)) func(*world, string) deed {
	return func(w *world, email string) deed {
		p := w.person(email, h)
		who := p.fresh()
		return func() (string, error) { return f(p, who) }
	}
}

func stepping(h has, method string, spoil func(*factor.Proof)) func(*world, string) deed {
	return func(w *world, email string) deed {
		p := w.person(email, h)
		who := p.stale()
		f := p.stepUp(who, method)
		if spoil != nil {
			spoil(&f)
		}
		return func() (string, error) { return renewed(w.StepUp(w.ctx(), who, f)) }
	}
}

// administered is somebody with everything, signed in.
func administered(f func(w *world, id uuid.UUID) (string, error)) func(*world, string) deed {
	return func(w *world, email string) deed {
		p := w.person(email, has{totp: true, passkey: true, login: true, known: true})
		p.fresh()
		return func() (string, error) { return f(w, p.id) }
	}
}

func off(f func(w *world, id uuid.UUID) (string, error)) func(*world, string) deed {
	return func(w *world, email string) deed {
		p := w.person(email, has{})
		w.ok(w.Disable(w.ctx(), operator, p.id))
		return func() (string, error) { return f(w, p.id) }
	}
}

// copied is somebody whose passkey was used elsewhere meanwhile: its counter will not rise.
func (w *world) copied(email string) *person {
	w.t.Helper()
	p := w.person(email, has{passkey: true, asks: true})
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE credential_passkey SET sign_count = 100 WHERE account_id = $1`, p.id)
		return err
	})
	return p
}

// renewed is signed for a session that goes on with another token.
func renewed(in session.Issued, err error) (string, error) { return in.Token, err }

func enrolled(in selfservice.Enrolled, err error) (string, error) { return in.Token, err }
