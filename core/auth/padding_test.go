package auth_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Answers about an address leave on the beat, whatever they are.
func TestBeat(t *testing.T) {
	const beat = 100 * time.Millisecond
	each(t, options{beat: beat, failures: ratelimit.Quota{Count: 2, Per: time.Hour}}, func(t *testing.T, w *world) {
		known := w.person("known@example.org", has{}).fresh()
		up, err := w.Register(w.ctx(), auth.Registration{Email: "flow@example.org", Password: staple})
		w.ok(err)
		flow := up.Flow
		for name, ask := range map[string]func(email string) error{
			"sign-in": func(email string) error { _, err := w.signIn(email, unicorn); return err }, // and soon too many
			"sign-up": func(email string) error {
				_, err := w.Register(w.ctx(), auth.Registration{Email: email, Password: staple})
				return err
			},
			"reset":      func(email string) error { _, err := w.RequestReset(w.ctx(), email); return err },
			"magic link": func(email string) error { _, err := w.RequestMagicLink(w.ctx(), email); return err },
			"change of address": func(email string) error {
				_, err := w.RequestEmailChange(w.ctx(), known, strings.Replace(email, "known", "other", 1))
				return err
			},
			"sent again": func(string) error {
				out, err := w.ResendConfirmation(w.ctx(), flow)
				flow = out.Flow
				return err
			},
		} {
			after := beat
			for round := 0; round < 3 || round < 20 && after > beat/4; round++ { // a busy machine is late more often than not
				for _, email := range []string{"known@example.org", "unknown@example.org"} {
					start := time.Now()
					err := ask(email)
					took := time.Since(start)
					if took < beat || code(err) != "ok" && name != "sign-in" {
						t.Errorf("%s for %s: %s after %s", name, email, code(err), took)
					}
					after = min(after, took%beat)
				}
			}
			if after > beat/4 { // the quickest of all
				t.Errorf("%s: answered %s after a stroke", name, after)
			}
		}
	})
}

// A sign-in that succeeds tells nothing and does not wait; what is refused before anything is read doesn't either, nor does who has
// gone.
func TestBeat_notForEverything(t *testing.T) {
	each(t, options{}, func(t *testing.T, w *world) {
		w.person("known@example.org", has{})
		w = w.second(options{beat: time.Hour})
		ctx, cancel := context.WithTimeout(w.ctx(), 20*time.Second)
		defer cancel()
		_, err := w.SignIn(ctx, auth.Credentials{Email: "known@example.org", Password: horse})
		w.ok(err)
		if _, err = w.SignIn(ctx, auth.Credentials{Email: "known@example.org", Password: strings.Repeat("x", 2000)}); code(err) != "password_too_long" {
			t.Error(err)
		}
		if _, err = w.RequestReset(ctx, "no address"); err == nil {
			t.Error("no address is one")
		}
		w.ok(ctx.Err())
		gone, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		_, _ = w.RequestReset(gone, "known@example.org")
		w.ok(ctx.Err())
	})
}
