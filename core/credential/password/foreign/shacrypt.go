package foreign

import (
	"errors"
	"fmt"
	"strings"
)

// shaCrypt is "Unix crypt using SHA-256 and SHA-512" (Ulrich Drepper, SHA-crypt.txt 0.6): sha256crypt and sha512crypt.
// Step numbers below are of that document.
type shaCrypt struct {
	digest digest
	order  []byte // in which the bytes of the digest are written
	rounds int
	salt   []byte
	text   string
}

// SHA-crypt.txt, step 22, the least byte of each three first.
var (
	order256 = []byte{
		20, 10, 0, 11, 1, 21, 2, 22, 12, 23, 13, 3, 14, 4, 24, 5, 25, 15, 26, 16, 6, 17, 7, 27, 8, 28, 18, 29, 19, 9, 30, 31,
	}
	order512 = []byte{
		42, 21, 0, 1, 43, 22, 23, 2, 44, 45, 24, 3, 4, 46, 25, 26, 5, 47, 48, 27, 6, 7, 49, 28, 29, 8, 50, 51, 30, 9, 10, 52,
		31, 32, 11, 53, 54, 33, 12, 13, 55, 34, 35, 14, 56, 57, 36, 15, 16, 58, 37, 38, 17, 59, 60, 39, 18, 19, 61, 40, 41, 20, 62, 63,
	}
)

func parseSHA256Crypt(s string) (scheme, error) { return parseSHACrypt(s, "sha256", order256, 43) }

func parseSHA512Crypt(s string) (scheme, error) { return parseSHACrypt(s, "sha512", order512, 86) }

// parseSHACrypt reads $5$[rounds=…$]salt$hash.
func parseSHACrypt(s, name string, order []byte, length int) (scheme, error) {
	f := strings.Split(s, "$")[2:]
	h := shaCrypt{order: order, rounds: 5000}
	h.digest, _ = digestOf(name)
	if rounds, ok := strings.CutPrefix(f[0], "rounds="); ok {
		n, err := number(rounds)
		if err != nil {
			return nil, err
		}
		if n < 1000 || n > 999_999_999 { // crypt(3) would have written the bound instead
			return nil, errors.New("rounds is outside of 1000 and 999999999")
		}
		h.rounds, f = n, f[1:]
	}
	if len(f) != 2 {
		return nil, errFields
	}
	var err error
	if h.salt, err = textSalt(f[0], 0, 16); err != nil {
		return nil, err
	}
	if !is64(f[1], length) {
		return nil, errDigest
	}
	h.text = f[1]
	return h, nil
}

func (h shaCrypt) cost(length int) Cost {
	p := float64(length)
	// A round hashes the digest, the password 13 times in 7 on average (steps 21 b to f), and two thirds of a salt.
	round := h.digest.sum(float64(h.digest.size) + p*13/7 + float64(len(h.salt))*2/3)
	return small(float64(h.rounds)*round+h.digest.sum(p*p), fmt.Sprintf("rounds=%d", h.rounds)) // p×p: step 14
}

func (h shaCrypt) verify(password []byte) bool {
	b := h.digest.of(password, h.salt, password) // steps 4 to 8
	w := h.digest.new()                          // steps 1 to 3
	w.Write(password)
	w.Write(h.salt)
	w.Write(cycle(b, len(password))) // steps 9 and 10
	for n := len(password); n > 0; n >>= 1 {
		if n&1 == 1 { // step 11
			w.Write(b)
		} else {
			w.Write(password)
		}
	}
	a := w.Sum(nil)
	w.Reset()
	for range password { // steps 13 to 15
		w.Write(password)
	}
	p := cycle(w.Sum(nil), len(password)) // step 16
	w.Reset()
	for range 16 + int(a[0]) { // steps 17 to 19
		w.Write(h.salt)
	}
	s := cycle(w.Sum(nil), len(h.salt)) // step 20
	for i := range h.rounds {           // step 21
		w.Reset()
		first, last := a, p
		if i&1 == 1 {
			first, last = p, a
		}
		w.Write(first)
		if i%3 != 0 {
			w.Write(s)
		}
		if i%7 != 0 {
			w.Write(p)
		}
		w.Write(last)
		a = w.Sum(a[:0]) // read already
	}
	out := make([]byte, len(h.order))
	for i, from := range h.order {
		out[i] = a[from]
	}
	return same([]byte(encode64(out)), []byte(h.text))
}

// cycle repeats b until it has n bytes.
func cycle(b []byte, n int) []byte {
	out := make([]byte, 0, n+len(b))
	for len(out) < n {
		out = append(out, b...)
	}
	return out[:n]
}
