package auth_test

import (
	"testing"

	"github.com/sigra-auth/sigra/core/auth"
)

// Whoever guesses at an address fills its bucket. Its owner gets in all the same, where they have been before.
func TestSignIn_strangersCantLockOut(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		known := w.member("ada@example.org", horse)
		stranger := w.member("eve@example.org", staple)
		guess := func(token string) string {
			_, err := w.SignIn(w.ctx(), auth.Credentials{Email: "ada@example.org", Password: unicorn, Device: token})
			return code(err)
		}
		for range 5 {
			if c := guess(""); c != "invalid_credentials" {
				t.Fatal(c)
			}
		}
		if _, err := w.signIn("ada@example.org", horse); code(err) != "too_many_attempts" {
			t.Fatalf("a full bucket: %v", err)
		}
		for name, token := range map[string]string{
			"another account's": stranger.Device, "none": "", "cut": known.Device[:20], "not a token": known.Device + "=",
		} {
			if c := guess(token); c != "too_many_attempts" {
				t.Errorf("%s token got an attempt: %s", name, c)
			}
		}
		in, err := w.SignIn(w.ctx(), auth.Credentials{Email: "ada@example.org", Password: horse, Device: known.Device})
		if err != nil {
			t.Fatalf("the owner's own browser: %v", err)
		}
		if in.Device != "" {
			t.Error("a token that is still good was replaced")
		}
		// The token is worth no more than the address's own bucket.
		for i := range 6 {
			want := "invalid_credentials"
			if i == 5 {
				want = "too_many_attempts"
			}
			if c := guess(known.Device); c != want {
				t.Errorf("guess %d from a known browser: %s", i, c)
			}
		}
	})
}

func TestChangePassword_strangersCantPreventIt(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		in := w.member("ada@example.org", horse)
		for range 6 {
			_, _ = w.signIn("ada@example.org", unicorn)
			// What is no address must not lead to a bucket of another kind either.
			_, _ = w.signIn("change:"+in.Principal.UserID.String(), unicorn)
		}
		if _, err := w.ChangePassword(w.ctx(), in.Principal, horse, staple); err != nil {
			t.Fatal(err)
		}
		if _, err := w.signIn("ada@example.org", staple); code(err) != "too_many_attempts" {
			t.Fatalf("the address's own bucket was emptied: %v", err)
		}
	})
}

// Somebody at a session that was left open can't guess on without end.
func TestChangePassword_guessesAreLimited(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		in := w.member("ada@example.org", horse)
		for i := range 7 {
			want := "wrong_password"
			if i >= 5 {
				want = "too_many_attempts"
			}
			if _, err := w.ChangePassword(w.ctx(), in.Principal, unicorn, staple); code(err) != want {
				t.Errorf("guess %d: %v", i, err)
			}
		}
	})
}
