package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
)

func TestPending_wrongThenRight(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{totp: true, passkey: true})
		at := since(t)
		flow := ada.pending().Flow
		if got := w.actions(at); len(got) != 0 || w.sessionsOf(ada.id) != 0 {
			t.Fatalf("half a sign-in left %v and %d sessions", got, w.sessionsOf(ada.id))
		}
		show := func(f factor.Proof) string {
			_, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: f})
			return code(err)
		}
		right := w.next(ada.app)
		for name, c := range map[string]struct {
			f    factor.Proof
			want string
			row  string
		}{
			"a wrong code":          {factor.Proof{Method: factor.TOTP, Code: wrongCode(right)}, "wrong_factor", "mfa.challenge.failure/wrong_code"},
			"no code":               {factor.Proof{Method: factor.TOTP}, "wrong_factor", "mfa.challenge.failure/wrong_code"},
			"a recovery code":       {factor.Proof{Method: factor.TOTP, Code: ada.codes[0]}, "wrong_factor", "mfa.challenge.failure/wrong_code"},
			"a code for the app":    {factor.Proof{Method: factor.RecoveryCode, Code: right}, "wrong_factor", "mfa.challenge.failure/wrong_code"},
			"no passkey":            {factor.Proof{Method: factor.Passkey}, "passkey_refused", "mfa.challenge.failure/ceremony_unknown"},
			"the password":          {factor.Proof{Method: factor.Password, Password: horse}, "unknown_method", ""},
			"the mailbox":           {factor.Proof{Method: factor.Mail, Flow: flow, Code: "123456"}, "unknown_method", ""},
			"nothing":               {factor.Proof{}, "unknown_method", ""},
			"something of no sort":  {factor.Proof{Method: "totp\x00"}, "unknown_method", ""},
			"a name that goes on":   {factor.Proof{Method: strings.Repeat("totp", 1<<18)}, "unknown_method", ""},
			"several methods' name": {factor.Proof{Method: "totp passkey", Code: right}, "unknown_method", ""},
		} {
			at := since(t)
			if got := show(c.f); got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
			if got := strings.Join(w.actions(at), " "); strings.TrimSuffix(got, " security.lockout/too_many_failures") != c.row {
				t.Errorf("%s: rows %s, want %s", name, got, c.row)
			}
		}
		// Five that were wrong: now the right one must wait as well, and so must another sign-in.
		if got := show(factor.Proof{Method: factor.TOTP, Code: right}); got != "too_many_attempts" {
			t.Fatalf("the right code after five wrong ones: %s", got)
		}
		another := ada.pending().Flow
		if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: another, Factor: factor.Proof{Method: factor.RecoveryCode, Code: ada.codes[0]}}); code(err) != "too_many_attempts" {
			t.Fatalf("in another sign-in: %v", err)
		}
		if got := w.purposes(at); len(got) != 1 || got[0] != mail.Lockout+" to ada@example.org" {
			t.Errorf("mails %v", got)
		}
		w.advance(3*time.Minute + time.Second) // one has leaked out, and the sign-in still waits
		in, err := ada.finish(flow, factor.TOTP)
		if err != nil || in.Principal.AAL != principal.AAL2 {
			t.Fatalf("%+v, %v", in, err)
		}
		// The right one has emptied the bucket.
		for range 5 {
			if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: another, Factor: factor.Proof{Method: factor.TOTP, Code: "000000"}}); code(err) == "too_many_attempts" {
				t.Fatal("the bucket was not emptied")
			}
		}
	})
}

func TestPending_replay(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{totp: true})
		one, two := ada.pending().Flow, ada.pending().Flow
		f := ada.show(factor.TOTP, "")
		if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: one, Factor: f}); err != nil {
			t.Fatal(err)
		}
		at := since(t)
		if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: two, Factor: f}); code(err) != "wrong_factor" {
			t.Fatalf("one code for two sign-ins: %v", err)
		}
		if got := w.actions(at); len(got) != 1 || got[0] != "mfa.challenge.failure/replayed_code" {
			t.Errorf("rows %v", got)
		}
		if _, err := ada.finish(one, factor.TOTP); code(err) != "sign_in_expired" {
			t.Fatalf("one sign-in ended twice: %v", err)
		}
		// A code older than the one spent is no better.
		w.advance(2 * time.Minute)
		older := ada.app.at(t, w.now().Unix()/period-1)
		if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: two, Factor: factor.Proof{Method: factor.TOTP, Code: ada.app.at(t, w.now().Unix()/period)}}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: ada.pending().Flow, Factor: factor.Proof{Method: factor.TOTP, Code: older}}); code(err) != "wrong_factor" {
			t.Fatalf("an older code: %v", err)
		}
	})
}

func TestPending_fiveMinutes(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{totp: true})
		p := ada.pending()
		w.advance(p.ExpiresAt.Sub(w.now()) - 2*time.Second)
		if got, err := w.PendingSignIn(w.ctx(), p.Flow); err != nil || !got.ExpiresAt.Equal(p.ExpiresAt) || got.Flow != p.Flow || len(got.Methods) != 2 {
			t.Fatalf("just before: %+v, %v", got, err)
		}
		late := ada.pending()
		if _, err := ada.finish(p.Flow, factor.RecoveryCode); err != nil {
			t.Fatalf("two seconds before the end: %v", err)
		}
		w.advance(late.ExpiresAt.Sub(w.now()))
		if _, err := ada.finish(late.Flow, factor.RecoveryCode); code(err) != "sign_in_expired" {
			t.Fatalf("at the end: %v", err)
		}
		if _, err := w.PendingSignIn(w.ctx(), late.Flow); code(err) != "sign_in_expired" {
			t.Fatal(err)
		}
		if _, err := w.Sweep(w.ctx()); err != nil || w.count(`SELECT count(*) FROM onetime`) != 0 {
			t.Fatalf("%v, %d left", err, w.count(`SELECT count(*) FROM onetime`))
		}
	})
}

// A flow is good for the account that showed the first factor, and a ceremony for what it was begun for.
func TestPending_ofSomebodyElse(t *testing.T) {
	each(t, options{factors: noFailureLimit}, func(t *testing.T, w *world) {
		ada, bob := w.person("ada@example.org", has{totp: true, passkey: true}), w.person("bob@example.org", has{totp: true, passkey: true})
		flow := ada.pending().Flow
		end := func(f factor.Proof) error {
			_, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: f})
			return err
		}
		if err := end(bob.show(factor.TOTP, "")); code(err) != "wrong_factor" {
			t.Errorf("Bob's app: %v", err)
		}
		if err := end(bob.show(factor.RecoveryCode, "")); code(err) != "wrong_factor" {
			t.Errorf("Bob's paper: %v", err)
		}
		if err := end(bob.show(factor.Passkey, bob.pending().Flow)); code(err) != "passkey_refused" {
			t.Errorf("Bob's passkey: %v", err)
		}
		for name, begin := range map[string]func() (token string, options []byte, err error){
			"a sign-in": func() (string, []byte, error) {
				c, err := w.BeginPasskeySignIn(w.ctx())
				return c.Token, c.Options, err
			},
			"a step-up": func() (string, []byte, error) {
				c, err := w.StepUpPasskey(w.ctx(), ada.fresh())
				return c.Token, c.Options, err
			},
		} {
			token, options, err := begin()
			if err != nil {
				t.Fatal(err)
			}
			if err := end(factor.Proof{Method: factor.Passkey, Ceremony: token, Credential: ada.device.Get(options)}); code(err) != "passkey_refused" {
				t.Errorf("the ceremony of %s: %v", name, err)
			}
		}
		for name, flow := range map[string]string{
			"none": "", "made up": strings.Repeat("A", 43), "a magic link's": magicLink(w, ada.email).flow, "cut": flow[1:], "huge": strings.Repeat(flow, 1<<16), "not a token": flow[:42] + "\x00",
		} {
			if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: factor.Proof{Method: factor.TOTP, Code: "123456"}}); code(err) != "sign_in_expired" || fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("flow %s: %v", name, err)
			}
			if _, err := w.PendingPasskey(w.ctx(), flow); code(err) != "sign_in_expired" {
				t.Errorf("flow %s: %v", name, err)
			}
			if _, err := w.PendingTOTP(w.ctx(), flow); code(err) != "sign_in_expired" {
				t.Errorf("flow %s: %v", name, err)
			}
		}
		if err := end(ada.show(factor.Passkey, flow)); err != nil {
			t.Fatalf("the right one after all that: %v", err)
		}
	})
}

// What is not offered can't be begun either.
func TestPending_onlyWhatIsAsked(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		app := w.person("app@example.org", has{totp: true}).pending()
		if _, err := w.PendingPasskey(w.ctx(), app.Flow); code(err) != "unknown_method" {
			t.Errorf("a passkey where there is none: %v", err)
		}
		// Who has a factor must show it: adding another one instead would skip it.
		if _, err := w.PendingTOTP(w.ctx(), app.Flow); code(err) != "unknown_method" {
			t.Errorf("adding an app: %v", err)
		}
		key := w.person("key@example.org", has{passkey: true, asks: true}).pending()
		if _, err := w.PendingTOTP(w.ctx(), key.Flow); code(err) != "unknown_method" {
			t.Errorf("adding an app: %v", err)
		}
		c, err := w.PendingPasskey(w.ctx(), key.Flow)
		if err != nil || strings.Contains(string(c.Options), "pubKeyCredParams") {
			t.Errorf("offered to make another passkey: %s, %v", c.Options, err)
		}
	})
}

// Whatever changes how the account is signed in to ends every sign-in that waits.
func TestPending_endsWithACredential(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		for name, f := range map[string]func(p *person, who principal.Principal) error{
			"password changed": func(p *person, who principal.Principal) error {
				_, err := w.ChangePassword(w.ctx(), who, horse, staple)
				return err
			},
			"password reset": func(p *person, _ principal.Principal) error {
				token, err := w.ResetLink(w.ctx(), operator, p.id)
				if err == nil {
					_, err = w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: staple})
				}
				return err
			},
			"app removed":     func(_ *person, who principal.Principal) error { return w.RemoveTOTP(w.ctx(), who) },
			"passkey deleted": func(p *person, who principal.Principal) error { return w.DeletePasskey(w.ctx(), who, p.passkeyID(0)) },
			"passkey added": func(p *person, who principal.Principal) error {
				return p.addsPasskey(who, passkeytest.New(t, base), "")
			},
			"login unlinked":  func(p *person, who principal.Principal) error { return w.UnlinkLogin(w.ctx(), who, p.loginID()) },
			"factors reset":   func(p *person, _ principal.Principal) error { return w.ResetFactors(w.ctx(), operator, p.id) },
			"disabled":        func(p *person, _ principal.Principal) error { return w.Disable(w.ctx(), operator, p.id) },
			"deleted":         func(p *person, _ principal.Principal) error { return w.Delete(w.ctx(), operator, p.id) },
			"address changed": func(p *person, who principal.Principal) error { return p.changesEmail(who, "new-"+p.email) },
			"asked for no longer": func(p *person, who principal.Principal) error {
				if err := w.RemoveTOTP(w.ctx(), who); err != nil {
					return err
				}
				if _, err := w.AskAfterPassword(w.ctx(), who, false); err != nil {
					return err
				}
				_, err := w.AskAfterPassword(w.ctx(), p.fresh(), true)
				return err
			},
		} {
			p := w.person(strings.ReplaceAll(name, " ", "-")+"@example.org", has{totp: true, passkey: true, login: true})
			flow := p.pending().Flow
			if err := f(p, p.fresh()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: factor.Proof{Method: factor.TOTP, Code: w.next(p.app)}}); code(err) != "sign_in_expired" {
				t.Errorf("%s: a sign-in from before: %v", name, err)
			}
		}
	})
}

// Where a second factor is demanded and there is none, it is added in the middle of the sign-in.
func TestPending_enroll(t *testing.T) {
	each(t, options{settings: flow.Settings{RequireSecondFactor: true}}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{})
		in, err := w.SignIn(w.ctx(), auth.Credentials{Email: ada.email, Password: horse, Remember: true})
		if err != nil || in.Pending == nil || !in.Pending.Enroll {
			t.Fatalf("%+v, %v", in, err)
		}
		other := ada.pending() // the same password elsewhere
		flow := in.Pending.Flow
		if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: factor.Proof{Method: factor.TOTP, Code: "123456"}}); fault.KindOf(err) != fault.Conflict && fault.KindOf(err) != fault.NotFound {
			t.Errorf("a code before there is an app: %v", err)
		}
		at := since(t)
		e, err := w.PendingTOTP(w.ctx(), flow)
		if err != nil {
			t.Fatal(err)
		}
		app := newApp(e.Secret.Reveal())
		right := w.next(app)
		if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: factor.Proof{Method: factor.TOTP, Code: wrongCode(right)}}); code(err) != "wrong_factor" {
			t.Errorf("a wrong first code: %v", err)
		}
		if f, _, err := w.FactorsOf(w.ctx(), ada.fresh()); err != nil || f != (factor.Set{}) {
			t.Errorf("not confirmed, and there: %+v, %v", f, err)
		}
		done, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: factor.Proof{Method: factor.TOTP, Code: right}})
		if err != nil || len(done.Codes) != 10 || done.Principal.AAL != principal.AAL2 || !done.Persistent {
			t.Fatalf("%+v, %v", done, err)
		}
		if got, want := strings.Join(w.actions(at), " "), "auth.login.success mfa.challenge.failure/wrong_code mfa.challenge.success mfa.enrollment.complete mfa.enrollment.start"; got != want {
			t.Errorf("rows %s", got)
		}
		if got := w.purposes(at); len(got) != 1 || got[0] != mail.MFAAdded+" to "+ada.email {
			t.Errorf("mails %v", got)
		}
		// Whoever else was at it must show what there is now, and can't add another one.
		if _, err := w.PendingPasskey(w.ctx(), other.Flow); code(err) != "sign_in_expired" {
			t.Errorf("the other sign-in could go on to add a passkey: %v", err)
		}
		ada.app, ada.codes = app, done.Codes
		again, err := ada.finish(ada.pending().Flow, factor.RecoveryCode)
		if err != nil || again.Codes != nil {
			t.Errorf("the next time: codes %v, %v", again.Codes, err)
		}

		// The same with a passkey, which has a name.
		bob := w.person("bob@example.org", has{})
		p := bob.pending()
		c, err := w.PendingPasskey(w.ctx(), p.Flow)
		if err != nil {
			t.Fatal(err)
		}
		bob.device = passkeytest.New(t, base)
		f := factor.Proof{Method: factor.Passkey, Ceremony: c.Token, Credential: must(t)(bob.device.Create(c.Options))}
		spoilt := f
		spoilt.Credential = []byte(strings.Replace(string(f.Credential), `"rawId":"`, `"rawId":"A`, 1))
		if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: p.Flow, Factor: spoilt}); code(err) != "passkey_refused" {
			t.Errorf("a spoilt answer: %v", err)
		}
		done, err = w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: p.Flow, Factor: f, Name: "My phone"})
		if err != nil || len(done.Codes) != 10 || done.Principal.AAL != principal.AAL2 {
			t.Fatalf("%+v, %v", done, err)
		}
		if list, err := w.SelfService.Passkeys(w.ctx(), done.Principal); err != nil || len(list) != 1 || list[0].Name != "My phone" {
			t.Errorf("%+v, %v", list, err)
		}
		if _, err := bob.finish(bob.pending().Flow, factor.Passkey); err != nil {
			t.Errorf("the next time: %v", err)
		}
	})
}
