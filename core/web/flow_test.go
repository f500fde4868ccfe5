package web_test

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/net/html"

	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web"
)

// page is an answer, read.
type page struct {
	status   int
	location string
	header   http.Header
	body     string
}

func (b *browser) do(r *http.Request) page {
	b.t.Helper()
	if b.agent != "" {
		r.Header.Set("User-Agent", b.agent)
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	r.Header.Set("Accept-Language", b.language)
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	p := page{res.StatusCode, res.Header.Get("Location"), res.Header, string(body)}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		b.inspect(r.URL.Path, p)
	}
	return p
}

// inspect holds what every page must be.
func (b *browser) inspect(path string, p page) {
	b.t.Helper()
	if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") ||
		!strings.Contains(csp, "frame-ancestors 'none'") && path != "/login/link/status" {
		b.t.Errorf("%s: policy %q", path, csp)
	}
	if p.header.Get("Cache-Control") != "no-store" {
		b.t.Errorf("%s: Cache-Control %q", path, p.header.Get("Cache-Control"))
	}
	for _, f := range inline(p.body) {
		b.t.Errorf("%s: inline %s", path, f)
	}
	if strings.Count(p.body, "<h1") != 1 || !strings.Contains(p.body, `<html lang="`+cmp.Or(b.language, "en")+`"`) || !strings.Contains(p.body, `<main id="main">`) {
		b.t.Errorf("%s: no heading, language or main part", path)
	}
	if b.language == "ar" {
		b.latin(path, p)
	}
	ids, labelled := map[string]bool{}, map[string]bool{}
	var inputs []html.Token
	for z := html.NewTokenizer(strings.NewReader(p.body)); z.Next() != html.ErrorToken; {
		tag := z.Token()
		for _, a := range tag.Attr {
			if a.Key == "id" {
				if ids[a.Val] {
					b.t.Errorf("%s: id %s twice", path, a.Val)
				}
				ids[a.Val] = true
			}
		}
		if tag.Data == "label" {
			labelled[attr(tag, "for")] = true
		}
		if tag.Data == "input" && attr(tag, "type") != "hidden" {
			inputs = append(inputs, tag)
		}
	}
	for _, in := range inputs {
		if !labelled[attr(in, "id")] {
			b.t.Errorf("%s: input %s has no label", path, attr(in, "name"))
		}
		if attr(in, "type") == "password" && (attr(in, "value") != "" || attr(in, "autocomplete") == "") {
			b.t.Errorf("%s: a password field with a value or without autocomplete", path)
		}
		for id := range strings.FieldsSeq(attr(in, "aria-describedby")) {
			if !ids[id] {
				b.t.Errorf("%s: described by %s, which is not there", path, id)
			}
		}
	}
}

func attr(tag html.Token, name string) string {
	for _, a := range tag.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func (b *browser) get(path string) page {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.e.base + path
	}
	r, err := http.NewRequestWithContext(b.t.Context(), "GET", path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

func (b *browser) post(path string, pairs ...string) page {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(b.t.Context(), "POST", b.e.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", b.e.base)
	return b.do(r)
}

func (b *browser) postJSON(path, body string) page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), "POST", b.e.base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", b.e.base)
	return b.do(r)
}

func (p page) sends(t testing.TB, want string) {
	t.Helper()
	if p.status != http.StatusSeeOther || p.location != want {
		t.Fatalf("got %d to %q, want to be sent to %q: %s", p.status, p.location, want, p.body)
	}
}

func (p page) shows(t testing.TB, status int, words ...string) {
	t.Helper()
	if p.status != status {
		t.Fatalf("status %d, want %d: %s", p.status, status, p.body)
	}
	text := html.UnescapeString(p.body)
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in %s", w, p.body)
		}
	}
}

var (
	linkIn = regexp.MustCompile(`http://localhost:\d+(/(?:confirm|invitation|set-password|login/link|account/email/confirm|account/email/undo)\?token=\S+)`)
	codeIn = regexp.MustCompile(`\b(\d{3}[ -]?\d{3})\b`)
)

// mail delivers what is waiting and gives the newest message to an address that has a link or a code: its link's path and its code.
func (e *env) mail(t testing.TB, to string) (link, code string) {
	t.Helper()
	if _, err := e.queue.Dispatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := e.inbox.List(t.Context(), to)
	if err != nil || len(list) == 0 {
		t.Fatalf("no mail for %s: %v", to, err)
	}
	for _, m := range list { // not a notice, such as that of a new device
		if found := linkIn.FindStringSubmatch(m.Text); found != nil {
			link = found[1]
		}
		if found := codeIn.FindStringSubmatch(strings.ReplaceAll(m.Text, link, "")); found != nil {
			code = found[1]
		}
		if link != "" || code != "" {
			break
		}
	}
	return link, code
}

const (
	alice = "alice@example.com"
	first = "correct horse battery"
	next  = "staple after staple"
)

// signUp registers and confirms by the code.
func (b *browser) signUp(email, password string) {
	b.t.Helper()
	b.post("/register", "email", email, "password", password).sends(b.t, "/register/check-mail")
	_, code := b.e.mail(b.t, email)
	b.post("/register/check-mail", "code", code).sends(b.t, "/account")
}

func TestWalk(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		b := e.browser(t)
		b.get("/").sends(t, "/login")
		b.get("/login").shows(t, 200, "Sign in", `autocomplete="username webauthn"`, `autocomplete="current-password"`, "/register")
		b.get("/account").sends(t, "/login?return_to=%2Faccount")
		b.get("/register").shows(t, 200, "Create your account", `autocomplete="new-password"`, "At least 8 characters")

		b.post("/register", "email", alice, "password", first).sends(t, "/register/check-mail")
		if b.cookie(string(cookie.SignUp)) == "" || b.cookie(cookie.Session) != "" {
			t.Fatal("after signing up there is a flow and no session")
		}
		b.get("/register/check-mail").shows(t, 200, "Check your email", `autocomplete="one-time-code"`, `inputmode="numeric"`, "/dev/mail")
		_, code := e.mail(t, alice)
		wrong := b.post("/register/check-mail", "code", "000000")
		wrong.shows(t, 401, `role="alert"`, "That code is not right", `aria-invalid="true"`)
		b.post("/register/check-mail", "code", " "+code[:3]+"-"+code[3:]+" ").sends(t, "/account")
		if b.cookie(string(cookie.SignUp)) != "" || b.cookie(cookie.Session) == "" {
			t.Fatal("after confirming there is a session and no flow")
		}
		b.get("/account").shows(t, 200, "Your account", alice, "/account/password", "/threadline", "Activity", "Sign out")
		b.get("/").sends(t, "/account")
		b.get("/login").sends(t, "/account")
		b.get("/register/check-mail").sends(t, "/account")

		before := b.cookie(cookie.Session)
		b.get("/logout").shows(t, 200, "Sign out?")
		out := b.post("/logout")
		out.sends(t, "/login?notice=signed-out")
		if b.cookie(cookie.Session) != "" || out.header.Get("Clear-Site-Data") != "" {
			t.Error("signing out left something behind")
		}
		b.get("/login?notice=signed-out").shows(t, 200, "You are signed out.")
		b.get("/account").sends(t, "/login?return_to=%2Faccount")

		bad := b.post("/login", "email", alice, "password", "wrong password", "remember", "1")
		bad.shows(t, 401, "The email address or the password is wrong.", alice, "checked")
		if strings.Contains(bad.body, "wrong password") {
			t.Error("the password came back")
		}
		b.post("/login", "email", alice, "password", first).sends(t, "/account")
		if b.cookie(cookie.Session) == before {
			t.Error("the session token did not change")
		}

		b.get("/account/password").shows(t, 200, "Change password", `autocomplete="current-password"`, `autocomplete="new-password"`, alice)
		b.post("/account/password", "current", "nope nope nope", "password", next).shows(t, 403, "That is not the right password.", `href="#current"`)
		b.post("/account/password", "current", first, "password", "short").shows(t, 422, "at least 8 characters", `href="#password"`)
		other := e.browser(t)
		other.post("/login", "email", alice, "password", first).sends(t, "/account")
		before = b.cookie(cookie.Session)
		b.post("/account/password", "current", first, "password", next).sends(t, "/account?notice=password-changed")
		if b.cookie(cookie.Session) == before {
			t.Error("the session token did not change with the password")
		}
		b.get("/account?notice=password-changed").shows(t, 200, "Your password is changed", `role="status"`)
		other.get("/account").sends(t, "/login?return_to=%2Faccount")
		other.post("/login", "email", alice, "password", first).shows(t, 401)
		other.post("/login", "email", alice, "password", next, "remember", "1").sends(t, "/account")
	})
}

func TestConfirmByLink(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		b := e.browser(t)
		b.post("/register", "email", alice, "password", first).sends(t, "/register/check-mail")
		link, _ := e.mail(t, alice)
		token := strings.TrimPrefix(link, "/confirm?token=")
		// A mail scanner opens the link, twice, in a browser of its own.
		scanner := e.browser(t)
		for range 2 {
			p := scanner.get(link)
			p.shows(t, 200, "Confirm your email address", `type="password"`)
			if p.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("Referrer-Policy %q", p.header.Get("Referrer-Policy"))
			}
		}
		// In the browser that signed up one button is enough.
		p := b.get(link)
		p.shows(t, 200, "Confirm and sign in")
		if strings.Contains(p.body, `type="password"`) {
			t.Error("asked for the password in the browser that signed up")
		}
		b.post("/confirm", "token", token).sends(t, "/account")
		b.get("/account").shows(t, 200, alice)
		// Afterwards it is over.
		scanner.post("/confirm", "token", token, "password", first).shows(t, 410, "This link has expired")
		e.browser(t).get("/confirm").shows(t, 410, "incomplete")
		b.post("/confirm").shows(t, 410)
	})
}

// TestConfirmElsewhere is the victim of a stranger's sign-up, and a person with two devices: the link alone does nothing
// in another browser, the password chosen at sign-up does.
func TestConfirmElsewhere(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		e.browser(t).post("/register", "email", alice, "password", first).sends(t, "/register/check-mail")
		link, _ := e.mail(t, alice)
		token := strings.TrimPrefix(link, "/confirm?token=")
		phone := e.browser(t)
		phone.post("/confirm", "token", token).shows(t, 401, `type="password"`)
		phone.post("/confirm", "token", token, "password", "a guess of mine").shows(t, 401, "That is not the right password.", `aria-invalid="true"`)
		if phone.cookie(cookie.Session) != "" {
			t.Fatal("signed in without the password")
		}
		phone.post("/confirm", "token", token, "password", first).sends(t, "/account")

		// A browser with the cookie of another sign-up is asked, too.
		e.browser(t).post("/register", "email", "bob@example.com", "password", first)
		link, _ = e.mail(t, "bob@example.com")
		stale := e.browser(t)
		stale.post("/register", "email", "carol@example.com", "password", first)
		stale.post("/confirm", "token", strings.TrimPrefix(link, "/confirm?token=")).shows(t, 401, `type="password"`)
	})
}

// TestRegister_saysTheSameToEverybody compares the answers for a known and an unknown address.
func TestRegister_saysTheSameToEverybody(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		e.browser(t).signUp(alice, first)
		ask := func(email string) (page, page) {
			b := e.browser(t)
			return b.post("/register", "email", email, "password", next), b.get("/register/check-mail")
		}
		known, knownPage := ask(alice)
		unknown, unknownPage := ask("bobby@example.com")
		if known.status != unknown.status || known.location != unknown.location || known.body != unknown.body || knownPage.body != unknownPage.body {
			t.Errorf("known: %v, unknown: %v", known, unknown)
		}
		shape := func(p page) string {
			return regexp.MustCompile(`=[A-Za-z0-9_-]+;`).ReplaceAllStringFunc(p.header.Get("Set-Cookie"), func(s string) string { return strings.Repeat("x", len(s)) })
		}
		if shape(known) != shape(unknown) {
			t.Errorf("cookies: %q, %q", shape(known), shape(unknown))
		}
	})
}

func TestReturnToIsCarried(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		b := e.browser(t)
		b.get("/login?return_to=%2Fthreadline%3Fa%3D1").shows(t, 200, "/register?return_to=%2Fthreadline%3Fa%3D1", `value="/threadline?a=1"`)
		b.post("/register", "email", alice, "password", first, "return_to", "/threadline?a=1").sends(t, "/register/check-mail?return_to=%2Fthreadline%3Fa%3D1")
		_, code := e.mail(t, alice)
		b.post("/register/check-mail", "code", code, "return_to", "/threadline?a=1").sends(t, "/threadline?a=1")
		for asked, got := range map[string]string{
			"/threadline": "/threadline", "https://app.example.com/x": "https://app.example.com/x",
			"//evil.example": "/account", "https://evil.example": "/account", `/\evil.example`: "/account", "javascript:alert(1)": "/account",
		} {
			e.browser(t).post("/login", "email", alice, "password", first, "return_to", asked).sends(t, got)
		}
		b.get("/login?return_to=//evil.example").sends(t, "/account")
		// Who is signed in and must prove it anew does that, and does not sign in all over again.
		b.get("/login?return_to=%2Fthreadline&fresh=1").sends(t, "/step-up?return_to=%2Fthreadline")
		b.get("/login?return_to=%2Fthreadline&max_age=3600").sends(t, "/threadline")
		b.get("/login?return_to=%2Fthreadline&aal=aal2").sends(t, "/step-up?aal=aal2&return_to=%2Fthreadline")
		b.get("/step-up?aal=aal2&return_to=%2Fthreadline").shows(t, 403, "A second factor is needed")
		b.get("/login?return_to=%2Fthreadline&switch=1").shows(t, 200, "Sign in", `value="/threadline"`)
		before := b.cookie(cookie.Session)
		b.post("/login", "email", alice, "password", first, "return_to", "/threadline").sends(t, "/threadline")
		if b.cookie(cookie.Session) == before {
			t.Error("no new token at a new sign-in")
		}
		csp := b.get("/login?switch=1").header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "form-action 'self' https://app.example.com myapp:;") {
			t.Errorf("the form can't lead to the allowed origin: %s", csp)
		}
	})
}

// The account's pages lead back to the application that somebody came from, and signing out ends there when it asks so. What is not allowed is said.
func TestBackToTheApplication(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		var log bytes.Buffer
		e := start(t, db, func(c *web.Config) { c.Logger = hclog.New(&hclog.LoggerOptions{Output: &log}) })
		e.member(t, alice)
		b := e.browser(t)
		b.get("/login?return_to=https%3A%2F%2Fother.example%2Fx").shows(t, 200, "does not send people on")
		b.get("/login?return_to=https%3A%2F%2Fother.example%2Fy")
		if n := strings.Count(log.String(), "https://other.example"); n != 1 || !strings.Contains(log.String(), "sign_in.return_to") {
			t.Errorf("the log says it %d times: %s", n, log.String())
		}
		b.post("/login", "email", alice, "password", first, "return_to", "https://other.example/x").sends(t, "/account")
		b.get("/account").hides(t, "Back to")
		b.get("/account?return_to=https%3A%2F%2Fother.example%2Fx").hides(t, "Back to")
		b.get("/account?return_to=myapp%3A%2F%2Fsettings").shows(t, 200, `href="myapp://settings"`, "Back to myapp")

		b.post("/login", "email", alice, "password", first, "return_to", "https://app.example.com/orders/7?x=1").sends(t, "https://app.example.com/orders/7?x=1")
		b.get("/account/password").shows(t, 200, `href="https://app.example.com/"`, "Back to app.example.com")

		b.get("/logout?return_to=https%3A%2F%2Fapp.example.com%2Fbye").shows(t, 200, "Sign out?", `value="https://app.example.com/bye"`)
		b.post("/logout", "return_to", "https://app.example.com/bye").sends(t, "https://app.example.com/bye")
		b.get("/account").sends(t, "/login?return_to=%2Faccount")
		b.get("/logout?return_to=https%3A%2F%2Fapp.example.com%2Fbye").sends(t, "https://app.example.com/bye")
		b.get("/logout?return_to=https%3A%2F%2Fother.example").sends(t, "/login")
	})
}

func TestSetPassword(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		_, link, err := e.parts.CreateUser(t.Context(), audit.Ref{Type: "operator", ID: "0/root"}, administration.NewUser{Email: "admin@example.com", Administrator: true})
		if err != nil {
			t.Fatal(err)
		}
		token := link[strings.LastIndex(link, "=")+1:]
		b := e.browser(t)
		for range 2 {
			b.get("/set-password?token="+token).shows(t, 200, "Set your password", `autocomplete="new-password"`)
		}
		b.post("/set-password", "token", token, "password", "short").shows(t, 422, "at least 8 characters")
		b.post("/set-password", "token", token, "password", first).sends(t, "/account?notice=password-set")
		b.get("/account").shows(t, 200, "Administrator")
		e.browser(t).post("/set-password", "token", token, "password", next).shows(t, 410, "This link has expired")
		e.browser(t).post("/set-password", "token", "made-up", "password", next).shows(t, 410)
	})
}

func TestDevMail(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, e *env) {
		b := e.browser(t)
		b.get("/dev/mail").shows(t, 200, "Development only", "No emails yet")
		b.post("/register", "email", alice, "password", first)
		link, _ := e.mail(t, alice)
		list := b.get("/dev/mail")
		list.shows(t, 200, alice)
		m := regexp.MustCompile(`/dev/mail/[0-9a-f-]{36}`).FindString(list.body)
		msg := b.get(m)
		msg.shows(t, 200, `href="`+e.base+link+`"`, "sandbox=", "Development only")
		if !strings.Contains(msg.header.Get("Content-Security-Policy"), "frame-src 'self'") {
			t.Error("the frame can't load")
		}
		r, err := http.NewRequestWithContext(t.Context(), "GET", e.base+m+"/html", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := b.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "sandbox ") || strings.Contains(csp, "allow-scripts") || strings.Contains(csp, "allow-same-origin") || !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("policy of the message: %q", csp)
		}
		b.get("/dev/mail/nonsense").shows(t, 404, "Nothing here")
		b.get("/dev/mail/01890000-0000-7000-8000-000000000000").shows(t, 404)
	})
}
