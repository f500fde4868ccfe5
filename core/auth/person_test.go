package auth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/selfservice"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// app is an authenticator app.
type app struct {
	secret string
	last   int64 // the newest step whose code was given out
}

const period = 30

// at is the app's code of a step.
func (a *app) at(t testing.TB, step int64) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(a.secret, uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// next is a code that is good now and was not given out before. Every code spends its step, so it may have to wait for one.
func (w *world) next(a *app) string {
	w.t.Helper()
	now := w.now().Unix() / period
	a.last = max(a.last+1, now-1)
	if a.last > now+1 {
		w.advance(time.Duration(a.last-now) * period * time.Second)
	}
	return a.at(w.t, a.last)
}

// newApp is the app that scanned an enrolment.
func newApp(secret string) *app { return &app{secret: secret} }

// person is somebody with an account and what they hold: their app, their authenticator, their paper, their browser.
type person struct {
	w         *world
	id        uuid.UUID
	email, pw string
	app       *app
	device    *passkeytest.Authenticator
	codes     []string // on paper
	browser   string   // the device cookie of the browser they use
	claims    federation.Claims
}

// has says what an account is to have. It is put there as the flows would leave it, but without them, so that it costs little.
type has struct {
	totp     bool
	passkey  bool
	asks     bool // the passkey is asked for as a second factor
	unproved bool // the passkey's user verification is not relied upon yet
	noCodes  bool // the recovery codes are used up
	login    bool // one at another provider
	known    bool // it was used from the person's browser
	trusted  bool // which is spared the second factor
}

// hashes keeps the hash of each password with the costs of a world: the tests make thousands of accounts.
var hashes sync.Map

type hashKey struct {
	password string
	costs    password.Params
}

func (w *world) hash(pw string) string {
	w.t.Helper()
	if h, ok := hashes.Load(hashKey{pw, w.params}); ok {
		return h.(string)
	}
	h, err := w.passwords.Hash(w.ctx(), pw)
	if err != nil {
		w.t.Fatal(err)
	}
	hashes.Store(hashKey{pw, w.params}, h)
	return h
}

func (w *world) tx(f func(ctx context.Context, tx *store.Tx) error) {
	w.t.Helper()
	if err := w.db.Tx(w.ctx(), f); err != nil {
		w.t.Fatal(err)
	}
}

// person makes an active account with a password and what it has.
func (w *world) person(email string, h has) *person {
	w.t.Helper()
	p := &person{w: w, email: email, pw: horse}
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		a, made, err := w.accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Active})
		if err != nil || !made {
			return fmt.Errorf("%s: %v, %v", email, made, err)
		}
		p.id = a.ID
		return w.passwords.Set(ctx, tx, a.ID, w.hash(horse))
	})
	p.give(h)
	return p
}

// give adds what h says to an account that is there.
func (p *person) give(h has) {
	w := p.w
	w.t.Helper()
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		if h.totp {
			e, err := w.TOTP.Enroll(ctx, tx, p.id, p.email, "Sigra")
			if err != nil {
				return err
			}
			p.app = newApp(e.Secret.Reveal())
			if ok, err := w.TOTP.Confirm(ctx, tx, p.id, w.next(p.app)); !ok || err != nil {
				return fmt.Errorf("confirm app: %v, %v", ok, err)
			}
		}
		if h.totp || h.asks {
			if err := w.accounts.SetSecondFactor(ctx, tx, p.id, true); err != nil {
				return err
			}
			codes, err := w.Codes.Generate(ctx, tx, p.id)
			if err != nil {
				return err
			}
			if p.codes = codes; h.noCodes {
				for ; len(p.codes) > 0; p.codes = p.codes[1:] {
					if ok, _, err := w.Codes.Spend(ctx, tx, p.id, p.codes[0]); !ok || err != nil {
						return fmt.Errorf("spend code: %v, %v", ok, err)
					}
				}
			}
		}
		if h.login {
			p.claims = federation.Claims{Provider: "google", Issuer: "https://accounts.google.com", Subject: p.id.String(), Email: p.email, EmailVerified: true}
			if _, _, err := w.Logins.Link(ctx, tx, p.id, p.claims); err != nil {
				return err
			}
		}
		if h.known || h.trusted {
			noted, err := w.Devices.Note(ctx, tx, p.id, "")
			if err != nil {
				return err
			}
			p.browser = noted.Token
		}
		if h.trusted {
			t, err := w.Devices.Trust(ctx, tx, p.id, p.browser)
			if err != nil {
				return err
			}
			p.browser = t.Token
		}
		return nil
	})
	if h.passkey {
		p.device = passkeytest.New(w.t, base)
		p.addPasskey(p.device, !h.unproved)
	}
}

// addPasskey registers a passkey without the flows. Without verification it is made as a conditional create makes it: what it
// says of verification later is not relied upon.
func (p *person) addPasskey(d *passkeytest.Authenticator, verified bool) passkey.Passkey {
	w := p.w
	w.t.Helper()
	var c passkey.Ceremony
	w.tx(func(ctx context.Context, tx *store.Tx) (err error) {
		c, err = w.Parts.Passkeys.BeginRegistration(ctx, tx, passkey.User{ID: p.id, Name: p.email, DisplayName: p.email}, passkey.RegistrationOptions{})
		return err
	})
	d.UV = verified
	reg, err := w.Parts.Passkeys.VerifyRegistration(w.ctx(), p.id, c.Token, must(w.t)(d.Create(c.Options)))
	d.UV = true
	if err != nil {
		w.t.Fatal(err, passkey.ReasonOf(err))
	}
	var k passkey.Passkey
	w.tx(func(ctx context.Context, tx *store.Tx) (err error) {
		k, err = w.Parts.Passkeys.Add(ctx, tx, reg, "")
		return err
	})
	return k
}

// must gives the value, or ends the test.
func must(t testing.TB) func([]byte, error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// session signs the person in without the flows: at which assurance, and how long ago they showed who they are.
func (p *person) session(aal string, ago time.Duration, amr ...string) auth.SignedIn {
	w := p.w
	w.t.Helper()
	if len(amr) == 0 {
		amr = []string{"pwd"}
	}
	var out session.Issued
	w.tx(func(ctx context.Context, tx *store.Tx) error {
		a, err := w.accounts.GetIn(ctx, tx, p.id)
		if err != nil {
			return err
		}
		out, err = w.sessions.Issue(ctx, tx, session.Grant{Account: a, AAL: aal, AMR: amr, AuthTime: w.now().Add(-ago)})
		return err
	})
	return auth.SignedIn{Token: out.Token, Principal: out.Principal}
}

// fresh is a session that may change everything.
func (p *person) fresh() principal.Principal {
	p.w.t.Helper()
	return p.session(principal.AAL2, 0, "pwd", "otp", "mfa").Principal
}

// signIn shows the password in the person's browser.
func (p *person) signIn() (auth.SignedIn, error) {
	return p.w.SignIn(p.w.ctx(), auth.Credentials{Email: p.email, Password: p.pw, Device: p.browser})
}

// pending shows the password and wants a second factor asked.
func (p *person) pending() *auth.Pending {
	p.w.t.Helper()
	in, err := p.signIn()
	if err != nil || in.Pending == nil || in.Token != "" {
		p.w.t.Fatalf("no second factor was asked: %+v, %v", in, err)
	}
	return in.Pending
}

// show makes a factor that is right.
func (p *person) show(method, flow string) factor.Proof {
	w := p.w
	w.t.Helper()
	f := factor.Proof{Method: method}
	switch method {
	case factor.TOTP:
		f.Code = w.next(p.app)
	case factor.RecoveryCode:
		f.Code, p.codes = p.codes[0], p.codes[1:]
	case factor.Passkey:
		c, err := w.PendingPasskey(w.ctx(), flow)
		if err != nil {
			w.t.Fatal(err)
		}
		f.Ceremony, f.Credential = c.Token, p.device.Get(c.Options)
	default:
		w.t.Fatalf("nobody can show %q", method)
	}
	return f
}

// finish ends a pending sign-in with a method.
func (p *person) finish(flow, method string) (auth.SignedIn, error) {
	p.w.t.Helper()
	return p.w.FinishSignIn(p.w.ctx(), auth.SecondFactor{Flow: flow, Factor: p.show(method, flow), Device: p.browser})
}

// passkeySignIn goes through a usernameless sign-in.
func (p *person) passkeySignIn(link string) (auth.SignedIn, error) {
	w := p.w
	w.t.Helper()
	c, err := w.BeginPasskeySignIn(w.ctx())
	if err != nil {
		w.t.Fatal(err)
	}
	return w.SignInPasskey(w.ctx(), auth.PasskeySignIn{Ceremony: c.Token, Credential: p.device.Get(c.Options), Device: p.browser, Link: link})
}

// from is a request from another address.
func (w *world) from(ip string) context.Context {
	return request.With(context.Background(), request.Info{ID: "req-1", IP: netip.MustParseAddr(ip), UserAgent: "test/1"})
}

// since is a moment in the order of ids: what is written from now on has greater ones.
func since(t testing.TB) uuid.UUID {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// actions are the audit rows since then, sorted, each as "action/reason": what rows gives, but quicker.
func (w *world) actions(at uuid.UUID) []string {
	w.t.Helper()
	rows, err := w.db.Query(w.ctx(), `SELECT action, reason FROM audit_log WHERE id > $1`, at)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	out := []string{}
	for rows.Next() {
		var action, reason string
		if err := rows.Scan(&action, &reason); err != nil {
			w.t.Fatal(err)
		}
		if reason != "" {
			action += "/" + reason
		}
		out = append(out, action)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// letters are the mails put in the queue since then, in that order, without those that go to nobody.
func (w *world) letters(at uuid.UUID) []mail.Message {
	w.t.Helper()
	rows, err := w.db.Query(w.ctx(), `SELECT id, payload FROM mail_queue WHERE id > $1 AND NOT decoy ORDER BY id`, at)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var out []mail.Message
	for rows.Next() {
		var id uuid.UUID
		var sealed []byte
		if err := rows.Scan(&id, &sealed); err != nil {
			w.t.Fatal(err)
		}
		plain, _, err := w.Ring.Open(sealed, mail.Sealed.Purpose(id))
		if err != nil {
			w.t.Fatal(err)
		}
		var m mail.Message
		if err := json.Unmarshal(plain, &m); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, m)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// purposes are what was mailed since then, each as "purpose to address".
func (w *world) purposes(at uuid.UUID) []string {
	w.t.Helper()
	out := []string{}
	for _, m := range w.letters(at) {
		out = append(out, m.Purpose+" to "+m.To.Address)
	}
	return out
}

// secrets are the link's token and the code of the one mail of a purpose since then; empty when there is none.
func (w *world) secrets(at uuid.UUID, purpose string) (token, code string) {
	w.t.Helper()
	for _, m := range w.letters(at) {
		if m.Purpose != purpose {
			continue
		}
		if t := tokenIn.FindStringSubmatch(m.Text); t != nil {
			token = t[1]
		}
		if c := codeIn.FindStringSubmatch(m.Text); c != nil {
			code = c[1]
		}
	}
	return token, code
}

func (w *world) sessionsOf(id uuid.UUID) int {
	w.t.Helper()
	return w.count(`SELECT count(*) FROM session WHERE account_id = $1`, id)
}

// second makes a world on the same database, with the same keys and clock and other settings: another node, configured otherwise.
func (w *world) second(o options) *world {
	w.t.Helper()
	o.root, o.clock, o.still = w.root, w.skew, w.still
	return newWorld(w.t, w.db, o)
}

// passkeyID is one of the person's passkeys, the oldest first.
func (p *person) passkeyID(n int) uuid.UUID {
	p.w.t.Helper()
	list, err := p.w.Parts.Passkeys.List(p.w.ctx(), p.w.db, p.id)
	if err != nil || n >= len(list) {
		p.w.t.Fatalf("%d passkeys, %v", len(list), err)
	}
	return list[n].ID
}

// loginID is the person's first login elsewhere.
func (p *person) loginID() uuid.UUID {
	p.w.t.Helper()
	list, err := p.w.Parts.Logins.List(p.w.ctx(), p.w.db, p.id)
	if err != nil || len(list) == 0 {
		p.w.t.Fatalf("%d logins, %v", len(list), err)
	}
	return list[0].ID
}

// addsPasskey adds one through the flows.
func (p *person) addsPasskey(who principal.Principal, d *passkeytest.Authenticator, name string) error {
	w := p.w
	w.t.Helper()
	c, err := w.BeginPasskey(w.ctx(), who, false)
	if err != nil {
		return err
	}
	return w.AddPasskey(w.ctx(), who, factor.Proof{Ceremony: c.Token, Credential: must(w.t)(d.Create(c.Options))}, name)
}

// changesEmail goes all the way.
func (p *person) changesEmail(who principal.Principal, to string) error {
	w := p.w
	w.t.Helper()
	at := since(w.t)
	if _, err := w.RequestEmailChange(w.ctx(), who, to); err != nil {
		return err
	}
	token, _ := w.secrets(at, mail.EmailChangeConfirm)
	return w.ConfirmEmailChange(w.ctx(), who, selfservice.EmailChange{Token: token})
}
