package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
)

// slug makes the local part of an address out of a sentence.
func slug(s string) string { return strings.NewReplacer(" ", "-", ",", "").Replace(s) }

// A magic link signs the browser in that asked, that which opens it, or, approved elsewhere with the right number, the one that waits.
func TestMagicLink(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{})
		method := func(at func() (auth.SignedIn, error), want string, other bool) {
			t.Helper()
			rows := w.wantRows(func() {
				in, err := at()
				if err != nil || in.Token == "" || in.Principal.AAL != principal.AAL1 || !slices.Equal(in.Principal.AMR, []string{"otp"}) {
					t.Errorf("%s: %+v %v", want, in, err)
				}
			}, "auth.magic_link_verify.success", "auth.login.success")
			if m := rows[0].Metadata; m["method"] != want || m["other_device"] != other {
				t.Errorf("%v, want %s %v", m, want, other)
			}
		}
		m := magicLink(w, ada.email)
		if a, err := w.LookMagicLink(w.ctx(), m.token, m.flow); err != nil || !a.SameBrowser || a.IP != "192.0.2.7" {
			t.Errorf("%+v %v", a, err)
		}
		if a, err := w.LookMagicLink(w.ctx(), m.token, ""); err != nil || a.SameBrowser {
			t.Errorf("%+v %v", a, err)
		}
		method(func() (auth.SignedIn, error) {
			return w.SignInMagicLink(w.ctx(), auth.MagicLink{Token: m.token, Flow: m.flow})
		}, "link", false)
		for name, in := range map[string]auth.MagicLink{"link": {Token: m.token}, "code": {Flow: m.flow, Code: m.code}, "flow": {Flow: m.flow}} {
			if _, err := w.SignInMagicLink(w.ctx(), in); code(err) != "invalid_or_expired" {
				t.Errorf("%s again: %v", name, err)
			}
		}
		m = magicLink(w, ada.email)
		method(func() (auth.SignedIn, error) { return w.SignInMagicLink(w.ctx(), auth.MagicLink{Token: m.token}) }, "link", true)
		m = magicLink(w, ada.email)
		method(func() (auth.SignedIn, error) {
			return w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: m.flow, Code: m.code})
		}, "code", false)

		// Approved on another device.
		m = magicLink(w, ada.email)
		if n, err := w.MagicLinkNumber(w.ctx(), m.flow); err != nil || n != m.number || len(n) != 2 {
			t.Errorf("%q %q %v", n, m.number, err)
		}
		if _, err := w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: m.flow}); code(err) != "not_approved" {
			t.Errorf("nobody has approved it: %v", err)
		}
		w.wantRows(func() {
			if err := w.ApproveMagicLink(w.ctx(), m.token, m.number); err != nil {
				t.Error(err)
			}
		}, "auth.magic_link_approve")
		if ok, err := w.MagicLinkApproved(w.ctx(), m.flow); !ok || err != nil {
			t.Error(ok, err)
		}
		if err := w.ApproveMagicLink(w.ctx(), m.token, m.number); code(err) != "invalid_or_expired" {
			t.Errorf("approved twice: %v", err)
		}
		method(func() (auth.SignedIn, error) { return w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: m.flow}) }, "approval", true)

		// One wrong number voids it: the browser that waits may be somebody else's.
		m = magicLink(w, ada.email)
		wrong := "00"
		if m.number == wrong {
			wrong = "01"
		}
		w.wantRows(func() {
			if err := w.ApproveMagicLink(w.ctx(), m.token, wrong); code(err) != "wrong_number" {
				t.Error(err)
			}
			if err := w.ApproveMagicLink(w.ctx(), m.token, m.number); code(err) != "invalid_or_expired" {
				t.Errorf("a second try: %v", err)
			}
			if _, err := w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: m.flow}); code(err) != "invalid_or_expired" {
				t.Errorf("the browser that waits: %v", err)
			}
		}, "auth.magic_link_verify.failure/wrong_number")

		// Five wrong codes end it, and so do ten minutes.
		m = magicLink(w, ada.email)
		for range 5 {
			if _, err := w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: m.flow, Code: wrongCode(m.code)}); code(err) != "wrong_code" {
				t.Error(err)
			}
		}
		if _, err := w.SignInMagicLink(w.ctx(), auth.MagicLink{Flow: m.flow, Code: m.code}); code(err) != "invalid_or_expired" {
			t.Errorf("a sixth try: %v", err)
		}
		m = magicLink(w, ada.email)
		w.advance(10*time.Minute - time.Second)
		if _, err := w.LookMagicLink(w.ctx(), m.token, ""); err != nil {
			t.Errorf("after nearly ten minutes: %v", err)
		}
		w.advance(time.Second)
		if _, err := w.SignInMagicLink(w.ctx(), auth.MagicLink{Token: m.token}); code(err) != "invalid_or_expired" {
			t.Errorf("after ten minutes: %v", err)
		}
		// A second factor is asked after it as after anything else.
		app := w.person("app@example.org", has{totp: true})
		m = magicLink(w, app.email)
		in, err := w.SignInMagicLink(w.ctx(), auth.MagicLink{Token: m.token, Remember: true})
		if err != nil || in.Pending == nil || in.Token != "" {
			t.Fatalf("%+v %v", in, err)
		}
		if in, err = app.finish(in.Pending.Flow, factor.TOTP); err != nil || in.Principal.AAL != principal.AAL2 || !in.Persistent {
			t.Errorf("%+v %v", in, err)
		}
	})
}

// Who shows the mailbox by a link or a reset gets the account without what a stranger put there.
func TestMailed_reclaims(t *testing.T) {
	each(t, options{settings: flow.Settings{DeferConfirmation: true}}, func(t *testing.T, w *world) {
		for name, show := range map[string]func(email string) (auth.SignedIn, error){
			"magic link": func(email string) (auth.SignedIn, error) {
				return w.SignInMagicLink(w.ctx(), auth.MagicLink{Token: magicLink(w, email).token})
			},
			"reset": func(email string) (auth.SignedIn, error) {
				at := since(t)
				if _, err := w.RequestReset(w.ctx(), email); err != nil {
					return auth.SignedIn{}, err
				}
				token, _ := w.secrets(at, mail.PasswordReset)
				return w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: horse})
			},
			"provider": func(email string) (auth.SignedIn, error) {
				out, err := w.SignInFederated(w.ctx(), login(email, email, true), true, "")
				return out.SignedIn, err
			},
		} {
			stranger := w.unconfirmed(slug(name) + "@example.org")
			in, err := show(stranger.email)
			if err != nil || in.Token == "" || in.Principal.UserID != stranger.id {
				t.Errorf("%s: %+v %v", name, in, err)
			}
			if a, err := w.accounts.Get(w.ctx(), stranger.id); err != nil || a.Status != account.Active {
				t.Errorf("%s: %v %v", name, a.Status, err)
			}
			if in, err := stranger.signIn(); err == nil {
				t.Errorf("%s: the stranger's password: %+v", name, in.Principal)
			}
			if in, err := stranger.passkeySignIn(""); err == nil {
				t.Errorf("%s: the stranger's passkey: %+v", name, in.Principal)
			}
			if n := w.sessionsOf(stranger.id); n != 1 {
				t.Errorf("%s: %d sessions", name, n)
			}
		}
	})
}

// A reset: by link and by code, with the second factor after it, and every session of before gone.
func TestReset(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ask := func(email string) (flow, token, digits string) {
			t.Helper()
			at := since(t)
			r, err := w.RequestReset(w.ctx(), email)
			if err != nil || r.Flow == "" {
				t.Fatal(err)
			}
			token, digits = w.secrets(at, mail.PasswordReset)
			return r.Flow, token, digits
		}
		ada := w.person("ada@example.org", has{trusted: true})
		before := ada.session(principal.AAL1, 0)
		_, token, _ := ask(ada.email)
		if email, err := w.LookPassword(w.ctx(), token); err != nil || email != ada.email {
			t.Errorf("the link is for %q (%v)", email, err)
		}
		// A password that is refused leaves the link as it was.
		for _, bad := range []string{"short", "password1234567890"[:12], ada.email} {
			w.wantRows(func() {
				if in, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: bad}); err == nil {
					t.Errorf("%q was taken: %+v", bad, in)
				}
			})
		}
		at := since(t)
		w.wantRows(func() {
			in, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: staple})
			if err != nil || in.Token == "" || in.Principal.AAL != principal.AAL1 {
				t.Fatalf("%+v %v", in, err)
			}
		}, "auth.password_reset.success", "auth.login.success", "trusted_device.revoke")
		if w.resolves(before.Token) || w.sessionsOf(ada.id) != 1 {
			t.Error("a session from before goes on")
		}
		if m := w.purposes(at); !slices.Contains(m, mail.PasswordChanged+" to ada@example.org") {
			t.Errorf("mails %v", m)
		}
		if _, err := w.signIn(ada.email, horse); code(err) != "invalid_credentials" {
			t.Errorf("the old password: %v", err)
		}
		if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: unicorn}); code(err) != "invalid_or_expired" {
			t.Errorf("twice: %v", err)
		}
		// By the code, in the browser that asked; four wrong ones are forgiven, and the fifth try is the last.
		flow, _, digits := ask(ada.email)
		for range 4 {
			if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Flow: flow, Code: wrongCode(digits), Password: unicorn}); code(err) != "wrong_code" {
				t.Error(err)
			}
		}
		if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Flow: flow, Code: digits, Password: unicorn}); err != nil {
			t.Error(err)
		}
		// The last one asked for does not void the one before; a new password voids them all.
		_, first, _ := ask(ada.email)
		_, second, _ := ask(ada.email)
		if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: first, Password: staple}); err != nil {
			t.Error(err)
		}
		if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: second, Password: horse}); code(err) != "invalid_or_expired" {
			t.Errorf("one from before the change: %v", err)
		}
		_, token, _ = ask(ada.email)
		w.advance(time.Hour)
		if _, err := w.LookPassword(w.ctx(), token); code(err) != "invalid_or_expired" {
			t.Errorf("after an hour: %v", err)
		}
		// With a second factor there is no session before it.
		app := w.person("app@example.org", has{totp: true})
		_, token, _ = ask(app.email)
		in, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: staple})
		if err != nil || in.Pending == nil || in.Token != "" || w.sessionsOf(app.id) != 0 {
			t.Fatalf("%+v %v", in, err)
		}
		if in, err = app.finish(in.Pending.Flow, factor.TOTP); err != nil || in.Principal.AAL != principal.AAL2 {
			t.Errorf("%+v %v", in, err)
		}
		// A disabled account is helped no more than one that is not there.
		off := w.person("off@example.org", has{})
		if err := w.Disable(w.ctx(), operator, off.id); err != nil {
			t.Fatal(err)
		}
		for _, email := range []string{off.email, "nobody@example.org"} {
			at := since(t)
			if flow, token, _ := ask(email); flow == "" || token != "" || len(w.purposes(at)) > 0 {
				t.Errorf("%s: %q", email, token)
			}
		}
	})
}

// Whoever asks for the mail again gets new secrets for the same sign-up, as often as the limit allows; the old ones are void.
func TestResend(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		r := w.register("ada@example.org", horse)
		oldToken, oldCode := w.confirmMail("ada@example.org")
		at := since(t)
		again, err := w.ResendConfirmation(w.ctx(), r.Flow)
		if err != nil || again.Flow == r.Flow {
			t.Fatal(err)
		}
		token, digits := w.secrets(at, mail.ConfirmEmail)
		if token == oldToken {
			t.Error("the same link")
		}
		for name, c := range map[string]auth.Confirmation{"link": {Token: oldToken, Flow: r.Flow}, "code": {Flow: r.Flow, Code: oldCode}} {
			if _, err := w.Confirm(w.ctx(), c); code(err) != "invalid_or_expired" {
				t.Errorf("the %s from before: %v", name, err)
			}
		}
		if in, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: again.Flow, Code: digits}); err != nil || in.Token == "" {
			t.Errorf("%+v %v", in, err)
		}
		// An address with an account is told so once more, and one whose account has gone meanwhile nothing at all.
		known := w.register("ada@example.org", horse)
		at = since(t)
		known2, err := w.ResendConfirmation(w.ctx(), known.Flow)
		if m := w.purposes(at); err != nil || !slices.Equal(m, []string{mail.AlreadyRegistered + " to ada@example.org"}) {
			t.Errorf("%v %v", m, err)
		}
		a, err := w.accounts.FindByEmail(w.ctx(), "ada@example.org")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Delete(w.ctx(), operator, a.ID); err != nil {
			t.Fatal(err)
		}
		at = since(t)
		if _, err := w.ResendConfirmation(w.ctx(), known2.Flow); err != nil || len(w.purposes(at)) > 0 {
			t.Errorf("%v %v", w.purposes(at), err)
		}
	})
}

// A passkey is added, named, used, renamed and removed; each is written down and told.
func TestPasskey_ofOnesOwn(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		ada := w.person("ada@example.org", has{totp: true, trusted: true})
		ada.device = passkeytest.New(t, base)
		at := since(t)
		if err := ada.addsPasskey(ada.fresh(), ada.device, "Laptop"); err != nil {
			t.Fatal(err)
		}
		if a := w.actions(at); !slices.Equal(a, []string{"passkey.register.success", "trusted_device.revoke"}) {
			t.Errorf("rows %v", a)
		}
		if m := w.purposes(at); !slices.Equal(m, []string{mail.PasskeyAdded + " to ada@example.org"}) {
			t.Errorf("mails %v", m)
		}
		in, err := ada.passkeySignIn("")
		if err != nil || in.Principal.AAL != principal.AAL2 {
			t.Fatalf("%+v %v", in, err)
		}
		if c, err := w.BeginPasskey(w.ctx(), ada.fresh(), false); err != nil {
			t.Error(err)
		} else if _, err := ada.device.Create(c.Options); !errors.Is(err, passkeytest.ErrExcluded) {
			t.Errorf("one device twice: %v", err)
		}
		who := ada.fresh()
		if err := w.RenamePasskey(w.ctx(), who, ada.passkeyID(0), "Work laptop"); err != nil {
			t.Error(err)
		}
		if list, err := w.SelfService.Passkeys(w.ctx(), who); err != nil || list[0].Name != "Work laptop" {
			t.Errorf("%+v %v", list, err)
		}
		eve := w.person("eve@example.org", has{})
		for what, err := range map[string]error{
			"rename": w.RenamePasskey(w.ctx(), eve.fresh(), ada.passkeyID(0), "mine"), "delete": w.DeletePasskey(w.ctx(), eve.fresh(), ada.passkeyID(0)),
		} {
			if code(err) != "passkey_not_found" {
				t.Errorf("%s somebody else's: %v", what, err)
			}
		}
		at = since(t)
		if err := w.DeletePasskey(w.ctx(), who, ada.passkeyID(0)); err != nil {
			t.Fatal(err)
		}
		if a := w.actions(at); !slices.Equal(a, []string{"passkey.delete"}) {
			t.Errorf("rows %v", a)
		}
		if m := w.purposes(at); !slices.Equal(m, []string{mail.PasskeyRemoved + " to ada@example.org"}) {
			t.Errorf("mails %v", m)
		}
		if _, err := ada.passkeySignIn(""); err == nil {
			t.Error("a deleted passkey signs in")
		}
	})
}

// A counter that falls is an alarm: written down, told, and, as a setting, the end of the passkey.
func TestPasskey_cloneAlarm(t *testing.T) {
	for name, block := range map[string]bool{"told": false, "blocked": true} {
		t.Run(name, func(t *testing.T) {
			each(t, options{block: block}, func(t *testing.T, w *world) {
				ada := w.person("ada@example.org", has{})
				ada.device = passkeytest.SecurityKey(t, base)
				ada.addPasskey(ada.device, true)
				if _, err := ada.passkeySignIn(""); err != nil {
					t.Fatal(err)
				}
				ada.device.Count -= 1 // the copy has not seen the last one
				at := since(t)
				in, err := ada.passkeySignIn("")
				if want := map[bool]string{false: "ok", true: "passkey_blocked"}[block]; code(err) != want || (in.Token != "") == block {
					t.Errorf("%v, want %s", err, want)
				}
				rows := w.actions(at)
				if !slices.ContainsFunc(rows, func(r string) bool { return strings.HasPrefix(r, "passkey.sign_count_regression") }) || slices.Contains(rows, "auth.login.success") == block {
					t.Errorf("rows %v", rows)
				}
				if m := w.purposes(at); !slices.Contains(m, mail.PasskeyCloneAlarm+" to ada@example.org") {
					t.Errorf("mails %v", m)
				}
			})
		})
	}
}
