package typed

import (
	"strings"
	"unicode"
)

// maxInput bounds what is looked at, in bytes: a code with any spacing, in any script, is far shorter.
const maxInput = 256

// Code gives the symbols of what somebody typed or pasted: without spaces, dashes and marks that nobody sees, with digits of every
// script and full-width letters as ASCII has them. Anything else stays as it is. What is too long for any code is no code: "".
func Code(s string) string {
	if len(s) > maxInput {
		return ""
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r < unicode.MaxASCII && r > ' ' && r != '-':
			return r
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), unicode.Is(unicode.Cf, r), r == '\u2212': // the minus sign
			return -1
		case r >= 'Ａ' && r <= 'Ｚ', r >= 'ａ' && r <= 'ｚ':
			return r - 'Ａ' + 'A'
		}
		if d, ok := digit(r); ok {
			return d
		}
		return r
	}, s)
}

// Digits is Code for one of n digits; false for what is none.
func Digits(s string, n int) (string, bool) {
	code := Code(s)
	return code, len(code) == n && strings.IndexFunc(code, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// digit gives the ASCII digit of a decimal digit of any script. Unicode keeps the ten of a script together and in order, from
// zero (Unicode Standard §4.6), so the place in a range of Nd tells the value.
func digit(r rune) (rune, bool) {
	for _, x := range unicode.Nd.R16 {
		if lo := rune(x.Lo); r >= lo && r <= rune(x.Hi) {
			return '0' + (r-lo)%10, true
		}
	}
	for _, x := range unicode.Nd.R32 {
		if lo := rune(x.Lo); r >= lo && r <= rune(x.Hi) {
			return '0' + (r-lo)%10, true
		}
	}
	return 0, false
}
