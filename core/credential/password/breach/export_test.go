package breach

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
)

// Settle waits until no probe is under way.
func (a *API) Settle() { a.breaker.wg.Wait() }

// Find is how an answer is read.
func Find(r io.Reader, rest string) (int, error) { return find(r, rest) }

// Lookup looks into a file that lies in memory, and reads all of it.
func Lookup(b []byte, sums ...[20]byte) (found []bool, err error) {
	r, err := newReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	for _, s := range sums {
		ok, err := r.has(s)
		if err != nil {
			return nil, err
		}
		found = append(found, ok)
	}
	return found, r.check(context.Background(), func(int64) {})
}

// Forge makes a file whose checksums are right, whatever else is not. The table repeats what is given of it.
func Forge(entries []byte, starts []int64) []byte {
	table := make([]byte, 0, tableSize)
	for i := range buckets + 1 {
		table = binary.BigEndian.AppendUint64(table, uint64(starts[min(i, len(starts)-1)]))
	}
	h := Header{Entries: int64(len(entries) / entrySize), MinCount: 1, tableCRC: crc(table)}
	body := append(append([]byte{}, entries[:h.Entries*entrySize]...), table...)
	h.Checksum = sha256.Sum256(body)
	return append(h.encode(), body...)
}
