package web_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
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
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// command is a command of the DevTools protocol as a step.
func command[P, R any](c cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, c, params)
		return err
	})
}

// signedInAs gives the browser a session.
func (e *env) signedInAs(in auth.SignedIn) step {
	yes := true
	return command(network.SetCookie, network.SetCookieParams{Name: cookie.Session, Value: in.Token, URL: e.base, Path: "/", Secure: &yes, HTTPOnly: &yes})
}

// authenticator is one that Chromium plays: of the device itself, or one that its owner carries.
func authenticator(transport webauthn.AuthenticatorTransport, backedUp bool) (step, *webauthn.AuthenticatorID) {
	id := new(webauthn.AuthenticatorID)
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		out, err := cdp.Call(ctx, tab, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: transport,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
			DefaultBackupEligibility: backedUp, DefaultBackupState: backedUp,
		}})
		*id = out.AuthenticatorID
		return err
	}), id
}

func without(id *webauthn.AuthenticatorID) step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: *id})
		return err
	})
}

// printed takes a picture of the page as paper would have it.
func printed(t *testing.T, name string) step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		dir := os.Getenv("SIGRA_SCREENSHOTS")
		if dir == "" {
			return nil
		}
		if _, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}); err != nil {
			return err
		}
		png, err := chromedp.CaptureScreenshot()(ctx, tab)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+"-print.png"), png, 0o600)
	})
}

// overhear keeps what pages tell the person's password managers.
const overhear = `window.PublicKeyCredential && ["signalAllAcceptedCredentials", "signalCurrentUserDetails"].forEach((name) => {
	PublicKeyCredential[name] = (about) => { sessionStorage[name] = JSON.stringify(about); return Promise.resolve(); };
});`

// TestAccountBrowser walks through the account in a real browser, with passkeys made and kept by Chromium's virtual authenticators.
func TestAccountBrowser(t *testing.T) {
	t.Parallel()
	c := newClock()
	e := startWith(t, storetest.Open(t, store.SQLite, sources...), authtest.Options{Now: c.now, Providers: []config.Provider{github}}, nil)
	ctx := chrome(t)
	run := runner(t, ctx)
	const mailbox = "ada@example.org"
	own := e.browser(t)
	own.signUp(mailbox, first)
	id := e.accountID(t, mailbox)
	in, err := e.auth.SignIn(t.Context(), auth.Credentials{Email: mailbox, Password: first, Device: own.cookie(cookie.Device)})
	if err != nil {
		t.Fatal(err)
	}
	run("a page that is wrong", blind(t))
	run("begin", command(webauthn.Enable, webauthn.EnableParams{}), command(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: overhear}), e.signedInAs(in))
	open := func(path, heading string) step {
		return chromedp.Steps(chromedp.Navigate(e.base+path), arrive(heading))
	}
	run("overview", open("/account", "Your account"), there(`[data-passkey-upgrade]`), shots(t, "20-account"))

	told := func() (out struct {
		RP   string   `json:"rpId"`
		IDs  []string `json:"allAcceptedCredentialIds"`
		Name string   `json:"name"`
	}) {
		t.Helper()
		for _, name := range []string{"signalAllAcceptedCredentials", "signalCurrentUserDetails"} {
			s, err := chromedp.Run(ctx, chromedp.Evaluate[string](`sessionStorage.`+name))
			if err == nil {
				err = json.Unmarshal([]byte(s), &out)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return out
	}

	// Passkeys: one of the device, one in a password manager, and the same device once more.
	device, deviceID := authenticator(webauthn.AuthenticatorTransportInternal, false)
	run("no passkeys", click(`a[href="/account/passkeys"]`), arrive("Passkeys"), shots(t, "21-passkeys-none"))
	run("to a new one", device, click(`a[href="/account/passkeys/new"]`), arrive("Add a passkey"), there(`form[data-passkey]:not([hidden])`), shots(t, "22-passkey-new"))
	run("add it", typed("#name", "Ada's laptop"), press(), arrive("Passkeys"), there(`[role=status]`), shots(t, "23-passkey-added"))
	run("the same device", open("/account/passkeys/new", "Add a passkey"), there(`form[data-passkey]:not([hidden])`), press(),
		until(`document.querySelector("[role=alert]")?.textContent.includes("has a passkey for your account already")`), shots(t, "24-passkey-twice"))
	// Who takes too long is asked first who they are, and comes back.
	c.pass(6 * time.Minute)
	run("after a while", press(), arrive("Confirm that it is you"), click(`a[href*="method=password"], #password`))
	run("confirm", typed("#password", first), press(), arrive("Add a passkey"), there(`form[data-passkey]:not([hidden])`))
	manager, _ := authenticator(webauthn.AuthenticatorTransportHybrid, true)
	run("another", without(deviceID), manager, press(), arrive("Passkeys"), until(`document.querySelectorAll(".rows li").length === 2`), shots(t, "25-passkeys"))
	if told := told(); len(told.IDs) != 2 || told.RP != "localhost" || told.Name != mailbox {
		t.Errorf("the browser was told %+v", told)
	}
	run("one of them", click(`.rows a`), arrive("Ada's laptop"), shots(t, "26-passkey"))
	run("a bad name", chromedp.SetValue(chromedp.CSS("#name"), " \u200b "), press(), refused(), shots(t, "27-passkey-name"))
	run("rename", chromedp.SetValue(chromedp.CSS("#name"), "Old laptop"), press(), arrive("Passkeys"), there(`[role=status]`))
	run("ask after the password", shots(t, "28-passkeys-renamed"), click(`section form button`), arrive("Your recovery codes"), shots(t, "29-codes"), printed(t, "29-codes"))

	// From here on a second factor is asked for, and this session has shown none.
	run("with a second factor", open("/account/passkeys", "Passkeys"), shots(t, "30-passkeys-asked"))
	run("delete one", click(`.rows a`), arrive("Old laptop"), click(`a.loss`), arrive("Confirm that it is you"), there(`form[data-passkey]:not([hidden])`), press(),
		arrive("Delete this passkey?"), shots(t, "31-passkey-delete"),
		press(), arrive("Passkeys"), until(`document.querySelectorAll(".rows li").length === 1`), shots(t, "32-passkey-deleted"))
	if told := told(); len(told.IDs) != 1 {
		t.Errorf("the browser was told %+v", told)
	}

	// The authenticator app.
	run("no app", open("/account/authenticator", "Authenticator app"), shots(t, "33-app-none"))
	run("set it up", press(), there(".qr"), shots(t, "34-app-scan"))
	key, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(".key")))
	if err != nil {
		t.Fatal(err)
	}
	run("wrong code", typed("#code", "000000"), press(), refused(), shots(t, "35-app-wrong"))
	run("right code", typed("#code", codeAt(t, strings.ReplaceAll(key, " ", ""), c.now())), press(), there(`[role=status]`), shots(t, "36-app-on"))
	run("remove it", click(`p.actions a`), arrive("Remove the authenticator app?"), shots(t, "37-app-remove"))
	run("both", open("/account/passkeys", "Passkeys"), shots(t, "38-passkeys-app"))

	// Recovery codes.
	run("codes", open("/account/recovery-codes", "Recovery codes"), shots(t, "39-codes-left"))
	run("renew", click(`p.actions a`), arrive("Make new recovery codes?"), shots(t, "40-codes-renew"), press(), arrive("Your recovery codes"))
	codes, err := chromedp.Run(ctx, chromedp.Evaluate[string](`[...document.querySelectorAll(".codes code")].map((c) => c.textContent).join(" ")`))
	if err != nil {
		t.Fatal(err)
	}
	e.change(t, func(ctx context.Context, tx *store.Tx) error {
		for _, code := range strings.Fields(codes)[:8] {
			if _, _, err := e.parts.Codes.Spend(ctx, tx, id, code); err != nil {
				return err
			}
		}
		for _, x := range []federation.Claims{
			{Provider: "github", Issuer: "https://github.com", Subject: "7", Email: "ada.lovelace@somewhere.example"}, {Provider: "keycloak", Issuer: "https://gone.example", Subject: "8"},
		} {
			if _, _, err := e.parts.Logins.Link(ctx, tx, id, x); err != nil {
				return err
			}
		}
		_, err := e.parts.Devices.Trust(ctx, tx, id, own.cookie(cookie.Device))
		return err
	})
	run("few codes", open("/account", "Your account"), shots(t, "41-account-few"), open("/account/recovery-codes", "Recovery codes"), shots(t, "42-codes-few"))

	// Browsers and logins.
	const phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1"
	e.change(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := e.parts.Devices.Note(request.With(ctx, request.Info{UserAgent: phone}), tx, id, "")
		return err
	})
	run("browsers", open("/account/devices", "Browsers"), shots(t, "43-devices"))
	run("sessions", open("/account/sessions", "Sessions"), shots(t, "43-sessions"))
	run("logins", open("/account/logins", "Linked logins"), shots(t, "44-logins"), click(`.items a`), arrive("Unlink GitHub?"), shots(t, "45-unlink"), press(), arrive("Linked logins"), there(`[role=status]`))
	e.change(t, func(ctx context.Context, tx *store.Tx) error { return e.parts.Passwords.Erase(ctx, tx, id) })
	run("no password", open("/account/password", "Add a password"), shots(t, "46-password-add"))
	e.change(t, func(ctx context.Context, tx *store.Tx) error { return e.parts.Passkeys.Erase(ctx, tx, id) })
	run("last way in", open("/account/logins", "Linked logins"), click(`.items a`), arrive("Unlink keycloak?"), press(), arrive("This is your last way in"), shots(t, "47-last-way"))

	// The address.
	run("address", open("/account/email", "Email address"), shots(t, "48-email"))
	run("not an address", chromedp.SetValue(chromedp.CSS("#email"), mailbox), press(), refused(), shots(t, "49-email-refused"))
	run("a new one", chromedp.SetValue(chromedp.CSS("#email"), "ada@new.example"), press(), arrive("Check the new mailbox"), shots(t, "50-email-sent"))
	link, _ := e.mail(t, "ada@new.example")
	run("confirm", open(link, "Confirm your new email address"), shots(t, "51-email-confirm"), press(), arrive("Your account"), there(`[role=status]`), shots(t, "52-email-changed"))
	undo, _ := e.mail(t, mailbox)
	run("undo", open(undo, "Undo the change of address"), shots(t, "53-email-undo"), press(), arrive("Your address is back"), shots(t, "54-email-undone"))
	run("over", open(undo, "This link has expired"), shots(t, "55-email-over"))
	run("confirmed elsewhere", open("/account/email/confirmed", "Your email address is changed"), shots(t, "56-email-confirmed"))
}

// TestAccountBrowser_inOtherLanguages: on a phone, the longest words fit in their places, and nothing is turned around that runs from
// right to left.
func TestAccountBrowser_inOtherLanguages(t *testing.T) {
	t.Parallel()
	e := startWith(t, storetest.Open(t, store.SQLite, sources...), authtest.Options{Providers: []config.Provider{github}}, nil)
	const mailbox = "ada.lovelace.with.a.rather.long.address@analytical-engines.example.org"
	b := e.browser(t)
	b.signUp(mailbox, first)
	id := e.accountID(t, mailbox)
	b.adds(passkeytest.New(t, e.base), "Ada's laptop").shows(t, 200)
	e.change(t, func(ctx context.Context, tx *store.Tx) error {
		_, _, err := e.parts.Logins.Link(ctx, tx, id, federation.Claims{Provider: "github", Issuer: "https://github.com", Subject: "7", Email: mailbox})
		return err
	})
	b.post("/account/authenticator/begin").sends(t, "/account/authenticator")
	unlink := b.get("/account/logins").find(t, `href="(/account/logins/[0-9a-f-]{36}/unlink)"`)
	one := b.get("/account/passkeys").find(t, `href="(/account/passkeys/[0-9a-f-]{36})"`)
	ctx := chrome(t)
	run := runner(t, ctx)
	run("begin", e.signedInAs(auth.SignedIn{Token: b.cookie(cookie.Session)}))
	for _, l := range []string{"ar", "de"} {
		for name, path := range map[string]string{
			"account": "/account", "email": "/account/email", "password": "/account/password", "passkeys": "/account/passkeys", "passkey": one, "passkey-delete": one + "/delete",
			"passkey-new": "/account/passkeys/new", "app": "/account/authenticator", "codes": "/account/recovery-codes", "renew": "/account/recovery-codes/renew",
			"devices": "/account/devices", "sessions": "/account/sessions", "logins": "/account/logins", "unlink": unlink,
		} {
			run(l+" "+name, chromedp.Navigate(e.base+path+"?lang="+l), until("document.documentElement.lang === "+quote(l)), shots(t, "70-"+l+"-"+name, looks[0]))
		}
	}
}

// TestAccountBrowser_aPasskeyInTheMiddleOfSigningIn: where everybody needs a second factor, who has none makes one, and gets
// the codes for the day it is lost on a page of its own.
func TestAccountBrowser_aPasskeyInTheMiddleOfSigningIn(t *testing.T) {
	t.Parallel()
	e := startWith(t, storetest.Open(t, store.SQLite, sources...), authtest.Options{Settings: flow.Settings{RequireSecondFactor: true}}, nil)
	ctx := chrome(t)
	run := runner(t, ctx)
	device, _ := authenticator(webauthn.AuthenticatorTransportInternal, true)
	run("sign up", command(webauthn.Enable, webauthn.EnableParams{}), device, chromedp.Navigate(e.base+"/register"), arrive("Create your account"),
		typed("#email", alice), typed("#password", first), submit("Check your email"))
	_, code := e.mail(t, alice)
	run("confirm", typed("#code", code), press(), arrive("Add a second factor"), shots(t, "60-enroll"))
	run("choose a passkey", click(`a[href*="method=passkey"]`), there(`form[data-passkey]:not([hidden])`), shots(t, "61-enroll-passkey"))
	run("make it", press(), arrive("Your recovery codes"), shots(t, "62-enroll-codes"))
	run("go on", click(`p.actions a`), arrive("Your account"), until(`document.body.textContent.includes("1 passkey")`))
}
