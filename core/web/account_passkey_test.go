package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/store"
)

// question asks a page for a ceremony, as its script does.
func (b *browser) question(path string) (token string, options []byte) {
	b.t.Helper()
	p := b.postJSON(path, `{"fields":{}}`)
	var q struct {
		Token   string
		Options json.RawMessage
	}
	if err := json.Unmarshal([]byte(p.body), &q); err != nil || p.status != 200 || q.Token == "" {
		b.t.Fatalf("%s: %d %s (%v)", path, p.status, p.body, err)
	}
	return q.Token, q.Options
}

// answer gives a page what the authenticator said.
func (b *browser) answer(path, token string, credential []byte, fields map[string]string) page {
	b.t.Helper()
	body, err := json.Marshal(map[string]any{"token": token, "credential": json.RawMessage(credential), "fields": fields})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.postJSON(path, string(body))
}

// adds makes a passkey with an authenticator and adds it to the account.
func (b *browser) adds(device *passkeytest.Authenticator, name string) page {
	b.t.Helper()
	token, options := b.question("/account/passkeys/options")
	credential, err := device.Create(options)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.answer("/account/passkeys/finish", token, credential, map[string]string{"name": name})
}

// proves shows a passkey on the step-up page.
func (b *browser) proves(device *passkeytest.Authenticator, returnTo string) {
	b.t.Helper()
	token, options := b.question("/step-up/passkey/options")
	b.answer("/step-up/passkey/finish", token, device.Get(options), map[string]string{"return_to": returnTo}).shows(b.t, 200, `"redirect":"`+returnTo+`"`)
}

func TestAccountPasskeys(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		b := e.member(t, alice)
		laptop, stick := passkeytest.New(t, e.base), passkeytest.SecurityKey(t, e.base)
		laptop.BE, laptop.BS = true, true
		b.adds(laptop, "  My \u202e laptop ").shows(t, 200, `{"redirect":"/account/passkeys?notice=passkey-added"}`)
		b.adds(stick, "").shows(t, 200)
		p := b.get("/account/passkeys?notice=passkey-added")
		p.shows(t, 200, "The passkey is added.", "My laptop", "Backed up", "Security key", "Second factor only", "Never used", `data-passkey-signal="{`, "allAcceptedCredentials", "Ask for a passkey")
		ids := p.findAll(`href="/account/passkeys/([0-9a-f-]{36})"`)
		if len(ids) != 2 {
			t.Fatalf("%v", ids)
		}
		// The same authenticator is not asked again, and a bad name is no reason to make a key.
		_, options := b.question("/account/passkeys/options")
		if _, err := laptop.Create(options); err == nil {
			t.Error("the laptop made a second key")
		}
		other := passkeytest.New(t, e.base)
		other.Attest = "none"
		b.adds(other, strings.Repeat("x", 200)).shows(t, 422, "passkey_name", "A passkey's name has at least one character")

		at := "/account/passkeys/" + ids[0]
		b.get(at).shows(t, 200, "My laptop", "losing the device does not lose the passkey", "Signing in, by itself", at+"/delete")
		b.post(at, "name", " \t ").shows(t, 422, `aria-invalid="true"`)
		b.post(at, "name", `<b>"Laptop"</b>`).sends(t, "/account/passkeys?notice=passkey-renamed")
		if p := b.get("/account/passkeys"); strings.Contains(p.body, "<b>") {
			t.Error("a name is taken for markup")
		}
		mallory := e.member(t, "mallory@example.com")
		for _, p := range []page{mallory.get(at), mallory.get(at + "/delete"), mallory.post(at, "name", "mine")} {
			p.shows(t, 404)
		}
		mallory.post(at + "/delete")
		b.get(at).shows(t, 200, `<b>"Laptop"</b>`)

		// As the second factor, after the password.
		on := b.post("/account/passkeys/after-password", "on", "1")
		on.shows(t, 200, "Your recovery codes", "A passkey is asked for from now on", `href="/account/passkeys"`)
		if len(on.codes()) != 10 {
			t.Errorf("codes %v", on.codes())
		}
		b.get("/account/passkeys").shows(t, 200, "Ask no longer")
		b.post("/account/passkeys/after-password", "on", "0").sends(t, "/step-up?return_to=%2Faccount%2Fpasskeys")
		b.proves(laptop, "/account/passkeys")
		b.get(at).shows(t, 200, "Last used")
		b.post("/account/passkeys/after-password", "on", "0").sends(t, "/account/passkeys?notice=second-factor-off")
		b.get("/account/recovery-codes").shows(t, 200, "your account has none yet")

		// Deleting, down to the last way in.
		b.get("/account/passkeys/"+ids[1]+"/delete").shows(t, 200, "Delete this passkey?", "Security key", `class="danger"`)
		b.post("/account/passkeys/"+ids[1]+"/delete").sends(t, "/account/passkeys?notice=passkey-deleted")
		id := e.accountID(t, alice)
		e.change(t, func(ctx context.Context, tx *store.Tx) error { return e.parts.Passwords.Erase(ctx, tx, id) })
		b.post(at+"/delete").shows(t, 409, "This is your last way in", `href="/account/password"`)
		b.get(at).shows(t, 200)
		c.pass(6 * time.Minute)
		b.get(at+"/delete").sends(t, "/step-up?return_to="+strings.ReplaceAll(at+"/delete", "/", "%2F"))
		b.proves(laptop, at+"/delete")
		b.post("/account/password", "password", next).sends(t, "/account?notice=password-added")
		b.post(at+"/delete").sends(t, "/account/passkeys?notice=passkey-deleted")
		p = b.get("/account/passkeys?notice=passkey-deleted")
		p.shows(t, 200, "You have no passkey yet.", `"allAcceptedCredentialIds":[]`) // the password manager may drop it
	})
}

// TestAccountPasskeys_byItself: after a sign-in with a password the browser may make a passkey without a question.
func TestAccountPasskeys_byItself(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, c *clock) {
		b := e.member(t, alice)
		b.get("/account").hides(t, "data-passkey-upgrade") // signed in by a mailed code
		b.post("/login", "email", alice, "password", first)
		p := b.get("/account")
		p.shows(t, 200, `data-passkey-upgrade data-options="/account/passkeys/options?conditional" data-finish="/account/passkeys/finish"`, "passkey.js")
		token, options := b.question("/account/passkeys/options?conditional")
		if !strings.Contains(string(options), `"mediation":"conditional"`) || !strings.Contains(string(options), `"residentKey":"required"`) {
			t.Errorf("options %s", options)
		}
		manager := passkeytest.New(t, e.base)
		manager.UV, manager.UP = false, false
		credential, err := manager.Create(options)
		if err != nil {
			t.Fatal(err)
		}
		b.answer("/account/passkeys/finish", token, credential, nil).shows(t, 200)
		b.get("/account").shows(t, 200, "1 passkey")
		c.pass(3 * time.Minute)
		b.get("/account").hides(t, "data-passkey-upgrade")
		// Its user is not verified yet, so it is no two factors in one.
		b.get("/account/passkeys").shows(t, 200, "Backed up")
	})
}

func TestAccountPasskeys_asManyAsThereMayBe(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{}, func(t *testing.T, e *env, _ *clock) {
		b := e.member(t, alice)
		for i := range passkey.DefaultMaxPerAccount {
			b.adds(passkeytest.New(t, e.base), fmt.Sprintf("Key %d", i+1)).shows(t, 200)
		}
		p := b.get("/account/passkeys")
		p.shows(t, 200, "You have 20 passkeys, which is all there may be.")
		p.hides(t, `href="/account/passkeys/new"`)
		b.postJSON("/account/passkeys/options", `{}`).shows(t, 409, "as many passkeys as it can have")
	})
}

// TestAccountPasskeys_whereEverybodyNeedsASecondFactor: the last one stays, and there are recovery codes to be had.
func TestAccountPasskeys_whereEverybodyNeedsASecondFactor(t *testing.T) {
	t.Parallel()
	clocked(t, authtest.Options{Settings: flow.Settings{RequireSecondFactor: true}}, func(t *testing.T, e *env, _ *clock) {
		e.browser(t).post("/register", "email", alice, "password", first)
		link, _ := e.mail(t, alice)
		in, err := e.auth.Confirm(t.Context(), auth.Confirmation{Token: link[strings.LastIndex(link, "=")+1:], Password: first})
		if err != nil || in.Pending == nil {
			t.Fatalf("%+v, %v", in, err)
		}
		asked, err := e.auth.PendingPasskey(t.Context(), in.Pending.Flow)
		if err != nil {
			t.Fatal(err)
		}
		credential, err := passkeytest.New(t, e.base).Create(asked.Options)
		if err != nil {
			t.Fatal(err)
		}
		in, err = e.auth.FinishSignIn(t.Context(), auth.SecondFactor{
			Flow: in.Pending.Flow, Factor: factor.Proof{Method: factor.Passkey, Ceremony: asked.Token, Credential: credential},
		})
		if err != nil || len(in.Codes) != 10 {
			t.Fatalf("%+v, %v", in, err)
		}
		b := e.with(t, in)
		p := b.get("/account/passkeys")
		p.shows(t, 200, "so a passkey is asked for in any case.")
		p.hides(t, "/account/passkeys/after-password")
		at := p.find(t, `href="(/account/passkeys/[0-9a-f-]{36})"`)
		b.post(at+"/delete").shows(t, 409, "A second factor has to stay", `href="/account/authenticator"`)
		b.post("/account/passkeys/after-password", "on", "0").shows(t, 409, "A second factor has to stay")

		// An account from before the rule has a passkey and no codes.
		id := e.accountID(t, alice)
		e.change(t, func(ctx context.Context, tx *store.Tx) error {
			if _, err := e.parts.Codes.Remove(ctx, tx, id); err != nil {
				return err
			}
			return e.parts.Accounts.SetSecondFactor(ctx, tx, id, false)
		})
		b.get("/account/passkeys").shows(t, 200, "Make recovery codes")
		b.post("/account/passkeys/after-password", "on", "1").shows(t, 200, "Your recovery codes")
		b.get("/account/recovery-codes").shows(t, 200, "10 codes are left")
	})
}
