package auth_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/selfservice"
)

// Whoever knows the password and shows wrong second factors without end keeps nobody out: not the owner's browser, not their live session.
func TestStrangers_wrongFactors(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{totp: true, known: true})
		live := ada.session(principal.AAL1, time.Hour)
		thief, err := w.SignIn(w.from("198.51.100.9"), auth.Credentials{Email: ada.email, Password: ada.pw})
		w.ok(err)
		for range 8 {
			_, err = w.FinishSignIn(w.from("198.51.100.9"), auth.SecondFactor{Flow: thief.Pending.Flow, Factor: factor.Proof{Method: factor.TOTP, Code: "000000"}})
		}
		if code(err) != "too_many_attempts" {
			t.Fatalf("a stranger guesses without end: %v", err)
		}
		if in, err := ada.finish(ada.pending().Flow, factor.TOTP); err != nil || in.Token == "" {
			t.Errorf("the owner's browser: %v", err)
		}
		if _, err := w.StepUp(w.ctx(), live.Principal, ada.show(factor.TOTP, "")); err != nil {
			t.Errorf("the owner's session: %v", err)
		}
	})
}

// Whoever asks for mails in somebody's name fills the mailbox's quota and not the owner's way in: the owner is answered as ever, and asks again
// when there is room. No answer tells that the quota was full.
func TestStrangers_fullMailBucket(t *testing.T) {
	each(t, options{settings: flow.Settings{MagicLinks: true}, mails: ratelimit.Quota{Count: 2, Per: 10 * time.Minute}}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{})
		w.advance(time.Hour)
		for what, ask := range map[string]func(email string) (string, error){
			"a reset": func(email string) (string, error) { r, err := w.RequestReset(w.ctx(), email); return r.Flow, err },
			"a link":  func(email string) (string, error) { r, err := w.RequestMagicLink(w.ctx(), email); return r.Flow, err },
			"a sign-up": func(email string) (string, error) {
				r, err := w.Register(w.ctx(), auth.Registration{Email: email, Password: horse})
				return r.Flow, err
			},
		} {
			for _, email := range []string{ada.email, "nobody-" + fmt.Sprint(len(what)) + "@example.org"} {
				w.advance(time.Hour)
				before := len(w.mails(email))
				for i := range 5 {
					if f, err := ask(email); err != nil || f == "" {
						t.Errorf("%s for %s, time %d: %v", what, email, i, err)
					}
				}
				if n := len(w.mails(email)) - before; n > 2 {
					t.Errorf("%s for %s: %d mails", what, email, n)
				}
			}
		}
		// A sign-up whose mail was held back is mailed when there is room again.
		w.advance(time.Hour)
		const email = "new@example.org"
		for range 2 {
			w.register(email, staple)
		}
		own := w.register(email, horse)
		at := since(t)
		if _, err := w.ResendConfirmation(w.ctx(), own.Flow); code(err) != "too_many_attempts" {
			t.Errorf("asked again at once: %v", err)
		}
		w.advance(time.Hour)
		if _, err := w.ResendConfirmation(w.ctx(), own.Flow); err != nil {
			t.Errorf("asked again later: %v", err)
		}
		if m := w.purposes(at); len(m) != 1 {
			t.Errorf("mails: %v", m)
		}
	})
}

// Wrong mailed codes are counted for whom they were mailed to, over all flows: more flows are no more guesses. The link still works, and an address
// that nobody has is counted like any other.
func TestStrangers_codesOverAllFlows(t *testing.T) {
	each(t, options{settings: flow.Settings{MagicLinks: true}}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{})
		answers := map[string][]string{}
		var link string
		for _, email := range []string{ada.email, "nobody@example.org"} {
			for range 4 {
				at := since(t)
				r, err := w.RequestReset(w.ctx(), email)
				w.ok(err)
				if token, _ := w.secrets(at, mail.PasswordReset); token != "" {
					link = token
				}
				for range 3 {
					_, err := w.SetPassword(w.ctx(), auth.NewPassword{Flow: r.Flow, Code: "000000", Password: unicorn})
					answers[email] = append(answers[email], code(err))
				}
			}
		}
		wrong := 0
		for _, a := range answers[ada.email] {
			if a == "wrong_code" {
				wrong++
			} else if a != "too_many_attempts" {
				t.Errorf("answered %s", a)
			}
		}
		if fmt.Sprint(answers[ada.email]) != fmt.Sprint(answers["nobody@example.org"]) || wrong != 5 {
			t.Errorf("%v", answers)
		}
		if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: link, Password: unicorn}); err != nil {
			t.Errorf("the mailed link: %v", err)
		}
	})
}

// A row that leads nowhere lives and dies as one that leads somewhere: whoever holds a flow for an address that is not theirs learns from no answer
// whether somebody has it, and nothing of what its owner does.
func TestDecoys_liveAsRealRowsDo(t *testing.T) {
	each(t, options{settings: flow.Settings{MagicLinks: true}}, func(t *testing.T, w *world) {
		// An address change to an address that is taken and to one that is free, each followed by another change.
		w.person("taken@example.org", has{})
		var got []string
		for i, to := range []string{"taken@example.org", "free@example.org"} {
			eve := w.person(fmt.Sprintf("eve%d@example.org", i), has{})
			who := eve.fresh()
			first, err := w.RequestEmailChange(w.ctx(), who, to)
			w.ok(err)
			_, err = w.RequestEmailChange(w.ctx(), who, fmt.Sprintf("elsewhere%d@example.org", i))
			w.ok(err)
			line := ""
			for range 7 {
				err := w.ConfirmEmailChange(w.ctx(), who, selfservice.EmailChange{Flow: first, Code: "000000"})
				line += code(err) + " "
			}
			got = append(got, line)
		}
		if got[0] != got[1] {
			t.Errorf("taken: %s\nfree:  %s", got[0], got[1])
		}
		// Flows for an address, while whoever has it does this and that.
		for what, does := range map[string]func(p *person){
			"changes the password": func(p *person) {
				_, err := w.ChangePassword(w.ctx(), p.fresh(), horse, unicorn)
				w.ok(err)
			},
			"signs out everywhere": func(p *person) {
				_, err := w.SignOutElsewhere(w.ctx(), p.fresh())
				w.ok(err)
			},
			"moves":       func(p *person) { p.moves("moved-" + p.email) },
			"is disabled": func(p *person) { w.ok(w.Disable(w.ctx(), operator, p.id)) },
		} {
			answers := map[bool]string{}
			for _, known := range []bool{true, false} {
				email := fmt.Sprintf("%x-%v@example.org", what[:4], known)
				var p *person
				if known {
					p = w.person(email, has{})
				}
				reset, err := w.RequestReset(w.ctx(), email)
				w.ok(err)
				link, err := w.RequestMagicLink(w.ctx(), email)
				w.ok(err)
				if known {
					does(p)
				}
				for range 2 {
					_, err := w.SetPassword(w.ctx(), auth.NewPassword{Flow: reset.Flow, Code: "000000", Password: unicorn})
					answers[known] += code(err) + " "
					_, err = w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: link.Flow, Code: "000000"})
					answers[known] += code(err) + " "
					_, err = w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: link.Flow})
					answers[known] += code(err) + " "
					_, err = w.MagicLinkNumber(w.ctx(), link.Flow)
					answers[known] += code(err) + " "
				}
			}
			if answers[true] != answers[false] {
				t.Errorf("somebody %s: %s\nnobody: %s", what, answers[true], answers[false])
			}
		}
	})
}
