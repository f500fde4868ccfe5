package password

import (
	"context"
	"crypto/sha1" //nolint:gosec // the lists of breached passwords are indexed by it
	"fmt"

	"golang.org/x/text/unicode/norm"
)

// Breaches knows passwords that were seen in breaches. core/credential/password/breach has an implementation that asks an
// API and one that reads a file.
type Breaches interface {
	// Count tells how often the password with this SHA-1 was seen. An error means that it can't be told at the moment; it never
	// takes longer than the implementation's own deadline.
	Count(ctx context.Context, sum [sha1.Size]byte) (int, error)
}

// Outcome is what a screening came to, as the audit log has it (breach_check).
type Outcome string

// The outcomes.
const (
	Off         Outcome = "off"         // nothing is configured
	Clean       Outcome = "clean"       // not seen
	Breached    Outcome = "breached"    // seen: the password is refused
	Unavailable Outcome = "unavailable" // could not be told: the password is accepted
)

// Screening is what Screen found.
type Screening struct {
	Outcome Outcome
	Count   int // how often it was seen, when Breached
}

// Screen asks whether a password that Check has passed was seen in breaches (ASVS 5.0 6.2.12, SP 800-63B-4 §3.1.1.2). One
// that was is refused as fault.Invalid. Where it can't be told the password is accepted and the outcome says so: nobody is
// kept from a new password because a service elsewhere is down.
//
// It is asked for the bytes that are hashed (in NFC).
func (s *Store) Screen(ctx context.Context, password string) (Screening, error) {
	if s.breaches == nil {
		return Screening{Outcome: Off}, nil
	}
	if len(password) > s.maxLength {
		return Screening{}, s.tooLong()
	}
	n, err := s.breaches.Count(ctx, sha1.Sum([]byte(norm.NFC.String(password))))
	if ctx.Err() != nil {
		return Screening{}, ctx.Err() // nobody waits for an answer
	}
	out := Screening{Outcome: Clean}
	switch {
	case err != nil:
		out.Outcome = Unavailable
	case n > 0:
		out = Screening{Outcome: Breached, Count: n}
	}
	if s.hooks.Screened != nil {
		s.hooks.Screened(out.Outcome)
	}
	if out.Outcome == Breached {
		return out, reject("password_breached", "This password is known from data breaches (seen %s). Whoever tries known passwords tries it too: choose another one.", times(n))
	}
	return out, nil
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
