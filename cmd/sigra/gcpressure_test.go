package main

import (
	"runtime/debug"
	"testing"
	"time"
)

func TestGCPressure(t *testing.T) { // not parallel: the collector is everybody's
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	now := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	for _, was := range []int{100, 30, -1} {
		debug.SetGCPercent(was)
		want := pressurePercent
		if was < pressurePercent { // also off
			want = was
		}
		var f gcPressure
		for range 3 {
			f.refused()
		}
		if p := now(); p != want {
			t.Errorf("from %d: %d while people are turned away", was, p)
		}
		f.look() // too early
		if p := now(); p != want {
			t.Errorf("from %d: %d, and somebody was turned away just now", was, p)
		}
		f.last = f.last.Add(-pressureFor - time.Second)
		f.look()
		if p := now(); p != was || f.calm != nil {
			t.Errorf("from %d: %d when it is over", was, p)
		}
	}
}
