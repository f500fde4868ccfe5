package auth_test

import (
	"context"
	"slices"
	"testing"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// login makes what a provider says of somebody.
func login(subject, email string, verified bool) federation.Claims {
	return federation.Claims{Provider: "google", Issuer: "https://accounts.google.com", Subject: subject, Email: email, EmailVerified: verified}
}

// unconfirmed signs an address up as a stranger would, with everything that deferred confirmation lets them put there.
func (w *world) unconfirmed(email string) *person {
	w.t.Helper()
	r := w.register(email, unicorn)
	a, err := w.accounts.FindByEmail(w.ctx(), email)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &person{w: w, id: a.ID, email: email, pw: unicorn, device: passkeytest.New(w.t, base)}
	if r.SignedIn != nil {
		p.browser = r.SignedIn.Device
	}
	p.addPasskey(p.device, true)
	return p
}

// The linking rule, as the flows apply it: the pre-hijack table.
func TestFederated_everySituation(t *testing.T) {
	for name, closed := range map[string]bool{"sign-up open": false, "sign-up closed": true} {
		t.Run(name, func(t *testing.T) {
			each(t, options{settings: flow.Settings{RegistrationClosed: closed}}, func(t *testing.T, w *world) {
				refusedSignUp := "registration_closed"
				stranger := func(email string) { // whose account nobody has confirmed
					w.tx(func(ctx context.Context, tx *store.Tx) error {
						a, _, err := w.accounts.Create(ctx, tx, account.NewAccount{Email: email, Status: account.Unconfirmed})
						if err != nil {
							return err
						}
						return w.passwords.Set(ctx, tx, a.ID, w.hash(unicorn))
					})
				}
				for _, c := range []struct {
					name string
					make func(email string) federation.Claims
					open string // with sign-up open: session, link, confirm, or the fault's code
					shut string // with sign-up closed
					rows []string
				}{
					{"a linked login", func(e string) federation.Claims { return w.person(e, has{login: true}).claims }, "session", "session",
						[]string{"auth.login.success", "oauth.login.success"}},
					{"a linked login whose address changed at the provider", func(e string) federation.Claims {
						c := w.person(e, has{login: true}).claims
						c.Email, c.EmailVerified = "other-"+e, true
						return c
					}, "session", "session", []string{"auth.login.success", "oauth.login.success"}},
					{"a linked login of a disabled account", func(e string) federation.Claims {
						p := w.person(e, has{login: true})
						if err := w.Disable(w.ctx(), operator, p.id); err != nil {
							t.Fatal(err)
						}
						return p.claims
					}, "account_disabled", "account_disabled", []string{"oauth.login.failure/account_disabled"}},
					{"an account with that verified address", func(e string) federation.Claims { w.person(e, has{}); return login(e, e, true) }, "link", "link",
						[]string{"oauth.link_request"}},
					{"a disabled account with that verified address", func(e string) federation.Claims {
						p := w.person(e, has{})
						if err := w.Disable(w.ctx(), operator, p.id); err != nil {
							t.Fatal(err)
						}
						return login(e, e, true)
					}, "account_disabled", "account_disabled", []string{"oauth.login.failure/account_disabled"}},
					{"an account with that unverified address", func(e string) federation.Claims { w.person(e, has{}); return login(e, e, false) }, "confirm", refusedSignUp,
						[]string{"auth.register.failure/email_taken"}},
					{"a stranger's sign-up with that verified address", func(e string) federation.Claims { stranger(e); return login(e, e, true) }, "session", refusedSignUp,
						[]string{"auth.login.success", "oauth.link.success", "oauth.login.success"}},
					{"a stranger's sign-up with that unverified address", func(e string) federation.Claims { stranger(e); return login(e, e, false) }, "confirm", refusedSignUp,
						[]string{"auth.confirmation_request/signed_up_again"}},
					{"nobody, verified", func(e string) federation.Claims { return login(e, e, true) }, "session", refusedSignUp,
						[]string{"auth.login.success", "auth.register.success", "oauth.link.success", "oauth.login.success"}},
					{"nobody, unverified", func(e string) federation.Claims { return login(e, e, false) }, "confirm", refusedSignUp, []string{"auth.register.success"}},
					{"nobody, without an address", func(e string) federation.Claims { return login(e, "", false) }, "no_email", refusedSignUp, []string{"oauth.login.failure/no_email"}},
					{"an administrator who has not set a password", func(e string) federation.Claims {
						if _, _, err := w.CreateUser(w.ctx(), operator, administration.NewUser{Email: e, Administrator: true}); err != nil {
							t.Fatal(err)
						}
						return login(e, e, true)
					}, "account_disabled", "account_disabled", []string{"oauth.login.failure/account_disabled"}},
				} {
					want, rows := c.open, c.rows
					if closed {
						want = c.shut
						if want == refusedSignUp {
							rows = []string{"oauth.login.failure/registration_closed"}
						}
					}
					email := slug(c.name) + "@example.org"
					claims := c.make(email)
					at := since(t)
					out, err := w.SignInFederated(w.ctx(), claims, true, "")
					got := code(err)
					switch {
					case out.Link != nil && out.SignedIn.Token == "":
						got = "link"
					case out.Confirm != nil && out.SignedIn.Token == "":
						got = "confirm"
					case out.SignedIn.Token != "":
						got = "session"
					}
					if got != want {
						t.Errorf("%s: %s (%v), want %s", c.name, got, err, want)
					}
					if a := w.actions(at); !slices.Equal(a, rows) {
						t.Errorf("%s: rows %v, want %v", c.name, a, rows)
					}
					if got == "session" && want == "session" {
						if in, err := w.signIn(email, unicorn); err == nil {
							t.Errorf("%s: the stranger's password: %+v", c.name, in.Principal)
						}
					}
				}
			})
		})
	}
}

// A login that waits is linked by the account's own credential, whichever that is, and by nothing else.
func TestFederated_linksByProof(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		hold := func(p *person) string {
			t.Helper()
			out, err := w.SignInFederated(w.ctx(), login(p.email, p.email, true), true, "")
			if err != nil || out.Link == nil || out.Link.Email != p.email {
				t.Fatalf("%+v %v", out, err)
			}
			return out.Link.Flow
		}
		linked := func(p *person) bool {
			out, err := w.SignInFederated(w.ctx(), login(p.email, p.email, true), true, "")
			return err == nil && (out.SignedIn.Token != "" || out.SignedIn.Pending != nil)
		}
		pw := w.person("pw@example.org", has{})
		flow := hold(pw)
		if _, err := w.SignIn(w.ctx(), auth.Credentials{Email: pw.email, Password: staple, Link: flow}); err == nil || linked(pw) {
			t.Fatal("linked by a wrong password")
		}
		at := since(t)
		if _, err := w.SignIn(w.ctx(), auth.Credentials{Email: pw.email, Password: horse, Link: flow}); err != nil || !linked(pw) {
			t.Fatal(err)
		}
		if m := w.purposes(at); !slices.Contains(m, mail.OAuthLinked+" to pw@example.org") {
			t.Errorf("mails %v", m)
		}
		key := w.person("key@example.org", has{passkey: true})
		if _, err := key.passkeySignIn(hold(key)); err != nil || !linked(key) {
			t.Error(err)
		}
		// Not before the second factor.
		app := w.person("app@example.org", has{totp: true})
		in, err := w.SignIn(w.ctx(), auth.Credentials{Email: app.email, Password: horse, Link: hold(app)})
		if err != nil || in.Pending == nil || linked(app) {
			t.Fatalf("%+v %v", in, err)
		}
		if _, err := app.finish(in.Pending.Flow, factor.TOTP); err != nil || !linked(app) {
			t.Error(err)
		}
		// Another account's waiting login is let go: the sign-in is good, and nobody is linked.
		bob := w.person("bob@example.org", has{})
		if _, err := w.SignIn(w.ctx(), auth.Credentials{Email: bob.email, Password: horse, Link: hold(w.person("eve@example.org", has{}))}); err != nil || w.count(`SELECT count(*) FROM federation_identity WHERE account_id = $1`, bob.id) != 0 {
			t.Errorf("somebody else's: %v", err)
		}
		// One that another account got meanwhile spoils nothing, and is written down.
		flow = hold(bob)
		carol := w.person("carol@example.org", has{})
		if err := w.LinkLogin(w.ctx(), carol.fresh(), login(bob.email, bob.email, true)); err != nil {
			t.Fatal(err)
		}
		at = since(t)
		if in, err := w.SignIn(w.ctx(), auth.Credentials{Email: bob.email, Password: horse, Link: flow}); err != nil || in.Token == "" {
			t.Errorf("a good sign-in: %v", err)
		}
		if a := w.actions(at); !slices.Contains(a, "oauth.login.failure/identity_linked_elsewhere") {
			t.Errorf("rows %v", a)
		}
	})
}

// Linking and unlinking from the account.
func TestLogins_ofOnesOwn(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada, bob := w.person("ada@example.org", has{}), w.person("bob@example.org", has{})
		g := login("1", "ada@elsewhere.example", false) // an address proves nothing here, and need not
		at := since(t)
		if err := w.LinkLogin(w.ctx(), ada.fresh(), g); err != nil {
			t.Fatal(err)
		}
		if a := w.actions(at); !slices.Equal(a, []string{"oauth.link.success"}) {
			t.Errorf("rows %v", a)
		}
		at = since(t)
		if err := w.LinkLogin(w.ctx(), ada.fresh(), g); err != nil || len(w.actions(at)) > 0 {
			t.Errorf("twice: %v %v", err, w.actions(at))
		}
		if err := w.LinkLogin(w.ctx(), bob.fresh(), g); code(err) != "identity_linked_elsewhere" {
			t.Errorf("somebody else's: %v", err)
		}
		if out, err := w.SignInFederated(w.ctx(), g, false, ""); err != nil || out.SignedIn.Principal.UserID != ada.id || out.SignedIn.Principal.AAL != principal.AAL1 || !slices.Equal(out.SignedIn.Principal.AMR, []string{"fed"}) {
			t.Errorf("%+v %v", out, err)
		}
		if err := w.UnlinkLogin(w.ctx(), bob.fresh(), ada.loginID()); code(err) == "ok" {
			t.Error("unlinked somebody else's")
		}
		at = since(t)
		if err := w.UnlinkLogin(w.ctx(), ada.fresh(), ada.loginID()); err != nil || !slices.Equal(w.actions(at), []string{"oauth.unlink.success"}) || !slices.Equal(w.purposes(at), []string{mail.OAuthUnlinked + " to ada@example.org"}) {
			t.Errorf("%v %v %v", err, w.actions(at), w.purposes(at))
		}
	})
}

// The last way in stays, whatever it is; mail is none.
func TestLastWayIn(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		for _, c := range []struct {
			name             string
			password         bool
			passkeys, logins int
			passkey, login   bool // can one be removed?
		}{
			{"password and passkey", true, 1, 0, true, false},
			{"passkey", false, 1, 0, false, false},
			{"two passkeys", false, 2, 0, true, false},
			{"passkey and login", false, 1, 1, true, true},
			{"login", false, 0, 1, false, false},
			{"two logins", false, 0, 2, false, true},
			{"password and login", true, 0, 1, false, true},
		} {
			p := w.person(slug(c.name)+"@example.org", has{})
			for range c.passkeys {
				p.addPasskey(passkeytest.New(t, base), true)
			}
			w.tx(func(ctx context.Context, tx *store.Tx) error {
				for i := range c.logins {
					if _, _, err := w.Logins.Link(ctx, tx, p.id, login(p.email+string(rune('a'+i)), "", false)); err != nil {
						return err
					}
				}
				if !c.password {
					return w.passwords.Erase(ctx, tx, p.id)
				}
				return nil
			})
			who := p.fresh()
			try := func(kind string, n int, may bool, remove func() error) {
				if n == 0 {
					return
				}
				want := "ok"
				if !may {
					want = "last_way_in"
				}
				at := since(t)
				if err := remove(); code(err) != want || !may && len(w.actions(at)) > 0 {
					t.Errorf("%s: remove a %s: %v, %v", c.name, kind, err, w.actions(at))
				}
			}
			if c.passkeys > 0 && c.logins > 0 { // one or the other: it is the same account
				try("passkey", c.passkeys, true, func() error { return w.DeletePasskey(w.ctx(), who, p.passkeyID(0)) })
				try("login", c.logins, false, func() error { return w.UnlinkLogin(w.ctx(), who, p.loginID()) })
				continue
			}
			try("passkey", c.passkeys, c.passkey, func() error { return w.DeletePasskey(w.ctx(), who, p.passkeyID(0)) })
			try("login", c.logins, c.login, func() error { return w.UnlinkLogin(w.ctx(), who, p.loginID()) })
		}
	})
}
