package recoverycode

import (
	"encoding/base32"
	"strings"

	"github.com/sigra-auth/sigra/core/typed"
)

const (
	codeSize  = 10 // bytes: 80 bits, where ASVS 5.0 6.5.4 asks for 20
	symbols   = 16
	groupSize = 4
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
func clean(s string) (string, bool) {
	out := make([]byte, 0, symbols)
	for _, r := range typed.Code(s) {
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
