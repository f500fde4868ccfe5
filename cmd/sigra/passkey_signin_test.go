package main

import (
	"net/http"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/emulation"

	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest/virtual"
)

// signInScenes are signing in with nothing but a passkey.
var signInScenes = []passkeyScene{
	{"without a name", func(s *scene) {
		s.equipped(virtual.Laptop)
		s.byButton()
		s.arrived("aal2", "swk", "mfa")
		if r := s.audited("auth.login.success", ""); r.Metadata["method"] != "passkey" || r.Metadata["aal"] != "aal2" || r.AuthMethod != "swk" {
			s.t.Errorf("%+v", r)
		}
		s.do("see the use", s.at("/account/passkeys", "Passkeys"), says("Last used"))
	}},
	{"back to where it was asked for", func(s *scene) {
		s.equipped(virtual.Laptop)
		s.do("ask", open(s.in.url+"/account/devices"), arrive("Sign in"), click(passkeyButton), until(`location.pathname === "/account/devices"`))
		s.assured("aal2", "swk", "mfa")
	}},
	{"several of one account", func(s *scene) {
		first := s.equipped(virtual.Laptop)
		kept := *first.Keeps()[0]
		first.Unplug()
		second := s.plug(virtual.Laptop)
		s.enter()
		s.register("The other one")
		for _, v := range []*virtual.Authenticator{second, nil} {
			s.leave()
			if v == nil {
				second.Unplug()
				s.plug(virtual.Laptop).Learn(kept)
			}
			s.byButton()
			s.arrived("aal2", "swk", "mfa")
		}
		s.do("see both", s.at("/account/passkeys", "Passkeys"), until(`document.querySelectorAll(".rows li").length === 2 && !document.body.innerText.includes("Never used")`))
	}},
	{"several accounts on one device", func(s *scene) {
		s.equipped(virtual.Laptop)
		other := *s
		other.email = "the-other-" + s.email
		in := s.in.signUp(other.email)
		other.id, other.token = in.Session.UserID, in.Token
		other.enter()
		other.register("")
		other.askedAfterPassword()
		other.leave()
		// The browser offers all that it has; asked for one account's, only that one's.
		other.byPassword("One more step")
		other.do("use it", click(passkeyButton))
		other.arrived("aal2", "pwd", "swk", "mfa")
		other.leave()
		s.byButton()
		s.do("arrive", arrive("Your account"))
		if a := s.session(); a == nil || a.Email != s.email && a.Email != other.email || a.AAL != "aal2" {
			s.t.Errorf("%+v", a)
		}
	}},
	{"two tabs at once", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		kept := *v.Keeps()[0]
		second := s.secondTab()
		virtual.Plug(second.do, virtual.Laptop).Learn(kept)
		s.do("open", s.at("/login", "Sign in"))
		second.do("open", s.at("/login", "Sign in"))
		s.do("press in the one", click(passkeyButton))
		second.do("press in the other", click(passkeyButton), arrive("Your account"))
		s.arrived("aal2", "swk", "mfa")
		if n := len(s.rows("auth.login.success", s.id)); n != 3 { // with the sign-up's
			s.t.Errorf("%d sign-ins", n)
		}
	}},
	{"the session ended elsewhere", func(s *scene) {
		s.plug(virtual.Laptop)
		s.enter()
		s.do("open the form", s.at("/account/passkeys/new", "Add a passkey"))
		s.in.must(http.StatusNoContent, "POST", "/v1/logout", s.token, nil)
		s.do("add", click(passkeyButton), arrive("Sign in"))
		s.outside()
		s.unaudited("passkey.register.success")
	}},
	{"a disabled account", func(s *scene) {
		s.equipped(virtual.Laptop)
		s.in.cli("user", "disable", s.email)
		s.byButton()
		s.do("see it", until(`[...document.querySelectorAll('[role="alert"]')].some(e => !e.hidden && e.textContent)`))
		s.outside()
		if r := s.audited("auth.login.failure", "account_disabled"); r.Metadata["method"] != "passkey" {
			s.t.Errorf("%+v", r)
		}
		if text := s.text(); strings.Contains(text, "disabled") {
			s.t.Errorf("the page tells that there is an account:\n%s", text)
		}
	}},
	{"at a related site", func(s *scene) {
		s.equipped(virtual.Laptop)
		if r := s.in.must(http.StatusOK, "GET", "/.well-known/webauthn", "", nil); !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") || !strings.Contains(string(r.body), `"https://example.com"`) {
			s.t.Errorf("%v %s", r.header, r.body)
		}
		ceremony, answer, refusal := s.getThere("https://example.com/")
		if refusal != "" {
			s.t.Fatalf("the browser says %s", refusal)
		}
		var in signedIn
		s.in.must(http.StatusOK, "POST", "/v1/login/passkey", "", map[string]any{"ceremony": ceremony, "credential": answer, "token_delivery": "body"}).decode(s.t, &in)
		s.token = in.Token
		s.enter()
		s.do("go to Sigra", s.at("/account", "Your account"))
		s.arrived("aal2", "swk", "mfa")
	}},
	{"autofill", func(s *scene) {
		s.withAutofill()
		s.plug(virtual.Laptop)
		s.enter()
		s.register("")
		s.leave()
		s.do("open", open(s.in.url+"/login"))
		s.arrived("aal2", "swk", "mfa")
		s.audited("auth.login.success", "")
	}},
	// The authenticator says what a password manager would: nobody touched it, nobody was verified.
	{"made by the browser itself", func(s *scene) {
		s.withAutofill()
		s.do("stand in", virtual.BeforePages(virtual.MakesPasskeys))
		v := s.plug(virtual.Laptop)
		v.Spoil(false, true, true)
		s.byPassword("Your account")
		s.eventually("the passkey made", func() bool { return len(s.rows("passkey.register.success", s.id)) == 1 })
		if r := s.audited("passkey.register.success", ""); r.Metadata["conditional"] != true || r.Metadata["user_verified"] != false {
			s.t.Errorf("%+v", r)
		}
		s.in.mailTo(s.email, "passkey_added")
		// Its verification is relied upon once it was seen beside another factor.
		v.Spoil(false, false, false)
		s.leave()
		s.do("sign in with it", open(s.in.url+"/login"))
		s.arrived("aal1", "swk")
	}},
	{"scripts off", func(s *scene) {
		s.equipped(virtual.Laptop)
		s.enter()
		codes := s.askedAfterPassword()
		s.leave()
		s.do("turn them off", virtual.Command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
		s.do("look", s.at("/login", "Sign in"))
		if !slices.Equal(evaluated[[]string](s, `[...document.querySelectorAll("main form")].filter((f) => f.offsetParent).map((f) => f.getAttribute("action"))`), []string{"/login"}) {
			s.t.Errorf("a passkey is offered without scripts:\n%s", s.text())
		}
		s.byPassword("One more step")
		s.do("another way", says("Passkeys need JavaScript, which is off in this browser."), click(`nav.aside a[href*="recovery_code"]`), there("#code"), typed("#code", codes[0]), submit("Your account"))
		s.assured("aal2", "pwd", "otp", "mfa")
		s.do("no form", open(s.in.url+"/account/passkeys/new"), arrive("Add a passkey"), says("Adding a passkey needs JavaScript"))
	}},
}
