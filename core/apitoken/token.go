package apitoken

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"math/big"
	"strings"
)

// ApplicationPrefix begins the key of an application.
const ApplicationPrefix = "sigra_app_"

const (
	alphabet  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	secretLen = 43 // 62^43 > 2^256
	checkLen  = 6  // 62^6 > 2^32
)

// generate makes a token and what is stored of it.
func generate(prefix string) (token string, hash []byte) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	token = prefix + base62(new(big.Int).SetBytes(raw[:]), secretLen)
	token += checksum(token)
	return token, hashOf(token)
}

func hashOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// parse gives what is stored of a token, or false for what is none of this prefix.
func parse(prefix, token string) ([]byte, bool) {
	if len(token) != len(prefix)+secretLen+checkLen || !strings.HasPrefix(token, prefix) {
		return nil, false
	}
	body := token[:len(token)-checkLen]
	if checksum(body) != token[len(body):] {
		return nil, false
	}
	return hashOf(token), true
}

func checksum(s string) string {
	return base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(s)))), checkLen)
}

// base62 writes n in so many digits.
func base62(n *big.Int, digits int) string {
	b := make([]byte, digits)
	base, rest := big.NewInt(int64(len(alphabet))), new(big.Int)
	for i := digits - 1; i >= 0; i-- {
		n.DivMod(n, base, rest)
		b[i] = alphabet[rest.Int64()]
	}
	return string(b)
}
