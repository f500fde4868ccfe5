package auth_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// stepUp makes what a method takes, where a session is to be renewed.
func (p *person) stepUp(who principal.Principal, method string) factor.Proof {
	w := p.w
	w.t.Helper()
	switch method {
	case factor.Password:
		return factor.Proof{Method: method, Password: p.pw}
	case factor.Mail:
		at := since(w.t)
		flow, err := w.StepUpMail(w.ctx(), who)
		if err != nil {
			w.t.Fatal(err)
		}
		_, digits := w.secrets(at, mail.OTP)
		return factor.Proof{Method: method, Flow: flow, Code: digits}
	case factor.Passkey:
		c, err := w.StepUpPasskey(w.ctx(), who)
		if err != nil {
			w.t.Fatal(err)
		}
		return factor.Proof{Method: method, Ceremony: c.Token, Credential: p.device.Get(c.Options)}
	}
	return p.show(method, "")
}

func TestStepUp_everyMethod(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		plain := w.person("plain@example.org", has{})
		key := w.person("key@example.org", has{passkey: true})
		app := w.person("app@example.org", has{totp: true, passkey: true})
		asks := w.person("asks@example.org", has{passkey: true, asks: true})
		bare := w.person("bare@example.org", has{login: true})
		w.tx(func(ctx context.Context, tx *store.Tx) error { return w.passwords.Erase(ctx, tx, bare.id) })
		for _, c := range []struct {
			p       *person
			methods []string
			method  string
			aal     string
			amr     []string
		}{
			{plain, []string{"password"}, "password", principal.AAL1, []string{"fed", "pwd"}},
			{key, []string{"password", "passkey"}, "password", principal.AAL1, []string{"fed", "pwd"}},
			{key, []string{"password", "passkey"}, "passkey", principal.AAL2, []string{"fed", "swk", "mfa"}},
			{app, []string{"totp", "passkey", "recovery_code"}, "totp", principal.AAL2, []string{"fed", "otp", "mfa"}},
			{app, []string{"totp", "passkey", "recovery_code"}, "passkey", principal.AAL2, []string{"fed", "swk", "mfa"}},
			{app, []string{"totp", "passkey", "recovery_code"}, "recovery_code", principal.AAL2, []string{"fed", "otp", "mfa"}},
			{asks, []string{"passkey", "recovery_code"}, "passkey", principal.AAL2, []string{"fed", "swk", "mfa"}},
			{bare, []string{"mail"}, "mail", principal.AAL1, []string{"fed", "otp"}},
		} {
			name := c.p.email + " with " + c.method
			old := c.p.session(principal.AAL1, time.Hour, "fed")
			methods, err := w.StepUpMethods(w.ctx(), old.Principal)
			if err != nil || !slices.Equal(methods, c.methods) {
				t.Errorf("%s: offered %v, %v", name, methods, err)
			}
			f := c.p.stepUp(old.Principal, c.method)
			at := since(t)
			in, err := w.StepUp(w.ctx(), old.Principal, f)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if in.Token == old.Token || w.resolves(old.Token) {
				t.Errorf("%s: the old token still works", name)
			}
			p, err := w.sessions.Resolve(w.ctx(), in.Token)
			if err != nil || p.SessionID != old.Principal.SessionID || p.AAL != c.aal || !slices.Equal(p.AMR, c.amr) || w.now().Sub(p.AuthTime) > time.Minute || !p.ExpiresAt.Equal(old.Principal.ExpiresAt) {
				t.Errorf("%s: %+v, %v; want %s %v", name, p, err, c.aal, c.amr)
			}
			rows, _ := w.rows(nil)
			last := rows[slices.IndexFunc(rows, func(r audit.Row) bool { return r.SessionID == p.SessionID && r.Action == "auth.step_up.success" })]
			if last.Action != "auth.step_up.success" || last.Metadata["method"] != c.method || last.Metadata["aal"] != c.aal {
				t.Errorf("%s: row %+v", name, last)
			}
			if want := []string{"auth.step_up.success"}; c.method != "recovery_code" && !slices.Equal(w.actions(at), want) {
				t.Errorf("%s: rows %v", name, w.actions(at))
			}
			if _, err := w.StepUp(w.ctx(), p, f); err == nil && c.method != "password" {
				t.Errorf("%s: the same once more", name)
			}
			for _, other := range []string{"password", "totp", "passkey", "recovery_code", "mail", ""} {
				if slices.Contains(c.methods, other) {
					continue
				}
				if _, err := w.StepUp(w.ctx(), p, factor.Proof{Method: other, Password: horse, Code: "123456"}); code(err) != "unknown_method" {
					t.Errorf("%s: %q was taken: %v", name, other, err)
				}
			}
		}
	})
}

// What changes how somebody signs in asks for a proof of the last five minutes, and of two factors where there are two.
func TestStepUp_window(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		careful := map[string]func(p *person, who principal.Principal) error{
			"add an app": func(_ *person, who principal.Principal) error { _, err := w.BeginTOTP(w.ctx(), who); return err },
			"confirm an app": func(_ *person, who principal.Principal) error {
				_, err := w.ConfirmTOTP(w.ctx(), who, "000000")
				return err
			},
			"remove the app": func(_ *person, who principal.Principal) error { return w.RemoveTOTP(w.ctx(), who) },
			"ask": func(p *person, who principal.Principal) error {
				_, err := w.AskAfterPassword(w.ctx(), who, p.app != nil)
				return err
			},
			"renew the codes": func(_ *person, who principal.Principal) error {
				_, err := w.RenewRecoveryCodes(w.ctx(), who)
				return err
			},
			"begin a passkey": func(_ *person, who principal.Principal) error {
				_, err := w.BeginPasskey(w.ctx(), who, false)
				return err
			},
			"add a passkey":    func(_ *person, who principal.Principal) error { return w.AddPasskey(w.ctx(), who, factor.Proof{}, "") },
			"delete a passkey": func(p *person, who principal.Principal) error { return w.DeletePasskey(w.ctx(), who, uuid.New()) },
			"change the email": func(_ *person, who principal.Principal) error {
				_, err := w.RequestEmailChange(w.ctx(), who, "x@example.org")
				return err
			},
			"add a password": func(_ *person, who principal.Principal) error { return w.AddPassword(w.ctx(), who, staple) },
			"link a login":   func(p *person, who principal.Principal) error { return w.LinkLogin(w.ctx(), who, p.claims) },
			"unlink a login": func(_ *person, who principal.Principal) error { return w.UnlinkLogin(w.ctx(), who, uuid.New()) },
		}
		for name, f := range careful {
			address := strings.ReplaceAll(name, " ", "-") + "@example.org"
			plain, app := w.person("plain-"+address, has{passkey: true, login: true}), w.person("app-"+address, has{totp: true, passkey: true, login: true})
			for _, c := range []struct {
				p   *person
				aal string
				ago time.Duration
				ok  bool
			}{
				{plain, principal.AAL1, 0, true},
				{plain, principal.AAL1, 5*time.Minute - 10*time.Second, true},
				{plain, principal.AAL1, 5*time.Minute + time.Second, false},
				{plain, principal.AAL2, time.Hour, false},
				{app, principal.AAL1, 0, false}, // one of two factors
				{app, principal.AAL2, 5*time.Minute - 10*time.Second, true},
				{app, principal.AAL2, 5*time.Minute + time.Second, false},
			} {
				if err := f(c.p, c.p.session(c.aal, c.ago).Principal); (code(err) == "step_up_required") == c.ok {
					t.Errorf("%s, %s at %s shown %s ago: %v", name, c.p.email, c.aal, c.ago, err)
				}
			}
			if err := f(plain, principal.Principal{}); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("%s by nobody: %v", name, err)
			}
			acting := plain.fresh()
			if acting.ImpersonatorID = uuid.New(); code(f(plain, acting)) != "impersonated" {
				t.Errorf("%s in somebody else's name: %v", name, f(plain, acting))
			}
		}
		app := w.person("app@example.org", has{totp: true, passkey: true})
		// A changed password needs the old one, and the second factor too.
		if _, err := w.ChangePassword(w.ctx(), app.session(principal.AAL1, 0).Principal, horse, staple); code(err) != "step_up_required" {
			t.Errorf("change the password with one factor: %v", err)
		}
		// What harms nobody does not.
		stale := app.session(principal.AAL1, time.Hour).Principal
		if err := w.RenamePasskey(w.ctx(), stale, app.passkeyID(0), "mine"); err != nil {
			t.Error(err)
		}
		// A step-up opens the window again.
		in, err := w.StepUp(w.ctx(), stale, app.stepUp(stale, factor.TOTP))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.RenewRecoveryCodes(w.ctx(), in.Principal); err != nil {
			t.Error(err)
		}
	})
}

func TestStepUp_wrong(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada, bob := w.person("ada@example.org", has{totp: true}), w.person("bob@example.org", has{passkey: true})
		old := ada.session(principal.AAL1, time.Hour)
		at := since(t)
		flow := ada.pending().Flow
		// Who guesses at a sign-in elsewhere, and who guesses in a session, has a bucket each, and neither keeps the other out.
		for i := range 5 {
			f := factor.Proof{Method: factor.TOTP, Code: "000000"}
			if _, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: f}); code(err) != "wrong_factor" {
				t.Fatalf("guess %d at a sign-in: %v", i+1, err)
			}
		}
		if _, err := ada.finish(flow, factor.TOTP); code(err) != "too_many_attempts" {
			t.Errorf("a sign-in with a full bucket: %v", err)
		}
		other := ada.session(principal.AAL1, time.Hour)
		for i := range 5 {
			f := factor.Proof{Method: factor.TOTP, Code: "000000"}
			if _, err := w.StepUp(w.ctx(), old.Principal, f); code(err) != "wrong_factor" {
				t.Fatalf("guess %d in a session: %v", i+1, err)
			}
		}
		want := []string{
			"auth.step_up.failure/wrong_code", "auth.step_up.failure/wrong_code", "auth.step_up.failure/wrong_code", "auth.step_up.failure/wrong_code", "auth.step_up.failure/wrong_code",
			"mfa.challenge.failure/wrong_code", "mfa.challenge.failure/wrong_code", "mfa.challenge.failure/wrong_code", "mfa.challenge.failure/wrong_code", "mfa.challenge.failure/wrong_code",
			"security.lockout/too_many_failures", "security.lockout/too_many_failures",
		}
		if got := w.actions(at); !slices.Equal(got, want) {
			t.Errorf("rows %v", got)
		}
		if _, err := w.StepUp(w.ctx(), old.Principal, ada.show(factor.TOTP, "")); code(err) != "too_many_attempts" {
			t.Errorf("a step-up with a full bucket: %v", err)
		}
		if _, err := w.StepUp(w.ctx(), other.Principal, ada.show(factor.TOTP, "")); err != nil {
			t.Errorf("the owner's other session: %v", err)
		}
		if err := w.Unlock(w.ctx(), operator, ada.id); err != nil {
			t.Fatal(err)
		}
		if !w.resolves(old.Token) {
			t.Error("a wrong factor ended the session")
		}
		if _, err := w.StepUp(w.ctx(), old.Principal, ada.show(factor.TOTP, "")); err != nil {
			t.Errorf("after an administrator lifted the pause: %v", err)
		}

		// One factor's account: its password and its passkey, each in its ways to be wrong.
		who := bob.session(principal.AAL1, time.Hour).Principal
		for name, f := range map[string]factor.Proof{
			"another password": {Method: factor.Password, Password: staple}, "no password": {Method: factor.Password},
		} {
			if _, err := w.StepUp(w.ctx(), who, f); code(err) != "wrong_password" || fault.From(err).Field != "password" {
				t.Errorf("%s: %v", name, err)
			}
		}
		bob.device.UV = false
		if _, err := w.StepUp(w.ctx(), who, bob.stepUp(who, factor.Passkey)); code(err) != "passkey_refused" {
			t.Errorf("a passkey that did not verify anybody, alone: %v", err)
		}
		bob.device.UV = true
		f := bob.stepUp(who, factor.Passkey)
		if _, err := w.StepUp(w.ctx(), ada.session(principal.AAL1, 0).Principal, f); code(err) != "unknown_method" {
			t.Errorf("Bob's passkey for Ada: %v", err)
		}
		if _, err := w.StepUp(w.ctx(), who, f); err != nil {
			t.Error(err)
		}
		// A session that ended meanwhile is not revived.
		gone := bob.session(principal.AAL1, 0)
		if _, err := w.RevokeSessions(w.ctx(), operator, "", bob.id); err != nil {
			t.Fatal(err)
		}
		if _, err := w.StepUp(w.ctx(), gone.Principal, factor.Proof{Method: factor.Password, Password: horse}); fault.KindOf(err) != fault.Unauthenticated || w.sessionsOf(bob.id) != 0 {
			t.Errorf("a session that was ended: %v", err)
		}
	})
}

func TestStepUp_mail(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		bare := func(email string) *person {
			p := w.person(email, has{login: true})
			w.tx(func(ctx context.Context, tx *store.Tx) error { return w.passwords.Erase(ctx, tx, p.id) })
			return p
		}
		ada, bob := bare("ada@example.org"), bare("bob@example.org")
		who := ada.session(principal.AAL1, time.Hour).Principal
		f := ada.stepUp(who, factor.Mail)
		wrong := f
		wrong.Code = wrongCode(f.Code)
		if _, err := w.StepUp(w.ctx(), who, wrong); code(err) != "wrong_factor" {
			t.Errorf("another code: %v", err)
		}
		if _, err := w.StepUp(w.ctx(), bob.session(principal.AAL1, 0).Principal, f); code(err) != "wrong_factor" {
			t.Errorf("Ada's code for Bob: %v", err)
		}
		renewed, err := w.StepUp(w.ctx(), who, f)
		if err != nil {
			t.Errorf("the right one: %v", err)
		}
		who = renewed.Principal
		if _, err := w.StepUp(w.ctx(), who, f); code(err) != "wrong_factor" {
			t.Errorf("twice: %v", err)
		}
		late := ada.stepUp(who, factor.Mail)
		w.advance(5*time.Minute + time.Second)
		if _, err := w.StepUp(w.ctx(), who, late); code(err) != "wrong_factor" {
			t.Errorf("after five minutes: %v", err)
		}
		// Who has something of their own can't fall back on the mailbox.
		if _, err := w.StepUpMail(w.ctx(), w.person("eve@example.org", has{}).fresh()); code(err) != "unknown_method" {
			t.Errorf("with a password at hand: %v", err)
		}
	})
}

// A passkey that a session began with does not raise it by being shown again.
func TestStepUp_notByTheSameFactor(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{passkey: true, asks: true, unproved: true, trusted: true})
		in, err := ada.passkeySignIn("")
		if err != nil || in.Principal.AAL != principal.AAL1 {
			t.Fatalf("%+v, %v", in, err)
		}
		if got, err := w.StepUpMethods(w.ctx(), in.Principal); err != nil || !slices.Equal(got, []string{"recovery_code"}) {
			t.Errorf("offered %v, %v", got, err)
		}
		if _, err := w.StepUp(w.ctx(), in.Principal, ada.stepUp(in.Principal, factor.Passkey)); code(err) != "unknown_method" {
			t.Errorf("the same passkey: %v", err)
		}
		// Beside the password it is a second factor, and is relied upon from then on.
		ada.browser = ""
		if in, err = ada.finish(ada.pending().Flow, factor.Passkey); err != nil || in.Principal.AAL != principal.AAL2 {
			t.Fatalf("%+v, %v", in, err)
		}
		if in, err = ada.passkeySignIn(""); err != nil || in.Principal.AAL != principal.AAL2 {
			t.Errorf("%+v, %v", in, err)
		}
	})
}

func TestStepUp_gate(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{totp: true})
		old := ada.session(principal.AAL1, time.Hour)
		var asked []gate.Ask
		answer := gate.Answer{Decision: gate.Deny, Reason: "not_today", By: "plugin.test"}
		w.gates.Set(map[gate.Question][]gate.Gate{gate.SessionStepUp: {gateFunc(func(_ context.Context, a gate.Ask) (gate.Answer, error) {
			asked = append(asked, a)
			return answer, nil
		})}})
		try := func(f factor.Proof, want, row string) {
			t.Helper()
			at := since(t)
			if _, err := w.StepUp(w.ctx(), old.Principal, f); code(err) != want {
				t.Errorf("%v, want %s", err, want)
			}
			if got := strings.Join(w.actions(at), " "); got != row {
				t.Errorf("rows %s, want %s", got, row)
			}
		}
		f := ada.show(factor.TOTP, "")
		try(f, "not_today", "auth.step_up.failure/gate_denied")
		if len(asked) != 1 || asked[0].Principal.SessionID != old.Principal.SessionID || asked[0].Context["method"] != "totp" || asked[0].Context["aal"] != "aal2" {
			t.Errorf("asked %+v", asked)
		}
		answer.Decision = gate.StepUp
		try(ada.show(factor.RecoveryCode, ""), "second_factor_missing", "auth.step_up.failure/gate_step_up mfa.recovery_code.used")
		answer.Decision = gate.Allow
		try(f, "wrong_factor", "auth.step_up.failure/replayed_code") // it was spent on the question
		if !w.resolves(old.Token) {
			t.Error("a refusal ended the session")
		}
		try(ada.show(factor.TOTP, ""), "ok", "auth.step_up.success")
	})
}
