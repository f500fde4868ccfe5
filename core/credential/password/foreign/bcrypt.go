package foreign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// bcryptHash is a bcrypt hash, of the password itself or of what a system makes of it before.
type bcryptHash struct {
	text    []byte // $2b$10$ and 53 characters
	rounds  int    // their logarithm
	prepare func(password []byte) []byte
}

// bcryptUses is how much of its input bcrypt looks at.
const bcryptUses = 72

// bcrypt64 is bcrypt's alphabet.
const bcrypt64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func parseBcrypt(s string) (scheme, error) { return bcryptOf(s, nil) }

// bcryptOf reads $2a$, $2b$ or $2y$: names of one algorithm, which differ only in which old bug their implementation is
// free of.
func bcryptOf(s string, prepare func([]byte) []byte) (scheme, error) {
	if len(s) < 4 || s[3] != '$' {
		return nil, errFields
	}
	switch s[:3] {
	case "$2a", "$2b", "$2y":
	case "$2x":
		return nil, errors.New("$2x$ marks hashes of a faulty implementation, which can't be verified safely")
	default:
		return nil, errAlgorithm
	}
	f := strings.Split(s, "$")
	if len(f) != 4 || len(f[2]) != 2 {
		return nil, errFields
	}
	cost, err := number(strings.TrimPrefix(f[2], "0"))
	if err != nil || cost < bcrypt.MinCost || cost > bcrypt.MaxCost {
		return nil, errors.New("the cost is outside of 04 and 31")
	}
	if len(f[3]) != 53 || strings.ContainsFunc(f[3], func(r rune) bool { return !strings.ContainsRune(bcrypt64, r) }) {
		return nil, errDigest
	}
	return bcryptHash{text: []byte(s), rounds: cost, prepare: prepare}, nil
}

func (h bcryptHash) cost(int) Cost {
	return small(bcryptRound*math.Exp2(float64(h.rounds))/unit, fmt.Sprintf("cost=%d", h.rounds))
}

// covers says that of a longer password bcrypt took the first 72 bytes. The systems that made the hash did so silently, or
// refused: either way only these were proved.
func (h bcryptHash) covers(length int) bool { return h.prepare != nil || length <= bcryptUses }

func (h bcryptHash) verify(password []byte) bool {
	if h.prepare != nil {
		password = h.prepare(password)
	}
	// The library cuts at 72 bytes by itself where it verifies; said here, so that it can't change unnoticed.
	password = password[:min(len(password), bcryptUses)]
	return bcrypt.CompareHashAndPassword(h.text, password) == nil
}

// parsePasslibBcrypt reads $bcrypt-sha256$v=2,t=2b,r=12$salt$digest and the older $bcrypt-sha256$2b,12$salt$digest
// (Passlib, "passlib.hash.bcrypt_sha256").
func parsePasslibBcrypt(s string) (scheme, error) {
	f := strings.Split(s, "$")
	if len(f) != 5 || len(f[3]) != 22 {
		return nil, errFields
	}
	p := strings.Split(f[2], ",")
	prepare := func(password []byte) []byte { // version 1
		sum := sha256.Sum256(password)
		return []byte(base64.StdEncoding.EncodeToString(sum[:]))
	}
	if len(p) == 3 && p[0] == "v=2" && strings.HasPrefix(p[1], "t=") && strings.HasPrefix(p[2], "r=") {
		p = []string{p[1][2:], p[2][2:]}
		salt := f[3]
		prepare = func(password []byte) []byte {
			mac := hmac.New(sha256.New, []byte(salt))
			mac.Write(password)
			return []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		}
	}
	if len(p) != 2 {
		return nil, errParameters
	}
	cost, err := number(p[1])
	if err != nil {
		return nil, err
	}
	return bcryptOf(fmt.Sprintf("$%s$%02d$%s%s", p[0], cost, f[3], f[4]), prepare)
}

// djangoSHA256 is what Django's BCryptSHA256PasswordHasher puts into bcrypt.
func djangoSHA256(password []byte) []byte {
	sum := sha256.Sum256(password)
	return hex.AppendEncode(nil, sum[:])
}
