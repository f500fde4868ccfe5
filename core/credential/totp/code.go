package totp

import (
	"crypto/subtle"
	"fmt"
	"time"
	"unicode"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

const (
	// Digits is the length of a code.
	Digits = 6
	// Period is how long a step lasts (RFC 6238 §5.2; ASVS 5.0 6.5.5).
	Period = 30 * time.Second

	// window is how many steps off the app's clock may be, and a code under way: "at most one" (RFC 6238 §5.2).
	window = 1

	// maxInput bounds what is looked at: a code with any spacing is far shorter.
	maxInput = 64
)

var codeOptions = hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// step is RFC 6238's T.
func step(at time.Time) int64 { return at.Unix() / int64(Period/time.Second) }

// match finds the step around now whose code this is. When several are, it is the latest: spending that one leaves no
// step in which the same digits would be taken again. All are computed and compared, whatever is found.
func match(secret []byte, now time.Time, code string) (at int64, ok bool, err error) {
	digits, clean := cleanCode(code)
	key := encoding.EncodeToString(secret)
	t := step(now)
	for s := max(0, t-window); s <= t+window; s++ {
		want, err := hotp.GenerateCodeCustom(key, uint64(s), codeOptions)
		if err != nil {
			return 0, false, fmt.Errorf("compute code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(digits)) == 1 {
			at, ok = s, true
		}
	}
	return at, ok && clean, nil
}

// cleanCode takes the spaces and dashes out that people and apps put in; false for what is no code.
func cleanCode(s string) (string, bool) {
	if len(s) > maxInput {
		return "", false
	}
	out := make([]byte, 0, Digits)
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			if len(out) == Digits {
				return "", false
			}
			out = append(out, byte(r))
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r):
		default:
			return "", false
		}
	}
	return string(out), len(out) == Digits
}
