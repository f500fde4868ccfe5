package password

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
)

// admission lets a bounded amount of hashing run at once and has the rest wait in line. Each hash takes as many places as
// its memory needs, for as long as its work takes; the line is strictly first come first served, so a large one is not
// overtaken for ever.
type admission struct {
	places  int
	timeout time.Duration

	mu    sync.Mutex
	free  int
	line  list.List     // of *waiter
	ahead float64       // what those in line want: places × work
	known int           // who announced a hash and has not gone again
	typic time.Duration // how long a hash of the configured cost holds its place lately, a moving average
}

// demand is what a hash takes: places at once, for the work of so many hashes of the configured cost.
type demand struct {
	places int
	work   float64
}

func (d demand) product() float64 { return float64(d.places) * d.work }

type waiter struct {
	demand
	ready chan struct{} // closed under the lock when the places are the waiter's
}

// Load is how busy hashing is.
type Load struct {
	Places  int // that there are
	InUse   int
	Waiting int // in line
}

// newAdmission makes one whose hashes are first taken to hold a place for typical, until it has seen some.
func newAdmission(places int, timeout, typical time.Duration) *admission {
	return &admission{places: places, free: places, timeout: timeout, typic: typical}
}

func (a *admission) load() Load {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Load{Places: a.places, InUse: a.places - a.free, Waiting: a.line.Len()}
}

// announce says that a hash of one place will be wanted, before anything is done that makes it possible. It fails with
// fault.Unavailable, at once, when as many have said so as can be served in time. Without it, everybody whom the line has no
// room for would have cost the reads that come before a hash, and those reads would stand in everybody else's way.
func (a *admission) announce() (leave func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if wait := time.Duration(a.known+1) * a.typic / time.Duration(a.places); a.known >= a.places && wait > a.timeout {
		return nil, busy(wait)
	}
	a.known++
	return sync.OnceFunc(func() {
		a.mu.Lock()
		a.known--
		a.mu.Unlock()
	}), nil
}

// acquire waits for the places a hash wants and returns what gives them back. It fails with fault.Unavailable when they
// can't be had in time, or with the context's error as soon as the caller gives up.
func (a *admission) acquire(ctx context.Context, d demand) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.places = min(max(d.places, 1), a.places)
	a.mu.Lock()
	if a.line.Len() == 0 && a.free >= d.places {
		a.free -= d.places
		a.mu.Unlock()
		return a.holder(d), nil
	}
	if wait := a.expect(d); wait > a.timeout {
		a.mu.Unlock()
		return nil, busy(wait)
	}
	w := &waiter{demand: d, ready: make(chan struct{})}
	el := a.line.PushBack(w)
	a.ahead += d.product()
	a.mu.Unlock()

	t := time.NewTimer(a.timeout)
	defer t.Stop()
	select {
	case <-w.ready:
		return a.holder(d), nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-t.C:
		err = nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-w.ready: // granted in the same moment
		if err == nil {
			return a.holder(d), nil
		}
		a.free += d.places
	default:
		a.remove(el)
	}
	a.grant() // who was behind may fit now
	if err == nil {
		err = busy(a.expect(d))
	}
	return nil, err
}

// remove takes a waiter out of the line; called with the lock held.
func (a *admission) remove(el *list.Element) {
	a.ahead -= a.line.Remove(el).(*waiter).product()
	if a.line.Len() == 0 {
		a.ahead = 0 // fractions don't add up for ever
	}
}

// expect is how long a newcomer would wait: everything ahead of it, spread over the places.
func (a *admission) expect(d demand) time.Duration {
	return time.Duration((a.ahead + d.product()) * float64(a.typic) / float64(a.places))
}

func (a *admission) holder(d demand) func() {
	start := time.Now()
	return func() {
		held := time.Since(start)
		a.mu.Lock()
		defer a.mu.Unlock()
		if d.work == 1 { // what others hold theirs for is reckoned from this, never the other way round
			a.typic += (held - a.typic) / 8
		}
		a.free += d.places
		a.grant()
	}
}

// grant gives free places to the head of the line; called with the lock held.
func (a *admission) grant() {
	for el := a.line.Front(); el != nil; el = a.line.Front() {
		w := el.Value.(*waiter)
		if w.places > a.free {
			return
		}
		a.free -= w.places
		a.remove(el)
		close(w.ready)
	}
}

func busy(wait time.Duration) error {
	return fault.New(fault.Unavailable, "too_busy", "Too many people are signing in right now. Try again shortly.").
		After(max(wait.Round(time.Second), time.Second))
}
