package totp

import (
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/sigra-auth/sigra/core/typed"
)

const (
	// Digits is the length of a code.
	Digits = 6
	// Period is how long a step lasts (RFC 6238 §5.2; ASVS 5.0 6.5.5).
	Period = 30 * time.Second

	// window is how many steps off the app's clock may be, and a code under way: "at most one" (RFC 6238 §5.2).
	window = 1
)

var codeOptions = hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// step is RFC 6238's T.
func step(at time.Time) int64 { return at.Unix() / int64(Period/time.Second) }

// match finds the step around now whose code this is. When several are, it is the latest: spending that one leaves no
// step in which the same digits would be taken again. All are computed and compared, whatever is found.
func match(secret []byte, now time.Time, code string) (at int64, ok bool, err error) {
	digits, clean := typed.Digits(code, Digits)
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
