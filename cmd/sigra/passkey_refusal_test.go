package main

import (
	"net/http"
	"slices"

	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest/virtual"
)

// refusalScenes are answers that prove nothing.
var refusalScenes = []passkeyScene{
	{"a sibling site asks", func(s *scene) {
		s.equipped(virtual.Laptop)
		ceremony, answer, refusal := s.getThere("https://www." + s.host + "/")
		if refusal != "" {
			s.t.Fatalf("the browser says %s", refusal)
		}
		r := s.in.must(http.StatusUnauthorized, "POST", "/v1/login/passkey", "", map[string]any{"ceremony": ceremony, "credential": answer})
		var problem struct{ Code, Detail string }
		if r.decode(s.t, &problem); problem.Code != "passkey_refused" {
			s.t.Errorf("%+v", problem)
		}
		if !slices.ContainsFunc(append(s.rows("auth.login.failure", "unknown"), s.rows("auth.login.failure", s.id)...), func(r passkeyRow) bool { return r.Reason == "origin" }) {
			s.t.Error("no row names the origin")
		}
	}},
	{"a signature of nothing", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		v.Spoil(true, false, false)
		s.byButton()
		s.refused("signature")
	}},
	{"verification not done", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		v.Spoil(false, true, false)
		s.byButton()
		s.refused("user_verification")
	}},
	{"nobody there", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		v.Spoil(false, false, true)
		s.byButton()
		s.refused("user_presence")
	}},
	{"an expired question", func(s *scene) {
		s.equipped(virtual.Laptop)
		s.do("open", s.at("/login", "Sign in"))
		s.swap("/login/passkey/options", s.expired(s.ask("/v1/login/passkey/options", "", map[string]any{})))
		s.do("answer", click(passkeyButton))
		s.refused("ceremony_expired")
	}},
	{"a question answered twice", func(s *scene) {
		s.equipped(virtual.Laptop)
		s.do("open", s.at("/login", "Sign in"))
		evaluated[bool](s, `{ const fetch = window.fetch; window.fetch = async (url, o) => {
			if (!url.endsWith("/finish")) return fetch(url, o);
			const both = await Promise.all([fetch(url, o), fetch(url, o)]);
			sessionStorage.setItem("statuses", both.map((r) => r.status).sort());
			return both.find((r) => r.ok); }; true }`)
		s.do("answer", click(passkeyButton))
		s.arrived("aal2", "swk", "mfa")
		if got := evaluated[string](s, `sessionStorage.getItem("statuses")`); got != "200,401" {
			s.t.Errorf("the answers were %s", got)
		}
		if n := len(s.rows("auth.login.success", s.id)); n != 2 { // with the sign-up's
			s.t.Errorf("%d sign-ins", n)
		}
	}},
	{"a question put for something else", func(s *scene) {
		s.equipped(virtual.Laptop)
		s.byPassword("Your account")
		s.do("open", s.at("/step-up?method=passkey", "Confirm that it is you"))
		s.swap("/step-up/passkey/options", s.ask("/v1/login/passkey/options", "", map[string]any{}))
		s.do("answer", click(passkeyButton), alerted("This passkey could not be verified."))
		s.audited("auth.step_up.failure", "ceremony_purpose")
		s.assured("aal1", "pwd")
	}},
	{"a question put to somebody else", func(s *scene) {
		s.plug(virtual.Laptop)
		s.enter()
		other := s.in.signUp("asked-in-place-of-" + s.email)
		s.do("open", s.at("/account/passkeys/new", "Add a passkey"))
		s.swap("/account/passkeys/options", s.ask("/v1/account/passkeys/options", other.Token, map[string]any{}))
		s.do("answer", click(passkeyButton), alerted("This passkey could not be verified."))
		s.audited("passkey.register.failure", "ceremony_purpose")
		if len(s.passkeys()) != 0 {
			s.t.Error("it is there")
		}
	}},
	{"the counter falls", func(s *scene) {
		s.copied()
		s.byPassword("One more step")
		s.do("use the copy", click(passkeyButton))
		s.arrived("aal2", "pwd", "hwk", "mfa")
		if r := s.audited("passkey.sign_count_regression", ""); r.Metadata["blocked"] != false {
			s.t.Errorf("%+v", r)
		}
		s.in.mailTo(s.email, "passkey_clone_alarm")
	}},
	{"deleted on the server", func(s *scene) {
		v := s.equipped(virtual.Laptop)
		s.in.must(http.StatusNoContent, "DELETE", "/v1/account/passkeys/"+s.passkeys()[0].ID, s.token, nil)
		s.byButton()
		s.refused("credential_unknown")
		s.eventually("the device to forget", func() bool { return len(v.Keeps()) == 0 })
	}},
}

// swap has the page get another question than it asks for.
func (s *scene) swap(path string, q asked) {
	s.t.Helper()
	evaluated[bool](s, `{ const fetch = window.fetch; window.fetch = (url, o) => url.endsWith(`+quoted(path)+`)
		? Promise.resolve(new Response(JSON.stringify({ token: `+quoted(q.Ceremony)+`, options: `+string(q.Options)+` }), { headers: { "Content-Type": "application/json" } })) : fetch(url, o); true }`)
}

// expired has a question's time be over.
func (s *scene) expired(q asked) asked {
	s.t.Helper()
	s.sql(`UPDATE credential_passkey_ceremony SET expires_at = $2 WHERE token_hash = $1`, tokenHash(q.Ceremony), hoursAgo(1))
	return q
}

// copied is a person who is asked for a passkey after the password, and whose key was copied before it was used twice more. The copy
// is what is plugged in.
func (s *scene) copied() {
	s.t.Helper()
	v, _ := s.second(virtual.USBKey)
	copied := *v.Keeps()[0]
	for range 2 {
		s.byPassword("One more step")
		s.do("use it", click(passkeyButton))
		s.arrived("aal2", "pwd", "hwk", "mfa")
		s.leave()
	}
	v.Forget(&copied)
	v.Learn(copied)
}
