package ratelimit

import (
	"errors"
	"fmt"
	"time"
)

// Quota is at most Count in any Per. A zero Count means no limit.
type Quota struct {
	Count int
	Per   time.Duration
}

func (q Quota) check() error {
	if q.Count < 0 || q.Count > 0 && q.Per <= 0 {
		return fmt.Errorf("a rate limit of %d per %s makes no sense", q.Count, q.Per)
	}
	if q.Count > 0 && q.Per/time.Duration(q.Count) < time.Microsecond {
		return errors.New("a rate limit of more than a million per second is none")
	}
	return nil
}

// Shared is the part of each of several names that one account can be reached by, so that all together get no more: at least
// one, which is then one in a longer time.
func (q Quota) Shared(names int) Quota {
	if q.Count > 0 && q.Count < names {
		return Quota{Count: 1, Per: q.Per * time.Duration(names) / time.Duration(q.Count)}
	}
	return Quota{Count: q.Count / names, Per: q.Per}
}

// step is by how much one attempt moves the moment at which the bucket is empty.
func (q Quota) step() time.Duration { return q.Per / time.Duration(q.Count) }

// capacity is how far ahead of now that moment may be. Not Per: division may have rounded.
func (q Quota) capacity() time.Duration { return q.step() * time.Duration(q.Count) }

// Decision says whether an attempt may go on, in plain values for the RateLimit-* headers.
type Decision struct {
	Allowed    bool
	Limit      int           // what may come at once; 0: no limit
	Window     time.Duration // in which that many may come in the long run
	Remaining  int           // what may still come at once
	Next       time.Duration // until Remaining is one more; zero when it is Limit
	Reset      time.Duration // until the bucket is empty and Remaining is Limit again
	RetryAfter time.Duration // until the next attempt is allowed; zero when this one was
}

// decide reckons with backlog, which is how far the bucket's empty moment lies ahead of now. It returns the backlog
// after the attempt.
func (q Quota) decide(backlog time.Duration) (Decision, time.Duration) {
	step, capacity := q.step(), q.capacity()
	backlog = max(backlog, 0)
	d := Decision{Limit: q.Count, Window: q.Per, Allowed: backlog+step <= capacity}
	if d.Allowed {
		backlog += step
	} else {
		d.RetryAfter = backlog + step - capacity
	}
	// A backlog beyond the capacity is of a larger quota before, or of a clock that was set back.
	d.Remaining = max(0, int((capacity-backlog)/step))
	d.Reset = backlog
	if d.Remaining < q.Count {
		d.Next = backlog - capacity + step*time.Duration(d.Remaining+1)
	}
	return d, backlog
}

// Err is the fault of a refused attempt; nil when it was allowed.
func (d Decision) Err() error {
	if d.Allowed {
		return nil
	}
	return limited(d)
}
