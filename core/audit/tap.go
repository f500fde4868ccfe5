package audit

import (
	"sync"
	"sync/atomic"
)

// TapName is what the tap is called in documentation, logs and metrics.
const TapName = "sigra.audit.log"

// Tap is a fan-out point inside the process: every subscriber gets the rows that this process commits, as they
// commit. It promises no more than that: a subscriber that does not keep up loses rows, which are counted, and nobody
// waits for it. Whoever must have every row reads the log itself.
type Tap struct {
	mu   sync.RWMutex
	subs map[*subscriber]struct{}
}

type subscriber struct {
	name string
	ch   chan *Row
	sent atomic.Uint64
	lost atomic.Uint64
}

// TapStatus is how one subscriber fares.
type TapStatus struct {
	Name       string
	Sent, Lost uint64
}

// NewTap makes a tap without subscribers.
func NewTap() *Tap { return &Tap{subs: map[*subscriber]struct{}{}} }

// Subscribe returns a channel of committed rows that holds up to buffer of them, and a function that ends the
// subscription and closes the channel. Rows are shared: they must not be changed.
func (t *Tap) Subscribe(name string, buffer int) (rows <-chan *Row, cancel func()) {
	s := &subscriber{name: name, ch: make(chan *Row, max(buffer, 1))}
	t.mu.Lock()
	t.subs[s] = struct{}{}
	t.mu.Unlock()
	return s.ch, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, ok := t.subs[s]; ok {
			delete(t.subs, s)
			close(s.ch)
		}
	}
}

// Status tells of every subscriber how many rows it got and lost.
func (t *Tap) Status() []TapStatus {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make([]TapStatus, 0, len(t.subs))
	for s := range t.subs {
		out = append(out, TapStatus{s.name, s.sent.Load(), s.lost.Load()})
	}
	return out
}

func (t *Tap) publish(r *Row) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for s := range t.subs {
		select {
		case s.ch <- r:
			s.sent.Add(1)
		default:
			s.lost.Add(1)
		}
	}
}
