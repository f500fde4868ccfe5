package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest/virtual"
)

// registerScenes are adding passkeys, and what becomes of them on the account's pages.
var registerScenes = []passkeyScene{
	{"registered and named", func(s *scene) {
		v := s.plug(virtual.Laptop)
		s.enter()
		s.register("My laptop")
		s.do("look", says("My laptop"), says("Backed up"), says("Never used"))
		r := s.audited("passkey.register.success", "")
		if r.Metadata["discoverable"] != true || r.Metadata["user_verified"] != true || r.Metadata["backed_up"] != true || r.Metadata["conditional"] != false {
			s.t.Errorf("%+v", r)
		}
		if c := v.Keeps(); len(c) != 1 || c[0].RpID != s.host || c[0].UserName != s.email || len(c[0].UserHandle) != 64 {
			s.t.Errorf("the device keeps %+v", c)
		}
		s.in.mailTo(s.email, "passkey_added")
	}},
	{"a bad name", func(s *scene) {
		s.plug(virtual.Laptop)
		s.enter()
		s.do("open the form", s.at("/account/passkeys/new", "Add a passkey"))
		evaluated[string](s, `document.querySelector("form[data-passkey] input[name=name]").value = "\u200f"`)
		s.do("add", click(passkeyButton), alerted("A passkey's name has at least one character"))
		s.audited("passkey.register.failure", "")
		if len(s.passkeys()) != 0 {
			s.t.Error("it is there")
		}
		evaluated[string](s, `document.querySelector("form[data-passkey] input[name=name]").value = "Fine"`)
		s.do("another name", click(passkeyButton), arrive("Passkeys"), says("The passkey is added."))
	}},
	{"deleted, and the device is told", func(s *scene) {
		v := s.plug(virtual.Laptop)
		s.enter()
		s.register("")
		s.do("delete it", click(`.rows a`), there(`a[href$="/delete"]`), click(`a[href$="/delete"]`), arrive("Delete this passkey?"), says("You can no longer sign in with"), click(`main form button`),
			arrive("Passkeys"), says("You have no passkey yet."))
		s.eventually("the device to forget", func() bool { return len(v.Keeps()) == 0 })
		if r := s.audited("passkey.delete", ""); r.Metadata["remaining"] != 0.0 {
			s.t.Errorf("%+v", r)
		}
		s.in.mailTo(s.email, "passkey_removed")
	}},
	{"another address, and the device is told", func(s *scene) {
		v := s.plug(virtual.Laptop)
		s.enter()
		s.register("")
		was := s.email
		s.email = "renamed-" + was
		var change struct{ Flow string }
		s.in.must(http.StatusAccepted, "POST", "/v1/account/email", s.token, map[string]any{"email": s.email}).decode(s.t, &change)
		s.in.must(http.StatusNoContent, "POST", "/v1/account/email/confirm", s.token, map[string]any{"flow": change.Flow, "code": s.in.mailTo(s.email, "email_change_confirm").Variables["code"]})
		s.do("look", s.at("/account/passkeys", "Passkeys"))
		s.eventually("the device to know the address", func() bool { return v.Keeps()[0].UserName == s.email })
		s.leave()
		s.byButton()
		s.arrived("aal2", "swk", "mfa")
	}},
	{"deleted in one tab, renamed in another", func(s *scene) {
		s.plug(virtual.Laptop)
		s.enter()
		s.register("")
		second := s.secondTab()
		s.do("look at it", click(`.rows a`), there("#name"))
		second.do("delete it", s.at("/account/passkeys", "Passkeys"), click(`.rows a`), there(`a[href$="/delete"]`), click(`a[href$="/delete"]`), arrive("Delete this passkey?"), click(`main form button`), arrive("Passkeys"))
		s.do("rename it", chromedp.Clear(chromedp.CSS("#name")), typed("#name", "Mine"), press(), arrive("Nothing here"), says("There is no such passkey."))
		s.audited("passkey.delete", "")
		s.unaudited("passkey.rename")
	}},
	{"the last way in", func(s *scene) {
		v := s.plug(virtual.Laptop)
		s.enter()
		s.register("")
		s.sql(`DELETE FROM credential_password WHERE account_id = $1`, s.id)
		s.do("try to delete it", click(`.rows a`), there(`a[href$="/delete"]`), click(`a[href$="/delete"]`), arrive("Delete this passkey?"), click(`main form button`),
			arrive("This is your last way in"), says("Add a password"))
		s.unaudited("passkey.delete")
		s.do("look", s.at("/account/passkeys", "Passkeys"))
		if len(s.passkeys()) != 1 || len(v.Keeps()) != 1 {
			s.t.Error("it is gone")
		}
		s.leave()
		s.byButton()
		s.arrived("aal2", "swk", "mfa")
	}},
	{"as many as there may be", func(s *scene) {
		for range 19 {
			q := s.ask("/v1/account/passkeys/options", s.token, map[string]any{})
			answer, err := passkeytest.New(s.t, s.in.url).Create(q.Options)
			if err != nil {
				s.t.Fatal(err)
			}
			s.in.must(http.StatusNoContent, "POST", "/v1/account/passkeys", s.token, map[string]any{"ceremony": q.Ceremony, "credential": json.RawMessage(answer)})
		}
		v := s.plug(virtual.Laptop)
		s.enter()
		second := s.secondTab()
		second.do("open the form", s.at("/account/passkeys/new", "Add a passkey"))
		s.register("The last one")
		s.do("see it", says("You have 20 passkeys, which is all there may be."))
		if n := s.count(`a[href="/account/passkeys/new"]`); n != 0 {
			s.t.Error("one more is offered")
		}
		second.do("one more", click(passkeyButton), alerted("This account has as many passkeys as it can have."))
		if n := len(s.passkeys()); n != 20 || len(v.Keeps()) != 1 {
			s.t.Errorf("there are %d", n)
		}
	}},
	{"after a while, only with a proof", func(s *scene) {
		s.equipped(virtual.Laptop)
		s.enter()
		s.sql(`UPDATE session SET auth_time = $2 WHERE account_id = $1`, s.id, hoursAgo(1))
		s.do("ask", open(s.in.url+"/account/passkeys/new"), arrive("Confirm that it is you"), says("Enter your password once more."), click(`nav.aside a[href*="passkey"]`),
			says("Confirm it with a passkey."), click(passkeyButton), arrive("Add a passkey"))
		if a := s.session(); a == nil || a.AAL != "aal2" || !slices.Contains(a.AMR, "swk") {
			s.t.Errorf("%+v", a)
		}
		if r := s.audited("auth.step_up.success", ""); r.Metadata["method"] != "passkey" || r.Metadata["aal"] != "aal2" {
			s.t.Errorf("%+v", r)
		}
	}},
	{"a script that is too late for the proof is led to it", func(s *scene) {
		s.plug(virtual.Laptop)
		s.enter()
		s.do("open the form", s.at("/account/passkeys/new", "Add a passkey"))
		s.sql(`UPDATE session SET auth_time = $2 WHERE account_id = $1`, s.id, hoursAgo(1))
		s.do("add", click(passkeyButton), arrive("Confirm that it is you"), typed("#password", testPassword), submit("Add a passkey"), click(passkeyButton), arrive("Passkeys"), says("The passkey is added."))
		if r := s.audited("auth.step_up.success", ""); r.Metadata["method"] != "password" {
			s.t.Errorf("%+v", r)
		}
	}},
}

// as1Password gives what the authenticator made another model. Without attestation nothing is signed that tells it (WebAuthn L3 §6.5.4).
var as1Password = strings.ReplaceAll(`{ const create = navigator.credentials.create.bind(navigator.credentials);
	const model = Uint8Array.from("AAGUID".match(/../g), (b) => parseInt(b, 16));
	navigator.credentials.create = async (o) => {
		const c = await create(o), json = c.toJSON();
		const object = Uint8Array.from(atob(json.response.attestationObject.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
		const name = new TextEncoder().encode("authData");
		let at = 0;
		while (!name.every((b, i) => object[at + i] === b)) at++;
		at += name.length;
		at += object[at] === 0x58 ? 2 : 3;
		object.set(model, at + 37);
		json.response.attestationObject = btoa(String.fromCharCode(...object)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
		return { toJSON: () => json };
	}; }`, "AAGUID", "bada5566a7aa401fbd9645619a55120d")
