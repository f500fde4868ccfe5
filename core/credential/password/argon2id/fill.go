//go:build !argon2_library

package argon2id

import _ "unsafe" // for go:linkname

const (
	blockSize = 1024 // RFC 9106 §3.2, step 3
	slices    = 4    // RFC 9106 §3.4: synchronization points of a pass
	version   = 0x13
	typeID    = 2 // argon2id
)

// block is 1024 bytes of memory as the words it is computed in.
type block [blockSize / 8]uint64

// fill does the passes over memory, RFC 9106 §3.2 steps 5 and 6, all lanes at a time. The memory has 4 × lanes × n blocks and the
// first two of each lane in place; the others are zero.
//
//go:linkname fill golang.org/x/crypto/argon2.processBlocks
func fill(memory []block, time, blocks, lanes uint32, mode int)
