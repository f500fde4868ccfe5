package device

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// tokenSize is 256 bits, as a session's: a trusted device stands in for a second factor (ASVS 5.0 7.2.3 asks for 128 at least).
const tokenSize = 32

var encoding = base64.RawURLEncoding.Strict()

// newToken makes a token and what is stored of it.
func newToken() (token string, hash []byte) {
	var raw [tokenSize]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	sum := sha256.Sum256(raw[:])
	return encoding.EncodeToString(raw[:]), sum[:]
}

// hashToken gives what is stored of a token, or false for what cannot be one.
func hashToken(token string) ([]byte, bool) {
	if len(token) != encoding.EncodedLen(tokenSize) {
		return nil, false
	}
	raw, err := encoding.DecodeString(token)
	if err != nil || len(raw) != tokenSize {
		return nil, false
	}
	sum := sha256.Sum256(raw)
	return sum[:], true
}
