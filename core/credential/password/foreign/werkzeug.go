package foreign

import (
	"encoding/hex"
	"strings"
)

// parseWerkzeug reads what Flask applications have by werkzeug.security.generate_password_hash: method$salt$hex, where
// the method is scrypt:N:r:p or pbkdf2:digest:iterations. Salts are text.
func parseWerkzeug(s string) (scheme, error) {
	f := strings.Split(s, "$")
	if len(f) != 3 {
		return nil, errFields
	}
	salt, err := textSalt(f[1], 1, maxSalt)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(f[2])
	if err != nil || len(key) < minDigest || len(key) > maxDigest {
		return nil, errDigest
	}
	m := strings.Split(f[0], ":")
	switch {
	case m[0] == "pbkdf2" && len(m) == 3:
		return newPBKDF2(m[1], m[2], salt, key)
	case m[0] == "scrypt" && len(m) == 4:
		n, err := powerOfTwo(m[1])
		if err != nil {
			return nil, err
		}
		r, err := number(m[2])
		if err != nil {
			return nil, err
		}
		p, err := number(m[3])
		if err != nil {
			return nil, err
		}
		return scryptOf(n, r, p, salt, key)
	}
	return nil, errParameters
}
