package web_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// TestNoScriptBrowser walks through everything but passkeys in a browser that runs no scripts.
func TestNoScriptBrowser(t *testing.T) {
	t.Parallel()
	chromium := chrome(t)
	if err := chromedp.Do(chromium); err != nil {
		t.Fatal(err)
	}
	storetest.One(t, sources, func(t *testing.T, db *store.DB) {
		c := newClock()
		e := startWith(t, db, authtest.Options{Now: c.now}, nil)
		ctx := window(t, chromium)
		run := runner(t, ctx)
		const old, mailbox = "ada@example.org", "ada@elsewhere.example"

		run("scripts off", command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
		run("sign up", e.open("/login", "Sign in"), until(`document.querySelector("form[data-passkey]").hidden`), chosen(`a[href="/register"]`), arrive("Create your account"),
			keyed("#email", old), keyed("#password", first), sent(), arrive("Check your email"))
		_, code := e.mail(t, old)
		run("confirm", keyed("#code", "000000"), sent(), refused(), keyed("#code", code), sent(), arrive("Your account"))

		// A passkey is the one thing that needs them, and the page says so.
		run("a passkey", e.open("/account/passkeys/new", "Add a passkey"), until(`document.querySelector("form[data-passkey]").hidden && document.querySelector(".otherwise").checkVisibility({visibilityProperty: true})`))

		// A second factor.
		run("an app", e.open("/account/authenticator", "Authenticator app"), sent(), there(".qr"))
		key, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector(".key").textContent`))
		if err != nil {
			t.Fatal(err)
		}
		now := func() string {
			c.pass(time.Minute)
			return codeAt(t, strings.ReplaceAll(key, " ", ""), c.now())
		}
		run("its code", keyed("#code", now()), sent(), arrive("Your recovery codes"))
		codes, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector(".codes code").textContent`))
		if err != nil {
			t.Fatal(err)
		}
		second := func() step {
			return chromedp.Steps(arrive("One more step"), keyed("#code", now()), sent(), arrive("Your account"))
		}
		run("sign in", chosen(`p.actions a`), leave(), keyed("#email", old), keyed("#password", "nonsense"), sent(), refused(), keyed("#password", first), sent(), second())
		run("by a recovery code", leave(), keyed("#email", old), keyed("#password", first), sent(), arrive("One more step"), chosen(`.links a[href*="recovery_code"]`),
			until(`location.search.includes("recovery_code")`), keyed("#code", codes), sent(), arrive("Your account"), leave())

		// A forgotten password.
		run("forgotten", chosen(`a[href="/reset"]`), arrive("Forgot your password?"), keyed("#email", old), sent(), arrive("Check your email"))
		_, code = e.mail(t, old)
		run("a new one", keyed("#code", code), keyed("#password", next), sent(), second(), leave())

		// By mail: with the code, and with the link opened elsewhere.
		run("by mail", chosen(`a[href="/login/link"]`), arrive("Sign in with an email link"), keyed("#email", old), sent(), arrive("Check your email"))
		_, code = e.mail(t, old)
		run("its code", keyed("#code", code), sent(), second(), leave())
		run("by mail", chosen(`a[href="/login/link"]`), arrive("Sign in with an email link"), keyed("#email", old), sent(), arrive("Check your email"))
		number, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector(".number strong").textContent`))
		if err != nil {
			t.Fatal(err)
		}
		link, _ := e.mail(t, old)
		e.browser(t).post("/login/link/approve", "token", tokenOf(link), "number", number).shows(t, 200)
		run("approved elsewhere", until(`!!document.querySelector("iframe").contentDocument?.querySelector("button")`), chosen(`form[target=_top] button`), second())

		// Another address.
		c.pass(10 * time.Minute)
		run("showing it anew", e.open("/account/email", "Confirm that it is you"), keyed("#code", now()), sent(), arrive("Email address"))
		run("an address", e.open("/account/email", "Email address"), keyed("#email", mailbox), sent(), arrive("Check the new mailbox"))
		_, code = e.mail(t, mailbox)
		run("changed", keyed("#code", code), sent(), arrive("Your account"), there(`[role=status]`), until(`document.querySelector(".lead").textContent.includes(`+quote(mailbox)+`)`))
		// Undone: what the stranger may have set up, or knows, is gone with it.
		run("a change undone", e.open(e.undo(t, old), "Undo the change of address"), sent(), arrive("Your address is back"))
		link, _ = e.mail(t, old)
		run("a password", e.open(link, "Set your password"), keyed("#password", first), sent(), arrive("Your account"), until(`document.querySelector(".lead").textContent.includes(`+quote(old)+`)`))
		c.pass(10 * time.Minute)
		run("showing it anew", e.open("/account/email", "Confirm that it is you"), keyed("#password", first), sent(), arrive("Email address"))
	})
}

// undo is the path of the link that takes a change of address back.
func (e *env) undo(t *testing.T, to string) string {
	t.Helper()
	link, _ := e.mail(t, to)
	if !strings.HasPrefix(link, "/account/email/undo?") {
		t.Fatalf("the old address got %q", link)
	}
	return link
}
