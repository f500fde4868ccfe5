package ratelimit

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"time"
)

// history is when somebody failed, in microseconds, the newest last.
type history []int64

const momentSize = 8

var errHistory = errors.New("a history of failures is damaged")

func decodeHistory(b []byte) (history, error) {
	if len(b)%momentSize != 0 {
		return nil, errHistory
	}
	h := make(history, 0, len(b)/momentSize+1)
	for ; len(b) > 0; b = b[momentSize:] {
		h = append(h, int64(binary.BigEndian.Uint64(b)))
	}
	return h, nil
}

func (h history) encode() []byte {
	b := make([]byte, 0, len(h)*momentSize)
	for _, t := range h {
		b = binary.BigEndian.AppendUint64(b, uint64(t))
	}
	return b
}

// since gives those after a moment.
func (h history) since(t int64) history {
	i, _ := slices.BinarySearch(h, t+1)
	return h[i:]
}

// standing is what a history means at some moment.
type standing struct {
	count int           // failures that count
	stop  time.Duration // until anything is judged again; zero: nothing is stopped
	slow  bool          // attempts must keep their distance, and bring a proof
	wait  time.Duration // until the next one may be judged
	open  time.Duration // until attempts are no longer slowed
}

// weigh says how an attempt stands at a moment.
func (b *rules) weigh(h history, now int64) (s standing) {
	until := func(t int64, later time.Duration) time.Duration {
		return max(0, time.Duration(t-now)*time.Microsecond+later)
	}
	if n := b.hard.Count; n > 0 {
		if recent := h.since(now - b.hard.Per.Microseconds()); len(recent) >= n {
			s.stop = until(recent[len(recent)-n], b.hard.Per)
		}
	}
	if n := b.after.Count; n > 0 {
		recent := h.since(now - b.after.Per.Microseconds())
		if s.count = len(recent); s.count >= n {
			s.slow = true
			s.wait = until(recent[s.count-1], b.distance(s.count))
			s.open = until(recent[s.count-n], b.after.Per)
		}
	}
	return s
}

// distance is how long after the last of count failures the next attempt may be judged.
func (b *rules) distance(count int) time.Duration {
	d := b.first
	for range count - b.after.Count {
		if d >= b.longest {
			break
		}
		d *= 2
	}
	return min(d, b.longest)
}

// step is how dear a proof must be: it doubles when the failures do.
func (b *rules) step(count int) int { return max(0, bits.Len(uint(count/max(1, b.after.Count)))-1) }

// recall drops what counts no more, and what lies so far ahead that only a clock which was set back can have written it: else
// nobody would get in until the old time comes again.
func (b *rules) recall(h history, now int64) history {
	h = h.since(now - b.memory.Microseconds())
	ahead, _ := slices.BinarySearch(h, now+b.ahead.Microseconds()+1)
	return h[:ahead]
}

// add notes a failure. The clocks of nodes may differ a little; the order of failures is that of the row's lock.
func (b *rules) add(h history, now int64) history {
	if n := len(h); n > 0 {
		now = max(now, h[n-1])
	}
	h = append(h, now)
	return h[max(0, len(h)-b.keep):]
}
