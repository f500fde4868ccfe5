package breach

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// The format, byte by byte in docs/breach-file.md. All numbers are big-endian.
const (
	magic      = "SIGRABR\x01" // the last byte is the version
	headerSize = 128
	entrySize  = 5 // bytes 3 to 7 of a SHA-1; the first two are the bucket's number
	buckets    = 1 << 16
	tableSize  = (buckets + 1) * 8 // where each bucket starts, counted in entries, and where the last one ends
	maxEntries = 1 << 40
)

// ErrFile says that a file is no breach file, or a damaged one. What wraps it says how.
var ErrFile = errors.New("not a breach file that can be used")

// Header is what a breach file says of itself.
type Header struct {
	Entries  int64     // passwords in it
	MinCount uint32    // how often each was seen, at least
	Built    time.Time // to the second
	Checksum [32]byte  // SHA-256 of all that follows the header
	tableCRC uint32
}

// size is how long the whole file is.
func (h Header) size() int64 { return headerSize + h.Entries*entrySize + tableSize }

func (h Header) tableAt() int64 { return headerSize + h.Entries*entrySize }

// crc is CRC-32C. The library makes the table once, at the first use.
func crc(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func (h Header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	binary.BigEndian.PutUint64(b[8:], uint64(h.Entries))
	binary.BigEndian.PutUint64(b[16:], uint64(h.Built.Unix()))
	binary.BigEndian.PutUint32(b[24:], h.MinCount)
	binary.BigEndian.PutUint32(b[28:], h.tableCRC)
	copy(b[32:], h.Checksum[:])
	binary.BigEndian.PutUint32(b[headerSize-4:], crc(b[:headerSize-4]))
	return b
}

func decodeHeader(b []byte) (Header, error) {
	if len(b) < headerSize || string(b[:7]) != magic[:7] {
		return Header{}, fmt.Errorf("%w: it does not begin as one", ErrFile)
	}
	if b[7] != magic[7] {
		return Header{}, fmt.Errorf("%w: it is of version %d, and this Sigra reads version %d", ErrFile, b[7], magic[7])
	}
	if crc(b[:headerSize-4]) != binary.BigEndian.Uint32(b[headerSize-4:]) {
		return Header{}, fmt.Errorf("%w: its header is damaged", ErrFile)
	}
	h := Header{
		Entries: int64(binary.BigEndian.Uint64(b[8:])), Built: time.Unix(int64(binary.BigEndian.Uint64(b[16:])), 0).UTC(),
		MinCount: binary.BigEndian.Uint32(b[24:]), tableCRC: binary.BigEndian.Uint32(b[28:]), Checksum: [32]byte(b[32:64]),
	}
	if h.Entries < 1 || h.Entries > maxEntries || h.MinCount < 1 {
		return Header{}, fmt.Errorf("%w: its header makes no sense", ErrFile)
	}
	return h, nil
}
