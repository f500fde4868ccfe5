package foreign

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What is wrong with a text. None of these repeats a part of it.
var (
	errFields     = errors.New("the number of fields is wrong")
	errParameters = errors.New("the parameters are not in their form")
	errSalt       = errors.New("the salt is not in its form")
	errDigest     = errors.New("the hash is not in its form")
	errAlgorithm  = errors.New("an unknown algorithm")
)

// Bounds of salts and digests, in bytes. A digest of less than 12 bytes (PHC string format) could be met by chance.
const (
	maxSalt   = 128
	minDigest = 12
	maxDigest = 128
)

// number reads a whole number as it is written canonically: no sign, no leading zero, below 2^31.
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, errParameters
	}
	return int(n), nil
}

// parameters reads "a=1,b=2" with exactly these keys, in any order.
func parameters(s string, keys ...string) (map[string]int, error) {
	out := make(map[string]int, len(keys))
	fields := strings.Split(s, ",")
	if len(fields) != len(keys) {
		return nil, errParameters
	}
	for _, f := range fields {
		k, v, _ := strings.Cut(f, "=")
		n, err := number(v)
		if err != nil {
			return nil, err
		}
		out[k] = n
	}
	for _, k := range keys {
		if _, ok := out[k]; !ok {
			return nil, errParameters
		}
	}
	return out, nil
}

// unbase64 reads base64 of the standard alphabet, with its padding or without any. Of line breaks, which the standard decoder
// skips, and of loose bits there may be none.
func unbase64(s string, least, most int) ([]byte, error) {
	enc := base64.StdEncoding.Strict()
	if !strings.HasSuffix(s, "=") {
		enc = base64.RawStdEncoding.Strict()
	}
	if strings.ContainsAny(s, "\r\n") {
		return nil, errDigest
	}
	b, err := enc.DecodeString(s)
	if err != nil || len(b) < least || len(b) > most {
		return nil, errDigest
	}
	return b, nil
}

// unab64 reads base64 as Passlib writes it: "." for "+", no padding.
func unab64(s string, least, most int) ([]byte, error) {
	return unbase64(strings.ReplaceAll(s, ".", "+"), least, most)
}

// unbase64url is unbase64 for either alphabet: exports come in both.
func unbase64url(s string, least, most int) ([]byte, error) {
	return unbase64(strings.NewReplacer("-", "+", "_", "/").Replace(s), least, most)
}

// unhex reads exactly size bytes.
func unhex(s string, size int) ([]byte, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != size {
		return nil, errDigest
	}
	return b, nil
}

// textSalt takes a salt that is used as it is written: printable ASCII.
func textSalt(s string, least, most int) ([]byte, error) {
	if len(s) < least || len(s) > most || strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' }) {
		return nil, errSalt
	}
	return []byte(s), nil
}

// asSalt makes an error about a salt of one about a digest.
func asSalt(b []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, errSalt
	}
	return b, nil
}

// crypt64 is the alphabet of crypt(3): the digits come before the letters.
const crypt64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// encode64 writes bytes as crypt(3) and phpass do: three at a time, the least first, six bits a character, least first.
func encode64(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		n := min(len(b), 3)
		v := uint32(0)
		for i := range n {
			v |= uint32(b[i]) << (8 * i)
		}
		for range n + 1 {
			out.WriteByte(crypt64[v&63])
			v >>= 6
		}
		b = b[n:]
	}
	return out.String()
}

// is64 reports whether a text has so many characters, all of crypt64.
func is64(s string, length int) bool {
	return len(s) == length && !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(crypt64, r) })
}

// log64 reads the character that says how often to go round, as a power of two.
func log64(c byte) (int, error) {
	n := strings.IndexByte(crypt64, c)
	if n < 0 {
		return 0, errParameters
	}
	if n < 7 || n > 30 { // the bounds of the library that made the form
		return 0, fmt.Errorf("2^%d rounds are outside of 2^7 and 2^30", n)
	}
	return n, nil
}

func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
