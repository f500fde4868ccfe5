package auth_test

import (
	"slices"
	"testing"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/auth"
)

// Every method that changes something leaves exactly these rows, and every row is in the catalogue with its metadata.
func TestAudit_methodByMethod(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		var flow auth.Registered
		var in auth.SignedIn
		var link string
		var err error
		must := func(what error) {
			t.Helper()
			if what != nil {
				t.Fatal(what)
			}
		}
		at := w.end()
		for _, step := range []struct {
			name string
			do   func()
			want []string
		}{
			{"register, new", func() { flow = w.register("ada@example.org", horse) }, []string{"auth.register.success"}},
			{"register, again", func() { flow = w.register("ada@example.org", horse) }, []string{"auth.confirmation_request/signed_up_again"}},
			{"confirm, wrong code", func() {
				_, c := w.confirmMail("ada@example.org")
				_, _ = w.Confirm(w.ctx(), auth.Confirmation{Flow: flow.Flow, Code: wrongCode(c)})
			}, []string{"auth.confirmation.failure/wrong_code"}},
			{"confirm, wrong password", func() {
				token, _ := w.confirmMail("ada@example.org")
				_, _ = w.Confirm(w.ctx(), auth.Confirmation{Token: token, Password: staple})
			}, []string{"auth.confirmation.failure/wrong_password"}},
			{"confirm, nonsense", func() { _, _ = w.Confirm(w.ctx(), auth.Confirmation{Flow: "x", Code: "y", Token: "z"}) }, nil},
			{"confirm", func() {
				token, _ := w.confirmMail("ada@example.org")
				in, err = w.Confirm(w.ctx(), auth.Confirmation{Token: token, Flow: flow.Flow})
				must(err)
			}, []string{"auth.confirmation.success", "auth.login.success"}},
			{"register, taken", func() { w.register("ada@example.org", staple) }, []string{"auth.register.failure/email_taken"}},
			{"sign in, wrong password", func() { _, _ = w.signIn("ada@example.org", staple) }, []string{"auth.login.failure/wrong_password"}},
			{"sign in, unknown", func() { _, _ = w.signIn("nobody@example.org", staple) }, []string{"auth.login.failure/unknown_user"}},
			{"sign in", func() { in, err = w.signIn("ada@example.org", horse); must(err) }, []string{"auth.login.success"}},
			{"resolve", func() { w.resolves(in.Token) }, nil},
			{"change password, wrong", func() { _, _ = w.ChangePassword(w.ctx(), in.Principal, staple, unicorn) }, []string{"account.password_change.failure/wrong_password"}},
			{"change password, bad", func() { _, _ = w.ChangePassword(w.ctx(), in.Principal, horse, "x") }, nil},
			{"change password", func() { in, err = w.ChangePassword(w.ctx(), in.Principal, horse, staple); must(err) }, []string{"account.password_change.success"}},
			{"sign out", func() { must(w.SignOut(w.ctx(), in.Token)) }, []string{"auth.logout"}},
			{"sign out again", func() { _ = w.SignOut(w.ctx(), in.Token) }, nil},
			{"create user", func() {
				_, link, err = w.CreateUser(w.ctx(), operator, auth.NewUser{Email: "bob@example.org"})
				must(err)
			}, []string{"admin.user.create", "auth.password_reset_request"}},
			{"create user, taken", func() { _, _, _ = w.CreateUser(w.ctx(), operator, auth.NewUser{Email: "bob@example.org"}) }, nil},
			{"set password", func() { in, err = w.SetPassword(w.ctx(), auth.NewPassword{Token: link, Password: horse}); must(err) }, []string{"auth.login.success", "auth.password_reset.success"}},
			{"set password again", func() { _, _ = w.SetPassword(w.ctx(), auth.NewPassword{Token: link, Password: horse}) }, nil},
			{"reset link", func() { link, err = w.ResetLink(w.ctx(), operator, in.Principal.UserID); must(err) }, []string{"admin.user.reset_link", "auth.password_reset_request"}},
			{"revoke sessions", func() { must(w.RevokeSessions(w.ctx(), operator, in.Principal.UserID)) }, []string{"session.revoke_all"}},
			{"disable", func() { must(w.Disable(w.ctx(), operator, in.Principal.UserID)) }, []string{"admin.user.disable"}},
			{"disable again", func() { must(w.Disable(w.ctx(), operator, in.Principal.UserID)) }, nil},
			{"sign in, disabled", func() { _, _ = w.signIn("bob@example.org", horse) }, []string{"auth.login.failure/account_disabled"}},
			{"enable", func() { must(w.Enable(w.ctx(), operator, in.Principal.UserID)) }, []string{"admin.user.enable"}},
			{"enable again", func() { must(w.Enable(w.ctx(), operator, in.Principal.UserID)) }, nil},
			{"delete", func() { must(w.Delete(w.ctx(), operator, in.Principal.UserID)) }, []string{"account.deletion_execute"}},
			{"delete again", func() { _ = w.Delete(w.ctx(), operator, in.Principal.UserID) }, nil},
		} {
			step.do()
			rows, got := w.rows(at)
			slices.Sort(got)
			if !slices.Equal(got, step.want) {
				t.Errorf("%s\n got %v\nwant %v", step.name, got, step.want)
			}
			for _, r := range rows {
				at[r.ID] = true
				checkRow(t, r)
			}
		}
	})
}

// checkRow holds what every row of these flows must say, and must not.
func checkRow(t *testing.T, r audit.Row) {
	t.Helper()
	if a, ok := audit.Lookup(r.Action); !ok || r.Outcome != a.Outcome {
		t.Errorf("%s: outcome %s, the catalogue says %s", r.Action, r.Outcome, a.Outcome)
	}
	if r.RequestID != "req-1" || r.IP != "192.0.2.7" || r.UserAgent != "test/1" || r.Actor.Type == "" || len(r.Targets) == 0 {
		t.Errorf("%s lacks who and whence: %+v", r.Action, r)
	}
	if r.Action == "auth.login.success" && (r.SessionID.String() == "" || r.AuthMethod == "" || r.Metadata["method"] == nil) {
		t.Errorf("%s lacks its session or method: %+v", r.Action, r)
	}
}
