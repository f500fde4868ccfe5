package main

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest/virtual"
)

// tokenHash is what the database knows a ceremony by.
func tokenHash(token string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}

// lostScenes are passkeys that are gone, and the way back in.
var lostScenes = []passkeyScene{
	{"deleted on the device", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		v.Forget(v.Keeps()[0])
		s.byButton()
		s.do("see it", alerted("Cancelled, or there was no passkey to use."))
		s.outside()
		s.unaudited("auth.login.failure")
		s.byPassword("Your account")
		s.do("delete it", s.at("/account/passkeys", "Passkeys"), click(`.rows a`), there(`a[href$="/delete"]`), click(`a[href$="/delete"]`), arrive("Delete this passkey?"), click(`main form button`),
			arrive("Passkeys"), says("You have no passkey yet."))
		s.register("Made anew")
	}},
	{"a recovery code for a lost second factor", func(s *scene) {
		v, codes := s.second(virtual.Laptop)
		v.Unplug()
		s.byPassword("One more step")
		s.do("a code", click(`nav.aside a[href*="recovery_code"]`), there("#code"), typed("#code", "nonsense"), press(), there(`[role=alert]:not([hidden])`), typed("#code", codes[3]), submit("Your account"))
		s.assured("aal2", "pwd", "otp", "mfa")
		s.audited("mfa.challenge.failure", "wrong_code")
		if r := s.audited("mfa.recovery_code.used", ""); r.Metadata["remaining"] != 9.0 {
			s.t.Errorf("%+v", r)
		}
		s.in.mailTo(s.email, "recovery_code_used")
		s.leave()
		s.byPassword("One more step")
		s.do("once only", click(`nav.aside a[href*="recovery_code"]`), there("#code"), typed("#code", codes[3]), press(), there(`[role=alert]:not([hidden])`))
		s.outside()
	}},
	{"passkey and password lost", func(s *scene) {
		v, codes := s.second(virtual.Laptop)
		v.Unplug()
		s.do("forgotten", s.at("/login", "Sign in"), click(`main a[href^="/reset"]`), there("#email"), typed("#email", s.email), press())
		link := s.in.mailTo(s.email, "password_reset").Variables["link"]
		s.do("the link", open(link), there("#password"), typed("#password", "a new and long password"), submit("One more step"))
		s.outside()
		s.do("a code", click(`nav.aside a[href*="recovery_code"]`), there("#code"), typed("#code", codes[0]), press(), arrive("Your account"))
		if a := s.session(); a == nil || a.AAL != "aal2" {
			s.t.Errorf("%+v", a)
		}
		s.audited("mfa.recovery_code.used", "")
	}},
	{"an account without a password, by mail", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		s.sql(`DELETE FROM credential_password WHERE account_id = $1`, s.id)
		v.Unplug()
		s.do("forgotten", s.at("/login", "Sign in"), click(`main a[href^="/reset"]`), there("#email"), typed("#email", s.email), press())
		s.do("the link", open(s.in.mailTo(s.email, "password_reset").Variables["link"]), there("#password"), typed("#password", testPassword), submit("Your account"))
		if a := s.session(); a == nil || a.AAL != "aal1" {
			s.t.Errorf("%+v", a)
		}
		s.do("still there", s.at("/account/passkeys", "Passkeys"), there(".rows li"))
	}},
}

// settingScenes are what the settings change; each is reloaded while the server runs.
var settingScenes = []settingScene{
	{"the counter falls, and that is blocked", `block_on_regression = true`, func(s *scene) {
		s.copied()
		s.byPassword("One more step")
		s.do("use the copy", click(passkeyButton), alerted("This passkey may have been copied and is not taken any more."))
		s.outside()
		if r := s.audited("passkey.sign_count_regression", ""); r.Metadata["blocked"] != true {
			s.t.Errorf("%+v", r)
		}
		s.audited("mfa.challenge.failure", "sign_count")
		s.in.mailTo(s.email, "passkey_clone_alarm")
	}},
	{"verification required, and not to be had", `require_user_verification = true`, func(s *scene) {
		v := s.plug(virtual.USBKey)
		s.enter()
		s.do("try", s.at("/account/passkeys/new", "Add a passkey"), click(passkeyButton), alerted("You can try again."))
		s.unaudited("passkey.register.success")
		v.Unplug()
		s.plug(virtual.Laptop)
		s.do("another one", click(passkeyButton), arrive("Passkeys"), says("The passkey is added."))
	}},
	{"another model", `allowed_aaguids = ["` + uuid.NewString() + `"]`, func(s *scene) {
		v := s.plug(virtual.Laptop)
		s.enter()
		s.do("try", s.at("/account/passkeys/new", "Add a passkey"), click(passkeyButton), alerted("Passkeys of this kind are not accepted here."))
		s.audited("passkey.register.failure", "model")
		s.eventually("the device to forget", func() bool { return len(v.Keeps()) == 0 })
	}},
	{"one only", `max_per_account = 1`, func(s *scene) {
		s.plug(virtual.Laptop)
		s.enter()
		s.register("")
		s.do("see it", says("You have 1 passkey, which is all there may be."))
	}},
	{"other related sites", `related_origins = ["https://evil.example"]`, func(s *scene) {
		s.equipped(virtual.Laptop)
		if _, _, refusal := s.getThere("https://evil.example/"); refusal != "" {
			s.t.Errorf("the browser says %q at the related site", refusal)
		}
		if _, _, refusal := s.getThere("https://example.com/"); refusal != "SecurityError" {
			s.t.Errorf("the browser says %q at one that is no longer", refusal)
		}
	}},
	{"no passkeys", `enabled = false`, func(s *scene) {
		s.plug(virtual.Laptop)
		s.do("look", s.at("/login", "Sign in"))
		if s.count("form[data-passkey], [data-passkey-autofill]") != 0 {
			s.t.Errorf("passkeys are offered:\n%s", s.text())
		}
		s.in.must(http.StatusNotFound, "POST", "/v1/login/passkey/options", "", map[string]any{})
		s.in.must(http.StatusNotFound, "GET", "/.well-known/webauthn", "", nil)
		s.byPassword("Your account")
		s.assured("aal1", "pwd")
	}},
}
