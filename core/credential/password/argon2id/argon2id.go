//go:build !argon2_library

package argon2id

import (
	"encoding/binary"

	_ "golang.org/x/crypto/argon2" // has fill
	"golang.org/x/crypto/blake2b"
)

// Key derives size bytes from a password and a salt with time passes over memoryKiB, in lanes lanes that are computed at
// once. It panics for what RFC 9106 §3.1 does not allow: no pass, no lane, or less than 8 KiB for each.
func (m *Memory) Key(password, salt []byte, time, memoryKiB uint32, lanes uint8, size int) []byte {
	p := uint32(lanes)
	if time < 1 || p < 1 || memoryKiB < 2*slices*p {
		panic("argon2id: parameters")
	}
	blocks := memoryKiB / (slices * p) * (slices * p) // §3.2 step 2
	r := m.take(int(blocks))
	defer m.give(r, int(blocks))
	b := r.blocks[:blocks]

	var first [blake2b.Size + 8]byte
	start(first[:0], password, salt, time, memoryKiB, p, uint32(size))
	var bytes [blockSize]byte
	for lane := range p { // §3.2 steps 3 and 4
		for column := range uint32(2) {
			binary.LittleEndian.PutUint32(first[blake2b.Size:], column)
			binary.LittleEndian.PutUint32(first[blake2b.Size+4:], lane)
			long(bytes[:], first[:])
			to := &b[lane*(blocks/p)+column]
			for i := range to {
				to[i] = binary.LittleEndian.Uint64(bytes[8*i:])
			}
		}
	}

	fill(b, time, blocks, p, typeID)

	var last block // §3.2 step 7
	for lane := range p {
		for i, v := range b[(lane+1)*(blocks/p)-1] {
			last[i] ^= v
		}
	}
	for i, v := range last {
		binary.LittleEndian.PutUint64(bytes[8*i:], v)
	}
	tag := make([]byte, size)
	long(tag, bytes[:])
	clear(bytes[:])
	return tag
}

// start appends H0, what everything is derived from: RFC 9106 §3.2 step 1, with neither a secret nor associated data.
func start(to, password, salt []byte, time, memoryKiB, lanes, size uint32) {
	h, _ := blake2b.New512(nil) // fails for a key that is too long only
	var word [4]byte
	number := func(n uint32) {
		binary.LittleEndian.PutUint32(word[:], n)
		_, _ = h.Write(word[:])
	}
	for _, n := range [...]uint32{lanes, size, memoryKiB, time, version, typeID} {
		number(n)
	}
	for _, s := range [...][]byte{password, salt, nil, nil} {
		number(uint32(len(s)))
		_, _ = h.Write(s)
	}
	h.Sum(to)
}

// long is H′, a hash of any length: RFC 9106 §3.3.
func long(out, in []byte) {
	const half = blake2b.Size / 2
	var size [4]byte
	binary.LittleEndian.PutUint32(size[:], uint32(len(out)))
	h, _ := blake2b.New(min(len(out), blake2b.Size), nil) // fails for no output only, which has no use
	_, _ = h.Write(size[:])
	_, _ = h.Write(in)
	var v [blake2b.Size]byte
	sum := h.Sum(v[:0])
	for len(out) > blake2b.Size {
		out = out[copy(out, sum[:half]):]
		if len(out) > blake2b.Size {
			h.Reset()
		} else {
			h, _ = blake2b.New(len(out), nil)
		}
		_, _ = h.Write(sum)
		sum = h.Sum(v[:0])
	}
	copy(out, sum)
}
