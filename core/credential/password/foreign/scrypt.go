package foreign

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// scryptHash is RFC 7914.
type scryptHash struct {
	logN, r, p int
	salt, key  []byte
}

// parseScrypt reads the PHC string $scrypt$ln=…,r=…,p=…$salt$key, which is also Passlib's.
func parseScrypt(s string) (scheme, error) {
	f := strings.Split(s, "$")
	if len(f) != 5 {
		return nil, errFields
	}
	p, err := parameters(f[2], "ln", "r", "p")
	if err != nil {
		return nil, err
	}
	salt, err := asSalt(unab64(f[3], 1, maxSalt))
	if err != nil {
		return nil, err
	}
	key, err := unab64(f[4], minDigest, maxDigest)
	if err != nil {
		return nil, err
	}
	return scryptOf(p["ln"], p["r"], p["p"], salt, key)
}

// powerOfTwo gives N's logarithm, where a form has N itself.
func powerOfTwo(s string) (int, error) {
	n, err := number(s)
	if err != nil {
		return 0, err
	}
	if n < 2 || n&(n-1) != 0 {
		return 0, errors.New("the N is no power of two")
	}
	return int(math.Log2(float64(n))), nil
}

func scryptOf(logN, r, p int, salt, key []byte) (scheme, error) {
	// RFC 7914 §2, and a bound for what the arithmetic bears; Limits are far below.
	if logN < 1 || logN > 30 || r < 1 || p < 1 || r > 1<<20 || p > 1<<20 || r*p >= 1<<30 {
		return nil, fmt.Errorf("N=2^%d, r=%d, p=%d are not for scrypt", logN, r, p)
	}
	return scryptHash{logN: logN, r: r, p: p, salt: salt, key: key}, nil
}

func (h scryptHash) cost(int) Cost {
	n, r, p := math.Exp2(float64(h.logN)), float64(h.r), float64(h.p)
	return Cost{
		Work: n * r * p * scryptBlock / unit, Memory: 128*n*r + 128*r*p + 256*r,
		work: fmt.Sprintf("N=2^%d, r=%d, p=%d", h.logN, h.r, h.p), memory: fmt.Sprintf("N=2^%d, r=%d", h.logN, h.r),
	}
}

func (h scryptHash) verify(password []byte) bool {
	key, err := scrypt.Key(password, h.salt, 1<<h.logN, h.r, h.p, len(h.key))
	return err == nil && same(key, h.key)
}
