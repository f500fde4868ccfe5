package web_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web"
)

// usernames is the pages where accounts have one.
func usernames(t testing.TB, db *store.DB, mode flow.Usernames) *env {
	t.Helper()
	return startWith(t, db, authtest.Options{Settings: flow.Settings{Usernames: mode}}, func(c *web.Config) { c.Usernames = mode })
}

func TestUsername(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		e := usernames(t, db, flow.OptionalUsernames)
		b := e.browser(t)
		b.get("/login").shows(t, 200, "Email or username", `name="email"`, `type="text"`)
		b.get("/register").shows(t, 200, "Username (optional)", "3 to 32 letters and digits")
		b.post("/register", "email", alice, "username", "x", "password", first).shows(t, 422, `aria-invalid="true"`, "A username has 3 to 32", `value="x"`)
		b.post("/register", "email", alice, "username", "Alice.L", "password", first).sends(t, "/register/check-mail")

		// Another browser takes the name while this one waits for its mail.
		_, code := e.mail(t, alice)
		other := e.browser(t)
		other.post("/register", "email", "bob@example.com", "username", "alice.l", "password", next).sends(t, "/register/check-mail")
		_, others := e.mail(t, "bob@example.com")
		other.post("/register/check-mail", "code", others).sends(t, "/account")
		b.post("/register/check-mail", "code", code).sends(t, "/account/username?notice=username-taken")
		b.get("/account/username?notice=username-taken").shows(t, 200, "Somebody else has the username by now", "You have no username")
		b.post("/account/username", "username", "ALICE.L").shows(t, 409, "This username is taken.", `aria-invalid="true"`)
		b.post("/account/username", "username", " ").shows(t, 422, "Choose a username.")
		b.post("/account/username", "username", "Alice").sends(t, "/account?notice=username-changed")
		b.get("/account?notice=username-changed").shows(t, 200, "Your username is changed.", "Alice")
		e.browser(t).post("/register", "email", "carol@example.com", "username", "aLICE", "password", next).shows(t, 409, "This username is taken.")

		c := e.browser(t)
		c.post("/login", "email", "alice", "password", next).shows(t, 401, "The email address, the username or the password is wrong.")
		c.post("/login", "email", "alice", "password", first).sends(t, "/account")
		c.get("/account/username").shows(t, 200, "Your username is", "Do without one")
		c.post("/account/username", "remove", "1").sends(t, "/account?notice=username-removed")
		c.get("/account").shows(t, 200, "A second name to sign in with")

		e.browser(t).get("/account/username").sends(t, "/login?return_to=%2Faccount%2Fusername")
	})
}

// Without usernames there is no word of them.
func TestUsername_off(t *testing.T) {
	t.Parallel()
	e := start(t, storetest.Open(t, store.SQLite, sources...), nil)
	b := e.browser(t)
	b.signUp(alice, first)
	b.get("/account/username").shows(t, 404)
	for _, path := range []string{"/register", "/account"} {
		if p := b.get(path); strings.Contains(p.body, "Username") {
			t.Errorf("%s speaks of usernames", path)
		}
	}
}

// TestUsernameBrowser looks at the pages with usernames.
func TestUsernameBrowser(t *testing.T) {
	t.Parallel()
	e := usernames(t, storetest.Open(t, store.SQLite, sources...), flow.RequiredUsernames)
	run := runner(t, chrome(t))
	run("sign up", chromedp.Navigate(e.base+"/register"), arrive("Create your account"), shots(t, "80-register"), typed("#email", alice), typed("#username", "Alice"),
		typed("#password", first), submit("Check your email"))
	_, code := e.mail(t, alice)
	run("confirm", typed("#code", code), press(), arrive("Your account"), shots(t, "81-account"))
	run("change it", chromedp.Navigate(e.base+"/account/username"), arrive("Username"), shots(t, "82-username"), typed("#username", "ليلى"), press(), arrive("Your account"),
		until(`document.body.textContent.includes("ليلى")`), shots(t, "83-changed", looks[0]))
	run("refused", chromedp.Navigate(e.base+"/account/username"), arrive("Username"), typed("#username", "a b"), press(), there(`[role=alert]`), shots(t, "84-refused", looks[0]))
	run("sign in", chromedp.Navigate(e.base+"/login?switch=1"), arrive("Sign in"), shots(t, "85-login", looks[0]), typed("#email", "ليلى"), typed("#password", first), press(),
		arrive("Your account"))
}
