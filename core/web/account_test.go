package web_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/secret"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// clock is a time that the test sets forward.
type clock struct {
	from time.Time
	add  atomic.Int64
}

func newClock() *clock { return &clock{from: time.Now().UTC()} }

func (c *clock) now() time.Time       { return c.from.Add(time.Duration(c.add.Load())) }
func (c *clock) pass(d time.Duration) { c.add.Add(int64(d)) }

// clocked runs a test on either database, with a clock.
func clocked(t *testing.T, o authtest.Options, f func(t *testing.T, e *env, c *clock)) {
	t.Helper()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		c := newClock()
		o := o
		o.Now = c.now
		f(t, startWith(t, db, o, nil), c)
	})
}

// member is a browser in which somebody has just signed up.
func (e *env) member(t testing.TB, email string) *browser {
	t.Helper()
	b := e.browser(t)
	b.signUp(email, first)
	return b
}

// accountID finds somebody by address.
func (e *env) accountID(t testing.TB, email string) uuid.UUID {
	t.Helper()
	a, err := e.parts.Accounts.FindByEmail(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return a.ID
}

// change changes the database as no page does.
func (e *env) change(t testing.TB, f func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := e.db.Tx(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// hides fails where a page says what it should not.
func (p page) hides(t testing.TB, words ...string) {
	t.Helper()
	for _, w := range words {
		if strings.Contains(html.UnescapeString(p.body), w) {
			t.Errorf("%q in %s", w, p.body)
		}
	}
}

func (p page) find(t testing.TB, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(p.body)
	if m == nil {
		t.Fatalf("no %s in %s", pattern, p.body)
	}
	return html.UnescapeString(m[1])
}

func (p page) findAll(pattern string) []string {
	var out []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(p.body, -1) {
		out = append(out, html.UnescapeString(m[1]))
	}
	return out
}

// key is the secret that the page of the authenticator app shows, to be typed.
func (p page) key(t testing.TB) string {
	t.Helper()
	return strings.ReplaceAll(p.find(t, `<code class="key"[^>]*>([A-Z2-7 ]+)</code>`), " ", "")
}

func (p page) codes() []string { return p.findAll(`<li><code>([0-9A-Z-]{19})</code>`) }

func codeAt(t testing.TB, key string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(key, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// enrolled sets up an authenticator app, and gives its key and the recovery codes.
func (b *browser) enrolled(c *clock) (key string, codes []string) {
	b.t.Helper()
	b.post("/account/authenticator/begin").sends(b.t, "/account/authenticator")
	key = b.get("/account/authenticator").key(b.t)
	p := b.post("/account/authenticator", "code", codeAt(b.t, key, c.now()))
	p.shows(b.t, 200, "Your recovery codes")
	return key, p.codes()
}

func TestAccount_offersWhatIsMissing(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{Providers: []config.Provider{github}}, func(t *testing.T, e *env, c *clock) {
		b := e.member(t, alice)
		b.get("/account").shows(t, 200, "Your account", alice, "None yet. Sign in with your fingerprint", "Off. Also ask for a code from your phone",
			"Made when you turn a second factor on", "None yet. Sign in with an account you have elsewhere", "1 browser", "/threadline", "Sign out")
		_, codes := b.enrolled(c)
		if len(codes) != 10 {
			t.Fatalf("%d recovery codes", len(codes))
		}
		p := b.get("/account")
		p.shows(t, 200, "10 codes are left")
		p.hides(t, "Off. Have a code", "Losing your device", "Without codes")
		id := e.accountID(t, alice)
		spend := func(codes ...string) {
			e.change(t, func(ctx context.Context, tx *store.Tx) error {
				for _, code := range codes {
					if ok, _, err := e.parts.Codes.Spend(ctx, tx, id, code); err != nil || !ok {
						return fmt.Errorf("code not spent: %v, %v", ok, err)
					}
				}
				return nil
			})
		}
		spend(codes[:6]...)
		b.get("/account").hides(t, "Without codes")
		spend(codes[6])
		b.get("/account").shows(t, 200, "Only 3 recovery codes are left.", "Few left", `href="/account/recovery-codes/renew"`)
		spend(codes[7:]...)
		b.get("/account").shows(t, 200, "You have no recovery codes left.")
		b.get("/account/recovery-codes").shows(t, 200, "None are left")
	})
}

// TestAccount_asksForProof holds every page that changes how somebody signs in to a proof of the last minutes, and
// to coming back afterwards.
func TestAccount_asksForProof(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{Providers: []config.Provider{github}}, func(t *testing.T, e *env, c *clock) {
		b := e.member(t, alice)
		id := e.accountID(t, alice)
		e.change(t, func(ctx context.Context, tx *store.Tx) error {
			_, _, err := e.parts.Logins.Link(ctx, tx, id, federation.Claims{Provider: "github", Issuer: "https://github.com", Subject: "7"})
			return err
		})
		login := b.get("/account/logins").find(t, `href="(/account/logins/[0-9a-f-]{36}/unlink)"`)
		b.post("/account/authenticator/begin").sends(t, "/account/authenticator")
		c.pass(6 * time.Minute)
		to := func(back string) string { return "/step-up?return_to=" + strings.ReplaceAll(back, "/", "%2F") }
		for _, path := range []string{"/account/email", "/account/passkeys/new", "/account/recovery-codes/renew", "/account/authenticator/remove", login} {
			b.get(path).sends(t, to(path))
		}
		for path, back := range map[string]string{
			"/account/email": "/account/email", "/account/authenticator/begin": "/account/authenticator", "/account/authenticator": "/account/authenticator",
			"/account/authenticator/remove": "/account/authenticator/remove", "/account/recovery-codes/renew": "/account/recovery-codes/renew",
			"/account/passkeys/after-password": "/account/passkeys", "/account/logins": "/account/logins", login: login,
		} {
			b.post(path, "email", "new@example.com", "code", "123456", "on", "1", "provider", "github").sends(t, to(back))
		}
		// What waits to be scanned is shown to nobody else who sits down at the screen.
		b.get("/account/authenticator").hides(t, "QR code")
		// The present password is proof enough of a first factor.
		b.get("/account/password").shows(t, 200, "Current password")
		for _, path := range []string{"/account/passkeys/options", "/account/passkeys/finish"} {
			b.postJSON(path, `{}`).shows(t, 403, "step_up_required", "Please confirm that it is you first.", to("/account/passkeys/new"))
		}
		e.browser(t).postJSON("/account/passkeys/options", `{}`).shows(t, 401, "unauthenticated", "/login?return_to=")
		b.get(to("/account/email")).shows(t, 200, "Confirm that it is you", `value="/account/email"`)
		b.post("/step-up", "method", "password", "password", first, "return_to", "/account/email").sends(t, "/account/email")
		b.get("/account/email").shows(t, 200, alice, "New email address")
		b.get("/account/authenticator").shows(t, 200, "QR code") // it still waits
	})
}

func TestAccount_nobodySignedIn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		b := e.browser(t)
		for _, path := range []string{
			"/account", "/account/password", "/account/email", "/account/email/sent", "/account/authenticator", "/account/authenticator/remove", "/account/passkeys",
			"/account/passkeys/new", "/account/recovery-codes", "/account/recovery-codes/renew", "/account/devices", "/account/sessions", "/account/logins",
		} {
			b.get(path).sends(t, "/login?return_to="+strings.ReplaceAll(path, "/", "%2F"))
		}
		for _, path := range []string{
			"/account/password", "/account/email", "/account/email/sent", "/account/authenticator", "/account/authenticator/begin", "/account/authenticator/remove",
			"/account/passkeys/after-password", "/account/recovery-codes/renew", "/account/devices", "/account/sessions", "/account/sessions/elsewhere", "/account/logins",
		} {
			if p := b.post(path, "email", alice); p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, "/login?") {
				t.Errorf("%s: %d to %s", path, p.status, p.location)
			}
		}
	})
}

func TestAccountEmail_byCode(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		const fresh = "alice@elsewhere.example"
		b, other := e.member(t, alice), e.browser(t)
		other.post("/login", "email", alice, "password", first).sends(t, "/account")
		b.get("/account/email").shows(t, 200, "Your mails go to "+alice, `autocomplete="email"`)
		b.post("/account/email", "email", "no address").shows(t, 422, "That is not an email address we can use.", "no address", `aria-invalid="true"`)
		b.post("/account/email", "email", strings.ToUpper(alice)).shows(t, 409, "That is your address already.")
		b.get("/account/email/sent").sends(t, "/account/email")
		b.post("/account/email", "email", fresh).sends(t, "/account/email/sent")
		b.get("/account/email/sent").shows(t, 200, "Check the new mailbox", `autocomplete="one-time-code"`, "/dev/mail")
		_, code := e.mail(t, fresh)
		b.post("/account/email/sent", "code", "000000").shows(t, 401, "That code is not right.", `aria-invalid="true"`)
		b.get("/account").shows(t, 200, alice)
		b.post("/account/email/sent", "code", code).sends(t, "/account?notice=email-changed")
		if b.cookie(string(cookie.Email)) != "" {
			t.Error("the flow's cookie is still there")
		}
		b.get("/account?notice=email-changed").shows(t, 200, fresh, "Your email address is changed.", `role="status"`)
		other.get("/account").sends(t, "/login?return_to=%2Faccount")
		other.post("/login", "email", alice, "password", first).shows(t, 401)
		other.post("/login", "email", fresh, "password", first).sends(t, "/account")
		b.post("/account/email/sent", "code", code).shows(t, 410, "This change is no longer open")
	})
}

// TestAccountEmail_byLink opens the links elsewhere, where a scanner of mails has been before.
func TestAccountEmail_byLink(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		const fresh = "alice@elsewhere.example"
		b := e.member(t, alice)
		b.post("/account/email", "email", fresh).sends(t, "/account/email/sent")
		link, _ := e.mail(t, fresh)
		phone := e.browser(t)
		for range 2 {
			p := phone.get(link)
			p.shows(t, 200, "Confirm your new email address", fresh, "Use this address")
			if p.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("Referrer-Policy %q", p.header.Get("Referrer-Policy"))
			}
		}
		b.get("/account").shows(t, 200, alice)
		token := link[strings.LastIndex(link, "=")+1:]
		// Who has that mailbox need not be who asked: the address may have been typed wrong.
		phone.post("/account/email/confirm", "token", token).shows(t, 401, "sign in to your account here first", "/login?return_to=%2Faccount%2Femail%2Fconfirm%3Ftoken%3D"+token)
		phone.post("/login", "email", alice, "password", first, "return_to", link).sends(t, link)
		phone.get(link).shows(t, 200, "Use this address")
		phone.post("/account/email/confirm", "token", token).sends(t, "/account?notice=email-changed")
		phone.post("/account/email/confirm", "token", token).shows(t, 410, "This link has expired")
		phone.get(link).shows(t, 410)
		b.get("/account").sends(t, "/login?return_to=%2Faccount") // the change was confirmed in another browser

		undo, _ := e.mail(t, alice)
		if !strings.HasPrefix(undo, "/account/email/undo?token=") {
			t.Fatalf("the old address got %q", undo)
		}
		for range 2 {
			phone.get(undo).shows(t, 200, "Undo the change of address", alice, `class="danger"`)
		}
		phone.post("/account/email/undo", "token", undo[strings.LastIndex(undo, "=")+1:]).sends(t, "/account/email/undone")
		phone.get("/account/email/undone").shows(t, 200, "Your address is back")
		phone.get(undo).shows(t, 410)
		phone.post("/login", "email", alice, "password", first).shows(t, 401) // whoever made the change may know it
		set, _ := e.mail(t, alice)
		phone.post("/set-password", "token", set[strings.LastIndex(set, "=")+1:], "password", next).sends(t, "/account?notice=password-set")
		phone.get("/account").shows(t, 200, alice)
		for _, path := range []string{"/account/email/confirm", "/account/email/undo"} {
			phone.get(path).shows(t, 410, "The link is incomplete.")
			phone.get(path+"?token=made-up").shows(t, 410, "This link has expired")
			phone.post(path, "token", "made-up").shows(t, 410)
		}
	})
}

// TestAccountEmail_signedOut: the browser that asked may confirm when its session has ended.
func TestAccountEmail_signedOut(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		const fresh = "alice@elsewhere.example"
		b := e.member(t, alice)
		b.post("/account/email", "email", fresh).sends(t, "/account/email/sent")
		link, _ := e.mail(t, fresh)
		a, err := e.parts.Accounts.FindByEmail(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		live, err := e.parts.Sessions.List(t.Context(), a.ID)
		if err != nil || len(live) != 1 {
			t.Fatal(live, err)
		}
		if err := e.parts.Sessions.Revoke(t.Context(), audit.Ref{Type: "operator", ID: "1"}, "", a.ID, live[0].ID); err != nil {
			t.Fatal(err)
		}
		b.post("/account/email/confirm", "token", link[strings.LastIndex(link, "=")+1:]).sends(t, "/account/email/confirmed")
		b.get("/account/email/confirmed").shows(t, 200, "Your email address is changed", `href="/login"`)
	})
}

// TestAccountEmail_taken: whether somebody else has the address shows nowhere but in the mail that gets there.
func TestAccountEmail_taken(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		e.member(t, "bob@example.com")
		b := e.member(t, alice)
		free, taken := b.post("/account/email", "email", "free@example.com"), b.post("/account/email", "email", "bob@example.com")
		if free.status != taken.status || free.location != taken.location || free.body != taken.body {
			t.Errorf("free: %v, taken: %v", free, taken)
		}
		b.post("/account/email/sent", "code", "123456").shows(t, 401, "That code is not right.")
		e.mail(t, "bob@example.com")
		list, err := e.inbox.List(t.Context(), "bob@example.com")
		if err != nil {
			t.Fatal(err)
		}
		told := false
		for _, m := range list {
			told = told || m.Purpose == mail.AlreadyRegistered
			if m.Purpose == mail.EmailChangeConfirm {
				t.Errorf("bob got a mail to confirm with: %s", m.Text)
			}
		}
		if !told {
			t.Error("bob was not told")
		}
	})
}

func TestAccountPassword_add(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		b, other := e.member(t, alice), e.browser(t)
		other.post("/login", "email", alice, "password", first).sends(t, "/account")
		id := e.accountID(t, alice)
		e.change(t, func(ctx context.Context, tx *store.Tx) error { return e.parts.Passwords.Erase(ctx, tx, id) })
		b.get("/account").shows(t, 200, "None. Add one as a further way in")
		p := b.get("/account/password")
		p.shows(t, 200, "Add a password", `autocomplete="new-password"`, alice)
		p.hides(t, "Current password", "/reset")
		b.post("/account/password", "password", "short").shows(t, 422, "at least 8 characters", `href="#password"`)
		b.post("/account/password", "password", next).sends(t, "/account?notice=password-added")
		b.get("/account?notice=password-added").shows(t, 200, "Your account has a password now.")
		other.get("/account").sends(t, "/login?return_to=%2Faccount")
		b.post("/account/password", "password", first).shows(t, 409, "This account has a password.")
		other.post("/login", "email", alice, "password", next).sends(t, "/account")
		// Where there is none, the proof has to come before.
		e.change(t, func(ctx context.Context, tx *store.Tx) error { return e.parts.Passwords.Erase(ctx, tx, id) })
		c.pass(6 * time.Minute)
		b.get("/account/password").sends(t, "/step-up?return_to=%2Faccount%2Fpassword")
		b.post("/account/password", "password", next).sends(t, "/step-up?return_to=%2Faccount%2Fpassword")
	})
}

func TestAccountAuthenticator(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		b := e.member(t, alice)
		p := b.get("/account/authenticator")
		p.shows(t, 200, "Set up")
		p.hides(t, "QR code", "Remove")
		b.post("/account/authenticator", "code", "123456").shows(t, 409, "took too long or was cancelled")

		b.post("/account/authenticator/begin").sends(t, "/account/authenticator")
		p = b.get("/account/authenticator")
		p.shows(t, 200, `alt="QR code with the key`, `src="data:image/png;base64,`, `href="otpauth://totp/Sigra:alice%40example.com?secret=`, `autocomplete="one-time-code"`)
		if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "img-src 'self' data:") {
			t.Errorf("the picture can't be shown: %s", csp)
		}
		if csp := b.get("/account").header.Get("Content-Security-Policy"); strings.Contains(csp, "data:") {
			t.Errorf("pictures in the text are allowed where there are none: %s", csp)
		}
		key := p.key(t)
		b.post("/account/authenticator", "cancel", "1").sends(t, "/account/authenticator?notice=authenticator-cancelled")
		b.get("/account/authenticator?notice=authenticator-cancelled").shows(t, 200, "Nothing was set up.", "Set up")
		b.post("/account/authenticator", "code", codeAt(t, key, c.now())).shows(t, 409)

		b.post("/account/authenticator/begin").sends(t, "/account/authenticator")
		again := b.get("/account/authenticator").key(t)
		if again == key {
			t.Error("the same secret twice")
		}
		wrong := b.post("/account/authenticator", "code", "000000")
		wrong.shows(t, 401, "That code is not right, or was used already.", "QR code", `aria-invalid="true"`)
		if wrong.key(t) != again {
			t.Error("a mistyped code costs a new scan")
		}
		done := b.post("/account/authenticator", "code", codeAt(t, again, c.now()))
		done.shows(t, 200, "Your recovery codes", "The authenticator app is set up.", "I have kept them", `download="recovery-codes.txt"`, `href="data:text/plain;charset=utf-8,Recovery%20codes%20for%20alice`)
		codes := done.codes()
		if len(codes) != 10 || !strings.Contains(done.body, codes[9]+"%0D%0A") {
			t.Errorf("codes %v", codes)
		}
		done.hides(t, `name="back"`) // nothing on the page leads away by itself
		b.get("/account/authenticator").shows(t, 200, "The app is set up.", "Remove the app")
		b.post("/account/authenticator/begin").shows(t, 409) // there is one; the session has shown both factors by now

		c.pass(6 * time.Minute) // later they have to be shown again, and a code is good once
		b.post("/account/authenticator/begin").sends(t, "/step-up?return_to=%2Faccount%2Fauthenticator")
		b.post("/step-up", "method", "totp", "code", codeAt(t, again, c.now()), "return_to", "/account/authenticator/remove").sends(t, "/account/authenticator/remove")
		in := b
		in.get("/account/authenticator/remove").shows(t, 200, "Remove the authenticator app?", "your only second factor", `class="danger"`)
		in.post("/account/authenticator/remove").sends(t, "/account/authenticator?notice=authenticator-removed")
		in.get("/account/authenticator?notice=authenticator-removed").shows(t, 200, "The authenticator app is removed.", "Set up")
		in.get("/account/authenticator/remove").sends(t, "/account/authenticator")
		in.post("/account/authenticator/remove").sends(t, "/account/authenticator")
		in.get("/account/recovery-codes").shows(t, 200, "your account has none yet", "/account/authenticator")
		e.browser(t).post("/login", "email", alice, "password", first).sends(t, "/account")
	})
}

// secondFactor signs somebody in with password and app, by the flows themselves: the pages for it have tests of their own.
func (e *env) secondFactor(t testing.TB, email, key string, c *clock) *browser {
	t.Helper()
	c.pass(time.Minute) // a code is good once
	in, err := e.auth.SignIn(t.Context(), auth.Credentials{Email: email, Password: first})
	if err != nil || in.Pending == nil {
		t.Fatalf("no second factor asked: %v", err)
	}
	in, err = e.auth.FinishSignIn(t.Context(), auth.SecondFactor{Flow: in.Pending.Flow, Factor: factor.Proof{Method: factor.TOTP, Code: codeAt(t, key, c.now())}})
	if err != nil {
		t.Fatal(err)
	}
	return e.with(t, in)
}

// with is a browser that has a session.
func (e *env) with(t testing.TB, in auth.SignedIn) *browser {
	t.Helper()
	b := e.browser(t)
	b.jar.SetCookies(b.here(), []*http.Cookie{{Name: cookie.Session, Value: in.Token, Path: "/", Secure: true}, {Name: cookie.Device, Value: in.Device, Path: "/", Secure: true}})
	return b
}

func TestAccountRecoveryCodes(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		b := e.member(t, alice)
		b.get("/account/recovery-codes").shows(t, 200, "your account has none yet")
		b.post("/account/recovery-codes/renew").sends(t, "/account/recovery-codes")
		key, old := b.enrolled(c)
		b = e.secondFactor(t, alice, key, c)
		b.get("/account/recovery-codes").shows(t, 200, "10 codes are left", "nobody can show them again")
		b.get("/account/recovery-codes/renew").shows(t, 200, "Make new recovery codes?", "void at once")
		p := b.post("/account/recovery-codes/renew")
		p.shows(t, 200, "Your recovery codes")
		fresh := p.codes()
		if len(fresh) != 10 || fresh[0] == old[0] {
			t.Errorf("codes %v", fresh)
		}
		if p.header.Get("Cache-Control") != "no-store" {
			t.Error("the codes stay in the browser's cache")
		}
		id := e.accountID(t, alice)
		e.change(t, func(ctx context.Context, tx *store.Tx) error {
			was, _, err := e.parts.Codes.Spend(ctx, tx, id, old[0])
			if err != nil {
				return err
			}
			is, left, err := e.parts.Codes.Spend(ctx, tx, id, fresh[0])
			if was || !is || left != 9 {
				t.Errorf("an old code is good: %v, a new one: %v, %d left", was, is, left)
			}
			return err
		})
	})
}

func TestAccountDevices(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		b, other := e.member(t, alice), e.browser(t)
		other.agent = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
		other.post("/login", "email", alice, "password", first).sends(t, "/account")
		id := e.accountID(t, alice)
		e.change(t, func(ctx context.Context, tx *store.Tx) error {
			_, err := e.parts.Devices.Trust(ctx, tx, id, b.cookie(cookie.Device))
			return err
		})
		p := b.get("/account/devices")
		p.shows(t, 200, "Firefox on Linux", "Unknown browser", `aria-label="Forget Firefox on Linux"`, "No second factor asked until")
		ids := p.findAll(`name="id" value="([0-9a-f-]{36})"`)
		if len(ids) != 2 || strings.Count(p.body, "This browser") > 1 {
			t.Fatalf("%v in %s", ids, p.body)
		}
		other.get("/account/devices").shows(t, 200, "This browser")
		for range 2 { // gone is gone
			b.post("/account/devices", "id", ids[0]).sends(t, "/account/devices?notice=browser-forgotten")
		}
		b.get("/account/devices?notice=browser-forgotten").shows(t, 200, "The browser is forgotten.")
		b.post("/account/devices", "id", "nonsense").sends(t, "/account/devices")
		// Nobody forgets somebody else's.
		mallory := e.member(t, "mallory@example.com")
		mallory.post("/account/devices", "id", ids[1])
		if left := b.get("/account/devices").findAll(`name="id" value="([0-9a-f-]{36})"`); len(left) != 1 {
			t.Errorf("%d browsers left", len(left))
		}
		other.get("/account").shows(t, 200, alice) // forgetting signs nobody out
	})
}

func TestAccountSessions(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		b, phone, laptop := e.member(t, alice), e.browser(t), e.browser(t)
		phone.agent = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
		for _, other := range []*browser{phone, laptop} {
			other.post("/login", "email", alice, "password", first).sends(t, "/account")
		}
		b.get("/account").shows(t, 200, `href="/account/sessions"`)
		p := b.get("/account/sessions")
		p.shows(t, 200, "Firefox on Linux", "This session", `aria-label="Sign out of Firefox on Linux"`, "Sign out everywhere else")
		ids := p.findAll(`name="id" value="([0-9a-f-]{36})"`)
		if len(ids) != 2 || strings.Count(p.body, "This session") != 1 {
			t.Fatalf("%v in %s", ids, p.body)
		}
		// Nobody ends somebody else's.
		mallory := e.member(t, "mallory@example.com")
		mallory.post("/account/sessions", "id", ids[1]).sends(t, "/account/sessions?notice=session-ended")
		mallory.post("/account/sessions/elsewhere").sends(t, "/account/sessions?notice=signed-out-elsewhere")
		phone.get("/account").shows(t, 200, alice)
		for range 2 { // gone is gone
			b.post("/account/sessions", "id", ids[0]).sends(t, "/account/sessions?notice=session-ended") // the newest first
		}
		b.get("/account/sessions?notice=session-ended").shows(t, 200, "That session has ended.")
		b.post("/account/sessions", "id", "nonsense").sends(t, "/account/sessions")
		laptop.get("/account").sends(t, "/login?return_to=%2Faccount")
		b.post("/account/sessions/elsewhere").sends(t, "/account/sessions?notice=signed-out-elsewhere")
		b.get("/account/sessions?notice=signed-out-elsewhere").shows(t, 200, "You are signed out everywhere else.", "This session")
		phone.get("/account").sends(t, "/login?return_to=%2Faccount")
	})
}

var github = config.Provider{Name: "github", Preset: "github", Enabled: true, SignUp: true, ClientID: "client", ClientSecret: secret.New("secret")}

func TestAccountLogins(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{Providers: []config.Provider{github}}, func(t *testing.T, e *env, _ *clock) {
		b := e.member(t, alice)
		id := e.accountID(t, alice)
		b.get("/account/logins").shows(t, 200, "None is linked.", "Link GitHub")
		p := b.post("/account/logins", "provider", "github")
		p.shows(t, 200, "Going on to GitHub", `http-equiv="refresh"`, "https://github.com/login/oauth/authorize?", "code_challenge=")
		if b.cookie(string(cookie.Provider)) == "" {
			t.Error("the browser could not be known again")
		}
		b.post("/account/logins", "provider", "nobody").shows(t, 404)

		e.change(t, func(ctx context.Context, tx *store.Tx) error {
			for _, c := range []federation.Claims{
				{Provider: "github", Issuer: "https://github.com", Subject: "7", Email: "ada@elsewhere.example"},
				{Provider: "gone", Issuer: "https://gone.example", Subject: "8"},
			} {
				if _, _, err := e.parts.Logins.Link(ctx, tx, id, c); err != nil {
					return err
				}
			}
			return nil
		})
		b.get("/account").shows(t, 200, "GitHub · gone")
		p = b.get("/account/logins")
		p.shows(t, 200, "GitHub", "ada@elsewhere.example", `aria-label="Unlink GitHub"`, `aria-label="Unlink gone"`)
		paths := p.findAll(`href="(/account/logins/[0-9a-f-]{36}/unlink)"`)
		b.get(paths[0]).shows(t, 200, "Unlink GitHub?", "stays as it is", `class="danger"`)
		e.member(t, "mallory@example.com").get(paths[0]).shows(t, 404)
		b.post(paths[0]).sends(t, "/account/logins?notice=login-unlinked")
		b.get("/account/logins?notice=login-unlinked").shows(t, 200, "The login is unlinked.")
		b.get(paths[0]).shows(t, 404, "There is no such linked login.")
		b.get("/account/logins/nonsense/unlink").shows(t, 404)
		b.post("/account/logins/nonsense/unlink").shows(t, 404)
		// The last way in stays.
		e.change(t, func(ctx context.Context, tx *store.Tx) error { return e.parts.Passwords.Erase(ctx, tx, id) })
		b.post(paths[1]).shows(t, 409, "This is your last way in", `href="/account/password"`, `href="/account/passkeys/new"`)
		b.get("/account/logins").shows(t, 200, "gone")
	})
}

// TestAccount_policyDemandsASecondFactor: the last one stays where everybody has to have one.
func TestAccount_policyDemandsASecondFactor(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{Settings: flow.Settings{RequireSecondFactor: true}}, func(t *testing.T, e *env, c *clock) {
		e.browser(t).post("/register", "email", alice, "password", first).sends(t, "/register/check-mail")
		link, _ := e.mail(t, alice)
		in, err := e.auth.Confirm(t.Context(), auth.Confirmation{Token: link[strings.LastIndex(link, "=")+1:], Password: first})
		if err != nil || in.Pending == nil || !in.Pending.Enroll {
			t.Fatalf("%+v, %v", in, err)
		}
		secret, err := e.auth.PendingTOTP(t.Context(), in.Pending.Flow)
		if err != nil {
			t.Fatal(err)
		}
		key := secret.Secret.Reveal()
		in, err = e.auth.FinishSignIn(t.Context(), auth.SecondFactor{Flow: in.Pending.Flow, Factor: factor.Proof{Method: factor.TOTP, Code: codeAt(t, key, c.now())}})
		if err != nil {
			t.Fatal(err)
		}
		b := e.with(t, in)
		b.get("/account/authenticator/remove").shows(t, 200)
		b.post("/account/authenticator/remove").shows(t, 409, "A second factor has to stay", `href="/account/passkeys/new"`)
		b.get("/account/authenticator").shows(t, 200, "The app is set up.")
	})
}

func TestAccountPasskeys_refusals(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		b := e.member(t, alice)
		p := b.get("/account/passkeys")
		p.shows(t, 200, "You have no passkey yet.", `href="/account/passkeys/new"`)
		p.hides(t, "<script", "After other ways")
		p = b.get("/account/passkeys/new")
		p.shows(t, 200, "Add a passkey", `data-passkey="register"`, `data-options="/account/passkeys/options"`, "hidden", "needs JavaScript")
		if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self'; connect-src 'self'") {
			t.Errorf("the script can't run: %s", csp)
		}
		p = b.postJSON("/account/passkeys/options", `{"fields":{"name":""}}`)
		p.shows(t, 200, `"token":"`, `"options":{"publicKey":{`, `"name":"alice@example.com"`)
		token := p.find(t, `"token":"([^"]+)"`)
		b.postJSON("/account/passkeys/options?conditional", `{}`).shows(t, 200, `"mediation":"conditional"`)
		b.postJSON("/account/passkeys/finish", `{"token":"`+token+`","credential":{}}`).shows(t, 401, "This passkey could not be verified.")
		for _, body := range []string{"", "{}{}", `{"token":5}`, `[`} {
			b.postJSON("/account/passkeys/finish", body).shows(t, 422, "malformed_request")
		}
		b.postJSON("/account/passkeys/finish", `{"token":"`+strings.Repeat("x", 70<<10)+`"}`).shows(t, 413)
		b.post("/account/passkeys/finish", "token", token).shows(t, 422) // a form of another site can send that
		b.post("/account/passkeys/after-password", "on", "1").sends(t, "/account/passkeys")
		for _, id := range []string{"nonsense", "01890000-0000-7000-8000-000000000000"} {
			b.get("/account/passkeys/"+id).shows(t, 404, "There is no such passkey.")
			b.get("/account/passkeys/"+id+"/delete").shows(t, 404)
			b.post("/account/passkeys/"+id, "name", "x").shows(t, 404)
		}
		b.post("/account/passkeys/01890000-0000-7000-8000-000000000000/delete").sends(t, "/account/passkeys?notice=passkey-deleted")
		b.post("/account/passkeys/nonsense/delete").shows(t, 404)
	})
}

// TestAccount_tooManyGuesses: who has to wait is told so where they were, and loses nothing.
func TestAccount_tooManyGuesses(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		b := e.member(t, alice)
		b.post("/account/authenticator/begin")
		key := b.get("/account/authenticator").key(t)
		for i := range 6 {
			p, want := b.post("/account/authenticator", "code", "000000"), 401
			if i == 5 {
				want = 429
			}
			p.shows(t, want, "QR code", `role="alert"`)
			if p.key(t) != key {
				t.Error("another secret")
			}
			if wait := p.header.Get("Retry-After"); (wait != "") != (want == 429) {
				t.Errorf("%d with Retry-After %q", p.status, wait)
			}
		}
		for range 5 {
			b.post("/account/password", "current", "a guess of mine", "password", next).shows(t, 403)
		}
		b.post("/account/password", "current", first, "password", next).shows(t, 429, "Too many failed attempts.", "Current password")
		b.get("/account").shows(t, 200, alice)
	})
}
