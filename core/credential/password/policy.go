package password

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/sigra-auth/sigra/core/fault"
)

// The lengths when none are configured.
const (
	DefaultMinLength = 8    // characters: ASVS 5.0 6.2.1; SP 800-63B-4 §3.1.1.2 asks for 15 where it is the only factor
	DefaultMaxLength = 1024 // bytes: ASVS 5.0 6.2.9 wants 64 at least; the bound is against abuse, nothing is cut off
)

// minWord is the shortest context word that a password may not contain: "al" is in half of all passphrases.
const minWord = 4

func reject(code, format string, args ...any) error {
	return fault.Newf(fault.Invalid, code, format, args...).At("password")
}

// Check applies the policy to a password that somebody wants to have. email is the account's address; that, its local
// part and the service's name may not be a part of it (ASVS 5.0 6.2.11). There are no rules of composition
// (ASVS 5.0 6.2.5) and none of age (6.2.10).
//
// The minimum counts characters (code points after NFC, as SP 800-63B counts), the maximum bytes.
func (s *Store) Check(password, email string) error {
	if !utf8.ValidString(password) || strings.IndexByte(password, 0) >= 0 {
		return reject("password_not_text", "The password has characters that can't be used.")
	}
	if len(password) > s.maxLength {
		return s.tooLong()
	}
	pw := norm.NFC.String(password)
	if len(pw) > s.maxLength {
		return s.tooLong()
	}
	if utf8.RuneCountInString(pw) < s.minLength {
		return reject("password_too_short", "The password needs at least %d characters.", s.minLength)
	}
	low := strings.ToLower(pw)
	local, _, _ := strings.Cut(email, "@")
	for _, w := range []string{email, local, s.serviceName} {
		w = strings.ToLower(strings.TrimSpace(w))
		if utf8.RuneCountInString(w) < minWord {
			continue
		}
		if strings.Contains(low, w) {
			return reject("password_contains_name", "The password may not contain your e-mail address or the name of this service.")
		}
	}
	return nil
}

func (s *Store) tooLong() error {
	return reject("password_too_long", "The password may have at most %d bytes.", s.maxLength)
}
