package commitlog

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Position is a place in a log in commit order. The zero value is before the first row.
//
// On SQLite, with its single writer, Seq alone orders. On Postgres sequence numbers are handed out before commit and
// so can become visible out of order; there rows are ordered by the writing transaction's id first, and only rows of
// transactions older than every running one are read. Such a row can have no later-appearing predecessor. Era grows
// when the database is found to have been moved to another cluster, whose transaction ids start anew.
type Position struct {
	Era int32
	Tx  int64
	Seq int64
}

// last sorts after every row.
var last = Position{Era: math.MaxInt32, Tx: math.MaxInt64, Seq: math.MaxInt64}

// End is the position after every row that is or will be.
func End() Position { return last }

// IsZero reports the position before the first row.
func (p Position) IsZero() bool { return p == Position{} }

// String is a fixed-width text that sorts like the position.
func (p Position) String() string {
	return fmt.Sprintf("%08x%016x%016x", uint32(p.Era), uint64(p.Tx), uint64(p.Seq))
}

// MarshalText implements encoding.TextMarshaler.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Position) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePosition(string(b))
	return err
}

var errNotPosition = errors.New("not a log position")

// ParsePosition reads what String wrote; the empty string is the zero position.
func ParsePosition(s string) (Position, error) {
	if s == "" {
		return Position{}, nil
	}
	if len(s) != 40 {
		return Position{}, errNotPosition
	}
	era, err1 := strconv.ParseUint(s[:8], 16, 31)
	tx, err2 := strconv.ParseUint(s[8:24], 16, 63)
	seq, err3 := strconv.ParseUint(s[24:], 16, 63)
	p := Position{Era: int32(era), Tx: int64(tx), Seq: int64(seq)}
	if err1 != nil || err2 != nil || err3 != nil || p.String() != s {
		return Position{}, errNotPosition
	}
	return p, nil
}

// Compare gives -1, 0 or 1 as p lies before, at or after q.
func (p Position) Compare(q Position) int {
	switch {
	case p == q:
		return 0
	case p.Era < q.Era, p.Era == q.Era && p.Tx < q.Tx, p.Era == q.Era && p.Tx == q.Tx && p.Seq < q.Seq:
		return -1
	}
	return 1
}
