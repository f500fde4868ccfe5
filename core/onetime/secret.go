package onetime

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
)

// secretSize is 256 bits (ASVS 5.0 6.5.4 asks 20 bits of a code and 6.6.3 limits guesses; a link has no such limit).
const secretSize = 32

var encoding = base64.RawURLEncoding.Strict()

func newSecret() (text string, raw []byte, hash []byte) {
	raw = make([]byte, secretSize)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the program instead
	sum := sha256.Sum256(raw)
	return encoding.EncodeToString(raw), raw, sum[:]
}

func decode(text string) (raw, hash []byte, ok bool) {
	if len(text) != encoding.EncodedLen(secretSize) {
		return nil, nil, false
	}
	raw, err := encoding.DecodeString(text)
	if err != nil || len(raw) != secretSize {
		return nil, nil, false
	}
	sum := sha256.Sum256(raw)
	return raw, sum[:], true
}

// CodeDigits is the length of a code.
const CodeDigits = 6

var codes = big.NewInt(1_000_000)

// newCode draws evenly from all six-digit codes, leading zeros included.
func newCode() (string, error) {
	n, err := rand.Int(rand.Reader, codes)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%0*d", CodeDigits, n), nil
}

// codeMAC binds a code to its flow.
func codeMAC(flow []byte, code string) []byte {
	m := hmac.New(sha256.New, flow)
	m.Write([]byte("sigra onetime code\x00"))
	m.Write([]byte(code))
	return m.Sum(nil)
}
