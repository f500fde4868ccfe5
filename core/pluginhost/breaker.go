package pluginhost

import "sync"

// breakAfter is how many failures in a row open a breaker.
const breakAfter = 5

// breaker stops calls to a seam that fails, so that callers are not kept waiting for the same failure again.
//
//	closed ──5 failures in a row──▶ open ──a good health check──▶ half open ──success──▶ closed
//	                                  ▲                                │
//	                                  └────────────failure─────────────┘
//
// Half open lets one call try. There is no timer: the supervisor's health check is the sign of life that matters.
type breaker struct {
	mu       sync.Mutex
	failures int
	open     bool
	half     bool // one call may try
	trying   bool
}

// allow reports whether a call may be made. Every allowed call must be followed by done.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open:
		return true
	case b.half && !b.trying:
		b.trying = true
		return true
	}
	return false
}

// verdict is what a call says about the plugin's well-being.
type verdict uint8

const (
	good verdict = iota
	bad
	neither // the caller went away, or it was the caller's mistake
)

// done takes the outcome of an allowed call, and reports whether the breaker opened or closed by it.
func (b *breaker) done(v verdict) (opened, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wasTrying := b.trying
	b.trying = false
	switch v {
	case good:
		b.failures = 0
		closed = b.open
		b.open, b.half = false, false
	case bad:
		b.failures++
		if b.open {
			b.half = false
		} else if b.failures >= breakAfter {
			b.open, b.half, opened = true, false, true
		}
	case neither:
		if wasTrying {
			b.half = true
		}
	}
	return opened, closed
}

// probe is called after a good health check.
func (b *breaker) probe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		b.half = true
	}
}

// reset closes the breaker: another process stands behind the seam.
func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.open, b.half, b.trying = 0, false, false, false
}

func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}
