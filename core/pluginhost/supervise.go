package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/config"
)

const (
	healthEvery   = 10 * time.Second
	degradeAfter  = 2 // misses
	killAfter     = 3 // misses
	firstBackoff  = 500 * time.Millisecond
	maxBackoff    = time.Minute
	forgiveAfter  = time.Minute // of ready: the back-off starts anew
	quarantine    = 5           // failures …
	quarantineFor = 10 * time.Minute
)

// plugin is one block and whatever process currently stands behind it. Its loop is the only one that changes them.
type plugin struct {
	name  string
	host  *Host
	log   hclog.Logger
	seams map[string]*seam
	cmds  chan command
	stop  chan struct{} // closed once, to end the loop
	stops sync.Once
	ended chan struct{} // closed when the loop is over and the process gone

	current     atomic.Pointer[instance]
	settled     chan struct{} // closed when the first start succeeded or failed
	settledOnce sync.Once

	mu        sync.Mutex
	block     config.Plugin
	state     State
	since     time.Time
	detail    string
	manifest  *manifest // the last known: its paths answer 503 while no process does
	grants    grants
	restarts  int
	failures  []time.Time
	nextStart time.Time
	lastCrash string
	crashedAt time.Time
	facts     map[string]string
	attached  attachments
	begun     bool // its loop was started
}

// command is something Apply or an operator wants of the loop; done is closed when it has been taken up.
type command struct {
	block config.Plugin
	adopt *instance // a configured process to go on with; nil: forget failures and start anew
	same  bool      // only the block's host-side attributes changed
	done  chan struct{}
}

func (h *Host) newPlugin(b config.Plugin) *plugin {
	p := &plugin{
		name: b.Name, host: h, log: h.log.Named("plugin").With("plugin", b.Name), seams: newSeams(), cmds: make(chan command),
		stop: make(chan struct{}), ended: make(chan struct{}), settled: make(chan struct{}), block: b,
	}
	p.state, p.since = Declared, h.now()
	return p
}

// run begins the loop, with a configured process or by starting one.
func (p *plugin) run(first *instance) {
	p.mu.Lock()
	p.begun = true
	p.mu.Unlock()
	p.host.wg.Go(func() { p.loop(first) })
}

// rest makes a plugin that never runs: its block says so.
func (p *plugin) rest() {
	p.mu.Lock()
	p.begun = true
	p.mu.Unlock()
	p.setState(Disabled, "enabled = false")
	p.settle()
	p.stops.Do(func() { close(p.stop) })
	close(p.ended)
}

// end tells the loop to stop the process and be over; ended says when.
func (p *plugin) end() { p.stops.Do(func() { close(p.stop) }) }

func (p *plugin) send(ctx context.Context, c command) error {
	c.done = make(chan struct{})
	select {
	case p.cmds <- c:
	case <-p.ended:
		return errors.New("it is stopped")
	case <-ctx.Done():
		return ctx.Err()
	}
	<-c.done
	return nil
}

// acquire gives the process to call, counted in; release must follow.
func (p *plugin) acquire() (*instance, error) {
	for {
		in := p.current.Load()
		if in == nil {
			return nil, errGone
		}
		if in.begin() {
			return in, nil
		}
		if p.current.Load() == in {
			return nil, errGone
		}
	}
}

func (p *plugin) setState(s State, detail string) {
	p.mu.Lock()
	changed := p.state != s
	if changed {
		p.since = p.host.now()
	}
	p.state, p.detail = s, detail
	live := p.begun
	p.mu.Unlock()
	if changed && live {
		p.host.metrics.setState(p.name, s)
	}
}

func (p *plugin) getBlock() config.Plugin {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.block
}

func (p *plugin) setBlock(b config.Plugin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.block = b
}

type startResult struct {
	in  *instance
	err error
}

// loop owns the process: it starts it, watches it, restarts it, swaps it and stops it.
func (p *plugin) loop(cur *instance) {
	var (
		starting   chan startResult
		abort      context.CancelFunc
		retry      <-chan time.Time
		gone       <-chan struct{}
		healthDone chan error
		misses     int
		backoffs   int
		readySince time.Time
	)
	ticker := time.NewTicker(p.host.timing.health)
	defer ticker.Stop()
	defer close(p.ended)

	begin := func() {
		retry = nil
		var ctx context.Context
		ctx, abort = context.WithCancel(context.Background())
		ch := make(chan startResult, 1)
		starting = ch
		b := p.getBlock()
		p.setState(Declared, "")
		p.host.wg.Add(1)
		go func() {
			defer p.host.wg.Done()
			in, err := p.start(ctx, b)
			ch <- startResult{in, err}
		}()
	}
	cancelStart := func() {
		if starting == nil {
			return
		}
		abort()
		if r := <-starting; r.in != nil {
			r.in.destroy()
		}
		starting = nil
	}
	up := func(in *instance) {
		cur, gone, misses, healthDone = in, in.gone(), 0, nil
		readySince = time.Now()
		p.take(in)
	}
	failed := func(err error) {
		if !readySince.IsZero() && time.Since(readySince) >= forgiveAfter {
			backoffs = 0
		}
		readySince = time.Time{}
		wait, again := p.failed(err, backoffs)
		backoffs++
		if again {
			retry = time.After(wait)
		}
	}
	drop := func(in *instance, wedged bool) {
		p.host.wg.Add(1)
		go func() {
			defer p.host.wg.Done()
			in.stop(wedged)
		}()
	}

	if cur != nil {
		up(cur)
	} else {
		begin()
	}
	for {
		select {
		case <-p.stop:
			cancelStart()
			if cur != nil {
				p.setState(Draining, "")
				cur.stop(misses > 0)
				p.current.Store(nil)
			}
			p.setState(Stopped, "")
			p.settle()
			return

		case c := <-p.cmds:
			p.setBlock(c.block)
			switch {
			case c.same:
			case c.adopt != nil:
				cancelStart()
				old, wasWedged := cur, misses > 0
				p.forgive()
				backoffs, retry = 0, nil
				up(c.adopt)
				if old != nil {
					drop(old, wasWedged)
				}
			default:
				cancelStart()
				if cur != nil {
					p.current.Store(nil)
					drop(cur, misses > 0)
					cur, gone = nil, nil
				}
				p.forgive()
				backoffs = 0
				begin()
			}
			close(c.done)

		case r := <-starting:
			starting = nil
			abort()
			if r.err != nil {
				failed(r.err)
			} else {
				up(r.in)
			}
			p.settle()

		case <-retry:
			p.mu.Lock()
			p.restarts++
			p.mu.Unlock()
			p.host.metrics.restarts.WithLabelValues(p.name).Inc()
			begin()

		case <-gone:
			in := cur
			cur, gone = nil, nil
			p.current.Store(nil)
			err := p.crashed(in)
			p.setState(Failed, err.Error()) // already: tidying up takes a moment
			in.destroy()
			if in.proc.Attached() {
				begin() // whoever debugs it starts it again; that is no failure
				continue
			}
			failed(err)

		case <-ticker.C:
			if cur == nil || healthDone != nil {
				continue
			}
			ch := make(chan error, 1)
			healthDone = ch
			in := cur
			p.host.wg.Add(1)
			go func() {
				defer p.host.wg.Done()
				p.host.processes.ReapOrphans()
				p.measure(in)
				ch <- p.health(in)
			}()

		case err := <-healthDone:
			healthDone = nil
			if err == nil {
				if misses > 0 {
					p.log.Info("plugin is healthy again")
				}
				misses = 0
				p.setState(Ready, "")
				p.healthy()
				continue
			}
			var unwell *unwellError
			if errors.As(err, &unwell) {
				misses = 0
				p.setState(Degraded, unwell.detail)
				continue
			}
			if cur != nil && cur.proc.Attached() {
				continue // it stands at a breakpoint
			}
			misses++
			p.log.Warn("plugin missed a health check", "misses", misses, "error", err)
			if misses >= degradeAfter {
				p.setState(Degraded, fmt.Sprintf("missed %d health checks", misses))
			}
			if misses >= killAfter {
				in := cur
				cur, gone = nil, nil
				p.current.Store(nil)
				in.refuse()
				in.kill()
				in.destroy()
				p.host.metrics.killed.WithLabelValues(p.name, "health").Inc()
				failed(p.note(in, fmt.Errorf("killed: it missed %d health checks", misses)))
			}
		}
	}
}

// take makes in the process that is called.
func (p *plugin) take(in *instance) {
	p.mu.Lock()
	p.manifest, p.grants = in.manifest, in.grants()
	p.mu.Unlock()
	for _, s := range p.seams {
		s.breaker.reset()
		p.host.metrics.breaker.WithLabelValues(p.name, s.name).Set(0)
	}
	p.current.Store(in)
	p.host.claims.drop(p.name, uuid.Nil) // another program may say something else
	p.host.rebuild()                     // before anybody is told that it is ready
	p.setState(Ready, "")
	p.log.Info("plugin ready", "version", in.manifest.GetVersion(), "pid", in.proc.PID(), "took", p.host.now().Sub(in.started).Round(time.Millisecond))
	p.host.nudge(p)
}

// forgive forgets the failures: an operator or a reload said to try again.
func (p *plugin) forgive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures, p.nextStart = nil, time.Time{}
}

// blockError is a failure that another start can't mend: the block has to change.
type blockError struct{ diags config.Diagnostics }

func (e *blockError) Error() string {
	var out []string
	for _, d := range e.diags {
		if d.Severity == config.Error {
			out = append(out, strings.ReplaceAll(d.Position()+": "+d.Summary+": "+d.Detail, "\n", " "))
		}
	}
	return strings.Join(out, "; ")
}

// failed records a failure and says whether and when to start again.
func (p *plugin) failed(err error, backoffs int) (wait time.Duration, again bool) {
	now := p.host.now()
	var be *blockError
	if errors.As(err, &be) {
		p.setState(Failed, be.Error())
		p.log.Error("plugin can't run with its block as it is", "error", be.Error())
		return 0, false
	}
	wait = p.host.timing.backoff << min(backoffs, 10)
	wait = min(wait, maxBackoff)
	wait = time.Duration(float64(wait) * (0.8 + 0.4*rand.Float64()))
	p.mu.Lock()
	kept := p.failures[:0]
	for _, t := range p.failures {
		if now.Sub(t) < quarantineFor {
			kept = append(kept, t)
		}
	}
	p.failures = append(kept, now)
	n := len(p.failures)
	p.nextStart = now.Add(wait)
	p.mu.Unlock()
	if n >= quarantine {
		p.setState(Quarantined, fmt.Sprintf("failed %d times in %s, last: %v", n, quarantineFor, err))
		p.log.Error("plugin quarantined: it is not started again before a reload or a restart", "failures", n, "error", err)
		return 0, false
	}
	p.setState(Failed, err.Error())
	p.log.Error("plugin failed", "error", err, "failures", n, "next_start", wait.Round(time.Millisecond))
	return wait, true
}

func (p *plugin) getState() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

func (p *plugin) settle() { p.settledOnce.Do(func() { close(p.settled) }) }

// running reports whether the loop was begun and is not over.
func (p *plugin) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun && p.block.Enabled
}
