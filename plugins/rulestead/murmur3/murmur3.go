package murmur3

import (
	"encoding/binary"
	"math/bits"
)

const c1, c2 = 0xcc9e2d51, 0x1b873593

// Sum32 is the hash of the bytes of s.
func Sum32(s string, seed uint32) uint32 {
	h, n := seed, uint32(len(s))
	for len(s) >= 4 {
		h ^= scramble(uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24)
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
		s = s[4:]
	}
	if len(s) > 0 {
		var tail [4]byte
		copy(tail[:], s)
		h ^= scramble(binary.LittleEndian.Uint32(tail[:]))
	}
	h ^= n
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

func scramble(k uint32) uint32 { return bits.RotateLeft32(k*c1, 15) * c2 }
