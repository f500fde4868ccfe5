package web_test

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/federation/federationtest"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// provided runs a test on either database, with a provider beside Sigra.
func provided(t *testing.T, change func(*config.Provider), f func(t *testing.T, e *env, p *federationtest.Provider)) {
	t.Helper()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		p := federationtest.New(t)
		c := p.Config("example")
		if change != nil {
			change(&c)
		}
		e := start(t, db, nil)
		e.parts.Logins.Use(p.Directory(t, c))
		f(t, e, p)
	})
}

// away presses a provider's button, has the person agree there, and gives the path that the provider sends back to.
func (b *browser) away(p *federationtest.Provider, pairs ...string) string {
	b.t.Helper()
	return b.agrees(p, b.post("/login/provider/example", pairs...))
}

func (b *browser) agrees(p *federationtest.Provider, leaving page) string {
	b.t.Helper()
	leaving.shows(b.t, 200, "Going on to Example", "Continue")
	address := html.UnescapeString(leaving.find(b.t, `<meta http-equiv="refresh" content="0; url=([^"]+)">`))
	if !strings.HasPrefix(address, p.URL+"/") || !strings.Contains(leaving.body, `class="button" href="`) {
		b.t.Fatalf("leaving for %s", address)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), "GET", address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = res.Body.Close()
	at, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusFound {
		b.t.Fatalf("the provider answered %s", res.Status)
	}
	return at.RequestURI()
}

func TestProvider_signUpAndIn(t *testing.T) {
	t.Parallel()
	provided(t, nil, func(t *testing.T, e *env, p *federationtest.Provider) {
		b := e.browser(t)
		b.get("/login?return_to=%2Fthreadline").shows(t, 200, "Continue with Example", `action="/login/provider/example"`)
		back := b.away(p, "return_to", "/threadline")
		stranger := e.browser(t)
		stranger.get(back).shows(t, 401, "No sign-in through Example", "was begun in another browser", `action="/login/provider/example"`, `href="/login?return_to=%2Faccount"`)
		back = b.away(p, "return_to", "/threadline")
		res := b.get(back)
		res.sends(t, "/threadline")
		if b.cookie(cookie.Session) == "" || res.header.Get("Referrer-Policy") != "no-referrer" {
			t.Error("no session, or an address with a code in it is told to others")
		}
		b.get("/account").shows(t, 200, "ada@example.org", "Another provider", "Example")
		b.get(back).shows(t, 401, "was used already") // good once
		// The next time it is a sign-in.
		again := e.browser(t)
		again.get(again.away(p)).sends(t, "/account")
		again.get("/account").shows(t, 200, "ada@example.org")
		b.post("/login/provider/nobody").shows(t, 404)
		b.get("/login/callback/nobody?state=x").shows(t, 404)
		b.get("/login/provider/example").shows(t, 405)
	})
}

// TestProvider_join: an address that has an account here is not linked before that account's own credential was shown.
func TestProvider_join(t *testing.T) {
	t.Parallel()
	provided(t, nil, func(t *testing.T, e *env, p *federationtest.Provider) {
		const ada = "ada@example.org"
		e.member(t, ada)
		b := e.browser(t)
		b.get("/login/join").sends(t, "/login")
		b.get(b.away(p, "return_to", "/threadline")).sends(t, "/login/join?return_to=%2Fthreadline")
		if b.cookie(cookie.Session) != "" {
			t.Fatal("linked silently")
		}
		page := b.get("/login/join?return_to=%2Fthreadline")
		page.shows(t, 200, "Is this your account?", "Example says that your address is "+ada, `name="join" value="1"`, "readonly", `value="`+ada+`"`, "Sign in without linking")
		page.hides(t, "Continue with Example", "Create an account")
		b.post("/login", "email", ada, "password", "nonsense", "join", "1", "return_to", "/threadline").shows(t, 401, "Is this your account?", "is wrong", `name="join"`)
		// Who goes away and signs in as always links nothing.
		b.post("/login", "email", ada, "password", first).sends(t, "/account")
		if linked := b.get("/account/logins"); strings.Contains(linked.body, "/unlink") {
			t.Error("linked without a word")
		}
		b.post("/logout")

		b.get(b.away(p, "return_to", "/threadline")).sends(t, "/login/join?return_to=%2Fthreadline")
		b.post("/login", "email", ada, "password", first, "join", "1", "return_to", "/threadline").sends(t, "/threadline")
		b.get("/account/logins").shows(t, 200, "Unlink")
		if b.cookie(string(cookie.Join)) != "" {
			t.Error("what was linked still waits")
		}
		again := e.browser(t)
		again.get(again.away(p)).sends(t, "/account")

		// By a mailed link it is linked too, where the person leaves the box ticked.
		p.SetUser(federationtest.User{"sub": "another", "email": ada, "email_verified": true})
		c := e.browser(t)
		c.get(c.away(p)).sends(t, "/login/join?return_to=%2Faccount")
		c.post("/login/link", "email", ada).sends(t, "/login/link/sent")
		c.get("/login/link/sent").shows(t, 200, "Link my login at Example, too")
		_, code := e.mail(t, ada)
		c.post("/login/link/sent", "code", code, "join", "1").sends(t, "/account")
		if got := len(c.get("/account/logins").findAll(`href="(/account/logins/[0-9a-f-]{36}/unlink)"`)); got != 2 {
			t.Errorf("%d logins", got)
		}
		c.get("/login/join").sends(t, "/login")
	})
}

// TestProvider_confirm: an address that the provider does not vouch for is confirmed by mail, as at any sign-up.
func TestProvider_confirm(t *testing.T) {
	t.Parallel()
	provided(t, nil, func(t *testing.T, e *env, p *federationtest.Provider) {
		p.SetUser(federationtest.User{"sub": "1", "email": "grace@example.com", "email_verified": false})
		b := e.browser(t)
		b.get(b.away(p, "return_to", "/threadline")).sends(t, "/register/check-mail?return_to=%2Fthreadline")
		_, code := e.mail(t, "grace@example.com")
		b.post("/register/check-mail", "code", code, "return_to", "/threadline").sends(t, "/threadline")
		b.get("/account").shows(t, 200, "grace@example.com")
		p.SetUser(federationtest.User{"sub": "2"})
		e.browser(t).get(e.browser(t).away(p)).shows(t, 401)
		c := e.browser(t)
		c.get(c.away(p)).shows(t, 403, "did not say which email address is yours", "Sign in another way")
	})
}

func TestProvider_refusals(t *testing.T) {
	t.Parallel()
	provided(t, func(c *config.Provider) { c.SignUp = false }, func(t *testing.T, e *env, p *federationtest.Provider) {
		b := e.browser(t)
		refused := b.get(b.away(p))
		refused.shows(t, 403, "No sign-in through Example", "takes no sign-ups")
		refused.hides(t, "Try again")
		p.Set(federationtest.Hooks{Answer: func(v url.Values) {
			v.Del("code")
			v.Set("error", "access_denied")
			v.Set("error_description", "<b>the provider's words</b>")
		}})
		denied := b.get(b.away(p, "return_to", "/threadline"))
		denied.shows(t, 403, "it was cancelled or refused there", "Try again", `value="/threadline"`)
		denied.hides(t, "the provider's words")
		p.Set(federationtest.Hooks{TakeOver: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/token" {
				return false
			}
			http.Error(w, "down", http.StatusBadGateway)
			return true
		}})
		b.get(b.away(p)).shows(t, 503, "can't be reached", "Try again")
	})
}

// TestProvider_formPost: an answer that the provider posts comes without our cookies, changes nothing, and is sent on by GET.
func TestProvider_formPost(t *testing.T) {
	t.Parallel()
	provided(t, nil, func(t *testing.T, e *env, p *federationtest.Provider) {
		b := e.browser(t)
		back := b.away(p)
		path, query, _ := strings.Cut(back, "?")
		r, err := http.NewRequestWithContext(t.Context(), "POST", e.base+path, strings.NewReader(query+"&user=%7B%7D&other=x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", p.URL)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		bare := e.browser(t)
		posted := bare.do(r)
		if posted.status != http.StatusSeeOther || !strings.HasPrefix(posted.location, path+"?") || strings.Contains(posted.location, "other") || !strings.Contains(posted.location, "user=%7B%7D") {
			t.Fatalf("%d to %s: %s", posted.status, posted.location, posted.body)
		}
		b.get(posted.location).sends(t, "/account")
		// No other form may come from another site.
		r, err = http.NewRequestWithContext(t.Context(), "POST", e.base+"/login/provider/example", strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if p := b.do(r); p.status != 403 {
			t.Errorf("another site began a sign-in: %d", p.status)
		}
	})
}

func TestProvider_link(t *testing.T) {
	t.Parallel()
	provided(t, nil, func(t *testing.T, e *env, p *federationtest.Provider) {
		b := e.member(t, alice)
		back := b.agrees(p, b.post("/account/logins", "provider", "example"))
		b.get(back).sends(t, "/account/logins?notice=login-linked")
		b.get("/account/logins?notice=login-linked").shows(t, 200, "The login is linked.", "Unlink")
		// Somebody else's, by now.
		c := e.member(t, "carol@example.com")
		c.get(c.agrees(p, c.post("/account/logins", "provider", "example"))).shows(t, 409, "Example was not linked", "linked to another account", "Back to your account")
		// Another session than the one that began it.
		p.SetUser(federationtest.User{"sub": "third", "email": "c@example.com", "email_verified": true})
		back = c.agrees(p, c.post("/account/logins", "provider", "example"))
		c.post("/logout")
		c.get(back).shows(t, 401, "begun in another browser") // signing out took the browser's secret away
	})
}
