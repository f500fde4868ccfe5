package main

import (
	"time"

	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest/virtual"
)

func hoursAgo(n int) time.Time { return time.Now().UTC().Add(-time.Duration(n) * time.Hour) }

// second is a person who is asked for a passkey after the password, without a session.
func (s *scene) second(o virtual.Options) (*virtual.Authenticator, []string) {
	s.t.Helper()
	v := s.plug(o)
	s.enter()
	s.register("")
	codes := s.askedAfterPassword()
	s.leave()
	return v, codes
}

// factorScenes are passkeys beside another factor.
var factorScenes = []passkeyScene{
	{"second factor", func(s *scene) {
		_, codes := s.second(virtual.Laptop)
		if len(codes) != 10 {
			s.t.Errorf("codes %v", codes)
		}
		s.audited("mfa.enrollment.complete", "")
		s.byPassword("One more step")
		s.outside()
		s.do("use it", says("Confirm with a passkey that it is you."), click(passkeyButton))
		s.arrived("aal2", "pwd", "swk", "mfa")
		if r := s.audited("mfa.challenge.success", ""); r.Metadata["method"] != "passkey" || r.AuthMethod != "swk" {
			s.t.Errorf("%+v", r)
		}
	}},
	{"second factor, a key that keeps nothing", func(s *scene) {
		s.second(virtual.USBKey)
		s.byPassword("One more step")
		s.do("use it", click(passkeyButton))
		s.arrived("aal2", "pwd", "hwk", "mfa")
	}},
	{"second factor, with somebody else's passkey", func(s *scene) {
		v, _ := s.second(virtual.Laptop)
		v.Unplug()
		thief := *s
		thief.email = "thief-of-" + s.email
		in := s.in.signUp(thief.email)
		thief.id, thief.token = in.Session.UserID, in.Token
		thief.equipped(virtual.Laptop)
		// The browser is told whose will do, and by a page of the thief's that any will.
		s.byPassword("One more step")
		s.do("use it", click(passkeyButton), alerted("You can try again."))
		evaluated[bool](s, `{ const get = navigator.credentials.get.bind(navigator.credentials); navigator.credentials.get = (o) => { o.publicKey.allowCredentials = []; return get(o); }; true }`)
		s.do("use it anyway", click(passkeyButton), alerted("This passkey could not be verified."))
		s.outside()
		if r := s.audited("mfa.challenge.failure", "credential_of_another_account"); r.Metadata["method"] != "passkey" {
			s.t.Errorf("%+v", r)
		}
	}},
	{"second factor, spared on a trusted device", func(s *scene) {
		s.second(virtual.Laptop)
		s.byPassword("One more step")
		s.do("use it", says("Don't ask again on this device for 30 days"), click(`form[data-passkey] input[name=trust]`), click(passkeyButton))
		s.arrived("aal2", "pwd", "swk", "mfa")
		s.leave()
		s.byPassword("Your account")
		s.assured("aal1", "pwd")
		if r := s.audited("auth.login.success", ""); r.Metadata["trusted_device"] != true {
			s.t.Errorf("%+v", r)
		}
	}},
	{"second factor, turned off again", func(s *scene) {
		s.second(virtual.Laptop)
		s.byPassword("One more step")
		s.do("use it", click(passkeyButton))
		s.arrived("aal2", "pwd", "swk", "mfa")
		s.do("turn it off", s.at("/account/passkeys", "Passkeys"), click(`form[action="/account/passkeys/after-password"] button`), arrive("Passkeys"), says("A passkey is no longer asked for"))
		if r := s.audited("mfa.disable", ""); r.Metadata["method"] != "passkey" {
			s.t.Errorf("%+v", r)
		}
		s.leave()
		s.byPassword("Your account")
		s.assured("aal1", "pwd")
	}},
	{"the only second factor is deleted", func(s *scene) {
		s.second(virtual.Laptop)
		s.byButton()
		s.arrived("aal2", "swk", "mfa")
		s.do("delete it", s.at("/account/passkeys", "Passkeys"), click(`.rows a`), there(`a[href$="/delete"]`), click(`a[href$="/delete"]`), arrive("Delete this passkey?"), click(`main form button`),
			arrive("Passkeys"), says("You have no passkey yet."))
		s.audited("passkey.delete", "")
		s.leave()
		s.byPassword("Your account")
		s.assured("aal1", "pwd")
	}},
	{"step-up", func(s *scene) {
		s.equipped(virtual.Laptop)
		s.byPassword("Your account")
		s.assured("aal1", "pwd")
		s.do("show it", s.at("/step-up?method=passkey&return_to=/account/devices", "Confirm that it is you"), says("Confirm it with a passkey."), click(passkeyButton), until(`location.pathname === "/account/devices"`))
		s.assured("aal2", "pwd", "swk", "mfa")
		if r := s.audited("auth.step_up.success", ""); r.Metadata["method"] != "passkey" || r.AuthMethod != "swk" {
			s.t.Errorf("%+v", r)
		}
	}},
	{"step-up refused", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		s.byPassword("Your account")
		v.Spoil(true, false, false)
		s.do("show it", s.at("/step-up?method=passkey", "Confirm that it is you"), click(passkeyButton), alerted("This passkey could not be verified."))
		s.audited("auth.step_up.failure", "signature")
		s.assured("aal1", "pwd")
	}},
	{"its verification is trusted beside a password", func(s *scene) {
		s.do("stand in", virtual.BeforePages(virtual.MakesPasskeys), virtual.BeforePages(`PublicKeyCredential.getClientCapabilities = async () => ({ conditionalGet: false, conditionalCreate: true });`))
		v := s.plug(virtual.Laptop)
		v.Spoil(false, true, true)
		s.byPassword("Your account")
		s.eventually("the passkey made", func() bool { return len(s.passkeys()) == 1 })
		v.Spoil(false, false, false)
		s.leave()
		s.byButton()
		s.arrived("aal1", "swk")
		s.do("ask for it after the password", s.at("/account/passkeys", "Passkeys"), click(`form[action="/account/passkeys/after-password"] button`), arrive("Your recovery codes"))
		s.leave()
		s.byPassword("One more step")
		s.do("use it", click(passkeyButton))
		s.arrived("aal2", "pwd", "swk", "mfa")
		s.leave()
		s.byButton()
		s.arrived("aal2", "swk", "mfa")
	}},
}

// demanded is a sign-in in the middle of which a passkey is made, because everybody must have a second factor.
func demanded(s *scene) {
	s.plug(virtual.Laptop)
	s.byPassword("Add a second factor")
	s.outside()
	s.do("a passkey", click(`nav.aside a[href*="method=passkey"]`), says("A passkey is one: your device or security key confirms that it is you."), click(passkeyButton), arrive("Your recovery codes"))
	s.assured("aal2", "pwd", "swk", "mfa")
	s.audited("passkey.register.success", "")
	if r := s.audited("mfa.enrollment.complete", ""); r.Metadata["method"] != "passkey" {
		s.t.Errorf("%+v", r)
	}
	s.do("delete it", s.at("/account/passkeys", "Passkeys"), click(`.rows a`), there(`a[href$="/delete"]`), click(`a[href$="/delete"]`), arrive("Delete this passkey?"), click(`main form button`),
		arrive("A second factor has to stay"))
	s.unaudited("passkey.delete")
	s.leave()
	s.byPassword("One more step")
	s.do("use it", click(passkeyButton))
	s.arrived("aal2", "pwd", "swk", "mfa")
}
