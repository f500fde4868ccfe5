package web_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/federation/federationtest"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// TestProviderBrowser links a login elsewhere to an account, signs in with it and unlinks it, in a real browser, which goes to a real
// provider and back.
func TestProviderBrowser(t *testing.T) {
	t.Parallel()
	chromium := chrome(t)
	if err := chromedp.Do(chromium); err != nil {
		t.Fatal(err)
	}
	storetest.One(t, sources, func(t *testing.T, db *store.DB) {
		e := start(t, db, nil)
		p := federationtest.New(t)
		p.BaseURL = e.base
		e.parts.Logins.Use(p.Directory(t))
		own := e.member(t, alice)
		run := runner(t, window(t, chromium))
		text := func(part string) step {
			return until(`document.querySelector("main").textContent.includes(` + quote(part) + `)`)
		}
		providers := `form[action="/login/provider/example"] button`

		// Refused there: back on the account's page, with nothing linked.
		run("account", e.goesOnAs(own), e.open("/account", "Your account"), chosen(`a[href="/account/logins"]`), arrive("Linked logins"))
		p.Set(federationtest.Hooks{Answer: func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }})
		run("refused", chosen(`button[name="provider"]`), arrive("Example was not linked"), text("it was cancelled or refused there"), chosen(`main a`), arrive("Linked logins"), text("None is linked."))

		// Linked. A provider that answers nothing leaves the person on the page in between, and its link leads on.
		p.Set(federationtest.Hooks{TakeOver: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/authorize" {
				w.WriteHeader(http.StatusNoContent)
			}
			return r.URL.Path == "/authorize"
		}})
		run("leave", chosen(`button[name="provider"]`), arrive("Going on to Example"), awaits(func() bool { return p.Hits("/authorize") == 2 }), shots(t, "95-leaving"))
		p.Set(federationtest.Hooks{})
		run("linked", chosen(`main a.button`), arrive("Linked logins"), there(`[role=status]`), text("ada@example.org"), shots(t, "96-linked"))
		run("sign in with it", leave(), chosen(providers), arrive("Your account"), text(alice))

		// Unlinked: the same login is somebody new from then on.
		run("unlink", e.open("/account/logins", "Linked logins"), chosen(`.items a`), arrive("Unlink Example?"), sent(), arrive("Linked logins"), there(`[role=status]`), text("None is linked."))
		run("somebody new", leave(), chosen(providers), arrive("Your account"), text("ada@example.org"))

		// The last way in stays.
		run("last way in", e.open("/account/logins", "Linked logins"), chosen(`.items a`), arrive("Unlink Example?"), sent(), arrive("This is your last way in"), shots(t, "97-last-way"))
		run("still there", e.open("/account/logins", "Linked logins"), there(`.items a`), leave(), chosen(providers), arrive("Your account"), text("ada@example.org"))

		// Somebody else's login can't be linked to a second account.
		run("somebody else's", e.goesOnAs(e.member(t, "bob@example.com")), e.open("/account/logins", "Linked logins"), chosen(`button[name="provider"]`), arrive("Example was not linked"), text("linked to another account"),
			chosen(`main a`), arrive("Linked logins"), text("None is linked."))
	})
}
