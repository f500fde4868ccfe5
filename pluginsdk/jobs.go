package pluginsdk

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// job is background work of one instance.
type job struct {
	name string
	run  func(ctx context.Context) error
}

// jobs are those that configure has registered; they start once its instance is in force.
type jobs struct {
	mu      sync.Mutex
	waiting []job
	start   func(job) // nil until then
}

// begin hands over what was registered, and has start called for what is registered later.
func (h *Host) begin(start func(job)) []job {
	h.jobs.mu.Lock()
	defer h.jobs.mu.Unlock()
	out := h.jobs.waiting
	h.jobs.waiting, h.jobs.start = nil, start
	return out
}

func (h *Host) register(j job) {
	h.jobs.mu.Lock()
	start := h.jobs.start
	if start == nil {
		h.jobs.waiting = append(h.jobs.waiting, j)
	}
	h.jobs.mu.Unlock()
	if start != nil {
		start(j)
	}
}

// leaseTTL is how soon another node takes a job over when the one that has it is gone.
const leaseTTL = 15 * time.Second

// Every runs f at once and then every interval, on one node at a time, as long as the instance it was registered for is in
// force. An error is logged and the next turn waited for. It needs the grant lease.hold: without it the plugin shows as
// degraded. f's context ends when the instance is replaced, the plugin stops or the lease is lost; f must not run twice for
// what it may do once, since a node that hangs does not know that it has lost the lease.
func (h *Host) Every(name string, interval time.Duration, f func(ctx context.Context) error) {
	h.register(job{name, func(ctx context.Context) error { return h.every(ctx, name, interval, f) }})
}

func (h *Host) every(ctx context.Context, name string, interval time.Duration, f func(context.Context) error) error {
	if interval <= 0 {
		return fmt.Errorf("job %s: the interval must be positive", name)
	}
	for ctx.Err() == nil {
		_, err := h.Lease().Hold(ctx, "job/"+name, leaseTTL, func(ctx context.Context, _ int64) error {
			tick := time.NewTicker(interval)
			defer tick.Stop()
			for {
				if err := f(ctx); err != nil && ctx.Err() == nil {
					h.log.Error("job failed", "job", name, "error", err)
				}
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
			}
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
		// Another node has it: look again when it may have gone.
		timer := time.NewTimer(leaseTTL / 3)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
	return ctx.Err()
}
