package pluginsdk

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// running is one instance in force, or on its way out.
//
//	swapped in ──Run, jobs──▶ in force ──swapped out──▶ Run and jobs ended ──last call ended──▶ Stop ──▶ gone
type running struct {
	s        *Server
	instance any
	host     *Host // with the jobs registered for this instance

	mu      sync.Mutex
	calls   int
	retired bool
	idle    chan struct{} // closed when retired and the last call has ended

	end  context.CancelFunc
	work sync.WaitGroup // Run and jobs
	gone chan struct{}  // closed when it is stopped
	once sync.Once
	err  error // of Stop

	unwell error // why Run or a job is not running; guarded by mu
}

func (s *Server) newRunning(instance any, host *Host) *running {
	return &running{s: s, instance: instance, host: host, idle: make(chan struct{}), gone: make(chan struct{})}
}

// start begins what the instance does beside serving, once the one before it has let go.
func (r *running) start(before *running) {
	ctx, cancel := context.WithCancel(context.WithValue(r.s.life, instanceKey{}, r.instance))
	r.end = cancel
	jobs := r.host.begin(func(j job) { r.run(ctx, before, j.name, j.run) })
	for _, j := range jobs {
		r.run(ctx, before, j.name, j.run)
	}
	if x, ok := r.instance.(Runner); ok {
		r.run(ctx, before, "Run", x.Run)
	}
}

const (
	rerunFirst = time.Second
	rerunMost  = time.Minute
)

// run keeps f running until ctx ends.
func (r *running) run(ctx context.Context, before *running, name string, f func(context.Context) error) {
	r.work.Go(func() {
		if before != nil {
			before.work.Wait()
		}
		for wait := rerunFirst; ctx.Err() == nil; wait = min(2*wait, rerunMost) {
			began := time.Now()
			err := r.guarded(ctx, name, f)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				return // it has nothing more to do
			}
			if time.Since(began) > rerunMost {
				wait = rerunFirst
			}
			r.s.log.Error("background work ended, it is started again", "work", name, "error", err, "in", wait.String())
			r.setUnwell(fmt.Errorf("%s: %w", name, err))
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			r.setUnwell(nil)
		}
	})
}

func (r *running) guarded(ctx context.Context, name string, f func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			r.s.log.Error("plugin panicked", "work", name, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = errors.New("it panicked")
		}
	}()
	return f(ctx)
}

func (r *running) setUnwell(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwell = err
}

func (r *running) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unwell
}

func (r *running) enter() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
}

func (r *running) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls--
	if r.retired && r.calls == 0 {
		close(r.idle)
	}
}

func (r *running) inFlight() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// retire ends the background work and returns a channel that closes after the last call.
func (r *running) retire() <-chan struct{} {
	if r.end != nil {
		r.end()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.retired {
		r.retired = true
		if r.calls == 0 {
			close(r.idle)
		}
	}
	return r.idle
}

// stop runs the instance's own Stop, once, within ctx.
func (r *running) stop(ctx context.Context) error {
	r.once.Do(func() {
		defer close(r.gone)
		worked := make(chan struct{})
		go func() { defer close(worked); r.work.Wait() }()
		select {
		case <-worked:
		case <-ctx.Done():
		}
		st, ok := r.instance.(Stopper)
		if !ok {
			return
		}
		done := make(chan error, 1)
		go func() { done <- r.guarded(ctx, "Stop", st.Stop) }()
		select {
		case r.err = <-done:
		case <-ctx.Done():
			r.err = ctx.Err()
		}
	})
	<-r.gone
	return r.err
}

// swapGrace is how long the calls of a replaced instance may take to end, and its Stop.
const swapGrace = 30 * time.Second

// swap puts a new instance in force. The old one is let go in the background.
func (s *Server) swap(next *running) {
	s.mu.Lock()
	old := s.current
	s.current = next
	if s.phase == fresh {
		s.phase = configured
	}
	s.mu.Unlock()
	if old == nil {
		next.start(nil)
		return
	}
	idle := old.retire()
	next.start(old)
	s.retiring.Go(func() {
		ctx, cancel := context.WithTimeout(s.life, swapGrace)
		defer cancel()
		select {
		case <-idle:
		case <-ctx.Done():
		}
		stopping, done := context.WithTimeout(context.WithoutCancel(ctx), defaultStopGrace)
		defer done()
		if err := old.stop(stopping); err != nil {
			s.log.Warn("the instance before a change of settings did not stop well", "error", err)
		}
	})
}
