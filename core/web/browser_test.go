package web_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web/browsertest"
)

// chrome gives a window of the package's browser.
func chrome(t *testing.T) context.Context {
	t.Helper()
	return window(t, browsertest.Chromium(t))
}

// window is one that shares nothing with the browser's others: neither cookies nor history.
func window(t *testing.T, browser context.Context) context.Context {
	t.Helper()
	return browsertest.Window(t, browser)
}

type (
	step = browsertest.Step
	look = browsertest.Look
)

var (
	looks  = browsertest.Looks
	press  = browsertest.Press
	submit = browsertest.Submit
	arrive = browsertest.Arrive
	until  = browsertest.Until
	awaits = browsertest.Awaits
	click  = browsertest.Click
	typed  = browsertest.Typed
	there  = browsertest.There
)

// shots takes pictures of the page at hand, where pictures are wanted, and holds in every look that nothing sticks out of the screen and
// that axe-core finds nothing. Without looks it takes all of them.
func shots(t *testing.T, name string, in ...look) step {
	all := len(in) == 0
	if all {
		in = looks
	}
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		path, err := chromedp.Evaluate[string](`location.pathname`)(ctx, tab)
		if err != nil {
			return err
		}
		sawPage(path)
		seen := 0
		_, err = browsertest.Shots(t, name, in, func(ctx context.Context, tab *chromedp.Target, l look) error {
			// The first look and the last differ in width and in scheme: there is nothing left for axe-core in those between.
			if seen++; all && seen > 1 && seen < len(in) {
				return nil
			}
			return accessible(ctx, t, tab, name+" at "+l.Name, seen > 1)
		})(ctx, tab)
		return err
	})
}

// refused waits for the page that says what is wrong. The forms for passkeys have an alert, too, which is hidden at first.
func refused() step { return there(`[role=alert]:not([hidden])`) }

// focused is the element that has the focus, in a frame if need be.
const focused = `((e) => { while (e?.contentDocument?.activeElement) e = e.contentDocument.activeElement; return e; })(document.activeElement)`

// tabTo presses the Tab key until an element has the focus, and holds that one sees where it is.
func tabTo(css string) step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		for range 80 {
			ok, err := chromedp.Evaluate[bool](focused+`?.matches(`+quote(css)+`) ?? false`)(ctx, tab)
			if err != nil {
				return err
			}
			if ok {
				seen, err := chromedp.Evaluate[bool](`((s) => s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(`+focused+`))`)(ctx, tab)
				if err == nil && !seen {
					err = fmt.Errorf("%s has the focus, and one does not see it", css)
				}
				return err
			}
			if _, err := chromedp.KeyEvent("\t")(ctx, tab); err != nil {
				return err
			}
		}
		return fmt.Errorf("the Tab key does not get to %s", css)
	})
}

// By keyboard alone: keyed fills a field, chosen follows a link, presses a button or ticks a box, and sent presses the page's own button.
func keyed(css, text string) step { return chromedp.Steps(tabTo(css), chromedp.KeyEvent(text)) }
func chosen(css string) step      { return chromedp.Steps(tabTo(css), chromedp.KeyEvent("\r")) }
func ticked(css string) step      { return chromedp.Steps(tabTo(css), chromedp.KeyEvent(" ")) }
func sent() step                  { return chosen(`main form button`) }

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

// runner does steps in a window, and shows where they got stuck. What the browser's console complains of in the meantime (a policy
// violation, an asset that is missing) fails the test.
func runner(t *testing.T, window context.Context) func(what string, steps ...step) {
	t.Helper()
	return browsertest.Use(t, window).Do
}

func TestBrowser(t *testing.T) {
	t.Parallel()
	e := start(t, storetest.Open(t, store.SQLite, sources...), nil)
	ctx := chrome(t)

	run := runner(t, ctx)
	value := func(css string) string {
		t.Helper()
		v, err := chromedp.Run(ctx, chromedp.Value(chromedp.CSS(css)))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	const mailbox = "ada@example.org"

	run("open", chromedp.Navigate(e.base+"/"), arrive("Sign in"), shots(t, "01-login"))
	run("to sign-up", click(`.aside a`), arrive("Create your account"), shots(t, "02-register"))
	run("refused", typed("#email", mailbox), typed("#password", "my ada@example.org password"), press(), refused(), shots(t, "03-register-refused"))
	if kept, secret := value("#email"), value("#password"); kept != mailbox || secret != "" {
		t.Errorf("the form came back with %q and %q", kept, secret)
	}
	run("sign up", typed("#password", first), submit("Check your email"), shots(t, "04-check-mail"))
	if _, err := e.queue.Dispatch(ctx); err != nil {
		t.Fatal(err)
	}
	run("inbox", click(`main .notice a`), arrive("Development inbox"), shots(t, "05-dev-inbox"))
	run("open the mail", click(`.mails a`), there(`div.letter a`), shots(t, "06-dev-message"))
	run("follow the link", click(`div.letter a`), arrive("Confirm your email address"), shots(t, "07-confirm"))
	run("confirm", submit("Your account"), shots(t, "08-account"))
	run("sign out", click(`.leave button`), arrive("Sign in"), shots(t, "09-signed-out"))
	run("wrong password", typed("#email", mailbox), typed("#password", "nonsense"), press(), refused(), shots(t, "10-login-refused"))
	run("sign in", typed("#password", first), submit("Your account"))
	run("to the password", click(`.rows a[href="/account/password"]`), arrive("Change password"), shots(t, "11-password"))
	run("change it", typed("#current", first), typed("#password", next), submit("Your account"), there(`[role=status]`), shots(t, "12-changed"))
	run("a plugin's page", click(`.top nav a[href="/threadline"]`), arrive("Activity"), shots(t, "15-plugin"))
	run("nothing here", chromedp.Navigate(e.base+"/nothing"), arrive("Nothing here"), shots(t, "13-nothing"))
	run("expired", chromedp.Navigate(e.base+"/confirm"), arrive("This link has expired"), shots(t, "14-expired"))

	// By keyboard alone: the first Tab stop is the way past the navigation.
	run("keyboard", click(`.brand`), arrive("Your account"), chromedp.KeyEvent("\t"))
	if focused, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.activeElement.className`)); err != nil || focused != "skip" {
		t.Errorf("the first Tab stop is %q (%v)", focused, err)
	}
}
