package foreign

import "fmt"

// stretched is phpass's portable hash and what Drupal 7 made of it: the digest of salt and password, and then 2^n
// times of the last digest and the password (Openwall, PasswordHash.php, crypt_private).
type stretched struct {
	digest  digest
	log     int
	salt    []byte
	text    string
	prepare func(password []byte) []byte
}

// parsePHPass reads $P$ and phpBB's $H$: the logarithm of the rounds as one character, a salt of 8, a hash of 22.
func parsePHPass(s string) (scheme, error) {
	if len(s) != 34 {
		return nil, errFields
	}
	return stretchedOf("md5", s, 22)
}

func stretchedOf(name, s string, length int) (stretched, error) {
	h := stretched{text: s[12:]}
	h.digest, _ = digestOf(name)
	var err error
	if h.log, err = log64(s[3]); err != nil {
		return stretched{}, err
	}
	if h.salt, err = textSalt(s[4:12], 8, 8); err != nil {
		return stretched{}, err
	}
	if !is64(h.text, length) {
		return stretched{}, errDigest
	}
	return h, nil
}

func (h stretched) cost(length int) Cost {
	rounds := float64(uint64(1)<<h.log) + 1
	return small(rounds*h.digest.sum(float64(h.digest.size+length)), fmt.Sprintf("2^%d rounds", h.log))
}

func (h stretched) verify(password []byte) bool {
	if h.prepare != nil {
		password = h.prepare(password)
	}
	a := h.digest.of(h.salt, password)
	w := h.digest.new()
	for range 1 << h.log {
		w.Reset()
		w.Write(a)
		w.Write(password)
		a = w.Sum(a[:0])
	}
	return same([]byte(encode64(a)[:len(h.text)]), []byte(h.text))
}
