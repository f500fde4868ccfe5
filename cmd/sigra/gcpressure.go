package main

import (
	"runtime/debug"
	"sync"
	"time"
)

// gcPressure has the collector run earlier while people are turned away because too many sign in. A flood comes over many
// connections, each of which takes memory as long as it is there; the heap is not to grow by as much again before it is collected, at
// a time when memory counts for more than a few percent of the processor. At other times it is the other way round.
type gcPressure struct {
	mu   sync.Mutex
	last time.Time   // somebody was turned away
	calm *time.Timer // while the collector runs earlier; checks whether it is over
	was  int         // the percentage before
}

// collector is a global because the garbage collector is one.
var collector gcPressure

const (
	pressurePercent = 50
	pressureFor     = 10 * time.Second // after the last one
)

// refused is told of everybody who is turned away.
func (p *gcPressure) refused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	if p.calm != nil {
		return
	}
	if p.was = debug.SetGCPercent(pressurePercent); p.was <= pressurePercent { // by GOGC: less than this, or off for the sake of GOMEMLIMIT
		debug.SetGCPercent(p.was)
	}
	p.calm = time.AfterFunc(pressureFor, p.look)
}

func (p *gcPressure) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rest := pressureFor - time.Since(p.last); rest > 0 {
		p.calm.Reset(rest)
		return
	}
	p.calm = nil
	debug.SetGCPercent(p.was)
}
