package auth_test

import (
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/selfservice"
)

// moves changes the person's address all the way, and gives the undo link that the address from before got in the end.
func (p *person) moves(to string) (undo string) {
	w := p.w
	w.t.Helper()
	at := since(w.t)
	asked, err := w.RequestEmailChange(w.ctx(), p.fresh(), to)
	if err != nil {
		w.t.Fatal(err)
	}
	token, _ := w.secrets(at, mail.EmailChangeConfirm)
	at = since(w.t)
	if err := w.ConfirmEmailChange(w.ctx(), principal.Principal{}, selfservice.EmailChange{Token: token, Flow: asked}); err != nil {
		w.t.Fatal(err)
	}
	undo, _ = w.secrets(at, mail.EmailChanged)
	p.email = to
	return undo
}

// Whatever who has got into an account does next, the mailbox from before gets it back for a day, and of two mailboxes the
// older one counts.
func TestEmailChange_undoOutlivesTheThief(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		for name, f := range map[string]func(p *person){
			"does nothing": func(*person) {},
			"changes the password": func(p *person) {
				if _, err := w.ChangePassword(w.ctx(), p.fresh(), horse, unicorn); err != nil {
					t.Fatal(err)
				}
			},
			"asks to move on": func(p *person) {
				if _, err := w.RequestEmailChange(w.ctx(), p.fresh(), "x@thief.example"); err != nil {
					t.Fatal(err)
				}
			},
			"moves on":                  func(p *person) { p.moves("on-" + p.email) },
			"moves on, and undoes that": func(p *person) { _ = w.UndoEmailChange(w.ctx(), p.moves("undone-"+p.email)) },
			"signs up the old address":  func(p *person) { w.register("old-"+strings.TrimPrefix(p.email, "thief-"), unicorn) },
		} {
			slug := strings.NewReplacer(" ", ".", ",", "").Replace(name) + "@example.org"
			p := w.person("old-"+slug, has{})
			undo := p.moves("thief-" + slug)
			f(p)
			err := w.UndoEmailChange(w.ctx(), undo)
			if a, gerr := w.accounts.Get(w.ctx(), p.id); err != nil || gerr != nil || a.Email != "old-"+slug {
				t.Errorf("the thief %s: %v, the address is %s", name, err, a.Email)
			}
		}
	})
}

// A stranger who signed up first, with a session at once, leaves nothing behind for whoever resets the password by mail.
func TestReset_reclaims(t *testing.T) {
	each(t, options{settings: flow.Settings{DeferConfirmation: true}}, func(t *testing.T, w *world) {
		r := w.register("victim@example.org", unicorn)
		stranger := &person{w: w, id: r.SignedIn.Principal.UserID, email: "victim@example.org", pw: unicorn, device: passkeytest.New(t, base)}
		stranger.addPasskey(stranger.device, true)
		at := since(t)
		if _, err := w.RequestReset(w.ctx(), stranger.email); err != nil {
			t.Fatal(err)
		}
		token, _ := w.secrets(at, mail.PasswordReset)
		if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: token, Password: horse}); err != nil {
			t.Fatal(err)
		}
		if in, err := stranger.passkeySignIn(""); err == nil {
			t.Errorf("the stranger's passkey: %+v", in.Principal)
		}
	})
}
