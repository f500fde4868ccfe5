package auth_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/administration"
	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

func TestRegister_thenCodeThenSignIn(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		r := w.register(" Ada@Example.org ", horse)
		if r.SignedIn != nil || len(r.Flow) != 43 {
			t.Fatalf("%+v", r)
		}
		if _, err := w.signIn("ada@example.org", horse); code(err) != "invalid_credentials" {
			t.Fatalf("signed in before confirming: %v", err)
		}
		_, digits := w.confirmMail("ada@example.org")
		in, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: r.Flow, Code: digits})
		if err != nil {
			t.Fatal(err)
		}
		p, err := w.sessions.Resolve(w.ctx(), in.Token)
		if err != nil || p.Email != "ada@example.org" || p.AAL != principal.AAL1 || p.SessionID != in.Principal.SessionID || p.UserID != in.Principal.UserID {
			t.Fatalf("%+v, %v", p, err)
		}
		if _, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: r.Flow, Code: digits}); code(err) != "invalid_or_expired" {
			t.Fatalf("confirmed twice: %v", err)
		}
		again, err := w.SignIn(w.ctx(), auth.Credentials{Email: "ADA@example.org", Password: horse, Remember: true})
		if err != nil || again.Token == in.Token || !again.Persistent || time.Until(again.Principal.ExpiresAt) < 59*24*time.Hour {
			t.Fatalf("%+v, %v", again, err)
		}
		if err := w.SignOut(w.ctx(), again.Token); err != nil {
			t.Fatal(err)
		}
		if w.resolves(again.Token) || !w.resolves(in.Token) {
			t.Fatal("signing out must end that session and no other")
		}
		if err := w.SignOut(w.ctx(), again.Token); fault.KindOf(err) != fault.Unauthenticated {
			t.Fatalf("signed out twice: %v", err)
		}
	})
}

func TestConfirm_byLink(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		r := w.register("ada@example.org", horse)
		token, _ := w.confirmMail("ada@example.org")
		if in, err := w.Confirm(w.ctx(), auth.Confirmation{Token: token, Flow: r.Flow}); err != nil || !w.resolves(in.Token) {
			t.Fatal(err)
		}
		r = w.register("bob@example.org", horse)
		token, _ = w.confirmMail("bob@example.org")
		for _, c := range []struct {
			c    auth.Confirmation
			want string
		}{
			{auth.Confirmation{Token: token}, "password_needed"},
			{auth.Confirmation{Token: token, Flow: w.register("eve@example.org", horse).Flow}, "password_needed"},
			{auth.Confirmation{Token: token, Password: staple}, "wrong_password"},
			{auth.Confirmation{Token: r.Flow, Flow: r.Flow}, "invalid_or_expired"},
			{auth.Confirmation{Token: token, Password: horse}, "ok"},
			{auth.Confirmation{Token: token, Password: horse}, "invalid_or_expired"},
		} {
			if _, err := w.Confirm(w.ctx(), c.c); code(err) != c.want {
				t.Errorf("%+v: %v, want %s", c.c, err, c.want)
			}
		}
	})
}

func TestConfirm_passwordGuessesEnd(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		r := w.register("ada@example.org", horse)
		token, _ := w.confirmMail("ada@example.org")
		for i := range 7 {
			want := "wrong_password"
			if i >= 5 {
				want = "invalid_or_expired"
			}
			if _, err := w.Confirm(w.ctx(), auth.Confirmation{Token: token, Password: staple}); code(err) != want {
				t.Fatalf("guess %d: %v, want %s", i+1, err, want)
			}
		}
		if _, err := w.Confirm(w.ctx(), auth.Confirmation{Token: token, Password: horse}); code(err) != "invalid_or_expired" {
			t.Fatalf("the right one after too many: %v", err)
		}
		if _, err := w.Confirm(w.ctx(), auth.Confirmation{Token: token, Flow: r.Flow}); err != nil {
			t.Fatalf("the browser that signed up must still get in: %v", err)
		}
	})
}

// A stranger signs up the victim's address first. Whatever the victim does then, the stranger's password never works.
func TestRegister_preHijack(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		const victim = "victim@example.org"
		stranger := w.register(victim, unicorn)
		token, _ := w.confirmMail(victim)
		// The victim opens the stranger's link: without the password it confirms nothing.
		if _, err := w.Confirm(w.ctx(), auth.Confirmation{Token: token}); code(err) != "password_needed" {
			t.Fatal(err)
		}
		if _, err := w.Confirm(w.ctx(), auth.Confirmation{Token: token, Password: horse}); code(err) != "wrong_password" {
			t.Fatal(err)
		}
		// The victim signs up themselves and confirms their own flow.
		own := w.register(victim, horse)
		_, digits := w.confirmMail(victim)
		if _, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: stranger.Flow, Code: digits}); err == nil {
			t.Fatal("the victim's code worked in the stranger's flow")
		}
		in, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: own.Flow, Code: digits})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.signIn(victim, unicorn); code(err) != "invalid_credentials" {
			t.Fatalf("the stranger's password: %v", err)
		}
		if _, err := w.Confirm(w.ctx(), auth.Confirmation{Token: token, Flow: stranger.Flow}); code(err) != "invalid_or_expired" {
			t.Fatalf("the stranger's flow afterwards: %v", err)
		}
		if _, err := w.signIn(victim, horse); err != nil || !w.resolves(in.Token) {
			t.Fatal(err)
		}
	})
}

func TestRegister_preHijackDeferred(t *testing.T) {
	each(t, options{settings: flow.Settings{DeferConfirmation: true}}, func(t *testing.T, w *world) {
		const victim = "victim@example.org"
		stranger := w.register(victim, unicorn)
		if stranger.SignedIn == nil || !w.resolves(stranger.SignedIn.Token) {
			t.Fatal("with deferred confirmation the first session comes at once")
		}
		if _, err := w.signIn(victim, unicorn); err != nil {
			t.Fatal(err)
		}
		w.mails(victim) // the stranger's comes first
		own := w.register(victim, horse)
		if own.SignedIn != nil {
			t.Fatal("a known address must not be signed in to")
		}
		if _, err := w.signIn(victim, horse); code(err) != "invalid_credentials" {
			t.Fatalf("the second password before confirming: %v", err)
		}
		_, digits := w.confirmMail(victim)
		if _, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: own.Flow, Code: digits}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.signIn(victim, unicorn); code(err) != "invalid_credentials" || w.resolves(stranger.SignedIn.Token) {
			t.Fatalf("the stranger is still in: %v", err)
		}
	})
}

func TestRegister_knownAddress(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		in := w.member("ada@example.org", horse)
		r := w.register("ada@example.org", staple)
		got := w.mails("ada@example.org")
		if got[0].Purpose != mail.AlreadyRegistered || tokenIn.MatchString(got[0].Text+got[0].HTML) {
			t.Fatalf("mail %+v", got[0])
		}
		for i := range 7 {
			want := "wrong_code"
			if i >= 5 {
				want = "invalid_or_expired"
			}
			if _, err := w.Confirm(w.ctx(), auth.Confirmation{Flow: r.Flow, Code: "123456"}); code(err) != want {
				t.Fatalf("guess %d at a decoy: %v, want %s", i+1, err, want)
			}
		}
		if _, err := w.signIn("ada@example.org", staple); code(err) != "invalid_credentials" {
			t.Fatal(err)
		}
		if !w.resolves(in.Token) {
			t.Fatal("somebody else's sign-up ended a session")
		}
	})
}

func TestRegister_administratorCannotBeSignedUp(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		a, _, err := w.CreateUser(w.ctx(), operator, administration.NewUser{Email: "root@example.org", Administrator: true})
		if err != nil {
			t.Fatal(err)
		}
		w.register("root@example.org", horse)
		if got := w.mails("root@example.org"); len(got) != 1 || got[0].Purpose != mail.AlreadyRegistered {
			t.Fatalf("%+v", got)
		}
		if now, _ := w.accounts.Get(w.ctx(), a.ID); now.Status != account.Unconfirmed {
			t.Fatal(now.Status)
		}
	})
}

func TestRegister_refused(t *testing.T) {
	each(t, options{mails: ratelimit.Quota{Count: 2, Per: time.Hour}}, func(t *testing.T, w *world) {
		for _, c := range []struct{ email, pw, want string }{
			{"not an address", horse, "invalid_email"}, {"a\x00da@example.org", horse, "invalid_email"}, {"ada@example.org\r\nBcc: x@y.zz", horse, "invalid_email"},
			{strings.Repeat("a", 1<<20) + "@example.org", horse, "invalid_email"}, {"ada@example.org", "short", "password_too_short"},
			{"lovelace@example.org", "lovelace 1815", "password_contains_name"}, {"ada@example.org", strings.Repeat("x", 2000), "password_too_long"},
			{"ada@example.org", "12345678\xff", "password_not_text"},
			{"ada@example.org", horse, "ok"}, {"ada@example.org", horse, "ok"}, {"bob@example.org", horse, "ok"},
		} {
			if _, err := w.Register(w.ctx(), auth.Registration{Email: c.email, Password: c.pw}); code(err) != c.want {
				t.Errorf("%.30q %.20q: %v, want %s", c.email, c.pw, err, c.want)
			}
		}
		if _, err := w.Register(w.ctx(), auth.Registration{Email: "ada@example.org", Password: horse}); err != nil {
			t.Errorf("whoever asks in somebody's name keeps them out: %v", err)
		}
		if n := len(w.mails("ada@example.org")); n != 2 {
			t.Errorf("%d mails", n)
		}
	})
}

func TestSignIn_failsAlike(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		w.member("ada@example.org", horse)
		w.register("new@example.org", horse)
		off := w.member("off@example.org", horse)
		if err := w.Disable(w.ctx(), operator, off.Principal.UserID); err != nil {
			t.Fatal(err)
		}
		var first *fault.Error
		for _, c := range []struct{ email, pw string }{
			{"ada@example.org", staple}, {"nobody@example.org", horse}, {"new@example.org", horse}, {"off@example.org", horse}, {"", ""}, {"no address", horse},
			{"ada@example.org\x00", horse}, {"\xff\xfe", "\xff"}, {strings.Repeat("x", 1<<20), horse}, {"аda@example.org", horse}, {"\u202egro.elpmaxe@ada", horse},
			{"ada@example.org", ""}, {"ada@example.org", horse + "\x00"},
		} {
			_, err := w.signIn(c.email, c.pw)
			f := fault.From(err)
			if first == nil {
				first = f
			}
			if err == nil || f.Error() != first.Error() || f.Kind != fault.Unauthenticated || f.Message != first.Message || f.Field != "" || f.RetryAfter != 0 {
				t.Errorf("%.20q %.20q: %v, unlike %v", c.email, c.pw, err, first)
			}
		}
		if _, err := w.signIn("nobody@example.org", strings.Repeat("x", 2000)); code(err) != "password_too_long" {
			t.Error(err)
		}
	})
}

func TestSignIn_failureBucket(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		w.member("ada@example.org", horse)
		for _, email := range []string{"ada@example.org", "nobody@example.org"} {
			at := w.end()
			for i := range 8 {
				want := "invalid_credentials"
				if i >= 5 {
					want = "too_many_attempts"
				}
				if _, err := w.signIn(email, staple); code(err) != want {
					t.Fatalf("%s, guess %d: %v, want %s", email, i+1, err, want)
				}
			}
			_, got := w.rows(at)
			lockouts := 0
			for _, a := range got {
				if a == "security.lockout/too_many_failures" {
					lockouts++
				}
			}
			if lockouts != 1 || len(got) != 6 {
				t.Errorf("%s: rows %v, want five failures and one lockout", email, got)
			}
		}
		if _, err := w.signIn("ada@example.org", horse); code(err) != "too_many_attempts" {
			t.Fatalf("the right password in a full bucket: %v", err)
		}
		w.advance(15*time.Minute + time.Second) // they count no more
		if _, err := w.signIn("ada@example.org", horse); err != nil {
			t.Fatal(err)
		}
		if _, err := w.signIn("ada@example.org", staple); code(err) != "invalid_credentials" {
			t.Fatalf("a sign-in must empty the bucket: %v", err)
		}
		w.advance(-24 * time.Hour) // a clock set back must not lock anybody out for a day
		if _, err := w.signIn("ada@example.org", staple); code(err) == "too_many_attempts" && fault.From(err).RetryAfter > 15*time.Minute {
			t.Fatalf("after the clock was set back: %v, retry after %s", err, fault.From(err).RetryAfter)
		}
	})
}

func TestSignIn_rehashes(t *testing.T) {
	each(t, options{params: password.Params{MemoryKiB: 16, Time: 1, Parallelism: 1}}, func(t *testing.T, w *world) {
		in := w.member("ada@example.org", horse)
		newer := newWorld(t, w.db, options{root: w.root, params: password.Params{MemoryKiB: 32, Time: 1, Parallelism: 1}})
		rows := newer.wantRows(func() {
			if _, err := newer.signIn("ada@example.org", horse); err != nil {
				t.Fatal(err)
			}
		}, "auth.login.success")
		if rows[0].Metadata["rehashed"] != true {
			t.Errorf("metadata %v", rows[0].Metadata)
		}
		hash, err := newer.passwords.Find(w.ctx(), w.db, in.Principal.UserID)
		if err != nil || !strings.Contains(hash, "m=32,") {
			t.Fatalf("%s, %v", hash, err)
		}
		if rows := newer.wantRows(func() { _, _ = newer.signIn("ada@example.org", horse) }, "auth.login.success"); rows[0].Metadata["rehashed"] != nil {
			t.Error("rehashed once more")
		}
	})
}

func TestChangePassword(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		one := w.member("ada@example.org", horse)
		two, err := w.signIn("ada@example.org", horse)
		if err != nil {
			t.Fatal(err)
		}
		link, err := w.ResetLink(w.ctx(), operator, one.Principal.UserID)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ current, next, want string }{
			{staple, unicorn, "wrong_password"}, {horse, "short", "password_too_short"}, {"", staple, "wrong_password"}, {horse, staple, "ok"},
		} {
			in, err := w.ChangePassword(w.ctx(), one.Principal, c.current, c.next)
			if code(err) != c.want {
				t.Fatalf("%+v: %v", c, err)
			}
			if err != nil {
				continue
			}
			if in.Token == one.Token || in.Principal.SessionID != one.Principal.SessionID || !w.resolves(in.Token) || w.resolves(one.Token) || w.resolves(two.Token) {
				t.Fatal("this session goes on with a new token, the others end")
			}
		}
		if _, err := w.signIn("ada@example.org", horse); code(err) != "invalid_credentials" {
			t.Fatal(err)
		}
		if _, err := w.signIn("ada@example.org", staple); err != nil {
			t.Fatal(err)
		}
		if _, err := w.SetPassword(w.ctx(), auth.NewPassword{Token: link, Password: unicorn}); code(err) != "invalid_or_expired" {
			t.Fatalf("a link from before the change: %v", err)
		}
		i := slices.IndexFunc(w.mails("ada@example.org"), func(m mail.Received) bool {
			return m.Purpose == mail.PasswordChanged && strings.Contains(m.Text, "192.0.2.7")
		})
		if i < 0 {
			t.Fatal("nobody was told")
		}
		for _, p := range []principal.Principal{{}, {Kind: principal.Operator}, {Kind: principal.User, UserID: uuid.New()}} {
			if _, err := w.ChangePassword(w.ctx(), p, horse, staple); err == nil {
				t.Errorf("%+v changed a password", p)
			}
		}
		imp := one.Principal
		imp.ImpersonatorID = uuid.New()
		if _, err := w.ChangePassword(w.ctx(), imp, staple, unicorn); code(err) != "impersonated" {
			t.Error(err)
		}
	})
}
