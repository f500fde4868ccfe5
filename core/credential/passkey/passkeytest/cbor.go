package passkeytest

import "encoding/binary"

// A little CBOR (RFC 8949), so that right and wrong encodings can be made by hand.

func head(major byte, n uint64) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
	}
	return binary.BigEndian.AppendUint32([]byte{major<<5 | 26}, uint32(n))
}

// Int encodes a whole number.
func Int(n int64) []byte {
	if n < 0 {
		return head(1, uint64(-1-n))
	}
	return head(0, uint64(n))
}

// Bytes encodes a byte string.
func Bytes(b []byte) []byte { return append(head(2, uint64(len(b))), b...) }

// Text encodes a text.
func Text(s string) []byte { return append(head(3, uint64(len(s))), s...) }

// Map takes keys and values in turn, encoded already, in the order they are to have.
func Map(pairs ...[]byte) []byte {
	out := head(5, uint64(len(pairs)/2))
	for _, p := range pairs {
		out = append(out, p...)
	}
	return out
}
