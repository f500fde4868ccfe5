package account

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/sigra-auth/sigra/core/fault"
)

// MaxEmail is the longest address in bytes (RFC 5321 §4.5.3.1.3: a path of 256 octets, less its brackets).
const MaxEmail = 254

// maxLocal is the longest part before the @ (RFC 5321 §4.5.3.1.1).
const maxLocal = 64

var errEmail = fault.New(fault.Invalid, "invalid_email", "That is not an email address we can use.").At("email")

// ParseEmail gives the one form in which an address is stored, compared and written to:
//
//  1. Surrounding white space goes.
//  2. It must be UTF-8 without control, format (bidi overrides, zero-width joiners) or space characters, and without
//     the characters that have a meaning in a mail header: < > ( ) [ ] \ , ; : ".
//  3. Unicode NFC.
//  4. Letters become lower case one by one. A character outside ASCII that NFC or lower case would make an ASCII one (the
//     Kelvin sign, the dotted capital I) is refused: it would turn a different address into this one.
//  5. The domain becomes its ASCII form (IDNA 2008 with the UTS 46 mapping), so that bücher.example and
//     xn--bcher-kva.example are one address. It needs a dot, or is "localhost".
//
// Nothing else is folded: no dots or plus-tags are dropped, because only the receiving host knows what they mean, and
// look-alike letters of other scripts stay different letters. Whether the address takes mail is found out by writing
// to it, which is the only test there is.
func ParseEmail(s string) (string, error) {
	if len(s) > 4*MaxEmail || !utf8.ValidString(s) {
		return "", errEmail
	}
	s = strings.TrimSpace(s)
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at == len(s)-1 {
		return "", errEmail
	}
	local, ok := parseLocal(s[:at])
	if !ok {
		return "", errEmail
	}
	domain, ok := ParseDomain(s[at+1:])
	if !ok || len(local)+1+len(domain) > MaxEmail {
		return "", errEmail
	}
	return local + "@" + domain, nil
}

func parseLocal(s string) (string, bool) {
	for _, r := range s {
		if c := norm.NFC.String(string(r)); r >= utf8.RuneSelf && c[0] < utf8.RuneSelf {
			return "", false
		}
	}
	s = norm.NFC.String(s)
	if len(s) > maxLocal || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return "", false
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch {
		case r <= 0x20, r == 0x7f, strings.ContainsRune(`<>()[]\,;:"@`, r):
			return "", false
		case r >= utf8.RuneSelf && !(unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r) || unicode.IsPunct(r) || unicode.IsSymbol(r)):
			return "", false // controls, format characters, spaces, private use, unassigned
		}
		low := unicode.ToLower(r)
		if low < utf8.RuneSelf && r >= utf8.RuneSelf {
			return "", false
		}
		b.WriteRune(low)
	}
	out := norm.NFC.String(b.String())
	return out, len(out) <= maxLocal
}

// ParseDomain gives the ASCII form of a domain in lower case, or false for what is none that mail goes to.
func ParseDomain(s string) (string, bool) {
	a, err := idna.Lookup.ToASCII(s)
	if err != nil || a == "" || len(a) > 253 {
		return "", false
	}
	a = strings.ToLower(a)
	for _, label := range strings.Split(a, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return "", false
			}
		}
	}
	return a, strings.Contains(a, ".") || a == "localhost"
}
