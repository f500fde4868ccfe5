package foreign

import (
	"crypto/md5"
	"strings"
)

// md5Crypt is the MD5-based crypt of FreeBSD 2.0 (lib/libcrypt/crypt-md5.c, Poul-Henning Kamp), and Apache's variant of it, which
// differs in the name that goes into the hash (apr_md5.c).
type md5Crypt struct {
	magic, salt []byte
	text        string
}

// orderMD5 is in which the bytes of the digest are written, the least of each three first.
var orderMD5 = []byte{12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11}

// parseMD5Crypt reads $1$salt$hash and $apr1$salt$hash.
func parseMD5Crypt(s string) (scheme, error) {
	f := strings.Split(s, "$")
	if len(f) != 4 {
		return nil, errFields
	}
	salt, err := textSalt(f[2], 0, 8)
	if err != nil {
		return nil, err
	}
	if !is64(f[3], 22) {
		return nil, errDigest
	}
	return md5Crypt{magic: []byte("$" + f[1] + "$"), salt: salt, text: f[3]}, nil
}

const md5CryptRounds = 1000

func (h md5Crypt) cost(length int) Cost {
	d, _ := digestOf("md5")
	return small(md5CryptRounds*d.sum(md5.Size+float64(length)*13/7+float64(len(h.salt))*2/3), "the length of the password")
}

func (h md5Crypt) verify(password []byte) bool {
	w := md5.New()
	w.Write(password)
	w.Write(h.salt)
	w.Write(password)
	a := w.Sum(nil)
	w.Reset()
	w.Write(password)
	w.Write(h.magic)
	w.Write(h.salt)
	w.Write(cycle(a, len(password)))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 == 1 {
			w.Write([]byte{0}) // what was meant here was a byte of the digest, but that had been cleared
		} else {
			w.Write(password[:1])
		}
	}
	a = w.Sum(a[:0])
	for i := range md5CryptRounds {
		w.Reset()
		first, last := a, password
		if i&1 == 1 {
			first, last = password, a
		}
		w.Write(first)
		if i%3 != 0 {
			w.Write(h.salt)
		}
		if i%7 != 0 {
			w.Write(password)
		}
		w.Write(last)
		a = w.Sum(a[:0])
	}
	out := make([]byte, len(orderMD5))
	for i, from := range orderMD5 {
		out[i] = a[from]
	}
	return same([]byte(encode64(out)), []byte(h.text))
}
