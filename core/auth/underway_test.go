package auth_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/selfservice"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// What somebody was doing in a session when it ended comes to nothing: who has to leave must not have left a key of their own.
func TestUnderWay_endsWithItsSession(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		changes := map[string]func(p *person, who principal.Principal) error{
			"begin an app": func(_ *person, who principal.Principal) error { _, err := w.BeginTOTP(w.ctx(), who); return err },
			"confirm an app": func(_ *person, who principal.Principal) error {
				_, err := w.ConfirmTOTP(w.ctx(), who, "000000")
				return err
			},
			"remove the app": func(_ *person, who principal.Principal) error { return w.RemoveTOTP(w.ctx(), who) },
			"ask no more": func(_ *person, who principal.Principal) error {
				_, err := w.AskAfterPassword(w.ctx(), who, false)
				return err
			},
			"renew the codes": func(_ *person, who principal.Principal) error {
				_, err := w.RenewRecoveryCodes(w.ctx(), who)
				return err
			},
			"add a passkey": func(p *person, who principal.Principal) error {
				return p.addsPasskey(who, passkeytest.New(t, base), "")
			},
			"delete a passkey": func(p *person, who principal.Principal) error { return w.DeletePasskey(w.ctx(), who, p.passkeyID(0)) },
			"change the email": func(p *person, who principal.Principal) error {
				_, err := w.RequestEmailChange(w.ctx(), who, "next-"+p.email)
				return err
			},
			"change the password": func(_ *person, who principal.Principal) error {
				_, err := w.ChangePassword(w.ctx(), who, horse, staple)
				return err
			},
			"add a password": func(_ *person, who principal.Principal) error { return w.AddPassword(w.ctx(), who, staple) },
			"link a login": func(p *person, who principal.Principal) error {
				c := p.claims
				c.Subject += "-2"
				return w.LinkLogin(w.ctx(), who, c)
			},
			"step up": func(_ *person, who principal.Principal) error {
				_, err := w.StepUp(w.ctx(), who, factor.Proof{Method: factor.Password, Password: horse})
				return err
			},
			"unlink a login": func(p *person, who principal.Principal) error { return w.UnlinkLogin(w.ctx(), who, p.loginID()) },
		}
		ends := map[string]func(p *person, who principal.Principal) error{
			"revoked": func(p *person, who principal.Principal) error {
				return w.sessions.Revoke(w.ctx(), operator, "", p.id, who.SessionID)
			},
			"reset": func(p *person, _ principal.Principal) error {
				token, err := w.ResetLink(w.ctx(), operator, p.id)
				if err == nil {
					_, err = w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: unicorn})
				}
				return err
			},
			"disabled": func(p *person, _ principal.Principal) error { return w.Disable(w.ctx(), operator, p.id) },
			"deleted":  func(p *person, _ principal.Principal) error { return w.Delete(w.ctx(), operator, p.id) },
			// The session goes on with another token: what began with the old one, which may be a copy, ends.
			"renewed": func(_ *person, who principal.Principal) error {
				return w.db.Tx(w.ctx(), func(ctx context.Context, tx *store.Tx) error {
					_, err := w.sessions.Rotate(ctx, tx, who)
					return err
				})
			},
		}
		for what, change := range changes {
			for how, end := range ends {
				h := has{totp: true, passkey: true, login: true}
				if strings.Contains(what, " an app") || what == "step up" {
					h.totp = false
				}
				p := w.person(strings.ReplaceAll(what, " ", "-")+"-"+how+"@example.org", h)
				who := p.fresh()
				if how == "deleted" && (what == "delete a passkey" || what == "unlink a login" || what == "step up") {
					continue // there is none any more
				}
				if err := end(p, who); err != nil {
					t.Fatal(err)
				}
				at := since(t)
				err := change(p, who)
				if k := fault.KindOf(err); k != fault.Unauthenticated && k != fault.NotFound && k != fault.Denied {
					t.Errorf("%s, %s: %v", what, how, err)
				}
				for _, row := range w.actions(at) {
					if !strings.Contains(row, "failure") {
						t.Errorf("%s, %s: %s", what, how, row)
					}
				}
				if m := w.purposes(at); len(m) > 0 {
					t.Errorf("%s, %s: mails %v", what, how, m)
				}
			}
		}
	})
}

// The way back takes away what was added to the account in the day before the change and since, and nothing older.
func TestEmailChange_undoEvicts(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		p := w.person("owner@example.org", has{passkey: true, login: true})
		mine, google := p.passkeyID(0), p.loginID()
		w.advance(3 * 24 * time.Hour)
		thief := &person{w: w, id: p.id, email: p.email, pw: p.pw, device: passkeytest.New(t, base)}
		thief.addPasskey(thief.device, true)
		thief.give(has{totp: true})
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			c := p.claims
			c.Subject = "the thief's"
			_, _, err := w.Logins.Link(ctx, tx, p.id, c)
			return err
		})
		undo := thief.moves("thief@example.org")
		at := since(t)
		if err := w.UndoEmailChange(w.ctx(), undo); err != nil {
			t.Fatal(err)
		}
		if p.passkeyID(0) != mine || w.count(`SELECT count(*) FROM credential_passkey WHERE account_id = $1`, p.id) != 1 {
			t.Error("not the passkeys from before")
		}
		if p.loginID() != google || w.count(`SELECT count(*) FROM federation_identity WHERE account_id = $1`, p.id) != 1 {
			t.Error("not the logins from before")
		}
		if n := w.count(`SELECT count(*) FROM credential_totp WHERE account_id = $1`, p.id) + w.count(`SELECT count(*) FROM credential_recoverycode WHERE account_id = $1`, p.id); n != 0 {
			t.Error("the thief's app or codes are left")
		}
		if in, err := thief.passkeySignIn(""); err == nil {
			t.Errorf("the thief is in again: %+v", in.Principal)
		}
		if in, err := p.passkeySignIn(""); err != nil || in.Token == "" {
			t.Errorf("the owner's passkey: %v", err)
		}
		// The link in the mailbox gives the account a password again.
		token, _ := w.secrets(at, mail.EmailChangeUndone)
		in, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: unicorn})
		if err != nil {
			t.Fatal(err)
		}
		if in.Pending != nil { // the app had it asked for; the passkey that is left answers
			if in, err = w.FinishSignIn(w.ctx(), auth.SecondFactor{Flow: in.Pending.Flow, Factor: p.show(factor.Passkey, in.Pending.Flow)}); err != nil || in.Token == "" {
				t.Errorf("%+v %v", in, err)
			}
		}
		if _, err := w.signIn("thief@example.org", unicorn); code(err) != "invalid_credentials" {
			t.Errorf("the thief's address: %v", err)
		}
	})
}

// Who has the mailbox of a mistyped address has no way into the account by what came there.
func TestEmailChange_linkElsewhere(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		p, other := w.person("ada@example.org", has{}), w.person("eve@example.org", has{})
		who := p.fresh()
		at := since(t)
		asked, err := w.RequestEmailChange(w.ctx(), who, "mistyped@example.org")
		if err != nil {
			t.Fatal(err)
		}
		token, digits := w.secrets(at, mail.EmailChangeConfirm)
		acting := p.fresh()
		acting.ImpersonatorID = uuid.New()
		for name, in := range map[string]struct {
			who principal.Principal
			c   selfservice.EmailChange
		}{
			"the link alone":          {principal.Principal{}, selfservice.EmailChange{Token: token}},
			"somebody else signed in": {other.fresh(), selfservice.EmailChange{Token: token}},
			"in their name":           {acting, selfservice.EmailChange{Token: token}},
			"with another flow":       {principal.Principal{}, selfservice.EmailChange{Token: token, Flow: token}},
		} {
			w.wantRows(func() {
				if err := w.ConfirmEmailChange(w.ctx(), in.who, in.c); code(err) != "sign_in_first" {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		w.wantRows(func() {
			if err := w.ConfirmEmailChange(w.ctx(), principal.Principal{}, selfservice.EmailChange{Flow: asked, Code: wrongCode(digits)}); code(err) != "wrong_code" {
				t.Error(err)
			}
		}, "account.email_change.failure/wrong_code")
		if err := w.ConfirmEmailChange(w.ctx(), who, selfservice.EmailChange{Token: token}); err != nil {
			t.Fatal(err)
		}
		if a, err := w.accounts.Get(w.ctx(), p.id); err != nil || a.Email != "mistyped@example.org" {
			t.Errorf("%s %v", a.Email, err)
		}
		if err := w.ConfirmEmailChange(w.ctx(), who, selfservice.EmailChange{Token: token}); code(err) != "invalid_or_expired" {
			t.Errorf("twice: %v", err)
		}
	})
}

// A step-up by password that races the confirmation of an app never comes out as two factors, and never outlives the confirmation's new token.
func TestStepUp_racesEnrollment(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		for i := range 12 {
			p := w.person(fmt.Sprintf("race%d@example.org", i), has{})
			who := p.session(principal.AAL1, 0, "pwd").Principal
			e, err := w.BeginTOTP(w.ctx(), who)
			if err != nil {
				t.Fatal(err)
			}
			right := w.next(newApp(e.Secret.Reveal()))
			var both sync.WaitGroup
			var stepped session.Issued
			var stepErr, confirmErr error
			both.Go(func() {
				stepped, stepErr = w.StepUp(w.ctx(), who, factor.Proof{Method: factor.Password, Password: horse})
			})
			both.Go(func() { _, confirmErr = w.ConfirmTOTP(w.ctx(), who, right) })
			both.Wait()
			switch {
			case stepErr == nil && confirmErr == nil:
				t.Error("both went on with one token")
			case stepErr == nil && stepped.Principal.AAL != principal.AAL1:
				t.Errorf("a password became %s %v", stepped.Principal.AAL, stepped.Principal.AMR)
			case stepErr != nil && confirmErr != nil:
				t.Errorf("neither: %v, %v", stepErr, confirmErr)
			}
		}
	})
}
