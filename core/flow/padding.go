package flow

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// padding lets answers leave at fixed moments only.
type padding struct {
	every time.Duration // zero or less: at once
	exact chan struct{} // who waits for the moment on a thread
}

// paddingFor is how far apart the moments are at which an answer about an address may leave: long enough for nearly every one to be
// ready for the first, because what is hidden is only when between two of them it was. hash is how long hashing a password takes.
func paddingFor(hash time.Duration) time.Duration { return max(50*time.Millisecond, 5*hash/2) }

// Pad waits until a multiple of the padding has passed since a question was asked. The work is the same for every address, but
// a row that is there takes a little longer to read than one that is not, and a row that is made longer than one that is
// left alone. (ASVS 5.0 6.3.8.)
//
//	defer kit.Pad(ctx, time.Now())
func (k *Kit) Pad(ctx context.Context, asked time.Time) {
	p := k.padding
	if p.every <= 0 {
		return
	}
	leave := asked.Add((time.Since(asked)/p.every + 1) * p.every)
	// Timers of the runtime go off whole milliseconds after they were set: one alone would pass on, in what is beyond
	// the millisecond, just what is to be hidden. The kernel's clock is exact, but holds a thread, so it has the rest only.
	const exact = 1200 * time.Microsecond
	if d := time.Until(leave) - exact; d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
	select {
	case p.exact <- struct{}{}:
		defer func() { <-p.exact }()
	default: // so many at a time hide each other
		time.Sleep(time.Until(leave))
		return
	}
	for d := time.Until(leave); d > 0; d = time.Until(leave) { // again when a signal came between
		rest := unix.NsecToTimeval(int64(d + time.Microsecond - 1))
		_, _ = unix.Select(0, nil, nil, nil, &rest)
	}
}
