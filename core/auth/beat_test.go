package auth_test

import (
	"context"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
)

// Answers about an address leave on the beat, whatever they are; a sign-in that succeeds tells nothing and does not wait, and who
// has gone is not waited for.
func TestBeat(t *testing.T) {
	const beat = 100 * time.Millisecond
	each(t, options{beat: beat, failures: noFailureLimit}, func(t *testing.T, w *world) {
		w.person("known@example.org", has{})
		var flow string
		for name, ask := range map[string]func(email string) error{
			"sign-in": func(email string) error { _, err := w.signIn(email, unicorn); return err },
			"sign-up": func(email string) error {
				_, err := w.Register(w.ctx(), auth.Registration{Email: email, Password: staple})
				return err
			},
			"reset":      func(email string) error { _, err := w.RequestReset(w.ctx(), email); return err },
			"magic link": func(email string) error { _, err := w.RequestMagicLink(w.ctx(), email); return err },
			"sent again": func(string) error { _, err := w.ResendConfirmation(w.ctx(), flow); return err },
		} {
			for _, email := range []string{"known@example.org", "unknown@example.org", "no address"} {
				start := time.Now()
				err := ask(email)
				if took := time.Since(start); took < beat {
					t.Errorf("%s for %s: %s after %s", name, email, code(err), took)
				}
			}
		}
		w = w.second(options{beat: time.Hour, failures: noFailureLimit})
		if _, err := w.signIn("known@example.org", horse); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(w.ctx(), beat)
		defer cancel()
		_, _ = w.RequestReset(ctx, "known@example.org")
	})
}
