package foreign

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// argon2Hash is RFC 9106: argon2i or argon2id of version 1.3.
type argon2Hash struct {
	memory, time, lanes int
	salt, tag           []byte
	derive              func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte
}

// parseArgon2 reads the PHC string $argon2id$v=19$m=…,t=…,p=…$salt$tag.
func parseArgon2(s string) (scheme, error) {
	f := strings.Split(s, "$")
	if len(f) < 3 {
		return nil, errFields
	}
	var h argon2Hash
	switch f[1] {
	case "argon2id":
		h.derive = argon2.IDKey
	case "argon2i":
		h.derive = argon2.Key
	case "argon2d":
		return nil, errors.New("argon2d is not for passwords (RFC 9106 §4)")
	default:
		return nil, errAlgorithm
	}
	if f[2] != "v=19" {
		return nil, errors.New("only version 1.3 (v=19) is known")
	}
	if len(f) != 6 {
		return nil, errFields
	}
	p, err := parameters(f[3], "m", "t", "p")
	if err != nil {
		return nil, err
	}
	h.memory, h.time, h.lanes = p["m"], p["t"], p["p"]
	// RFC 9106 §3.1; the lanes are threads here, so they have a bound that no limit on work gives.
	if h.lanes < 1 || h.lanes > 16 {
		return nil, fmt.Errorf("p=%d is outside of 1 and 16", h.lanes)
	}
	if h.time < 1 {
		return nil, errors.New("t=0")
	}
	if h.memory < 8*h.lanes {
		return nil, fmt.Errorf("m=%d is less than 8×p", h.memory)
	}
	if h.salt, err = asSalt(unbase64(f[4], 8, maxSalt)); err != nil {
		return nil, err
	}
	if h.tag, err = unbase64(f[5], minDigest, maxDigest); err != nil {
		return nil, err
	}
	return h, nil
}

func (h argon2Hash) cost(int) Cost { return Argon2Cost(uint32(h.memory), uint32(h.time)) }

func (h argon2Hash) verify(password []byte) bool {
	return same(h.derive(password, h.salt, uint32(h.time), uint32(h.memory), uint8(h.lanes), uint32(len(h.tag))), h.tag)
}
