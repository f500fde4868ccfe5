package recoverycode

import (
	"encoding/base32"
	"strings"
	"unicode"
)

const (
	codeSize  = 10 // bytes: 80 bits, where ASVS 5.0 6.5.4 asks for 20
	symbols   = 16
	groupSize = 4
	maxInput  = 128 // bounds what is looked at: a code with any spacing is far shorter
	alphabet  = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

var encoding = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// show divides a code into groups, for people.
func show(code string) string {
	groups := make([]string, 0, symbols/groupSize)
	for i := 0; i < symbols; i += groupSize {
		groups = append(groups, code[i:i+groupSize])
	}
	return strings.Join(groups, "-")
}

// clean gives the symbols of what somebody typed; false for what is no code.
func clean(typed string) (string, bool) {
	if len(typed) > maxInput {
		return "", false
	}
	out := make([]byte, 0, symbols)
	for _, r := range typed {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) {
			continue
		}
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		switch r {
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if !strings.ContainsRune(alphabet, r) || len(out) == symbols {
			return "", false
		}
		out = append(out, byte(r))
	}
	return string(out), len(out) == symbols
}
