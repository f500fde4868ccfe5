package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sigra-auth/sigra/core/credential/password/foreign"
)

// Params are argon2id's costs.
type Params struct {
	MemoryKiB   uint32
	Time        uint32
	Parallelism uint8
}

// DefaultParams are those of the OWASP Password Storage Cheat Sheet.
var DefaultParams = Params{MemoryKiB: 19456, Time: 2, Parallelism: 1}

// What Sigra's own hashes are like. What they may cost is no matter of the form: see Limits.
const (
	maxParallelism = 16
	minSalt        = 8 // RFC 9106 §3.1
	maxSalt        = 64
	minTag         = 16
	maxTag         = 64
	maxPHC         = 256
)

// ErrHash says that a text is no password hash that can be verified within the limits.
var ErrHash = foreign.ErrHash

// Hash is a parsed PHC string of Sigra's own form.
type Hash struct {
	Params
	salt, tag []byte
}

func (p Params) validate() error {
	switch {
	case p.Time < 1:
		return errors.New("t=0")
	case p.Parallelism < 1 || p.Parallelism > maxParallelism:
		return fmt.Errorf("p=%d is outside of 1 and %d", p.Parallelism, maxParallelism)
	case p.MemoryKiB < 8*uint32(p.Parallelism):
		return fmt.Errorf("m=%d is less than 8×p", p.MemoryKiB)
	}
	return nil
}

func (p Params) cost() foreign.Cost { return foreign.Argon2Cost(p.MemoryKiB, p.Time) }

var b64 = base64.RawStdEncoding.Strict()

// Parse reads a PHC string as Hash writes them: $argon2id$v=19$m=…,t=…,p=…$salt$tag. It takes the one canonical form only;
// the error never repeats the text.
func Parse(s string) (Hash, error) {
	if len(s) > maxPHC {
		return Hash{}, fmt.Errorf("%w: too long", ErrHash)
	}
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" {
		return Hash{}, fmt.Errorf("%w: another format", ErrHash)
	}
	if f[2] != "v=19" {
		return Hash{}, fmt.Errorf("%w: another version", ErrHash)
	}
	kv := strings.Split(f[3], ",")
	if len(kv) != 3 {
		return Hash{}, fmt.Errorf("%w: parameters", ErrHash)
	}
	var n [3]uint64
	for i, key := range [...]string{"m=", "t=", "p="} {
		v, ok := strings.CutPrefix(kv[i], key)
		if !ok {
			return Hash{}, fmt.Errorf("%w: parameters", ErrHash)
		}
		u, err := strconv.ParseUint(v, 10, 31)
		if err != nil || strconv.FormatUint(u, 10) != v { // no sign, no leading zero
			return Hash{}, fmt.Errorf("%w: parameters", ErrHash)
		}
		n[i] = u
	}
	h := Hash{Params: Params{MemoryKiB: uint32(n[0]), Time: uint32(n[1]), Parallelism: uint8(min(n[2], maxParallelism+1))}}
	if err := h.validate(); err != nil {
		return Hash{}, fmt.Errorf("%w: %w", ErrHash, err)
	}
	var err error
	if h.salt, err = decode(f[4], minSalt, maxSalt); err != nil {
		return Hash{}, fmt.Errorf("%w: salt", ErrHash)
	}
	if h.tag, err = decode(f[5], minTag, maxTag); err != nil {
		return Hash{}, fmt.Errorf("%w: tag", ErrHash)
	}
	return h, nil
}

// decode reads base64 without padding. The standard decoder skips line breaks, which are no part of a PHC string.
func decode(s string, least, most int) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, ErrHash
	}
	b, err := b64.DecodeString(s)
	if err != nil || len(b) < least || len(b) > most {
		return nil, ErrHash
	}
	return b, nil
}

// String writes the PHC string.
func (h Hash) String() string {
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", h.MemoryKiB, h.Time, h.Parallelism, b64.EncodeToString(h.salt), b64.EncodeToString(h.tag))
}
