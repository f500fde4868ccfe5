//go:build argon2_library

package argon2id

import "golang.org/x/crypto/argon2"

// Memory keeps nothing in this build: the library allocates for every hash.
type Memory struct{}

// New makes a Memory. The size is of no use in this build.
func New(uint32) *Memory { return &Memory{} }

// Key derives size bytes from a password and a salt with time passes over memoryKiB, in lanes lanes that are computed at
// once. It panics for what RFC 9106 §3.1 does not allow: no pass, no lane, or less than 8 KiB for each.
func (*Memory) Key(password, salt []byte, time, memoryKiB uint32, lanes uint8, size int) []byte {
	if time < 1 || lanes < 1 || memoryKiB < 8*uint32(lanes) {
		panic("argon2id: parameters")
	}
	return argon2.IDKey(password, salt, time, memoryKiB, lanes, uint32(size))
}

// Release has nothing to release in this build.
func (*Memory) Release() {}
