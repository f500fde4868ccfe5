package web_test

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web"
)

// started is a browser that has asked for a mail by a form, and what the mail says.
func (e *env) started(t testing.TB, form, email string) (b *browser, token, code string) {
	t.Helper()
	b = e.browser(t)
	b.post(form, "email", email).sends(t, form+"/sent")
	link, code := e.mail(t, email)
	return b, link[strings.Index(link, "token=")+len("token="):], code
}

func TestReset_byCode(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		old := e.member(t, alice)
		e.browser(t).get("/login?return_to=%2Fthreadline").shows(t, 200, "/reset?return_to=%2Fthreadline")
		b := e.browser(t)
		b.get("/reset/sent").sends(t, "/login") // nothing was asked for
		b.get("/reset?return_to=%2Fthreadline").shows(t, 200, "Forgot your password?", `value="/threadline"`, `autocomplete="username"`)
		b.post("/reset", "email", "not an address", "return_to", "/threadline").shows(t, 422, "not an email address", `aria-invalid="true"`, `value="not an address"`)
		b.post("/reset", "email", alice, "return_to", "/threadline").sends(t, "/reset/sent?return_to=%2Fthreadline")
		if b.cookie(string(cookie.Reset)) == "" || b.cookie(cookie.Session) != "" {
			t.Fatal("there is a flow and no session")
		}
		b.get("/reset/sent").shows(t, 200, "Check your email", `autocomplete="one-time-code"`, `autocomplete="new-password"`, "/dev/mail")
		_, code := e.mail(t, alice)
		b.post("/reset/sent", "code", "000000", "password", next).shows(t, 401, "That code is not right.", `href="#code"`)
		// A password that is refused costs nothing: the code stays in its field.
		refused := b.post("/reset/sent", "code", code, "password", "short")
		refused.shows(t, 422, "at least 8 characters", `href="#password"`, `value="`+strings.ReplaceAll(code, " ", "")+`"`)
		refused.hides(t, "short")
		b.post("/reset/sent", "code", " "+code[:3]+"–"+code[3:], "password", next, "return_to", "/threadline").sends(t, "/threadline")
		if b.cookie(string(cookie.Reset)) != "" || b.cookie(cookie.Session) == "" {
			t.Fatal("there is a session and no flow")
		}
		old.get("/account").sends(t, "/login?return_to=%2Faccount") // all sessions ended
		e.browser(t).post("/login", "email", alice, "password", first).shows(t, 401)
		e.browser(t).post("/login", "email", alice, "password", next).sends(t, "/account")
	})
}

func TestReset_byLinkAndTooManyCodes(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		e.member(t, alice)
		b, token, _ := e.started(t, "/reset", alice)
		for range 4 {
			b.post("/reset/sent", "code", "000000", "password", next).shows(t, 401)
		}
		b.post("/reset/sent", "code", "000000", "password", next)
		b.post("/reset/sent", "code", "000000", "password", next).shows(t, 410, "too many wrong codes", `href="/reset"`)
		if b.cookie(string(cookie.Reset)) != "" {
			t.Error("the flow stays in the browser")
		}
		_ = token
		// A link opens in any browser, as often as it is looked at; a button uses it up.
		_, token, _ = e.started(t, "/reset", alice)
		phone := e.browser(t)
		for range 2 {
			phone.get("/set-password?token="+token).shows(t, 200, "Set your password")
		}
		phone.post("/set-password", "token", token, "password", next).sends(t, "/account?notice=password-set")
		phone.get("/account?notice=password-set").shows(t, 200, "Your password is set")
		phone.post("/set-password", "token", token, "password", next).shows(t, 410)
	})
}

// TestMails_saySameToEverybody compares, for addresses of every sort, the answers to what anybody may ask of them: status, headers
// and bytes, but for secrets, which are of the same length.
func TestMails_saySameToEverybody(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		secret := regexp.MustCompile(`=[A-Za-z0-9_-]{20,};`)
		number := regexp.MustCompile(`>\d\d</strong>`)
		shape := func(p page) string {
			lines := []string{strconv.Itoa(p.status), number.ReplaceAllString(p.body, "><")}
			for k, v := range p.header {
				switch k {
				case "Date":
				case "X-Request-Id":
					lines = append(lines, k+strconv.Itoa(len(v[0])))
				default:
					lines = append(lines, k+": "+secret.ReplaceAllStringFunc(strings.Join(v, "|"), func(s string) string { return strings.Repeat("x", len(s)) }))
				}
			}
			slices.Sort(lines)
			return strings.Join(lines, "\n")
		}
		makes := func(n account.NewAccount) func(*testing.T, string) {
			return func(t *testing.T, email string) {
				n.Email = email
				if err := e.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					_, _, err := e.parts.Accounts.Create(ctx, tx, n)
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
		sides := []struct {
			name  string
			ready func(*testing.T, string)
		}{
			{"unknown", func(*testing.T, string) {}},
			{"known", func(t *testing.T, email string) { e.member(t, email) }},
			{"unconfirmed", makes(account.NewAccount{Status: account.Unconfirmed})},
			{"administrator", makes(account.NewAccount{Status: account.Unconfirmed, Administrator: true})},
		}
		for i, form := range []string{"/login", "/reset", "/login/link", "/register"} {
			var first string
			for j, s := range sides {
				email := "person" + strconv.Itoa(i) + strconv.Itoa(j) + "@example.com"
				s.ready(t, email)
				b := e.browser(t)
				asked := b.post(form, "email", email, "password", "not the password")
				got := shape(asked)
				if form != "/login" {
					got += shape(b.get(asked.location)) + shape(b.post(asked.location, "code", "000000", "password", next))
				}
				if form == "/register" {
					got += shape(b.post("/register/resend")) + shape(b.get("/register/check-mail?notice=sent"))
				}
				got = strings.ReplaceAll(got, email, strings.Repeat("x", len(email)))
				if first == "" {
					first = got
				}
				if got != first {
					t.Errorf("%s: %s\n%s\n%s\n%s", form, sides[0].name, first, s.name, got)
				}
			}
		}
	})
}

func TestRegister_resend(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		e := startWith(t, db, authtest.Options{Mails: ratelimit.Quota{Count: 2, Per: 15 * time.Minute}}, nil)
		b := e.browser(t)
		b.post("/register/resend").sends(t, "/login")
		b.post("/register", "email", alice, "password", first, "return_to", "/threadline").sends(t, "/register/check-mail?return_to=%2Fthreadline")
		_, old := e.mail(t, alice)
		flow := b.cookie(string(cookie.SignUp))
		b.get("/register/check-mail?return_to=%2Fthreadline").shows(t, 200, `action="/register/resend"`, "Send it again")
		b.post("/register/resend", "return_to", "/threadline").sends(t, "/register/check-mail?notice=sent&return_to=%2Fthreadline")
		if b.cookie(string(cookie.SignUp)) == flow {
			t.Error("the flow is the same")
		}
		b.get("/register/check-mail?notice=sent").shows(t, 200, "A new message is on its way.", `role="status"`)
		_, code := e.mail(t, alice)
		limited := b.post("/register/resend")
		limited.shows(t, 429, "Please try again in", `autocomplete="one-time-code"`) // the page stays: the code may have come
		if limited.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		if code == old {
			t.Fatal("the same code by chance; run again")
		}
		b.post("/register/check-mail", "code", old).shows(t, 401)
		b.post("/register/check-mail", "code", code, "return_to", "/threadline").sends(t, "/threadline")
	})
}

func TestMagicLink_sameBrowser(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		e.member(t, alice)
		b := e.browser(t)
		b.get("/login").shows(t, 200, `href="/login/link"`)
		b.get("/login/link?return_to=%2Fthreadline").shows(t, 200, "Sign in with an email link")
		b.get("/login/link/sent").sends(t, "/login")
		b.post("/login/link", "email", alice, "return_to", "/threadline").sends(t, "/login/link/sent?return_to=%2Fthreadline")
		wait := b.get("/login/link/sent?return_to=%2Fthreadline")
		wait.shows(t, 200, "Check your email", `<iframe src="/login/link/status"`, `autocomplete="one-time-code"`)
		if !strings.Contains(wait.header.Get("Content-Security-Policy"), "frame-src 'self'") {
			t.Error("the frame can't load")
		}
		status := b.get("/login/link/status")
		status.shows(t, 200, "Waiting for the link", `<meta http-equiv="refresh" content="4">`)
		if csp := status.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'self'") || status.header.Get("X-Frame-Options") != "SAMEORIGIN" {
			t.Errorf("the frame may not be one: %s", csp)
		}
		link, _ := e.mail(t, alice)
		// Scanners look at the link, and run what scripts there are; nothing is used up.
		for range 3 {
			p := e.browser(t).get(link)
			p.shows(t, 200, "Which device do you want to sign in?")
			if p.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("Referrer-Policy %q", p.header.Get("Referrer-Policy"))
			}
		}
		open := b.get(link)
		open.shows(t, 200, "Press the button, and you are signed in.", `action="/login/link/open"`)
		open.hides(t, "Which device do you want to sign in?")
		token := open.find(t, `name="token" value="([^"]+)"`)
		b.post("/login/link/open", "token", token, "remember", "1").sends(t, "/threadline")
		if b.cookie(string(cookie.Magic)) != "" || b.cookie(cookie.Session) == "" {
			t.Error("there should be a session and no flow")
		}
		// The window that waits goes on by itself, or by a link.
		b.get("/login/link/status").shows(t, 200, "no longer waiting", `target="_top"`, "/login/link/sent")
		b.get("/login/link/sent?return_to=%2Fthreadline").sends(t, "/threadline")
		b.get(link).shows(t, 410, "You are signed in here")
		e.browser(t).get(link).shows(t, 410, "Ask for a new one")
		e.browser(t).post("/login/link/open", "token", token).shows(t, 410)
		e.browser(t).get("/login/link?token=").shows(t, 410, "incomplete")
	})
}

func TestMagicLink_byCode(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		e.member(t, alice)
		b, _, code := e.started(t, "/login/link", alice)
		b.post("/login/link/sent", "code", "000000").shows(t, 401, "That code is not right.", `<iframe`, `aria-invalid="true"`)
		b.post("/login/link/sent", "code", code, "remember", "1").sends(t, "/account")
		c, _, _ := e.started(t, "/login/link", alice)
		for range 5 {
			c.post("/login/link/sent", "code", "000000")
		}
		c.post("/login/link/sent", "code", "000000").shows(t, 410, "too many wrong codes", `href="/login/link"`)
	})
}

// TestMagicLink_otherDevice: the one who opens the link lets the one who asked go on, by the number on its screen.
func TestMagicLink_otherDevice(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		e.member(t, alice)
		desk, token, _ := e.started(t, "/login/link", alice)
		number := desk.get("/login/link/sent").find(t, `<strong dir="ltr">(\d\d)</strong>`)
		phone := e.browser(t)
		p := phone.get("/login/link?token=" + token)
		p.shows(t, 200, "Which device do you want to sign in?", "127.0.0.1", "UTC", "Let the other device in", "Sign in on this device instead", `id="here-remember"`)
		desk.post("/login/link/sent").shows(t, 409, "The link has not been opened yet.")
		phone.post("/login/link/approve", "token", token, "number", " "+number+" ").shows(t, 200, "The other device may go on")
		if phone.cookie(cookie.Session) != "" {
			t.Error("the phone was signed in")
		}
		desk.get("/login/link/status").shows(t, 200, "The other device has agreed.", `action="/login/link/sent"`, `target="_top"`)
		desk.post("/login/link/sent").sends(t, "/account")
		if desk.cookie(cookie.Session) == "" {
			t.Error("the desk was not signed in")
		}

		// A wrong number ends the link, for everybody.
		desk, token, _ = e.started(t, "/login/link", alice)
		number = desk.get("/login/link/sent").find(t, `<strong dir="ltr">(\d\d)</strong>`)
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		phone.post("/login/link/approve", "token", token, "number", strconv.Itoa((n+1)%100 + 100)[1:]).shows(t, 410, "not the number on the other screen")
		phone.post("/login/link/approve", "token", token, "number", number).shows(t, 410)
		desk.get("/login/link/status").shows(t, 200, "no longer waiting")
		desk.get("/login/link/sent").shows(t, 410, "Ask for a new one")

		// Or the phone is signed in itself.
		_, token, _ = e.started(t, "/login/link", alice)
		phone.post("/login/link/open", "token", token).sends(t, "/account")
	})
}

func TestMagicLink_off(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		e := start(t, db, func(c *web.Config) { c.MagicLinks, c.PasskeySignIns, c.SecondFactors, c.StepUps = nil, nil, nil, nil })
		p := e.browser(t).get("/login")
		p.hides(t, "/login/link", "data-passkey", "<script")
		if csp := p.header.Get("Content-Security-Policy"); strings.Contains(csp, "script-src") {
			t.Errorf("a page without a script may run one: %s", csp)
		}
		for _, path := range []string{"/login/link", "/login/second-factor", "/step-up"} {
			e.browser(t).get(path).shows(t, 404)
		}
	})
}

// A form is judged by the sign-in that it was made for: another tab may have begun one for somebody else since.
func TestSecondFactor_ofAnotherTab(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		const bob = "bob@example.org"
		_, codes := e.member(t, alice).enrolled(c)
		_, bobs := e.member(t, bob).enrolled(c)
		c.pass(time.Minute)
		b := e.browser(t)
		b.post("/login", "email", alice, "password", first)
		mark := b.get("/login/second-factor?method=recovery_code").find(t, `name="sign_in" value="([^"]+)"`)
		b.post("/login", "email", bob, "password", first) // in the other tab
		for range 10 {
			b.post("/login/second-factor", "method", "recovery_code", "code", codes[0], "sign_in", mark).sends(t, "/login?notice=expired")
		}
		b.post("/login/second-factor", "method", "recovery_code", "code", bobs[0]).sends(t, "/account") // Bob's waits on, and nothing counts against him
		b.post("/login", "email", alice, "password", first)
		now := b.get("/login/second-factor?method=recovery_code").find(t, `name="sign_in" value="([^"]+)"`)
		b.post("/login/second-factor", "method", "recovery_code", "code", codes[0], "sign_in", now).sends(t, "/account")
	})
}

func TestSecondFactor(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		key, codes := e.member(t, alice).enrolled(c)
		c.pass(time.Minute)
		b := e.browser(t)
		b.get("/login/second-factor").sends(t, "/login")
		b.post("/login/second-factor", "method", "totp", "code", "123456").sends(t, "/login")
		asked := "/login/second-factor?return_to=%2Fthreadline"
		b.post("/login", "email", alice, "password", first, "return_to", "/threadline").sends(t, asked)
		if b.cookie(cookie.Session) != "" || b.cookie(string(cookie.Pending)) == "" {
			t.Fatal("a session before the second factor")
		}
		b.get("/account").sends(t, "/login?return_to=%2Faccount")
		p := b.get(asked)
		p.shows(t, 200, "One more step", "authenticator app", `autocomplete="one-time-code"`, "Don't ask again on this device for 30 days",
			"/login/second-factor?method=recovery_code&return_to=%2Fthreadline", `value="/threadline"`)
		wrong := b.post("/login/second-factor", "method", "totp", "code", "000000", "trust", "1", "return_to", "/threadline")
		wrong.shows(t, 401, "That code is not right", `aria-invalid="true"`, "checked")
		b.post("/login/second-factor", "method", "nonsense", "code", "000000").shows(t, 422, "Choose another way")
		b.get("/login/second-factor?method=recovery_code").shows(t, 200, "Recovery code", `autocomplete="off"`, "Authenticator app")
		b.get("/login/second-factor?method=nonsense").shows(t, 200, "authenticator app")
		code := codeAt(t, key, c.now())
		b.post("/login/second-factor", "method", "totp", "code", code[:3]+" "+code[3:], "trust", "1", "return_to", "/threadline").sends(t, "/threadline")
		if b.cookie(string(cookie.Pending)) != "" {
			t.Error("the pending sign-in stays in the browser")
		}
		b.get("/account").shows(t, 200, "two factors")

		// A trusted browser is spared it; another one is not, and a recovery code does, once.
		b.post("/logout")
		b.post("/login", "email", alice, "password", first).sends(t, "/account")
		other := e.browser(t)
		other.post("/login", "email", alice, "password", first).sends(t, "/login/second-factor?return_to=%2Faccount")
		other.post("/login/second-factor", "method", "recovery_code", "code", strings.ToLower(codes[0])+" ").sends(t, "/account")
		third := e.browser(t)
		third.post("/login", "email", alice, "password", first)
		third.post("/login/second-factor", "method", "recovery_code", "code", codes[0]).shows(t, 401, "was used already")

		// Waiting too long begins anew.
		c.pass(6 * time.Minute)
		third.get("/login/second-factor?return_to=%2Fthreadline").sends(t, "/login?notice=expired&return_to=%2Fthreadline")
		third.get("/login?notice=expired").shows(t, 200, "took too long", `role="status"`)
		if third.cookie(string(cookie.Pending)) != "" {
			t.Error("a sign-in that is over stays in the browser")
		}

		// Too many wrong ones pause it, and the page says for how long.
		third.post("/login", "email", alice, "password", first)
		for range 5 {
			third.post("/login/second-factor", "method", "totp", "code", "000000")
		}
		paused := third.post("/login/second-factor", "method", "totp", "code", codeAt(t, key, c.now()))
		paused.shows(t, 429, "Too many failed attempts.", "Please try again in", `autocomplete="one-time-code"`)
		if paused.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	})
}

// TestSecondFactor_everyFirstFactor: whatever the first factor was, the second is asked for.
func TestSecondFactor_everyFirstFactor(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		key, _ := e.member(t, alice).enrolled(c)
		for name, signIn := range map[string]func() *browser{
			"password": func() *browser {
				b := e.browser(t)
				b.post("/login", "email", alice, "password", first).sends(t, "/login/second-factor?return_to=%2Faccount")
				return b
			},
			"mailed code": func() *browser {
				b, _, code := e.started(t, "/login/link", alice)
				b.post("/login/link/sent", "code", code).sends(t, "/login/second-factor?return_to=%2Faccount")
				return b
			},
			"mailed link": func() *browser {
				_, token, _ := e.started(t, "/login/link", alice)
				b := e.browser(t)
				b.post("/login/link/open", "token", token).sends(t, "/login/second-factor?return_to=%2Faccount")
				return b
			},
			"new password": func() *browser {
				b, _, code := e.started(t, "/reset", alice)
				b.post("/reset/sent", "code", code, "password", first).sends(t, "/login/second-factor?return_to=%2Faccount%3Fnotice%3Dpassword-set")
				return b
			},
		} {
			b := signIn()
			if b.cookie(cookie.Session) != "" {
				t.Errorf("%s: a session without the second factor", name)
			}
			c.pass(time.Minute)
			b.post("/login/second-factor", "method", "totp", "code", codeAt(t, key, c.now())).sends(t, "/account")
		}
	})
}

// TestSecondFactor_enroll: who must have one and has none adds one in the middle of the sign-in, and gets recovery codes.
func TestSecondFactor_enroll(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{Settings: flow.Settings{RequireSecondFactor: true}}, func(t *testing.T, e *env, c *clock) {
		b := e.browser(t)
		b.post("/register", "email", alice, "password", first)
		_, code := e.mail(t, alice)
		b.post("/register/check-mail", "code", code).sends(t, "/login/second-factor?return_to=%2Faccount")
		p := b.get("/login/second-factor?return_to=%2Faccount")
		p.shows(t, 200, "Add a second factor", `action="/login/second-factor/authenticator"`, "method=passkey")
		p.hides(t, "data:image", "Don't ask again")
		b.get("/login/second-factor?method=passkey").shows(t, 200, `data-passkey="register"`, `data-options="/login/second-factor/passkey/options"`, `action="/login/second-factor"`)
		b.post("/login/second-factor/authenticator", "return_to", "/threadline").sends(t, "/login/second-factor?method=totp&return_to=%2Fthreadline")
		p = b.get("/login/second-factor?method=totp&return_to=%2Fthreadline")
		p.shows(t, 200, "data:image/png;base64,", "otpauth://totp/", `autocomplete="one-time-code"`)
		if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "img-src 'self' data:") {
			t.Errorf("the picture can't be shown: %s", csp)
		}
		key := p.key(t)
		wrong := b.post("/login/second-factor", "method", "totp", "code", "000000", "return_to", "/threadline")
		wrong.shows(t, 401, "That code is not right")
		if wrong.key(t) != key {
			t.Error("another secret after a wrong code")
		}
		shown := b.post("/login/second-factor", "method", "totp", "code", codeAt(t, key, c.now()), "return_to", "/threadline")
		shown.shows(t, 200, "Your recovery codes", `href="/threadline"`)
		shown.hides(t, `name="lang"`) // a change of language would lose them
		if len(shown.codes()) != 10 || b.cookie(cookie.Session) == "" {
			t.Errorf("%d codes", len(shown.codes()))
		}
		b.get("/account").shows(t, 200, "10 codes are left", "two factors")
		// Sent once more, the form leads on.
		b.post("/login/second-factor", "method", "totp", "code", "000000", "return_to", "/threadline").sends(t, "/threadline")
	})
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		e.browser(t).get("/step-up").sends(t, "/login")
		b := e.member(t, alice)
		c.pass(10 * time.Minute)
		b.get("/account/email").sends(t, "/step-up?return_to=%2Faccount%2Femail")
		p := b.get("/step-up?return_to=%2Faccount%2Femail")
		p.shows(t, 200, "Confirm that it is you", `autocomplete="current-password"`, alice, `value="/account/email"`, "Sign in as somebody else", "Sign out")
		wrong := b.post("/step-up", "method", "password", "password", "nonsense", "return_to", "/account/email")
		wrong.shows(t, 401, "That is not the right password.", `href="#password"`)
		wrong.hides(t, "nonsense")
		before := b.cookie(cookie.Session)
		b.post("/step-up", "method", "password", "password", first, "return_to", "/account/email").sends(t, "/account/email")
		if b.cookie(cookie.Session) == before {
			t.Error("no new token")
		}
		b.get("/account/email").shows(t, 200, "New email address")
		b.post("/step-up", "method", "totp", "code", "123456").shows(t, 422, "Choose another way")

		// With a second factor the password is not enough.
		key, _ := b.enrolled(c)
		c.pass(10 * time.Minute)
		p = b.get("/step-up?return_to=%2Faccount%2Femail")
		p.shows(t, 200, "authenticator app shows", "/step-up?method=recovery_code&return_to=%2Faccount%2Femail")
		p.hides(t, `type="password"`)
		b.post("/step-up", "method", "password", "password", first).shows(t, 422)
		b.post("/step-up", "method", "totp", "code", codeAt(t, key, c.now()), "return_to", "https://evil.example/").sends(t, "/account")
		b.get("/account/email").shows(t, 200)
		b.get("/login?aal=aal2&return_to=%2Fthreadline").sends(t, "/threadline")
	})
}

// TestStepUp_mail: who has neither password nor passkey nor a second factor is sent a code.
func TestStepUp_mail(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		b := e.member(t, alice)
		id := e.accountID(t, alice)
		e.change(t, func(ctx context.Context, tx *store.Tx) error { return e.parts.Passwords.Erase(ctx, tx, id) })
		c.pass(10 * time.Minute)
		b.get("/step-up?return_to=%2Faccount%2Femail").shows(t, 200, "We email you a code.", `action="/step-up/mail"`)
		b.post("/step-up/mail", "return_to", "/account/email").sends(t, "/step-up?return_to=%2Faccount%2Femail")
		b.get("/step-up?return_to=%2Faccount%2Femail").shows(t, 200, "Enter the code we emailed you.", `autocomplete="one-time-code"`)
		_, code := e.mail(t, alice)
		b.post("/step-up", "method", "mail", "code", "000000", "return_to", "/account/email").shows(t, 401, "That code is not right")
		b.post("/step-up", "method", "mail", "code", code, "return_to", "/account/email").sends(t, "/account/email")
		if b.cookie(string(cookie.StepUp)) != "" {
			t.Error("the flow stays in the browser")
		}
	})
}

// TestProofOfWork: after many failures the form asks for a proof and says how long it takes without one.
func TestProofOfWork(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		c := newClock()
		puzzles, err := ratelimit.NewPuzzles(ratelimit.PuzzleConfig{Marks: powMarks{}, Difficulty: 8, Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		backoff, err := ratelimit.NewBackoff(ratelimit.BackoffConfig{Name: "sign_in", After: ratelimit.Quota{Count: 2, Per: 15 * time.Minute}, Verifier: puzzles, Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		e := startWith(t, db, authtest.Options{Now: c.now, Backoff: backoff}, nil)
		e.member(t, alice)
		for _, email := range []string{alice, "nobody@example.com"} {
			b := e.browser(t)
			for range 2 {
				b.post("/login", "email", email, "password", "nonsense").shows(t, 401)
			}
			p := b.post("/login", "email", email, "password", "nonsense", "return_to", "/threadline")
			p.shows(t, 429, "Your browser does a small calculation first.", `data-pow="`, email, `value="/threadline"`, "pow.js", "Please try again in")
			p.hides(t, "nonsense")
			if p.header.Get("Retry-After") == "" || !strings.Contains(p.header.Get("Content-Security-Policy"), "script-src 'self'") {
				t.Errorf("%v", p.header)
			}
			if email != alice {
				continue
			}
			puzzle, difficulty := p.find(t, `data-pow="([^"]+)"`), p.find(t, `data-pow-difficulty="(\d+)"`)
			d, err := strconv.Atoi(difficulty)
			if err != nil {
				t.Fatal(err)
			}
			solution, err := ratelimit.Solve(t.Context(), puzzle, d)
			if err != nil {
				t.Fatal(err)
			}
			c.pass(2 * time.Second)
			b.post("/login", "email", email, "password", first, "pow_challenge", puzzle, "pow_solution", "1.2.3").shows(t, 429, "The calculation was wrong")
			b.post("/login", "email", email, "password", first, "pow_challenge", puzzle, "pow_solution", solution).sends(t, "/account")
		}
	})
}

// TestScripts_onlyWhereNeeded holds that a page has the right to run a script only where it has one.
func TestScripts_onlyWhereNeeded(t *testing.T) {
	t.Parallel()
	e := start(t, storetest.Open(t, store.SQLite, sources...), nil)
	b := e.browser(t)
	for path, runs := range map[string]bool{"/login": true, "/register": false, "/reset": false, "/login/link": false, "/dev/mail": false, "/nothing": false} {
		p := b.get(path)
		csp := p.header.Get("Content-Security-Policy")
		if strings.Contains(csp, "script-src 'self'") != runs || strings.Contains(p.body, "<script") != runs || runs && !strings.Contains(csp, "connect-src 'self'") {
			t.Errorf("%s: %s", path, csp)
		}
	}
}

// TestPasskeys_refusals sends what the script never does.
func TestPasskeys_refusals(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		b := e.browser(t)
		b.postJSON("/login/passkey/options", `{"fields":{}}`).shows(t, 200, `"token":"`, `"challenge"`, `"userVerification":"required"`)
		b.postJSON("/login/passkey/finish", `{"token":"made up","credential":{}}`).shows(t, 401, "passkey_refused", "could not be verified")
		b.postJSON("/login/passkey/finish", `{`).shows(t, 422, "malformed_request")
		b.postJSON("/login/passkey/finish", `{"token":"`+strings.Repeat("x", 70<<10)+`"}`).shows(t, 413)
		b.post("/login/passkey/options").shows(t, 422, "malformed_request")
		b.postJSON("/login/second-factor/passkey/options", `{}`).shows(t, 401, "sign_in_expired")
		b.postJSON("/login/second-factor/passkey/finish", `{}`).shows(t, 401, "sign_in_expired")
		b.postJSON("/step-up/passkey/options", `{}`).shows(t, 401, "unauthenticated")
		e.member(t, alice).postJSON("/step-up/passkey/options", `{}`).shows(t, 404, "no_passkeys")
		r, err := http.NewRequestWithContext(t.Context(), "POST", e.base+"/login/passkey/options", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if p := b.do(r); p.status != 403 {
			t.Errorf("another site began a ceremony: %d", p.status)
		}
	})
}

// TestCaptcha: where a captcha provider stands in the place of the built-in calculation, its widget is on that page alone.
func TestCaptcha(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		judge, c := &captchaJudge{}, newClock() // nobody waits until no proof is asked for any more
		backoff, err := ratelimit.NewBackoff(ratelimit.BackoffConfig{Name: "sign_in", After: ratelimit.Quota{Count: 1, Per: 15 * time.Minute}, Verifier: judge, Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		e := startWith(t, db, authtest.Options{Now: c.now, Backoff: backoff}, nil)
		e.member(t, alice)
		b := e.browser(t)
		b.post("/login", "email", alice, "password", "nonsense").shows(t, 401)
		p := b.post("/login", "email", alice, "password", "nonsense")
		p.shows(t, 429, `<div class="cf-turnstile" data-sitekey="site-key"></div>`, `src="https://challenges.cloudflare.com/turnstile/v0/api.js"`, `name="captcha" value="turnstile"`)
		csp := p.header.Get("Content-Security-Policy")
		for _, directive := range []string{"script-src https://challenges.cloudflare.com 'self'", "frame-src https://challenges.cloudflare.com", "default-src 'none'"} {
			if !strings.Contains(csp, directive) {
				t.Errorf("no %q in %s", directive, csp)
			}
		}
		b.get("/login").hides(t, "cloudflare")
		c.pass(2 * time.Second) // with a proof, too, attempts are apart
		b.post("/login", "email", alice, "password", first, "captcha", "turnstile", "cf-turnstile-response", "the widget's token").sends(t, "/account")
		if judge.got.Load() != "the widget's token" {
			t.Errorf("judged %q", judge.got.Load())
		}
	})
}

// captchaJudge asks for a captcha and takes every answer.
type captchaJudge struct{ got atomic.Value }

func (*captchaJudge) Issue(string, int) ratelimit.Challenge {
	return ratelimit.Challenge{Kind: ratelimit.Captcha, Provider: "turnstile", SiteKey: "site-key"}
}

func (j *captchaJudge) Verify(_ context.Context, _ string, _ int, p ratelimit.Proof) (ratelimit.Ticket, error) {
	if p.Solution == "" {
		return ratelimit.Ticket{}, ratelimit.ErrProof
	}
	j.got.Store(p.Solution)
	return ratelimit.NewTicket(ratelimit.Captcha, p.Solution, time.Now().Add(time.Minute)), nil
}
