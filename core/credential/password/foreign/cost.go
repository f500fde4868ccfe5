package foreign

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"math"
)

// Cost is what verifying one password takes. It is counted, not measured: the same hash costs the same on every machine,
// so whether it may be imported does not depend on how busy that was.
type Cost struct {
	// Work is processor time, in hashes by argon2id with m=19456, t=2, p=1: about 20 ms of a core each.
	Work float64
	// Memory is what is held meanwhile, in bytes.
	Memory float64
	// work and memory name the parameters they follow from.
	work, memory string
}

// Limits are what one verification may take.
type Limits struct {
	Work   float64 // as in Cost
	Memory int64   // bytes
}

// Check reports, as ErrHash, which parameter of a hash goes beyond the limits.
func (l Limits) Check(c Cost) error {
	switch {
	case !(c.Memory <= float64(l.Memory)): // not a number is not either
		return fmt.Errorf("%w: %s takes %s of memory, and at most %s are allowed", ErrHash, c.memory, mebibytes(c.Memory), mebibytes(float64(l.Memory)))
	case !(c.Work <= l.Work):
		return fmt.Errorf("%w: %s takes the work of %s default hashes, and at most %s are allowed", ErrHash, c.work, figure(c.Work), figure(l.Work))
	}
	return nil
}

func mebibytes(n float64) string { return figure(n/(1<<20)) + " MiB" }

// figure writes a number with three digits that count.
func figure(n float64) string {
	switch {
	case n >= 1e7:
		return fmt.Sprintf("%.1e", n)
	case n >= 100:
		return fmt.Sprintf("%.0f", math.Ceil(n))
	}
	return fmt.Sprintf("%.3g", n)
}

// unit is one default hash in the nanoseconds in which the figures of this package are written down. They were all taken
// together on one core (BenchmarkCost), so that it is their ratios that count. A processor without instructions for
// SHA takes about three times as long for SHA-1 and SHA-256 as these say.
const unit = 20e6

// Argon2Cost is the cost of argon2 with these parameters. It is exact: the unit is defined by it.
func Argon2Cost(memoryKiB, passes uint32) Cost {
	m, t := float64(memoryKiB), float64(passes)
	return Cost{
		Work: m * t / (19456 * 2), Memory: m * 1024,
		work: fmt.Sprintf("m=%d, t=%d", memoryKiB, passes), memory: fmt.Sprintf("m=%d", memoryKiB),
	}
}

const (
	bcryptRound   = 57e3 // per round; there are 2^cost
	scryptBlock   = 390  // per N × r × p, both passes over 128 bytes
	hmacOverhead  = 85   // per iteration of PBKDF2, beside the two compressions
	smallestWork  = 1e-5 // of anything
	smallestBytes = 4096 // of anything
)

// digest is a hash function with what it costs.
type digest struct {
	name  string
	new   func() hash.Hash
	size  int
	block int
	per   float64 // ns per block
	call  float64 // ns per use
}

func digestOf(name string) (digest, bool) {
	for _, d := range []digest{
		{"md5", md5.New, md5.Size, md5.BlockSize, 95, 40},
		{"sha1", sha1.New, sha1.Size, sha1.BlockSize, 50, 60},
		{"sha256", sha256.New, sha256.Size, sha256.BlockSize, 45, 60},
		{"sha384", sha512.New384, sha512.Size384, sha512.BlockSize, 210, 80},
		{"sha512", sha512.New, sha512.Size, sha512.BlockSize, 210, 80},
	} {
		if d.name == name {
			return d, true
		}
	}
	return digest{}, false
}

// sum is the work of hashing n bytes.
func (d digest) sum(n float64) float64 {
	blocks := math.Ceil((n + 1 + float64(d.block)/8) / float64(d.block)) // the padding: one bit, and the length
	return (d.call + d.per*blocks) / unit
}

// of hashes the parts one after another.
func (d digest) of(parts ...[]byte) []byte {
	h := d.new()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// small is the cost of what takes next to no memory.
func small(work float64, because string) Cost {
	return Cost{Work: max(work, smallestWork), Memory: smallestBytes, work: because, memory: because}
}
