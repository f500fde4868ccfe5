package main

import (
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest/virtual"
)

// browserScenes are what browsers and authenticators do by themselves, and what they can't. Databases have no part in it, so it is played
// on one of them.
var browserScenes = []passkeyScene{
	{"with the keyboard alone", func(s *scene) {
		s.equipped(virtual.Laptop)
		s.do("press", s.at("/login", "Sign in"), until(`!document.querySelector("form[data-passkey]").hidden`))
		for range 20 {
			if evaluated[bool](s, `document.activeElement === document.querySelector('`+passkeyButton+`')`) {
				break
			}
			s.do("on", chromedp.KeyEvent(kb.Tab))
		}
		s.do("press", chromedp.KeyEvent(kb.Enter))
		s.arrived("aal2", "swk", "mfa")
	}},
	{"in another language", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		v.Recognize(false)
		s.do("ask in German", s.keep(cookie.Language, "de"), s.at("/login", "Anmelden"), click(passkeyButton), alerted("Abgebrochen, oder es gab keinen passenden Passkey."))
		v.Recognize(true)
		s.do("again", click(passkeyButton), until(`location.pathname === "/account"`))
		s.assured("aal2", "swk", "mfa")
	}},
	{"cancelled, and again", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		v.Recognize(false)
		s.byButton()
		s.do("see it", alerted("Cancelled, or there was no passkey to use."))
		s.outside()
		s.unaudited("auth.login.failure")
		v.Recognize(true)
		s.do("again", click(passkeyButton))
		s.arrived("aal2", "swk", "mfa")
	}},
	{"too slow", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		v.Touch(false)
		s.do("be impatient", virtual.BeforePages(impatient))
		s.byButton()
		s.do("see it", alerted("That took too long."))
		s.outside()
		s.unaudited("auth.login.failure")
		v.Touch(true)
		s.do("again", click(passkeyButton))
		s.arrived("aal2", "swk", "mfa")
	}},
	{"unplugged in the middle", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		kept := *v.Keeps()[0]
		v.Touch(false)
		s.do("be impatient", virtual.BeforePages(impatient))
		s.byButton()
		v.Unplug()
		s.do("see it", alerted("You can try again."))
		s.outside()
		s.plug(virtual.Laptop).Learn(kept)
		s.do("again", click(passkeyButton))
		s.arrived("aal2", "swk", "mfa")
	}},
	{"a key that keeps nothing", func(s *scene) {
		s.equipped(virtual.USBKey)
		s.byButton()
		s.do("see it", alerted("Cancelled, or there was no passkey to use."))
		s.outside()
		s.unaudited("auth.login.failure")
		s.byPassword("Your account")
		s.do("see why", s.at("/account/passkeys", "Passkeys"), says("Second factor only"))
	}},
	{"a key that can't verify anybody", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		kept := *v.Keeps()[0]
		v.Unplug()
		o := virtual.USBKey
		o.HasResidentKey = true
		s.plug(o).Learn(kept)
		s.byButton()
		s.do("see it", alerted("Cancelled, or there was no passkey to use."))
		s.outside()
		s.byPassword("Your account")
	}},
	{"registration cancelled", func(s *scene) {
		v := s.plug(virtual.Laptop)
		v.Touch(false)
		s.enter()
		s.do("give up", s.at("/account/passkeys/new", "Add a passkey"))
		evaluated[bool](s, `{ const create = navigator.credentials.create.bind(navigator.credentials), stop = new AbortController();
			navigator.credentials.create = (o) => { setTimeout(() => stop.abort(new DOMException("", "NotAllowedError")), 100); return create({ ...o, signal: stop.signal }); }; true }`)
		s.do("give up", click(passkeyButton), alerted("Cancelled, or there was no passkey to use."))
		s.unaudited("passkey.register.success")
		if len(s.passkeys()) != 0 || len(v.Keeps()) != 0 {
			s.t.Error("something was made")
		}
	}},
	{"excluded", func(s *scene) {
		v := s.plug(virtual.Laptop)
		s.enter()
		s.register("")
		s.do("again", s.at("/account/passkeys/new", "Add a passkey"), click(passkeyButton), alerted("This device has a passkey for your account already."))
		if len(s.passkeys()) != 1 || len(v.Keeps()) != 1 {
			s.t.Errorf("%v, the device has %d", s.passkeys(), len(v.Keeps()))
		}
		if n := len(s.rows("passkey.register.*", s.id)); n != 1 {
			s.t.Errorf("%d rows", n)
		}
	}},
	// As extensions do that stand in for the browser: the model is theirs.
	{"a password manager's name", func(s *scene) {
		s.do("stand in", virtual.BeforePages(as1Password))
		s.plug(virtual.Laptop)
		s.enter()
		s.register("")
		s.do("its name", says("1Password"))
		if r := s.audited("passkey.register.success", ""); r.Metadata["aaguid"] != "bada5566-a7aa-401f-bd96-45619a55120d" {
			s.t.Errorf("%+v", r)
		}
		s.do("rename it", click(`.rows a`), arrive("1Password"), chromedp.Clear(chromedp.CSS("#name")), typed("#name", "Mine"), press(), arrive("Passkeys"), says("The passkey has its new name."), says("Mine"))
		s.do("look", click(`.rows a`), arrive("Mine"), says("Kept by"), says("1Password"))
		s.audited("passkey.rename", "")
	}},
	{"step-up cancelled, the password instead", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		s.byPassword("Your account")
		v.Recognize(false)
		s.do("give up", s.at("/step-up?method=passkey&return_to=/account", "Confirm that it is you"), click(passkeyButton), alerted("Cancelled, or there was no passkey to use."))
		s.unaudited("auth.step_up.success")
		s.do("the password", click(`nav.aside a[href*="method=password"]`), there("#password"), typed("#password", testPassword), submit("Your account"))
		s.assured("aal1", "pwd")
		if r := s.audited("auth.step_up.success", ""); r.Metadata["method"] != "password" {
			s.t.Errorf("%+v", r)
		}
	}},
	{"second factor, cancelled", func(s *scene) {
		v, _ := s.second(virtual.Laptop)
		v.Unplug()
		s.do("be impatient", virtual.BeforePages(impatient))
		s.byPassword("One more step")
		s.do("use it", click(passkeyButton), alerted("You can try again."))
		s.outside()
		s.unaudited("mfa.challenge.success")
		s.do("start again", click(`main a[href^="/login"]:not([href*="second-factor"])`), arrive("Sign in"))
		s.outside()
	}},
	{"second factor, U2F", func(s *scene) {
		s.second(virtual.U2F())
		s.byPassword("One more step")
		s.do("use it", click(passkeyButton))
		s.arrived("aal2", "pwd", "hwk", "mfa")
		if k := s.passkeys(); len(k) != 1 || k[0].Discoverable || k[0].Name != "Security key" {
			s.t.Errorf("%+v", k)
		}
	}},
	{"another site asks", func(s *scene) {
		s.equipped(virtual.Laptop)
		if _, _, refusal := s.getThere("https://evil.example/"); refusal != "SecurityError" {
			s.t.Errorf("the browser says %q", refusal)
		}
		s.unaudited("auth.login.failure")
	}},
	{"another site makes one", func(s *scene) {
		v := s.plug(virtual.Laptop)
		q := s.ask("/v1/account/passkeys/options", s.token, map[string]any{})
		s.do("go there", open("https://evil.example/"), arrive("Elsewhere"))
		if got := evaluated[string](s, `navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(`+string(q.Options)+`.publicKey) }).then(() => "made", (e) => e.name)`); got != "SecurityError" || len(v.Keeps()) != 0 {
			s.t.Errorf("the browser says %q", got)
		}
	}},
	{"autofill gives way to the button", func(s *scene) {
		s.withAutofill()
		s.do("stand in", virtual.BeforePages(virtual.WaitsForChoice))
		v := s.equipped(virtual.Laptop)
		v.Recognize(false)
		s.byButton()
		s.do("see it", alerted("Cancelled, or there was no passkey to use."))
		v.Recognize(true)
		s.do("again", click(passkeyButton))
		s.arrived("aal2", "swk", "mfa")
	}},
	{"the browser makes none", func(s *scene) {
		s.withAutofill()
		v := s.plug(virtual.Laptop)
		s.byPassword("Your account")
		s.do("go on", click(`a[href="/account/passkeys"]`), arrive("Passkeys"), says("You have no passkey yet."))
		s.unaudited("passkey.register.success")
		s.unaudited("passkey.register.failure")
		if n := len(v.Keeps()); n != 0 {
			s.t.Errorf("the device keeps %d", n)
		}
	}},
	{"a browser without passkeys", func(s *scene) {
		s.do("take them away", virtual.BeforePages(virtual.NoWebAuthn), s.at("/login", "Sign in"))
		if !evaluated[bool](s, `document.querySelector("form[data-passkey]").hidden`) {
			s.t.Error("a button that does nothing is shown")
		}
		s.byPassword("Your account")
		s.assured("aal1", "pwd")
	}},
	{"a browser of 2022", func(s *scene) {
		s.do("take it away", virtual.BeforePages(virtual.Of2022))
		v := s.equipped(virtual.Laptop)
		s.byButton()
		s.arrived("aal2", "swk", "mfa")
		s.do("excluded", s.at("/account/passkeys/new", "Add a passkey"), click(passkeyButton), alerted("This device has a passkey for your account already."))
		if n := len(v.Keeps()); n != 1 {
			s.t.Errorf("the device keeps %d", n)
		}
	}},
	{"offline", func(s *scene) {
		s.equipped(virtual.Laptop)
		s.do("open", s.at("/login", "Sign in"))
		evaluated[bool](s, `{ const fetch = window.fetch; window.fetch = () => { window.fetch = fetch; return Promise.reject(new TypeError("no way there")); }; true }`)
		s.do("try", click(passkeyButton), alerted("The server can't be reached."))
		s.outside()
		s.do("again", click(passkeyButton))
		s.arrived("aal2", "swk", "mfa")
	}},
}

// impatient has the browser wait for a second and a half where the server said minutes.
const impatient = `{ const json = Response.prototype.json;
	Response.prototype.json = async function () { const a = await json.call(this); if (a.options) a.options.publicKey.timeout = 1500; return a; }; }`

// withAutofill gives the person a browser that offers passkeys in the fields.
func (s *scene) withAutofill() {
	s.t.Helper()
	s.tab = newTab(s.t, s.browser)
	s.do("another browser", virtual.Enable(), focused())
}
