package web_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
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

// ready waits for the form that a passkey is used by, which is there once the script runs.
func ready() step { return there(`form[data-passkey]:not([hidden])`) }

// leave signs out by the page's own button.
func leave() step { return chromedp.Steps(chosen(`.leave button`), arrive("Sign in")) }

// TestSignInBrowser walks the ways to sign in in a real browser, by keyboard alone: passwords, mails, second factors and passkeys.
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
	run("sign in", e.open("/login", "Sign in"), ready(), shots(t, "50-login"))

	// The cursor is in the first field, after a refusal in the one to correct, and Enter sends.
	run("at once", e.open("/login", "Sign in"), until(`document.activeElement.id === "email"`), chromedp.KeyEvent(mailbox+"\t"), chromedp.KeyEvent("nonsense\r"),
		refused(), until(`document.activeElement.id === "password"`), chromedp.KeyEvent(first+"\r"), arrive("Your account"))
	run("sign out", e.open("/logout", "Sign out?"), shots(t, "51-logout"), sent(), arrive("Sign in"), there(`[role=status]`))

	// A forgotten password, by code and by link.
	run("forgotten", chosen(`a[href="/reset"]`), arrive("Forgot your password?"), shots(t, "51-reset"), keyed("#email", mailbox), sent(), arrive("Check your email"), shots(t, "52-reset-sent"))
	_, code := e.mail(t, mailbox)
	run("a bad password", keyed("#code", code), keyed("#password", "for ada@example.org"), sent(), refused(), shots(t, "53-reset-refused"))
	run("a new one", keyed("#password", next), sent(), arrive("Your account"), there(`[role=status]`), leave())
	link, _ := e.asked(t, "/reset", mailbox)
	run("by link", e.open(link, "Set your password"), shots(t, "53-set-password"), keyed("#password", "for ada@example.org"), sent(), refused(), shots(t, "53-set-password-refused"),
		keyed("#password", next), sent(), arrive("Your account"), leave())

	// By mail: here, and from another device.
	run("by mail", chosen(`a[href="/login/link"]`), arrive("Sign in with an email link"), shots(t, "54-link"), keyed("#email", mailbox), sent(), arrive("Check your email"),
		until(`!!document.querySelector("iframe").contentDocument?.querySelector("[role=status]")`), shots(t, "55-link-sent"))
	link, _ = e.mail(t, mailbox)
	run("opened here", e.open(link, "Sign in"), shots(t, "56-link-open"), sent(), arrive("Your account"), leave())
	run("once more", e.open("/login/link", "Sign in with an email link"), keyed("#email", mailbox), sent(), arrive("Check your email"))
	number, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(".number strong")))
	if err != nil {
		t.Fatal(err)
	}
	link, _ = e.mail(t, mailbox)
	phone := e.browser(t)
	run("typed meanwhile", keyed("#code", "12"))
	phone.post("/login/link/approve", "token", tokenOf(link), "number", number).shows(t, 200)
	run("approved elsewhere", until(`!!document.querySelector("iframe").contentDocument?.querySelector("button")`), shots(t, "57-link-approved"))
	if kept, err := chromedp.Run(ctx, chromedp.Value(chromedp.CSS("#code"))); err != nil || kept != "12" {
		t.Errorf("while the page looked, what was typed became %q (%v)", kept, err)
	}
	run("go on", chosen(`form[target=_top] button`), arrive("Your account"), leave())
	link, _ = e.asked(t, "/login/link", mailbox)
	run("from elsewhere", e.open(link, "Which device do you want to sign in?"), shots(t, "58-link-elsewhere"))
	run("a wrong number", keyed("#number", "xx"), sent(), arrive("This link has expired"), shots(t, "59-link-void"))

	// A login elsewhere that has this address.
	run("join", e.joins(t, mailbox), e.open("/login/join", "Is this your account?"), shots(t, "60-join"), keyed("#password", next), sent(), arrive("Your account"))
	run("a provider's failure", e.open("/login/callback/github?state=x&error=access_denied", "No sign-in through GitHub"), shots(t, "61-provider-failed"))

	// A passkey, then signing in with it.
	device, _ := authenticator(webauthn.AuthenticatorTransportInternal, true)
	run("add a passkey", device, e.open("/account/passkeys/new", "Add a passkey"), ready(), sent(), arrive("Passkeys"))
	run("by passkey", leave(), ready(), chosen(`form[data-passkey] button`), arrive("Your account"))

	// An authenticator app, and with it the second factor in all its forms.
	own.post("/login", "email", mailbox, "password", next).sends(t, "/account")
	key, codes := own.enrolled(c)
	c.pass(time.Minute)
	password := func() step {
		return chromedp.Steps(leave(), keyed("#email", mailbox), keyed("#password", next), sent(), arrive("One more step"))
	}
	run("second factor", password(), shots(t, "62-totp"))
	run("wrong", keyed("#code", "000000"), sent(), refused(), shots(t, "63-totp-wrong"))
	run("recovery code", chosen(`.links a[href*="recovery_code"]`), until(`location.search.includes("recovery_code")`), shots(t, "64-recovery"))
	run("passkey", chosen(`.links a[href*="passkey"]`), until(`location.search.includes("method=passkey")`), ready(), shots(t, "65-second-passkey"),
		chosen(`form[data-passkey] button`), arrive("Your account"))
	run("by code", password(), keyed("#code", codeAt(t, key, c.now())), ticked("#trust"), sent(), arrive("Your account"))

	// Showing it anew.
	c.pass(10 * time.Minute)
	run("step up", e.open("/account/email", "Confirm that it is you"), shots(t, "66-stepup"), keyed("#code", "000000"), sent(), refused(), shots(t, "66-stepup-wrong"),
		chosen(`.links a[href*="passkey"]`), until(`location.search.includes("method=passkey")`), ready(), shots(t, "67-stepup-passkey"), chosen(`form[data-passkey] button`), arrive("Email address"))
	c.pass(10 * time.Minute)
	run("step up by code", e.open("/step-up?method=recovery_code", "Confirm that it is you"), keyed("#code", codes[0]), sent(), arrive("Your account"))
	run("another language", e.open("/login?switch=1", "Sign in"), chosen(`.languages button[value="de"]`), arrive("Anmelden"))
}

// tokenOf is the token in a mailed link.
func tokenOf(link string) string { return link[strings.Index(link, "token=")+len("token="):] }

// asked has another browser ask for a mail, and gives the mail's link and that browser.
func (e *env) asked(t *testing.T, form, email string) (link string, b *browser) {
	t.Helper()
	b = e.browser(t)
	b.post(form, "email", email).sends(t, form+"/sent")
	link, _ = e.mail(t, email)
	return link, b
}

// joins has a login elsewhere wait in the browser, whose address has an account.
func (e *env) joins(t *testing.T, email string) step {
	t.Helper()
	fed, err := e.auth.SignInFederated(t.Context(), federation.Claims{Provider: "github", Issuer: "https://github.com", Subject: "7", Email: email, EmailVerified: true}, true, "")
	if err != nil || fed.Link == nil {
		t.Fatalf("%+v, %v", fed, err)
	}
	return e.setsCookie(string(cookie.Join), fed.Link.Flow)
}

func (e *env) setsCookie(name, value string) step {
	yes := true
	return command(network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: e.base, Path: "/", Secure: &yes, HTTPOnly: &yes})
}

// goesOnAs gives the browser the cookies of another, and no others.
func (e *env) goesOnAs(b *browser) step {
	steps := []step{command(network.ClearBrowserCookies, cdp.Empty{})}
	for _, c := range b.jar.Cookies(b.here()) {
		steps = append(steps, e.setsCookie(c.Name, c.Value))
	}
	return chromedp.Steps(steps...)
}

// TestSignInBrowser_inOtherLanguages: the pages on the way in, with the longest words, and from right to left.
func TestSignInBrowser_inOtherLanguages(t *testing.T) {
	t.Parallel()
	c := newClock()
	e := startWith(t, storetest.Open(t, store.SQLite, sources...), authtest.Options{Now: c.now, Providers: []config.Provider{github}}, nil)
	const mailbox = "ada.lovelace.with.a.rather.long.address@analytical-engines.example.org"
	own, fresh, nobody := e.browser(t), e.browser(t), e.browser(t)
	own.signUp(mailbox, first)
	fresh.post("/register", "email", "grace@example.org", "password", first).sends(t, "/register/check-mail")
	confirm, _ := e.mail(t, "grace@example.org")
	set, resets := e.asked(t, "/reset", mailbox)
	open, links := e.asked(t, "/login/link", mailbox)
	own.enrolled(c)
	halfway := e.browser(t)
	halfway.post("/login", "email", mailbox, "password", first).sends(t, "/login/second-factor?return_to=%2Faccount")

	ctx := chrome(t)
	run := runner(t, ctx)
	for _, l := range []struct {
		code string
		in   []look
	}{{"ar", []look{looks[0], looks[3]}}, {"de", looks[:1]}} {
		for _, page := range []struct {
			name, path string
			as         *browser
		}{
			{"login", "/login", nobody}, {"register", "/register", nobody}, {"check-mail", "/register/check-mail", fresh}, {"confirm-here", confirm, fresh}, {"confirm", confirm, nobody},
			{"reset", "/reset", nobody}, {"reset-sent", "/reset/sent", resets}, {"set-password", set, nobody},
			{"link", "/login/link", nobody}, {"link-sent", "/login/link/sent", links}, {"link-open", open, links}, {"link-elsewhere", open, nobody},
			{"second-factor", "/login/second-factor", halfway}, {"second-factor-code", "/login/second-factor?method=recovery_code", halfway},
			{"step-up", "/step-up", own}, {"logout", "/logout", own}, {"over", "/confirm", nobody}, {"nothing", "/nothing", nobody},
		} {
			join := "?"
			if strings.Contains(page.path, "?") {
				join = "&"
			}
			run(l.code+" "+page.name, e.goesOnAs(page.as), chromedp.Navigate(e.base+page.path+join+"lang="+l.code), until("document.documentElement.lang === "+quote(l.code)),
				until("location.pathname === "+quote(strings.Split(page.path, "?")[0])), shots(t, "71-"+l.code+"-"+page.name, l.in...))
		}
		run(l.code+" join", e.goesOnAs(nobody), e.joins(t, mailbox), chromedp.Navigate(e.base+"/login/join?lang="+l.code), until("document.documentElement.lang === "+quote(l.code)),
			shots(t, "71-"+l.code+"-join", l.in...), keyed("#password", "nonsense"), sent(), refused(), shots(t, "71-"+l.code+"-join-refused", l.in...))
	}
}

// TestSignInBrowser_demands are the pages of services that ask for more: a second factor of everybody, a proof of work after failures.
func TestSignInBrowser_demands(t *testing.T) {
	t.Parallel()
	c := newClock() // nobody waits until no proof is asked for any more
	puzzles, err := ratelimit.NewPuzzles(ratelimit.PuzzleConfig{Marks: powMarks{}, Difficulty: 14, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	backoff, err := ratelimit.NewBackoff(ratelimit.BackoffConfig{Name: "sign_in", After: ratelimit.Quota{Count: 2, Per: 15 * time.Minute}, Verifier: puzzles, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	e := startWith(t, storetest.Open(t, store.SQLite, sources...), authtest.Options{Now: c.now, Backoff: backoff, Settings: flow.Settings{RequireSecondFactor: true}}, nil)
	ctx := chrome(t)
	run := runner(t, ctx)
	device, _ := authenticator(webauthn.AuthenticatorTransportInternal, true)
	run("begin", command(webauthn.Enable, webauthn.EnableParams{}), device,
		command(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: byButton}))
	signUp := func(email string) {
		t.Helper()
		run("sign up", chromedp.Navigate(e.base+"/register"), arrive("Create your account"), typed("#email", email), typed("#password", first), press(), arrive("Check your email"), shots(t, "80-check-mail"))
		_, code := e.mail(t, email)
		run("confirm", typed("#code", code), press(), arrive("Add a second factor"))
	}
	signUp("ada@example.org")
	run("an app", shots(t, "81-enroll"), press(), there(".qr"), shots(t, "82-enroll-app"))
	key, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(".key")))
	if err != nil {
		t.Fatal(err)
	}
	run("wrong", typed("#code", "000000"), press(), refused(), shots(t, "83-enroll-wrong"))
	run("codes", typed("#code", codeAt(t, strings.ReplaceAll(key, " ", ""), c.now())), press(), arrive("Your recovery codes"), shots(t, "84-enroll-codes"),
		click(`p.actions a`), arrive("Your account"), click(`.leave button`), arrive("Sign in"))

	// The same by a passkey, which is made in the middle of the sign-in.
	signUp("grace@example.org")
	run("a passkey", click(`.links a`), ready(), shots(t, "85-enroll-passkey"), click(`form[data-passkey] button`), arrive("Your recovery codes"),
		click(`p.actions a`), arrive("Your account"), click(`.leave button`), arrive("Sign in"))
	run("with it", ready(), click(`form[data-passkey] button`), arrive("Your account"), click(`.leave button`), arrive("Sign in"))

	// Too many failures: the browser works while the person types.
	for range 2 {
		e.browser(t).post("/login", "email", "ada@example.org", "password", "nonsense").shows(t, 401)
	}
	run("work", forget(cookie.Device, e.base), typed("#email", "ada@example.org"), typed("#password", "nonsense"), press(), there(`form[data-pow]`), shots(t, "86-work"))
	c.pass(2 * time.Second) // with a proof, too, attempts are apart
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
		ready(), press(), arrive("Passkeys"))
	run("autofill", forget(cookie.Session, e.base), chromedp.Navigate(e.base+"/login?return_to=%2Faccount%2Fdevices"), arrive("Browsers"))
}
