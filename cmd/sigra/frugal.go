package main

import (
	"runtime/debug"
	"sync"
	"time"
)

// frugal has the collector run earlier while people are turned away because too many sign in. A flood comes over many
// connections, each of which takes memory as long as it is there; the heap is not to grow by as much again before it is collected, at
// a time when memory counts for more than a few percent of the processor. At other times it is the other way round.
type frugal struct {
	mu   sync.Mutex
	last time.Time   // somebody was turned away
	calm *time.Timer // while frugal; looks whether it is over
	was  int         // the percentage before
}

// saving is there once, because the collector is.
var saving frugal

const (
	frugalPercent = 50
	frugalFor     = 10 * time.Second // after the last one
)

// refused is told of everybody who is turned away.
func (f *frugal) refused() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = time.Now()
	if f.calm != nil {
		return
	}
	if f.was = debug.SetGCPercent(frugalPercent); f.was <= frugalPercent { // by GOGC: less than this, or off for the sake of GOMEMLIMIT
		debug.SetGCPercent(f.was)
	}
	f.calm = time.AfterFunc(frugalFor, f.look)
}

func (f *frugal) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rest := frugalFor - time.Since(f.last); rest > 0 {
		f.calm.Reset(rest)
		return
	}
	f.calm = nil
	debug.SetGCPercent(f.was)
}
