package auth_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
)

func TestTOTP_addCancelRemove(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{})
		who := ada.session(principal.AAL1, 0).Principal
		if _, err := w.ConfirmTOTP(w.ctx(), who, "123456"); fault.KindOf(err) == fault.Internal || err == nil {
			t.Errorf("confirmed before it was begun: %v", err)
		}
		first, err := w.BeginTOTP(w.ctx(), who)
		if err != nil {
			t.Fatal(err)
		}
		if !ada.spared() {
			t.Error("asked for a code of an app that was never confirmed")
		}
		second, err := w.BeginTOTP(w.ctx(), who)
		if err != nil || second.Secret.Reveal() == first.Secret.Reveal() {
			t.Fatalf("begun again: %v", err)
		}
		if _, err := w.ConfirmTOTP(w.ctx(), who, w.next(newApp(first.Secret.Reveal()))); code(err) != "wrong_factor" {
			t.Errorf("the secret from before: %v", err)
		}
		w.wantRows(func() {
			if err := w.CancelTOTP(w.ctx(), who); err != nil {
				t.Error(err)
			}
			if err := w.CancelTOTP(w.ctx(), who); err != nil {
				t.Error(err)
			}
		}, "mfa.enrollment.cancel")
		if _, err := w.ConfirmTOTP(w.ctx(), who, w.next(newApp(second.Secret.Reveal()))); err == nil {
			t.Error("a cancelled one was confirmed")
		}
		e, err := w.BeginTOTP(w.ctx(), who)
		if err != nil {
			t.Fatal(err)
		}
		ada.app = newApp(e.Secret.Reveal())
		at := since(t)
		in, err := w.ConfirmTOTP(w.ctx(), who, w.next(ada.app))
		if ada.codes = in.Codes; err != nil || len(ada.codes) != 10 {
			t.Fatalf("%d codes, %v", len(ada.codes), err)
		}
		if got := w.purposes(at); !slices.Equal(got, []string{mail.MFAAdded + " to ada@example.org"}) {
			t.Errorf("mails %v", got)
		}
		// The session has shown both factors and goes on with a new token.
		if now, err := w.sessions.Resolve(w.ctx(), in.Token); err != nil || now.AAL != principal.AAL2 || !slices.Equal(now.AMR, in.Principal.AMR) || now.SessionID != who.SessionID {
			t.Errorf("the session is %+v, %v", now, err)
		}
		if _, err := w.BeginTOTP(w.ctx(), in.Principal); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a second app: %v", err)
		}
		if ada.spared() {
			t.Error("not asked")
		}
		at = since(t)
		if err := w.RemoveTOTP(w.ctx(), ada.fresh()); err != nil {
			t.Fatal(err)
		}
		if got := w.purposes(at); !slices.Equal(got, []string{mail.MFARemoved + " to ada@example.org"}) {
			t.Errorf("mails %v", got)
		}
		if !ada.spared() {
			t.Error("asked for what was removed")
		}
		if f, required, err := w.FactorsOf(w.ctx(), ada.fresh()); err != nil || f != (factor.Set{}) || required {
			t.Errorf("left: %+v, %v, %v", f, required, err)
		}
		if err := w.RemoveTOTP(w.ctx(), ada.fresh()); code(err) != "totp_not_found" {
			t.Error(err)
		}
	})
}

func TestTOTP_wrongCodesAreCounted(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{})
		who := ada.session(principal.AAL1, 0).Principal
		e, err := w.BeginTOTP(w.ctx(), who)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			want := "wrong_factor"
			if i == 5 {
				want = "too_many_attempts"
			}
			if _, err := w.ConfirmTOTP(w.ctx(), who, "000000"); code(err) != want {
				t.Errorf("guess %d: %v", i+1, err)
			}
		}
		if _, err := w.ConfirmTOTP(w.ctx(), who, w.next(newApp(e.Secret.Reveal()))); code(err) != "too_many_attempts" {
			t.Error(err)
		}
	})
}

// Recovery codes stand in for a factor: each once, in any order, and never twice.
func TestRecoveryCodes(t *testing.T) {
	each(t, options{factors: noFailureLimit}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{totp: true})
		codes := slices.Clone(ada.codes)
		for i, at := range []int{7, 0, 9} {
			mark := since(t)
			in, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: ada.pending().Flow, Factor: factor.Proof{Method: factor.RecoveryCode, Code: " " + strings.ToLower(codes[at])}})
			if err != nil || in.Principal.AAL != principal.AAL2 || in.Codes != nil {
				t.Fatalf("code %d: %+v, %v", at, in, err)
			}
			l := w.letters(mark)
			if len(l) == 0 || l[0].Purpose != mail.RecoveryCodeUsed || !strings.Contains(l[0].Text, []string{"9", "8", "7"}[i]) {
				t.Errorf("mails %+v", l)
			}
			if f, _, _ := w.FactorsOf(w.ctx(), in.Principal); f.RecoveryCodes != 9-i {
				t.Errorf("%d left", f.RecoveryCodes)
			}
		}
		flow := ada.pending().Flow
		try := func(c string) string {
			_, err := w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: factor.Proof{Method: factor.RecoveryCode, Code: c}})
			return code(err)
		}
		for name, c := range map[string]string{"used": codes[7], "none": "", "made up": "0000-0000-0000-0000", "somebody else's": w.person("bob@example.org", has{totp: true}).codes[0], "huge": strings.Repeat("A", 1<<20)} {
			if got := try(c); got != "wrong_factor" {
				t.Errorf("%s: %s", name, got)
			}
		}
		at := since(t)
		fresh, err := w.RenewRecoveryCodes(w.ctx(), ada.fresh())
		if err != nil || len(fresh) != 10 {
			t.Fatal(fresh, err)
		}
		if got := w.purposes(at); !slices.Equal(got, []string{mail.RecoveryCodesRenewed + " to ada@example.org"}) {
			t.Errorf("mails %v", got)
		}
		if got := try(codes[1]); got != "wrong_factor" {
			t.Errorf("a code from before: %s", got)
		}
		if got := try(fresh[3]); got != "ok" {
			t.Errorf("a new one: %s", got)
		}
		if _, err := w.RenewRecoveryCodes(w.ctx(), w.person("plain@example.org", has{passkey: true}).fresh()); code(err) != "no_second_factor" {
			t.Error(err)
		}
		// The last ones used up: what is left is the app.
		eve := w.person("eve@example.org", has{totp: true, noCodes: true})
		if got := eve.pending().Methods; !slices.Equal(got, []string{"totp"}) {
			t.Errorf("asked for %v", got)
		}
	})
}

func TestAskAfterPassword(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		if _, err := w.AskAfterPassword(w.ctx(), w.person("none@example.org", has{}).fresh(), true); code(err) != "passkey_needed" {
			t.Error(err)
		}
		ada := w.person("ada@example.org", has{passkey: true})
		if !ada.spared() {
			t.Error("a passkey is asked for that its owner did not want asked for")
		}
		var codes []string
		var err error
		w.wantRows(func() { codes, err = w.AskAfterPassword(w.ctx(), ada.fresh(), true) }, "mfa.enrollment.complete")
		if err != nil || len(codes) != 10 || ada.spared() {
			t.Errorf("%d codes, %v", len(codes), err)
		}
		w.wantRows(func() { codes, err = w.AskAfterPassword(w.ctx(), ada.fresh(), true) })
		if err != nil || codes != nil {
			t.Errorf("twice: %v, %v", codes, err)
		}
		w.wantRows(func() { _, err = w.AskAfterPassword(w.ctx(), ada.fresh(), false) }, "mfa.disable")
		if err != nil || !ada.spared() {
			t.Error(err)
		}
		if f, _, _ := w.FactorsOf(w.ctx(), ada.fresh()); f.RecoveryCodes != 0 || f.Passkeys != 1 {
			t.Errorf("%+v", f)
		}
		bob := w.person("bob@example.org", has{totp: true, passkey: true})
		if _, err := w.AskAfterPassword(w.ctx(), bob.fresh(), false); code(err) != "totp_enrolled" {
			t.Error(err)
		}
		// The app goes, the passkey stays and goes on being asked for, and so do the codes.
		if err := w.RemoveTOTP(w.ctx(), bob.fresh()); err != nil {
			t.Fatal(err)
		}
		if got := bob.pending().Methods; !slices.Equal(got, []string{"passkey", "recovery_code"}) {
			t.Errorf("asked for %v", got)
		}
		if err := w.DeletePasskey(w.ctx(), bob.fresh(), bob.passkeyID(0)); err != nil {
			t.Fatal(err)
		}
		if !bob.spared() {
			t.Error("asked for nothing that is left")
		}
	})
}

// Where everybody must have a second factor, the last one stays.
func TestPolicy_lastFactorStays(t *testing.T) {
	each(t, options{settings: flow.Settings{RequireSecondFactor: true}}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{totp: true})
		if err := w.RemoveTOTP(w.ctx(), ada.fresh()); code(err) != "second_factor_required" {
			t.Error(err)
		}
		asks := w.person("asks@example.org", has{passkey: true, asks: true})
		if _, err := w.AskAfterPassword(w.ctx(), asks.fresh(), false); code(err) != "second_factor_required" {
			t.Error(err)
		}
		if err := w.DeletePasskey(w.ctx(), asks.fresh(), asks.passkeyID(0)); code(err) != "second_factor_required" {
			t.Error(err)
		}
		both := w.person("both@example.org", has{totp: true, passkey: true})
		if err := w.RemoveTOTP(w.ctx(), both.fresh()); err != nil {
			t.Error(err)
		}
		if _, required, err := w.FactorsOf(w.ctx(), w.person("none@example.org", has{}).fresh()); !required || err != nil {
			t.Error(required, err)
		}
		for _, p := range []*person{ada, asks, both} {
			if p.spared() {
				t.Errorf("%s is asked for nothing", p.email)
			}
		}
	})
}

// An administrator takes everything away from who has lost it, and their sessions with it.
func TestResetFactors(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{totp: true, passkey: true, login: true, trusted: true})
		in := ada.session(principal.AAL2, 0)
		at := since(t)
		rows := w.wantRows(func() {
			if err := w.ResetFactors(w.ctx(), operator, ada.id); err != nil {
				t.Fatal(err)
			}
		}, "admin.user.reset_factors", "trusted_device.revoke")
		if rows[0].Actor != operator || rows[1].Actor != operator {
			t.Errorf("%+v", rows)
		}
		if got := w.purposes(at); !slices.Equal(got, []string{"mfa_removed to ada@example.org", "mfa_removed to ada@example.org"}) {
			t.Errorf("mails %v", got)
		}
		if w.resolves(in.Token) || !ada.spared() {
			t.Error("a session or a question is left")
		}
		if _, err := ada.passkeySignIn(""); code(err) != "passkey_refused" {
			t.Error(err)
		}
		for table, id := range map[string]string{"credential_totp": "account_id", "credential_recoverycode": "account_id", "credential_passkey": "account_id"} {
			if n := w.count(`SELECT count(*) FROM `+table+` WHERE `+id+` = $1`, ada.id); n != 0 {
				t.Errorf("%d rows left in %s", n, table)
			}
		}
	})
}

// Nothing of a person is left, whatever they had begun.
func TestDelete_leavesNoFactor(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		for _, h := range []has{{totp: true, passkey: true, login: true, trusted: true}, {passkey: true}} {
			p := w.person("ada@example.org", h)
			who := p.fresh()
			_, _ = w.BeginTOTP(w.ctx(), who)
			_, _ = w.BeginPasskey(w.ctx(), who, false)
			if err := w.Delete(w.ctx(), operator, p.id); err != nil {
				t.Fatal(err)
			}
			for _, table := range []string{"credential_totp", "credential_recoverycode", "credential_passkey", "credential_passkey_ceremony", "credential_passkey_user", "federation_identity", "device", "device_network", "device_account", "onetime", "session", "credential_password"} {
				if n := w.count(`SELECT count(*) FROM `+table+` WHERE account_id = $1`, p.id); n != 0 {
					t.Errorf("%+v: %d rows left in %s", h, n, table)
				}
			}
		}
	})
}

// Whoever was locked out is let in again, wherever they were counted.
func TestUnlock(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{totp: true, known: true})
		who := ada.fresh()
		flow := ada.pending().Flow
		for range 6 {
			_, _ = w.signIn(ada.email, staple)
			_, _ = w.SignIn(w.ctx(), auth.Credentials{Email: ada.email, Password: staple, Device: ada.browser})
			_, _ = w.ChangePassword(w.ctx(), who, staple, unicorn)
			_, _ = w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: factor.Proof{Method: factor.TOTP, Code: "000000"}})
			_, _ = w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: flow, Factor: factor.Proof{Method: factor.TOTP, Code: "000000"}, Device: ada.browser})
		}
		try := map[string]func() error{
			"sign in elsewhere":   func() error { _, err := w.signIn(ada.email, horse); return err },
			"sign in":             func() error { _, err := ada.signIn(); return err },
			"second factor":       func() error { _, err := ada.finish(flow, factor.TOTP); return err },
			"change the password": func() error { _, err := w.ChangePassword(w.ctx(), ada.fresh(), horse, staple); return err },
		}
		for name, f := range try {
			if err := f(); code(err) != "too_many_attempts" {
				t.Errorf("%s before: %v", name, err)
			}
		}
		w.wantRows(func() {
			if err := w.Unlock(w.ctx(), operator, ada.id); err != nil {
				t.Fatal(err)
			}
		}, "admin.user.unlock")
		for _, name := range []string{"sign in elsewhere", "sign in", "second factor", "change the password"} {
			if err := try[name](); err != nil {
				t.Errorf("%s afterwards: %v", name, err)
			}
		}
		w.advance(time.Hour)
		if err := w.Delete(w.ctx(), operator, ada.id); err != nil {
			t.Fatal(err)
		}
		if err := w.Unlock(w.ctx(), operator, ada.id); fault.KindOf(err) != fault.NotFound {
			t.Error(err)
		}
	})
}
