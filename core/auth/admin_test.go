package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
)

func TestCreateUser_setPassword(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		a, token, err := w.CreateUser(w.ctx(), operator, administration.NewUser{Email: "Root@example.org", Administrator: true, Mail: true})
		if err != nil || a.Status != account.Unconfirmed || !a.Administrator || a.Email != "root@example.org" {
			t.Fatalf("%+v, %v", a, err)
		}
		if got := w.mails("root@example.org"); len(got) != 1 || got[0].Purpose != mail.PasswordSetLink || !strings.Contains(got[0].Text, w.Kit.PasswordLink(token)) {
			t.Fatalf("%+v", got)
		}
		if _, _, err := w.CreateUser(w.ctx(), operator, administration.NewUser{Email: "root@EXAMPLE.org"}); code(err) != "email_taken" {
			t.Fatal(err)
		}
		for _, c := range []struct{ token, pw, want string }{
			{"", horse, "invalid_or_expired"}, {"x", horse, "invalid_or_expired"}, {token, "short", "password_too_short"}, {token, "root@example.org", "password_contains_name"},
			{token, horse, "ok"}, {token, staple, "invalid_or_expired"},
		} {
			in, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: c.token, Password: c.pw})
			if code(err) != c.want {
				t.Fatalf("%+v: %v", c, err)
			}
			if err == nil && (!in.Principal.Administrator || !w.resolves(in.Token)) {
				t.Fatalf("%+v", in)
			}
		}
		in, err := w.signIn("root@example.org", horse)
		if err != nil {
			t.Fatal(err)
		}
		old, _ := w.ResetLink(w.ctx(), operator, a.ID)
		fresh, err := w.ResetLink(w.ctx(), operator, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: old, Password: staple}); code(err) != "invalid_or_expired" {
			t.Fatalf("the older of two links: %v", err)
		}
		if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: fresh, Password: staple}); err != nil || w.resolves(in.Token) {
			t.Fatalf("%v; sessions from before must end", err)
		}
		late, _ := w.ResetLink(w.ctx(), operator, a.ID)
		w.advance(73 * time.Hour)
		if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: late, Password: unicorn}); code(err) != "invalid_or_expired" {
			t.Fatalf("after 73 hours: %v", err)
		}
	})
}

func TestDisableEnableDelete(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		in := w.member("ada@example.org", horse)
		id := in.Principal.UserID
		link, _ := w.ResetLink(w.ctx(), operator, id)
		if err := w.Disable(w.ctx(), operator, id); err != nil {
			t.Fatal(err)
		}
		if w.resolves(in.Token) {
			t.Fatal("a disabled account's session resolves")
		}
		if _, err := w.signIn("ada@example.org", horse); code(err) != "invalid_credentials" {
			t.Fatal(err)
		}
		if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: link, Password: staple}); code(err) != "invalid_or_expired" {
			t.Fatal(err)
		}
		if _, err := w.ResetLink(w.ctx(), operator, id); code(err) != "account_disabled" {
			t.Fatal(err)
		}
		if err := w.Enable(w.ctx(), operator, id); err != nil {
			t.Fatal(err)
		}
		if w.resolves(in.Token) {
			t.Fatal("enabling brought an old session back")
		}
		if _, err := w.signIn("ada@example.org", horse); err != nil {
			t.Fatal(err)
		}
		if err := w.Delete(w.ctx(), operator, id); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"session", "credential_password", "onetime"} {
			if n := w.count(`SELECT count(*) FROM `+table+` WHERE account_id = $1 AND ($2 <> 'onetime' OR created_at > created_at)`, id, table); n != 0 {
				t.Errorf("%d rows left in %s", n, table)
			}
		}
		got, err := w.accounts.Get(w.ctx(), id)
		if err != nil || got.Status != account.Deleted || got.Email != "" {
			t.Fatalf("%+v, %v", got, err)
		}
		if m := w.mails("ada@example.org"); m[0].Purpose != mail.AccountDeleted {
			t.Fatalf("%+v", m[0])
		}
		_, revoked := w.RevokeSessions(w.ctx(), operator, "", uuid.New())
		for name, err := range map[string]error{
			"delete again": w.Delete(w.ctx(), operator, id), "delete nobody": w.Delete(w.ctx(), operator, uuid.New()),
			"revoke nobody's sessions": revoked, "disable nobody": w.Disable(w.ctx(), operator, uuid.New()),
		} {
			if fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := w.Enable(w.ctx(), operator, id); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a deleted account was enabled: %v", err)
		}
		if again := w.member("ada@example.org", staple); again.Principal.UserID == id {
			t.Error("the address came back with the old id")
		}
	})
}

func TestGates(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		in := w.member("ada@example.org", horse)
		var asked []gate.Ask
		answer := gate.Answer{Decision: gate.Deny, Reason: "not_today", By: "plugin.test"}
		var fails error
		g := gateFunc(func(_ context.Context, a gate.Ask) (gate.Answer, error) {
			asked = append(asked, a)
			return answer, fails
		})
		w.gates.Set(map[gate.Question][]gate.Gate{gate.Login: {g}, gate.Registration: {g}, gate.UserDelete: {g}})

		rows := w.wantRows(func() {
			if _, err := w.signIn("ada@example.org", horse); code(err) != "not_today" || fault.KindOf(err) != fault.Denied {
				t.Errorf("%v", err)
			}
		}, "auth.login.failure/gate_denied")
		if rows[0].Metadata["gate"] != "plugin.test" || rows[0].Actor.ID != in.Principal.UserID.String() {
			t.Errorf("%+v", rows[0])
		}
		if len(asked) != 1 || asked[0].Principal.UserID != in.Principal.UserID || asked[0].AttemptID == "" || asked[0].Context["email_domain"] != "example.org" {
			t.Errorf("asked %+v", asked)
		}
		w.wantRows(func() { _, _ = w.signIn("ada@example.org", staple) }, "auth.login.failure/wrong_password")
		if len(asked) != 1 {
			t.Error("a gate was asked about a wrong password")
		}
		w.wantRows(func() {
			for _, email := range []string{"ada@example.org", "nobody@example.org"} {
				if _, err := w.Register(w.ctx(), auth.Registration{Email: email, Password: horse}); code(err) != "not_today" {
					t.Errorf("%s: %v", email, err)
				}
			}
		}, "auth.register.failure/gate_denied", "auth.register.failure/gate_denied")
		w.wantRows(func() {
			if err := w.Delete(w.ctx(), operator, in.Principal.UserID); code(err) != "not_today" {
				t.Error(err)
			}
		})
		if !w.resolves(in.Token) {
			t.Error("a refused deletion did something")
		}
		answer = gate.Answer{Decision: gate.StepUp, RequiredAAL: principal.AAL2, By: "plugin.test"}
		if _, err := w.signIn("ada@example.org", horse); code(err) != "second_factor_missing" {
			t.Errorf("a step-up that can't be given let somebody in: %v", err)
		}
		answer, fails = gate.Answer{}, fault.New(fault.Unavailable, "gate_down", "Try later.")
		if _, err := w.signIn("ada@example.org", horse); code(err) != "gate_down" {
			t.Error(err)
		}
		fails = errors.New("secret internals")
		if _, err := w.signIn("ada@example.org", horse); fault.KindOf(err) != fault.Internal {
			t.Error(err)
		}
		// A gate that says no to a confirmation or a link spends nothing.
		fails, answer = nil, gate.Answer{}
		r := w.register("bob@example.org", horse)
		token, _ := w.confirmMail("bob@example.org")
		answer = gate.Answer{Decision: gate.Deny, By: "plugin.test"}
		w.wantRows(func() { _, _ = w.Confirm(w.ctx(), auth.Confirmation{Token: token, Flow: r.Flow}) }, "auth.login.failure/gate_denied")
		answer = gate.Answer{}
		if _, err := w.Confirm(w.ctx(), auth.Confirmation{Token: token, Flow: r.Flow}); err != nil {
			t.Error(err)
		}
	})
}

func TestSweep(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		w.register("old@example.org", horse)
		kept := w.member("kept@example.org", horse)
		admin, _, err := w.CreateUser(w.ctx(), operator, administration.NewUser{Email: "root@example.org", Administrator: true})
		if err != nil {
			t.Fatal(err)
		}
		w.advance(95 * time.Hour)
		w.register("young@example.org", horse)
		w.advance(2 * time.Hour)
		var n int
		w.wantRows(func() { n, err = w.Sweep(w.ctx()) }, "account.deletion_execute/never_confirmed")
		if n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if _, err := w.accounts.FindByEmail(w.ctx(), "old@example.org"); !account.IsNotFound(err) {
			t.Error("still there")
		}
		for _, id := range []uuid.UUID{kept.Principal.UserID, admin.ID} {
			if a, err := w.accounts.Get(w.ctx(), id); err != nil || a.Status == account.Deleted {
				t.Errorf("%+v, %v", a, err)
			}
		}
		if n, err := w.Sweep(w.ctx()); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}
