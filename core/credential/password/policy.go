package password

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/sigra-auth/sigra/core/fault"
)

// The lengths when none are configured.
const (
	DefaultMinLength = 8    // characters: ASVS 5.0 6.2.1; SP 800-63B-4 §3.1.1.2 asks for 15 where it is the only factor
	DefaultMaxLength = 1024 // bytes: ASVS 5.0 6.2.9 wants 64 at least; the bound is against abuse, nothing is cut off
)

// The shortest context words that a password may not contain. "al" is in half of all passphrases, and the name of a domain
// is often an everyday word.
const (
	minWord  = 4
	minLabel = 5
)

func reject(code, format string, args ...any) error {
	return fault.Newf(fault.Invalid, code, format, args...).At("password")
}

// Check applies the policy to a password that somebody wants to have. It may not be one of the most common ones (ASVS 5.0
// 6.2.4), nor contain the account's address, the address's local part or domain, the service's name, or any of the other
// words that the caller knows of the account, such as its username (6.2.11). There are no rules of composition (6.2.5) and
// none of age (6.2.10).
//
// The minimum counts characters (code points after NFC, as SP 800-63B counts), the maximum bytes. Words are compared with
// case and forms of characters folded.
func (s *Store) Check(password, email string, words ...string) error {
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
	folded := fold(pw)
	if isCommon(folded) {
		return reject("password_common", "This password is one of the most common ones, which are tried first. Choose another one.")
	}
	contains := func(word string, least int) bool {
		word = fold(strings.TrimSpace(word))
		return utf8.RuneCountInString(word) >= least && strings.Contains(folded, word)
	}
	local, domain, _ := strings.Cut(email, "@")
	mailbox, _, _ := strings.Cut(local, "+") // RFC 5233: what follows is a detail
	for _, w := range append([]string{email, local, mailbox, domain, s.serviceName}, words...) {
		if contains(w, minWord) {
			return errContains()
		}
	}
	if contains(label(domain), minLabel) {
		return errContains()
	}
	return nil
}

func errContains() error {
	return reject("password_contains_name", "The password may not contain your email address, a part of it, your user name or the name of this service.")
}

// label is the part of a domain that names somebody: the longest of those before the last.
func label(domain string) string {
	labels := strings.Split(domain, ".")
	longest := ""
	for _, l := range labels[:len(labels)-1] {
		if len(l) > len(longest) {
			longest = l
		}
	}
	return longest
}

// fold makes texts alike that people take for the same word.
func fold(s string) string { return cases.Fold().String(norm.NFKC.String(s)) }

// Fits refuses a password that is longer than any may be. A flow asks before it reads anything, because nothing is hashed of such a one.
func (s *Store) Fits(password string) error {
	if len(password) > s.maxLength {
		return s.tooLong()
	}
	return nil
}

func (s *Store) tooLong() error {
	return reject("password_too_long", "The password may have at most %d bytes.", s.maxLength)
}
