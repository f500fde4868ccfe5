package relay

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the tables relay_cursor and relay_dead_letter.
//
//go:embed migrations
var Migrations embed.FS

// Leases lets one node at a time run a sink; *lease.Store is one.
type Leases interface {
	// Acquire takes or prolongs a lease. The token grows with every change of holder.
	Acquire(ctx context.Context, name string, ttl time.Duration) (held bool, token int64, err error)
	// Release gives a lease back if it is ours.
	Release(ctx context.Context, name string) error
	// Holder names who has it now; empty: nobody.
	Holder(ctx context.Context, name string) (string, error)
}

// Config says what the relay works on. DB, Audit, Events and Leases are needed.
type Config struct {
	DB         *store.DB
	Audit      *audit.Log
	Events     *event.Store
	Leases     Leases
	Node       string                // this node's name, as in Leases
	Now        func() time.Time      // nil: the clock
	Logger     hclog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: no metrics
	Retention  Retention

	// The rest is for tests and for the unusual; zero means the default.
	Poll            time.Duration // how often Postgres is asked for other nodes' rows: 200 ms
	LeaseTTL        time.Duration // 5 s
	DeliveryTimeout time.Duration // 5 s
	FirstBackoff    time.Duration // 500 ms, doubling
	MaxBackoff      time.Duration // to 60 s
	BatchRows       int           // 1000, the most there can be
	BatchBytes      int           // 1 MiB, about
}

// Retention says how long things are kept; zero keeps them for ever.
type Retention struct {
	Audit, Anonymous, Events, DeadLetters time.Duration // Anonymous: rows of the audit log that tell of failures of nobody in particular
	Every                                 time.Duration // how often it is looked after; 0: hourly
}

func (c *Config) defaults() error {
	if c.DB == nil || c.Audit == nil || c.Events == nil || c.Leases == nil {
		return errors.New("the relay needs a database, the audit log, the event store and leases")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&c.Poll, 200 * time.Millisecond}, {&c.LeaseTTL, 5 * time.Second}, {&c.DeliveryTimeout, 5 * time.Second},
		{&c.FirstBackoff, 500 * time.Millisecond}, {&c.MaxBackoff, 60 * time.Second}, {&c.Retention.Every, time.Hour},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if c.BatchRows <= 0 || c.BatchRows > audit.MaxRead {
		c.BatchRows = audit.MaxRead
	}
	if c.BatchBytes <= 0 {
		c.BatchBytes = 1 << 20
	}
	return nil
}

// Relay runs the sinks of one node. Safe for concurrent use.
type Relay struct {
	cfg     Config
	metrics *metrics
	audit   *source[audit.Row]
	events  *source[event.Event]

	mu      sync.Mutex
	sinks   map[string]runner
	runCtx  context.Context // of Run while it runs: the owner of every runner's goroutine; nil before and after
	ended   bool
	running sync.WaitGroup
}

// runner is a sink of either kind.
type runner interface {
	start(ctx context.Context)
	stop()                    // cancels the goroutine
	stopped() <-chan struct{} // closed when it has ended, the delivery in flight included
	wake()                    // there may be rows
	nudge()                   // the sink is well again
	logName() string          // table it reads
	commits() *commitlog.Log  // its log
	leading() bool            // this node runs it
	replay(ctx context.Context, ids []string) (replayed, missing []string, failed []Refusal, err error)
}

// New makes a relay. Nothing moves before Run.
func New(cfg Config) (*Relay, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	r := &Relay{cfg: cfg, sinks: map[string]runner{}, audit: auditSource(cfg.Audit), events: eventSource(cfg.Events)}
	m, err := newMetrics(r, cfg.Registerer)
	if err != nil {
		return nil, err
	}
	r.metrics = m
	return r, nil
}

// Result is a sink's answer to a batch: every row that Refused does not name is durable.
type Result struct {
	Inserted, Duplicate, Conflict int
	Refused                       []Refusal
}

// Refusal is a row that a sink can never take.
type Refusal struct{ ID, Reason string }

// Option changes how a sink is attached.
type Option func(*options)

type options struct{ fromNow bool }

// FromNow lets a sink that never was attached before begin with the rows that come, and not with the oldest kept.
func FromNow() Option { return func(o *options) { o.fromNow = true } }

// Permanent marks an error of a delivery that a repetition can't cure. Every other error is retried.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

type permanentError struct{ error }

func (e permanentError) Unwrap() error   { return e.error }
func (e permanentError) Permanent() bool { return true }

func isPermanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

// AttachAudit gives a sink the audit rows that it wants, from its cursor on. name is the cursor's and must be the same
// each time: "plugin.threadline". deliver gets one batch at a time and must be done when its context is.
func (r *Relay) AttachAudit(name string, wants func(action string) bool, deliver func(context.Context, []audit.Row) (Result, error), opts ...Option) error {
	return attach(r, r.audit, name, wants, deliver, opts)
}

// AttachEvents gives a sink the host-emitted events that it wants, like AttachAudit. A sink that takes both needs two names.
func (r *Relay) AttachEvents(name string, wants func(typ string) bool, deliver func(context.Context, []event.Event) (Result, error), opts ...Option) error {
	return attach(r, r.events, name, wants, deliver, opts)
}

var sinkName = regexp.MustCompile(`^[a-z][a-z0-9_.:-]{0,99}$`)

func attach[T any](r *Relay, src *source[T], name string, wants func(string) bool, deliver func(context.Context, []T) (Result, error), opts []Option) error {
	if !sinkName.MatchString(name) || wants == nil || deliver == nil {
		return fmt.Errorf("attach sink %q: it needs a lower-case name, a filter and a function", name)
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return fmt.Errorf("attach sink %s: the relay has ended", name)
	}
	if _, taken := r.sinks[name]; taken {
		return fmt.Errorf("attach sink %s: it is attached already", name)
	}
	s := newSink(r, src, name, wants, deliver, o)
	r.sinks[name] = s
	if r.runCtx != nil {
		r.launch(name, s)
	}
	return nil
}

// launch starts a sink's goroutine; r.mu is held.
func (r *Relay) launch(name string, s runner) {
	ctx := r.runCtx
	s.start(ctx)
	r.running.Go(func() {
		<-s.stopped()
		if ctx.Err() == nil { // detached, and the name is free again even if Detach did not wait for this
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.sinks[name] == s {
				delete(r.sinks, name)
			}
		}
	})
}

// Detach ends a sink's deliveries, waiting for the one in flight until ctx ends, and keeps its cursor: attached again, it
// goes on there. A name that is not attached is no error.
func (r *Relay) Detach(ctx context.Context, name string) error {
	r.mu.Lock()
	s, ok := r.sinks[name]
	started := r.runCtx != nil || r.ended
	r.mu.Unlock()
	if !ok {
		return nil
	}
	if started {
		s.stop()
		select {
		case <-s.stopped():
		case <-ctx.Done():
			return fmt.Errorf("detach sink %s: the delivery in flight has not ended: %w", name, ctx.Err())
		}
	}
	r.mu.Lock()
	if r.sinks[name] == s {
		delete(r.sinks, name)
	}
	r.mu.Unlock()
	if err := r.markDetached(ctx, name); err != nil {
		return fmt.Errorf("detach sink %s: %w", name, err)
	}
	return nil
}

// Nudge ends a sink's back-off: it is healthy again.
func (r *Relay) Nudge(name string) {
	r.mu.Lock()
	s := r.sinks[name]
	r.mu.Unlock()
	if s != nil {
		s.nudge()
	}
}

// Run moves rows until ctx ends, and then returns nil once every delivery in flight has ended.
func (r *Relay) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.mu.Lock()
	if r.runCtx != nil || r.ended {
		r.mu.Unlock()
		return errors.New("a relay runs once")
	}
	r.runCtx = ctx
	for name, s := range r.sinks {
		r.launch(name, s)
	}
	r.mu.Unlock()

	var own sync.WaitGroup
	for _, cl := range []*commitlog.Log{r.cfg.Audit.Commits(), r.cfg.Events.Commits()} {
		own.Go(func() { r.watch(ctx, cl) })
	}
	own.Go(func() { r.runRetention(ctx) })
	<-ctx.Done()

	r.mu.Lock()
	r.runCtx, r.ended = nil, true
	r.mu.Unlock()
	own.Wait()
	r.running.Wait()
	return nil
}
