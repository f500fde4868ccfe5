package foreign

import (
	"crypto/pbkdf2"
	"errors"
	"fmt"
	"math"
	"strings"
)

// pbkdf2Hash is RFC 8018 §5.2 with HMAC.
type pbkdf2Hash struct {
	digest     digest
	iterations int
	salt, key  []byte
}

// parsePBKDF2 reads the PHC string $pbkdf2-sha256$i=…,l=…$salt$key (l may be left out) and Passlib's
// $pbkdf2-sha256$iterations$salt$key; without a name the digest is SHA-1.
func parsePBKDF2(s string) (scheme, error) {
	f := strings.Split(s, "$")
	if len(f) != 5 {
		return nil, errFields
	}
	name := strings.TrimPrefix(f[1], "pbkdf2")
	if name == "" {
		name = "-sha1"
	}
	if !strings.HasPrefix(name, "-") {
		return nil, errAlgorithm
	}
	i, l, long := strings.Cut(strings.TrimPrefix(f[2], "i="), ",l=")
	h, err := pbkdf2Of(name[1:], i, f[3], f[4])
	if err != nil {
		return nil, err
	}
	if n, err := number(l); long && (err != nil || n != len(h.key)) {
		return nil, errors.New("l is not the length of the hash")
	}
	return h, nil
}

// pbkdf2Of reads salt and key in base64.
func pbkdf2Of(name, iterations, salt, key string) (pbkdf2Hash, error) {
	b, err := asSalt(unab64(salt, 1, maxSalt))
	if err != nil {
		return pbkdf2Hash{}, err
	}
	k, err := unab64(key, minDigest, maxDigest)
	if err != nil {
		return pbkdf2Hash{}, err
	}
	return newPBKDF2(name, iterations, b, k)
}

func newPBKDF2(name, iterations string, salt, key []byte) (pbkdf2Hash, error) {
	d, ok := digestOf(name)
	if !ok || name == "md5" {
		return pbkdf2Hash{}, errAlgorithm
	}
	n, err := number(iterations)
	if err != nil {
		return pbkdf2Hash{}, err
	}
	if n < 1 {
		return pbkdf2Hash{}, errors.New("0 iterations")
	}
	return pbkdf2Hash{digest: d, iterations: n, salt: salt, key: key}, nil
}

func (h pbkdf2Hash) cost(length int) Cost {
	blocks := math.Ceil(float64(len(h.key)) / float64(h.digest.size))
	round := (hmacOverhead + 2*h.digest.per) / unit // the key's own blocks are hashed once for all
	return small(float64(h.iterations)*blocks*round+h.digest.sum(float64(length)), fmt.Sprintf("i=%d", h.iterations))
}

func (h pbkdf2Hash) verify(password []byte) bool {
	key, err := pbkdf2.Key(h.digest.new, string(password), h.salt, h.iterations, len(h.key))
	return err == nil && same(key, h.key)
}
