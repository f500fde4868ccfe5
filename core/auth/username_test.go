package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

var withUsernames = options{settings: flow.Settings{Usernames: flow.OptionalUsernames}}

// named signs somebody up with a username, and in.
func (w *world) named(email, username, pw string) auth.SignedIn {
	w.t.Helper()
	r, err := w.Register(w.ctx(), auth.Registration{Email: email, Username: username, Password: pw})
	if err != nil {
		w.t.Fatal(err)
	}
	_, code := w.confirmMail(email)
	in, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: r.Flow, Code: code})
	if err != nil {
		w.t.Fatal(err)
	}
	return in
}

func (w *world) usernameOf(in auth.SignedIn) string {
	w.t.Helper()
	a, err := w.accounts.Get(w.ctx(), in.Principal.UserID)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Username
}

func TestUsername_signsInBesideTheAddress(t *testing.T) {
	each(t, withUsernames, func(t *testing.T, w *world) {
		in := w.named("ada@example.org", "Ada.Lovelace", horse)
		if got := w.usernameOf(in); got != "Ada.Lovelace" {
			t.Fatalf("the username is %q", got)
		}
		for typed, want := range map[string]string{
			"ada@example.org": "ok", "Ada.Lovelace": "ok", "ADA.LOVELACE": "ok", " ada.lovelace ": "ok", "Ａda.Lovelace": "ok",
			"ada.lovelac": "invalid_credentials", "ada": "invalid_credentials", "": "invalid_credentials", "ada lovelace": "invalid_credentials",
			"ada.lovelace@": "invalid_credentials", strings.Repeat("x", 5000): "invalid_credentials",
		} {
			if _, err := w.signIn(typed, horse); code(err) != want {
				t.Errorf("signing in as %.40q: %v, want %s", typed, err, want)
			}
		}
		// Another name signs in at once, the old one no more; a free name is anybody's.
		if err := w.ChangeUsername(w.ctx(), in.Principal, "countess"); err != nil {
			t.Fatal(err)
		}
		for typed, want := range map[string]string{"countess": "ok", "ada.lovelace": "invalid_credentials"} {
			if _, err := w.signIn(typed, horse); code(err) != want {
				t.Errorf("after the change, as %s: %v, want %s", typed, err, want)
			}
		}
		if err := w.ChangeUsername(w.ctx(), in.Principal, ""); err != nil {
			t.Fatal(err)
		}
		w.named("eve@example.org", "Countess", horse)
		// What is true of addresses is true of names.
		for name, err := range map[string]error{
			"password_contains_name": func() error {
				_, err := w.Register(w.ctx(), auth.Registration{Email: "bob@example.org", Username: "Kopernikus", Password: "my kopernikus secret"})
				return err
			}(),
			"invalid_username": func() error {
				_, err := w.Register(w.ctx(), auth.Registration{Email: "bob@example.org", Username: "b@b", Password: horse})
				return err
			}(),
			"username_reserved": func() error {
				_, err := w.Register(w.ctx(), auth.Registration{Email: "bob@example.org", Username: "S.U.P.P.O.R.T", Password: horse})
				return err
			}(),
		} {
			if code(err) != name {
				t.Errorf("%v, want %s", err, name)
			}
		}
	})
}

func TestUsername_required(t *testing.T) {
	each(t, options{settings: flow.Settings{Usernames: flow.RequiredUsernames}}, func(t *testing.T, w *world) {
		if _, err := w.Register(w.ctx(), auth.Registration{Email: "ada@example.org", Password: horse}); code(err) != "username_needed" {
			t.Fatal(err)
		}
		in := w.named("ada@example.org", "ada", horse)
		if err := w.ChangeUsername(w.ctx(), in.Principal, " "); code(err) != "username_needed" {
			t.Fatal(err)
		}
	})
}

func TestUsername_off(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		if _, err := w.Register(w.ctx(), auth.Registration{Email: "ada@example.org", Username: "ada", Password: horse}); code(err) != "no_usernames" {
			t.Fatal(err)
		}
		in := w.member("ada@example.org", horse)
		if err := w.ChangeUsername(w.ctx(), in.Principal, "ada"); code(err) != "no_usernames" {
			t.Fatal(err)
		}
		if _, _, err := w.CreateUser(w.ctx(), operator, administration.NewUser{Email: "bob@example.org", Username: "bob"}); code(err) != "no_usernames" {
			t.Fatal(err)
		}
	})
}

// The same work by count, and the same answer, for a name that somebody has and one that nobody has.
func TestUsername_enumerationBySignIn(t *testing.T) {
	o := withUsernames
	o.failures = noFailureLimit
	each(t, o, func(t *testing.T, w *world) {
		w.named("known@example.org", "known", horse)
		if err := w.Disable(w.ctx(), operator, w.named("off@example.org", "disabled", horse).Principal.UserID); err != nil {
			t.Fatal(err)
		}
		tables := []string{"onetime", "mail_queue", "audit_log", "audit_target", "session", "ratelimit_failure", "credential_password", "account", "device"}
		work := func(typed string) string {
			before := map[string]int{}
			for _, table := range tables {
				before[table] = w.count(`SELECT count(*) FROM ` + table)
			}
			_, err := w.signIn(typed, unicorn)
			s := fmt.Sprintf("%v: ", fault.From(err))
			for _, table := range tables {
				s += fmt.Sprintf("%s+%d ", table, w.count(`SELECT count(*) FROM `+table)-before[table])
			}
			return s
		}
		want := work("known")
		for _, typed := range []string{"unknown", "disabled", "Unknown.2", "не-имя", "x"} {
			if got := work(typed); got != want {
				t.Errorf("%s: %s\n   known: %s", typed, got, want)
			}
		}
	})
}

// A username is refused whoever the address is, before it is looked at; and a sign-up that waits holds no name, so that nobody can
// tell by it whether its address was new.
func TestUsername_enumerationBySignUp(t *testing.T) {
	each(t, withUsernames, func(t *testing.T, w *world) {
		w.named("known@example.org", "taken", horse)
		for _, email := range []string{"known@example.org", "new@example.org", "newer@example.org"} {
			mails, accounts := w.count(`SELECT count(*) FROM mail_queue`), w.count(`SELECT count(*) FROM account`)
			w.wantRows(func() {
				_, err := w.Register(w.ctx(), auth.Registration{Email: email, Username: "TAKEN", Password: staple})
				if !errors.Is(err, account.ErrUsernameTaken) || strings.Contains(err.Error(), "@") {
					t.Errorf("%s: %v", email, err)
				}
			}, "auth.register.failure/username_taken")
			if w.count(`SELECT count(*) FROM mail_queue`) != mails || w.count(`SELECT count(*) FROM account`) != accounts {
				t.Errorf("%s: a refused sign-up left something", email)
			}
		}
		for _, email := range []string{"known@example.org", "fresh@example.org"} {
			for _, again := range []string{email, "second@example.org"} {
				if _, err := w.Register(w.ctx(), auth.Registration{Email: again, Username: "wanted-" + email[:5], Password: staple}); err != nil {
					t.Errorf("%s, then %s: %v", email, again, err)
				}
			}
		}
	})
}

// Two names of one account together allow what one allowed, and neither tells of the other.
func TestUsername_guessesAreShared(t *testing.T) {
	const all = 6
	o := withUsernames
	o.failures = ratelimit.Quota{Count: all, Per: 15 * time.Minute}
	each(t, o, func(t *testing.T, w *world) {
		w.named("ada@example.org", "ada", horse)
		judged := func(names ...string) (n int) {
			for i := range 4 * all {
				if _, err := w.signIn(names[i%len(names)], staple); code(err) == "invalid_credentials" {
					n++
				}
			}
			return n
		}
		if n := judged("ada@example.org", "ada", " ADA ", "Ada@Example.ORG"); n != all {
			t.Errorf("%d guesses by both names, want %d", n, all)
		}
		// The right password does not get through either, and unknown names and addresses stop at the same count.
		for _, name := range []string{"ada@example.org", "ada"} {
			if _, err := w.signIn(name, horse); code(err) != "too_many_attempts" {
				t.Errorf("%s after all guesses: %v", name, err)
			}
		}
		if n := judged("bob", "bob@example.org"); n != all {
			t.Errorf("%d guesses at nobody, want %d", n, all)
		}
		// Failures by the one say nothing by the other: who knows a name can't find out its address.
		eve := w.named("eve@example.org", "eve", horse)
		if n := judged("eve"); n != all/2 {
			t.Errorf("%d guesses by the name alone, want %d", n, all/2)
		}
		for _, address := range []string{"eve@example.org", "unknown@example.org"} {
			if _, err := w.signIn(address, staple); code(err) != "invalid_credentials" {
				t.Errorf("%s: %v", address, err)
			}
		}
		if err := w.Unlock(w.ctx(), operator, eve.Principal.UserID); err != nil {
			t.Fatal(err)
		}
		if _, err := w.signIn("eve", horse); err != nil {
			t.Errorf("after unlocking: %v", err)
		}
	})
}

func TestUsername_race(t *testing.T) {
	each(t, withUsernames, func(t *testing.T, w *world) {
		const many = 100
		people := make([]auth.SignedIn, 10)
		for i := range people {
			people[i] = w.member(fmt.Sprintf("p%d@example.org", i), horse)
		}
		spellings := []string{"wanted", "WANTED", "Wanted"}
		got := tally(many, func(i int) error { return w.ChangeUsername(w.ctx(), people[i%len(people)].Principal, spellings[i%3]) })
		if n := w.count(`SELECT count(*) FROM account WHERE username_key = 'wanted'`); n != 1 || got["ok"] == 0 || got["ok"]+got["username_taken"]+got["too_many_attempts"] != many {
			t.Fatalf("%d accounts have the name: %v", n, got)
		}
	})
}

// Two who signed up with one name: each gets an account, one the name.
func TestUsername_takenBeforeTheConfirmation(t *testing.T) {
	each(t, withUsernames, func(t *testing.T, w *world) {
		type signUp struct{ flow, code string }
		var all []signUp
		for i := range 8 {
			email := fmt.Sprintf("p%d@example.org", i)
			r, err := w.Register(w.ctx(), auth.Registration{Email: email, Username: "Wanted", Password: horse})
			if err != nil {
				t.Fatal(err)
			}
			_, c := w.confirmMail(email)
			all = append(all, signUp{r.Flow, c})
		}
		got := tally(len(all), func(i int) error {
			in, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: all[i].flow, Code: all[i].code})
			if err == nil && in.UsernameTaken {
				err = account.ErrUsernameTaken
			}
			return err
		})
		if got["ok"] != 1 || got["username_taken"] != len(all)-1 {
			t.Fatalf("%v", got)
		}
		if n := w.count(`SELECT count(*) FROM account WHERE status = 'active'`); n != len(all) {
			t.Fatalf("%d of %d are confirmed", n, len(all))
		}
		if n := w.count(`SELECT count(*) FROM audit_log WHERE action = 'account.username_change.failure'`); n != len(all)-1 {
			t.Fatalf("%d rows of refused names", n)
		}
	})
}

// Who was let in before the address was confirmed holds no name, and what they left with the account goes with them.
func TestUsername_notBeforeTheAddress(t *testing.T) {
	o := options{settings: flow.Settings{Usernames: flow.OptionalUsernames, DeferConfirmation: true}}
	each(t, o, func(t *testing.T, w *world) {
		r, err := w.Register(w.ctx(), auth.Registration{Email: "ada@example.org", Username: "ada", Password: horse})
		if err != nil || r.SignedIn == nil {
			t.Fatalf("%+v, %v", r, err)
		}
		stranger := r.SignedIn.Principal
		if got := w.usernameOf(*r.SignedIn); got != "" {
			t.Fatalf("an unconfirmed account is called %s", got)
		}
		if err := w.ChangeUsername(w.ctx(), stranger, "eve"); code(err) != "account_unconfirmed" {
			t.Fatal(err)
		}
		if _, err := w.ChangeOwnMetadata(w.ctx(), stranger, metadata.Change{Replace: []byte(`{"homepage":"https://evil.example"}`)}); err != nil {
			t.Fatal(err)
		}
		_, c := w.confirmMail("ada@example.org")
		in, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: r.Flow, Code: c})
		if err != nil {
			t.Fatal(err)
		}
		p, err := w.Profile(w.ctx(), in.Principal)
		if err != nil || p.Account.Username != "ada" || string(p.User.Value) != "{}" {
			t.Fatalf("%+v, %v", p, err)
		}
	})
}

func TestUsername_audit(t *testing.T) {
	each(t, withUsernames, func(t *testing.T, w *world) {
		var in, other auth.SignedIn
		w.wantRows(func() { in = w.named("ada@example.org", "ada", horse) },
			"auth.register.success", "auth.confirmation.success", "account.username_change.success", "auth.login.success")
		other = w.named("bob@example.org", "bob", horse)
		id := other.Principal.UserID
		w.wantRows(func() { _ = w.ChangeUsername(w.ctx(), in.Principal, "BOB") }, "account.username_change.failure/username_taken")
		w.wantRows(func() { _ = w.ChangeUsername(w.ctx(), in.Principal, "ada") })
		w.wantRows(func() { _ = w.ChangeUsername(w.ctx(), in.Principal, "Ada") }, "account.username_change.success")
		w.wantRows(func() {
			for _, name := range []string{"admin", "admin", ""} { // one that nobody chooses, the same again, and none
				if err := w.SetUsername(w.ctx(), operator, id, name); err != nil {
					t.Error(err)
				}
			}
		}, "account.username_change.success", "account.username_change.success")
		if err := w.SetUsername(w.ctx(), operator, id, "ada"); !errors.Is(err, account.ErrUsernameTaken) {
			t.Errorf("an administrator gives a name twice: %v", err)
		}
		// Not without a fresh proof, and not for ever.
		w.advance(6 * time.Minute)
		if err := w.ChangeUsername(w.ctx(), in.Principal, "countess"); code(err) != "step_up_required" {
			t.Error(err)
		}
		in, err := w.signIn("ada", horse)
		if err != nil {
			t.Fatal(err)
		}
		refused := map[string]int{}
		for range 8 {
			if err := w.SetUsername(w.ctx(), operator, id, "bob"); err != nil {
				t.Fatal(err)
			}
			refused[code(w.ChangeUsername(w.ctx(), in.Principal, "bob"))]++
		}
		if refused["username_taken"] != 5 || refused["too_many_attempts"] != 3 {
			t.Errorf("asking for taken names: %v", refused)
		}
	})
}

func TestMetadata_flows(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		in := w.member("ada@example.org", horse)
		id := in.Principal.UserID
		rows := w.wantRows(func() {
			if _, err := w.ChangeOwnMetadata(w.ctx(), in.Principal, metadata.Change{Scope: metadata.Private, Merge: []byte(`{"theme":"hunter2"}`)}); err != nil {
				t.Error(err)
			}
			for scope, text := range map[metadata.Scope]string{metadata.Public: `{"plan":"hunter2"}`, metadata.Private: `{"risk":"hunter2"}`} {
				if _, err := w.ChangeMetadata(w.ctx(), operator, id, metadata.Change{Scope: scope, Replace: []byte(text)}); err != nil {
					t.Error(err)
				}
			}
			if _, err := w.ChangeMetadata(w.ctx(), operator, id, metadata.Change{Scope: metadata.Public, Merge: []byte(`{}`)}); err != nil {
				t.Error(err)
			}
		}, "account.update", "account.update", "account.update")
		for _, r := range rows {
			if s := fmt.Sprintf("%+v", r); strings.Contains(s, "hunter2") {
				t.Errorf("a value is in the log: %s", s)
			}
		}
		if got := fmt.Sprintf("%v", rows[0].Metadata); !strings.Contains(got, "fields:[theme]") || !strings.Contains(got, "scope:user") || rows[0].Actor.ID != id.String() {
			t.Errorf("the row says %s of %+v", got, rows[0].Actor)
		}
		p, err := w.Profile(w.ctx(), in.Principal)
		if err != nil || string(p.User.Value) != `{"theme":"hunter2"}` || string(p.Public.Value) != `{"plan":"hunter2"}` {
			t.Fatalf("%+v, %v", p, err)
		}
		// Names that somebody made up to fill the log.
		var b strings.Builder
		for i := range 300 {
			fmt.Fprintf(&b, `,"%s%d":1`, strings.Repeat(`\u0001`, 6), i)
		}
		if _, err := w.ChangeOwnMetadata(w.ctx(), in.Principal, metadata.Change{Replace: []byte("{" + b.String()[1:] + "}")}); err != nil {
			t.Error(err)
		}
		long := strings.Repeat(`𝄞`, 200)
		if _, err := w.ChangeOwnMetadata(w.ctx(), in.Principal, metadata.Change{Merge: []byte(`{"` + long + `":1}`)}); err != nil {
			t.Error(err)
		}
		acting := in.Principal
		acting.ImpersonatorID = id
		if _, err := w.ChangeOwnMetadata(w.ctx(), acting, metadata.Change{Merge: []byte(`{"x":1}`)}); code(err) != "impersonated" {
			t.Error(err)
		}
		if err := w.Delete(w.ctx(), operator, id); err != nil {
			t.Fatal(err)
		}
		if n := w.count(`SELECT count(*) FROM account_metadata`); n != 0 {
			t.Errorf("%d objects of a deleted account", n)
		}
		if _, err := w.Administration.Metadata(w.ctx(), id, metadata.Public); !account.IsNotFound(err) {
			t.Error(err)
		}
		if _, err := w.ChangeMetadata(w.ctx(), operator, id, metadata.Change{Scope: metadata.Public, Replace: []byte(`{"a":1}`)}); !account.IsNotFound(err) {
			t.Error(err)
		}
	})
}
