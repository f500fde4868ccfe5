package web_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// byButton has the browser wait for a button's press, where it would let a virtual authenticator answer by itself.
const byButton = `if (window.PublicKeyCredential) {
	PublicKeyCredential.isConditionalMediationAvailable = () => Promise.resolve(false);
	PublicKeyCredential.getClientCapabilities = () => Promise.resolve({conditionalGet: false, conditionalCreate: false});
}`

func forget(name string, base string) step {
	return command(network.DeleteCookies, network.DeleteCookiesParams{Name: name, URL: base})
}

func (e *env) open(path, heading string) step {
	return chromedp.Steps(chromedp.Navigate(e.base+path), arrive(heading))
}

func (e *env) speaks(language string) step {
	yes := true
	return command(network.SetCookie, network.SetCookieParams{Name: cookie.Language, Value: language, URL: e.base, Path: "/", Secure: &yes, HTTPOnly: &yes})
}

// mailedPath is the path of the newest link to an address.
func (e *env) mailedPath(t *testing.T, to string) string {
	link, _ := e.mail(t, to)
	return link
}

// TestSignInBrowser walks the ways to sign in in a real browser: passwords, mails, second factors and passkeys.
func TestSignInBrowser(t *testing.T) {
	t.Parallel()
	c := newClock()
	e := startWith(t, storetest.Open(t, store.SQLite, sources...), authtest.Options{Now: c.now, Providers: []config.Provider{github}}, nil)
	ctx := chrome(t)
	run := runner(t, ctx)
	const mailbox = "ada@example.org"
	own := e.browser(t)
	own.signUp(mailbox, first)

	run("begin", command(webauthn.Enable, webauthn.EnableParams{}), command(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: byButton}))
	run("sign in", e.open("/login", "Sign in"), there(`form[data-passkey]:not([hidden])`), shots(t, "50-login"))

	// By keyboard alone: the cursor is in the first field, and Enter sends.
	run("keyboard", chromedp.KeyEvent(mailbox), chromedp.KeyEvent("\t"), chromedp.KeyEvent("nonsense"), chromedp.KeyEvent("\r"), there(`[role=alert]`))
	run("keyboard again", until(`document.activeElement.id === "password"`), chromedp.KeyEvent(first), chromedp.KeyEvent("\r"), arrive("Your account"), click(`.leave button`), arrive("Sign in"))

	// A forgotten password.
	run("forgotten", click(`a[href="/reset"]`), arrive("Forgot your password?"), shots(t, "51-reset"), typed("#email", mailbox), press(), arrive("Check your mail"), shots(t, "52-reset-sent"))
	_, code := e.mail(t, mailbox)
	run("a bad password", typed("#code", code), typed("#password", "for ada@example.org"), press(), there(`[role=alert]`), shots(t, "53-reset-refused"))
	run("a new one", chromedp.SetValue(chromedp.CSS("#password"), next), press(), arrive("Your account"), there(`[role=status]`), click(`.leave button`), arrive("Sign in"))

	// By mail: here, and from another device.
	run("by mail", click(`a[href="/login/link"]`), arrive("Sign in by mail"), shots(t, "54-link"), typed("#email", mailbox), press(), arrive("Check your mail"),
		until(`!!document.querySelector("iframe").contentDocument?.querySelector("[role=status]")`), shots(t, "55-link-sent"))
	link := e.mailedPath(t, mailbox)
	run("opened here", e.open(link, "Sign in"), shots(t, "56-link-open"), press(), arrive("Your account"), click(`.leave button`), arrive("Sign in"))
	run("once more", e.open("/login/link", "Sign in by mail"), typed("#email", mailbox), press(), arrive("Check your mail"))
	number, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(".number strong")))
	if err != nil {
		t.Fatal(err)
	}
	link = e.mailedPath(t, mailbox)
	phone := e.browser(t)
	token := link[strings.Index(link, "token=")+len("token="):]
	run("typed meanwhile", typed("#code", "12"))
	phone.post("/login/link/approve", "token", token, "number", number).shows(t, 200)
	run("approved elsewhere", until(`!!document.querySelector("iframe").contentDocument?.querySelector("button")`), shots(t, "57-link-approved"))
	if kept, err := chromedp.Run(ctx, chromedp.Value(chromedp.CSS("#code"))); err != nil || kept != "12" {
		t.Errorf("while the page looked, what was typed became %q (%v)", kept, err)
	}
	run("go on", pressInFrame(), arrive("Your account"), click(`.leave button`), arrive("Sign in"))
	_, token, _ = e.started(t, "/login/link", mailbox)
	run("from elsewhere", e.open("/login/link?token="+token, "Who is to be signed in?"), shots(t, "58-link-elsewhere"))
	run("a wrong number", typed("#number", "xx"), press(), arrive("This link is over"), shots(t, "59-link-void"))
	_, token, _ = e.started(t, "/login/link", mailbox)
	phone.post("/login/link/approve", "token", token, "number", "no")
	run("over", e.open("/login/link?token="+token, "This link is over"))

	// A login elsewhere that has this address.
	fed, err := e.auth.SignInFederated(t.Context(), federation.Claims{Provider: "github", Issuer: "https://github.com", Subject: "7", Email: mailbox, EmailVerified: true}, true, "")
	if err != nil || fed.Link == nil {
		t.Fatalf("%+v, %v", fed, err)
	}
	yes := true
	run("join", command(network.SetCookie, network.SetCookieParams{Name: string(cookie.Join), Value: fed.Link.Flow, URL: e.base, Path: "/", Secure: &yes, HTTPOnly: &yes}),
		e.open("/login/join", "Is this your account?"), shots(t, "60-join"), typed("#password", next), press(), arrive("Your account"))
	run("a provider's failure", e.open("/login/callback/github?state=x&error=access_denied", "No sign-in through GitHub"), shots(t, "61-provider-failed"))

	// A passkey, then signing in with it: by the button, and out of the field's suggestions.
	device, _ := authenticator(webauthn.AuthenticatorTransportInternal, true)
	run("add a passkey", device, e.open("/account/passkeys/new", "Add a passkey"), there(`form[data-passkey]:not([hidden])`), press(), arrive("Passkeys"))
	run("by passkey", click(`.leave button`), arrive("Sign in"), there(`form[data-passkey]:not([hidden])`), click(`form[data-passkey] button`), arrive("Your account"))

	// An authenticator app, and with it the second factor in all its forms.
	own.post("/login", "email", mailbox, "password", next).sends(t, "/account")
	key, codes := own.enrolled(c)
	c.pass(time.Minute)
	run("second factor", click(`.leave button`), arrive("Sign in"), typed("#email", mailbox), typed("#password", next), press(), arrive("One more step"), shots(t, "62-totp"))
	run("wrong", typed("#code", "000000"), press(), there(`[role=alert]`), shots(t, "63-totp-wrong"))
	run("recovery code", click(`.links a[href*="recovery_code"]`), until(`location.search.includes("recovery_code")`), shots(t, "64-recovery"))
	run("passkey", click(`.links a[href*="passkey"]`), until(`location.search.includes("method=passkey")`), there(`form[data-passkey]:not([hidden])`), shots(t, "65-second-passkey"),
		click(`form[data-passkey] button`), arrive("Your account"))
	run("by code", click(`.leave button`), arrive("Sign in"), typed("#email", mailbox), typed("#password", next), press(), arrive("One more step"),
		typed("#code", codeAt(t, key, c.now())), click("#trust"), press(), arrive("Your account"))

	// Showing it anew.
	c.pass(10 * time.Minute)
	run("step up", e.open("/account/email", "Confirm that it is you"), shots(t, "66-stepup"), click(`.links a[href*="passkey"]`), until(`location.search.includes("method=passkey")`),
		there(`form[data-passkey]:not([hidden])`), shots(t, "67-stepup-passkey"), click(`form[data-passkey] button`), arrive("E-mail address"))
	c.pass(10 * time.Minute)
	run("step up by code", e.open("/step-up?method=recovery_code", "Confirm that it is you"), typed("#code", codes[0]), press(), arrive("Your account"))

	// In other languages, one of them from right to left.
	for _, l := range []struct{ code, login string }{{"ar", "تسجيل الدخول"}, {"de", "Anmelden"}} {
		run(l.code, e.speaks(l.code), chromedp.Navigate(e.base+"/account"), until(`document.documentElement.lang === "`+l.code+`"`), click(`.leave button`), arrive(l.login),
			there(`form[data-passkey]:not([hidden])`), shots(t, "70-login-"+l.code), typed("#email", mailbox), typed("#password", "nonsense"), press(), there(`[role=alert]`), shots(t, "71-login-refused-"+l.code),
			typed("#password", next), press(), until(`document.querySelector(".leave")`))
	}
	run("choose another", chromedp.Navigate(e.base+"/login?switch=1"), click(`.languages button[value="en"]`), arrive("Sign in"))

	// Without scripts everything is there but passkeys, and the page says so.
	run("no scripts", command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}), chromedp.Navigate(e.base+"/login?switch=1"), chromedp.WaitVisible(chromedp.CSS("#email")), bare(t, "72-login-no-script"))
}

// pressInFrame presses the button of the frame on the page.
func pressInFrame() step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](`(document.querySelector("iframe").contentDocument.querySelector("button").click(), true)`)(ctx, tab)
		return err
	})
}

// bare is shots for a page that runs no scripts, ours included.
func bare(t *testing.T, name string) step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		for _, l := range looks[:1] {
			view := emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: true}
			if _, err := cdp.Call(ctx, tab, emulation.SetDeviceMetricsOverride, view); err != nil {
				return err
			}
			if err := picture(ctx, tab, name+"-"+l.name); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestSignInBrowser_demands are the pages of services that ask for more: a second factor of everybody, a proof of work after failures.
func TestSignInBrowser_demands(t *testing.T) {
	t.Parallel()
	puzzles, err := ratelimit.NewPuzzles(ratelimit.PuzzleConfig{Marks: powMarks{}, Difficulty: 14})
	if err != nil {
		t.Fatal(err)
	}
	backoff, err := ratelimit.NewBackoff(ratelimit.BackoffConfig{Name: "sign_in", After: ratelimit.Quota{Count: 2, Per: 15 * time.Minute}, Verifier: puzzles})
	if err != nil {
		t.Fatal(err)
	}
	e := startWith(t, storetest.Open(t, store.SQLite, sources...), authtest.Options{Backoff: backoff, Settings: auth.Settings{RequireSecondFactor: true}}, nil)
	ctx := chrome(t)
	run := runner(t, ctx)
	device, _ := authenticator(webauthn.AuthenticatorTransportInternal, true)
	run("begin", command(webauthn.Enable, webauthn.EnableParams{}), device,
		command(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: byButton}))
	signUp := func(email string) {
		t.Helper()
		run("sign up", chromedp.Navigate(e.base+"/register"), arrive("Create your account"), typed("#email", email), typed("#password", first), press(), arrive("Check your mail"), shots(t, "80-check-mail"))
		_, code := e.mail(t, email)
		run("confirm", typed("#code", code), press(), arrive("Add a second factor"))
	}
	signUp("ada@example.org")
	run("an app", shots(t, "81-enroll"), press(), there(".qr"), shots(t, "82-enroll-app"))
	key, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(".key")))
	if err != nil {
		t.Fatal(err)
	}
	run("wrong", typed("#code", "000000"), press(), there(`[role=alert]`), shots(t, "83-enroll-wrong"))
	run("codes", typed("#code", codeAt(t, strings.ReplaceAll(key, " ", ""), time.Now())), press(), arrive("Your recovery codes"), shots(t, "84-enroll-codes"),
		click(`p.actions a`), arrive("Your account"), click(`.leave button`), arrive("Sign in"))

	// The same by a passkey, which is made in the middle of the sign-in.
	signUp("grace@example.org")
	run("a passkey", click(`.links a`), there(`form[data-passkey]:not([hidden])`), shots(t, "85-enroll-passkey"), click(`form[data-passkey] button`), arrive("Your recovery codes"),
		click(`p.actions a`), arrive("Your account"), click(`.leave button`), arrive("Sign in"))
	run("with it", there(`form[data-passkey]:not([hidden])`), click(`form[data-passkey] button`), arrive("Your account"), click(`.leave button`), arrive("Sign in"))

	// Too many failures: the browser works while the person types.
	for range 2 {
		e.browser(t).post("/login", "email", "ada@example.org", "password", "nonsense").shows(t, 401)
	}
	run("work", forget(cookie.Device, e.base), typed("#email", "ada@example.org"), typed("#password", "nonsense"), press(), there(`form[data-pow]`), shots(t, "86-work"))
	run("and go on", typed("#password", first), press(), arrive("One more step"))

	where, err := chromedp.Run(ctx, chromedp.Location())
	if u, uerr := url.Parse(where); err != nil || uerr != nil || u.Path != "/login/second-factor" {
		t.Errorf("at %s (%v)", where, err)
	}
}

// TestSignInBrowser_autofill: the browser offers a passkey in the field of the sign-in form; a virtual authenticator takes it at once.
func TestSignInBrowser_autofill(t *testing.T) {
	t.Parallel()
	e := start(t, storetest.Open(t, store.SQLite, sources...), nil)
	ctx := chrome(t)
	run := runner(t, ctx)
	own := e.browser(t)
	own.signUp(alice, first)
	in, err := e.auth.SignIn(t.Context(), auth.Credentials{Email: alice, Password: first, Device: own.cookie(cookie.Device)})
	if err != nil {
		t.Fatal(err)
	}
	device, _ := authenticator(webauthn.AuthenticatorTransportInternal, true)
	run("a passkey", command(webauthn.Enable, webauthn.EnableParams{}), device, e.signedInAs(in), e.open("/account/passkeys/new", "Add a passkey"),
		there(`form[data-passkey]:not([hidden])`), press(), arrive("Passkeys"))
	run("autofill", forget(cookie.Session, e.base), chromedp.Navigate(e.base+"/login?return_to=%2Faccount%2Fdevices"), arrive("Browsers"))
}
