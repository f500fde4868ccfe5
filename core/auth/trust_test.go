package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/principal"
)

// spared says whether the person's browser is asked for the password only.
func (p *person) spared() bool {
	p.w.t.Helper()
	in, err := p.signIn()
	if err != nil {
		p.w.t.Fatal(err)
	}
	if in.Pending == nil && in.Principal.AAL != principal.AAL1 {
		p.w.t.Errorf("spared the second factor, and yet at %s", in.Principal.AAL)
	}
	return in.Pending == nil
}

func TestTrust_thirtyDays(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada, bob := w.person("ada@example.org", has{totp: true, known: true}), w.person("bob@example.org", has{totp: true})
		before := ada.browser
		rows := w.wantRows(func() {
			in, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: ada.pending().Flow, Factor: ada.show(factor.TOTP, ""), Trust: true, Device: ada.browser})
			if err != nil || in.Device == "" || in.Device == before || in.Principal.AAL != principal.AAL2 {
				t.Fatalf("%+v, %v", in, err)
			}
			ada.browser = in.Device
		}, "mfa.challenge.success", "auth.login.success", "trusted_device.add")
		if rows[len(rows)-1].Metadata["days"] != 30.0 {
			t.Errorf("%T %[1]v days", rows[len(rows)-1].Metadata["days"])
		}
		trusted := w.now()
		for name, p := range map[string]*person{
			"a copy from before": {w: w, email: ada.email, pw: horse, browser: before}, "another browser": {w: w, email: ada.email, pw: horse},
			"another account in it": {w: w, email: bob.email, pw: horse, browser: ada.browser},
		} {
			if p.spared() {
				t.Errorf("%s is trusted", name)
			}
		}
		if !ada.spared() {
			t.Error("it is not trusted")
		}
		list, err := w.SelfService.Devices(w.ctx(), ada.fresh())
		if err != nil || len(list) == 0 || !list[0].TrustedUntil.After(trusted.Add(30*24*time.Hour-time.Minute)) {
			t.Errorf("%+v, %v", list, err)
		}
		w.advance(30*24*time.Hour - time.Minute)
		if !ada.spared() {
			t.Error("a minute before the end it is trusted no more")
		}
		w.advance(time.Minute + time.Second)
		if ada.spared() {
			t.Error("after thirty days it is still trusted")
		}
		// It never replaces the first factor.
		ada.pw = staple
		if _, err := ada.signIn(); code(err) != "invalid_credentials" {
			t.Error(err)
		}
	})
}

// The trust in every browser ends with every change of a credential, and of one when it is forgotten.
func TestTrust_ends(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		for name, f := range map[string]func(p *person, who principal.Principal) error{
			"password changed": func(p *person, who principal.Principal) error {
				_, err := w.ChangePassword(w.ctx(), who, horse, staple)
				p.pw = staple
				return err
			},
			"password reset": func(p *person, _ principal.Principal) error {
				token, err := w.ResetLink(w.ctx(), operator, p.id)
				if err == nil {
					_, err = w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: staple})
				}
				p.pw = staple
				return err
			},
			"app removed": func(_ *person, who principal.Principal) error { return w.RemoveTOTP(w.ctx(), who) },
			"passkey added": func(p *person, who principal.Principal) error {
				return p.addsPasskey(who, passkeytest.New(t, base), "")
			},
			"passkey deleted": func(p *person, who principal.Principal) error { return w.DeletePasskey(w.ctx(), who, p.passkeyID(1)) },
			"address changed": func(p *person, who principal.Principal) error {
				err := p.changesEmail(who, "new-"+p.email)
				p.email = "new-" + p.email
				return err
			},
			"forgotten": func(p *person, who principal.Principal) error {
				list, err := w.SelfService.Devices(w.ctx(), who)
				if err == nil {
					err = w.ForgetDevice(w.ctx(), who, list[0].ID)
				}
				return err
			},
		} {
			p := w.person(strings.ReplaceAll(name, " ", "-")+"@example.org", has{totp: true, passkey: true, asks: true, trusted: true})
			p.addPasskey(passkeytest.New(t, base), true)
			if !p.spared() {
				t.Fatalf("%s: not trusted before", name)
			}
			at := since(t)
			if err := f(p, p.fresh()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := w.actions(at); !strings.Contains(strings.Join(got, " "), "trusted_device.revoke") {
				t.Errorf("%s: rows %v", name, got)
			}
			if p.spared() {
				t.Errorf("%s: still trusted", name)
			}
		}
		// Factors reset: there is nothing left to ask for, and nothing to trust when there is again.
		p := w.person("reset@example.org", has{totp: true, trusted: true})
		if err := w.ResetFactors(w.ctx(), operator, p.id); err != nil {
			t.Fatal(err)
		}
		p.give(has{totp: true})
		if p.spared() {
			t.Error("factors reset and added again: trusted as before")
		}
		if err := w.ForgetDevice(w.ctx(), p.fresh(), uuid.New()); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a browser that is none: %v", err)
		}
		stranger := w.person("stranger@example.org", has{trusted: true, totp: true})
		list, err := w.SelfService.Devices(w.ctx(), stranger.fresh())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.ForgetDevice(w.ctx(), p.fresh(), list[0].ID); fault.KindOf(err) != fault.NotFound || !stranger.spared() {
			t.Errorf("somebody else's browser: %v", err)
		}
	})
}

// Where nothing is trusted, asking for it changes nothing.
func TestTrust_off(t *testing.T) {
	each(t, options{settings: flow.Settings{TrustFor: -1}}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{totp: true, known: true})
		w.wantRows(func() {
			in, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: ada.pending().Flow, Factor: ada.show(factor.TOTP, ""), Trust: true, Device: ada.browser})
			if err != nil || in.Device != "" {
				t.Errorf("%+v, %v", in, err)
			}
		}, "mfa.challenge.success", "auth.login.success")
		if ada.spared() {
			t.Error("trusted all the same")
		}
	})
}
