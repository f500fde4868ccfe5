package relay

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/store"
)

const (
	linger       = 20 * time.Millisecond // between reads that found little: rows gather meanwhile, and commits are few
	skipRows     = 1000                  // unwanted rows after which the cursor is stored
	skipTime     = time.Second           // and the time after which it is
	loneAttempts = 3                     // failures for good of a row that stands alone, before it is dead
	poisonRun    = 20                    // rows in a row given up on, before it is the sink that is broken
	stopGrace    = 2 * time.Second       // for a delivery in flight when the runner is told to stop
)

// sink is one attached sink and the goroutine that runs it. All fields below the line are that goroutine's alone.
type sink[T any] struct {
	r     *Relay
	src   *source[T]
	name  string
	wants func(string) bool
	call  func(context.Context, []T) (Result, error)
	opts  options

	turn   chan struct{} // holds one while a delivery is with the sink
	rows   chan struct{} // there may be rows
	well   chan struct{} // the sink is said to be well
	begun  sync.Once
	cancel context.CancelFunc
	done   chan struct{}
	lead   atomic.Bool

	// ----
	token    int64     // of the lease under which the cursor was claimed; 0: it was not
	until    time.Time // end of the lease by our own measure
	pos      commitlog.Position
	buf      []T          // rows after pos, read and not yet dealt with
	ahead    chan page[T] // the rows behind those, being read while buf is delivered; nil: none
	skipped  int          // rows passed over since the cursor was stored
	stored   time.Time
	read     time.Time // when rows were last read
	limit    int       // rows per delivery: halved by trouble, doubled by success
	failures int
	lone     int  // failures for good of the row that now stands alone
	cutting  bool // a batch was refused for good and is being cut
	proven   bool // a row was taken since the cutting began, or since the last row given up on
	poison   int  // rows given up on since one was taken
}

func newSink[T any](r *Relay, src *source[T], name string, wants func(string) bool, call func(context.Context, []T) (Result, error), o options) *sink[T] {
	return &sink[T]{
		r: r, src: src, name: name, wants: wants, call: call, opts: o, limit: r.cfg.BatchRows,
		turn: make(chan struct{}, 1), rows: make(chan struct{}, 1), well: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

func (s *sink[T]) start(ctx context.Context) {
	s.begun.Do(func() {
		ctx, s.cancel = context.WithCancel(ctx)
		go s.run(ctx)
	})
}

func (s *sink[T]) stop()                    { s.cancel() }
func (s *sink[T]) stopped() <-chan struct{} { return s.done }
func (s *sink[T]) leading() bool            { return s.lead.Load() }
func (s *sink[T]) commits() *commitlog.Log  { return s.src.commits }
func (s *sink[T]) logName() string          { return s.src.commits.Table() }
func (s *sink[T]) lease() string            { return "relay:" + s.name }
func (s *sink[T]) polled() bool             { return s.r.cfg.DB.Dialect() == store.Postgres }

func (s *sink[T]) wake() {
	select {
	case s.rows <- struct{}{}:
	default:
	}
}

func (s *sink[T]) nudge() {
	select {
	case s.well <- struct{}{}:
	default:
	}
}

// run stands by for the lease and leads while it has it.
func (s *sink[T]) run(ctx context.Context) {
	defer close(s.done)
	defer s.leave()
	for ctx.Err() == nil {
		if s.hold(ctx) {
			s.lead.Store(true)
			s.leadOn(ctx)
			s.lead.Store(false)
			continue
		}
		s.wait(ctx, s.r.cfg.LeaseTTL/4, s.well)
	}
}

// leave stores what can be stored and gives the lease back.
func (s *sink[T]) leave() {
	if s.token == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if s.skipped > 0 {
		if err := s.r.move(ctx, s.name, s.logName(), s.token, s.pos, 0, nil); err != nil {
			s.r.cfg.Logger.Debug("cursor not stored at the end", "sink", s.name, "error", err)
		}
	}
	s.release(ctx)
}

func (s *sink[T]) release(ctx context.Context) {
	s.drop()
	if err := s.r.cfg.Leases.Release(ctx, s.lease()); err != nil {
		s.r.cfg.Logger.Debug("lease not given back", "sink", s.name, "error", err)
	}
}

// drop forgets everything that only the holder of the lease may know.
func (s *sink[T]) drop() {
	s.token, s.buf, s.skipped, s.until = 0, nil, 0, time.Time{}
	if s.ahead != nil {
		<-s.ahead
		s.ahead = nil
	}
}

// page is the answer of one read.
type page[T any] struct {
	rows []T
	err  error
}

// next gives the rows after the cursor, and asks for those behind them when there seem to be more: while the sink is at
// work on the one page, the database is on the other.
func (s *sink[T]) next(ctx context.Context) ([]T, error) {
	var p page[T]
	if s.ahead != nil {
		p = <-s.ahead
		s.ahead = nil
	} else {
		p.rows, _, p.err = s.src.read(ctx, s.pos, s.r.cfg.BatchRows)
	}
	if n := len(p.rows); n == s.r.cfg.BatchRows && n > 1 {
		after, ahead := s.src.pos(&p.rows[n-1]), make(chan page[T], 1)
		s.ahead = ahead
		go func() {
			rows, _, err := s.src.read(ctx, after, s.r.cfg.BatchRows)
			ahead <- page[T]{rows, err}
		}()
	}
	return p.rows, p.err
}

// hold takes or prolongs the lease when less than two thirds of it are left, and claims the cursor when the lease is
// a new one. It reports whether this node is the runner.
func (s *sink[T]) hold(ctx context.Context) bool {
	ttl := s.r.cfg.LeaseTTL
	if s.token != 0 && time.Until(s.until) > ttl*2/3 {
		return true
	}
	asked := time.Now()
	held, token, err := s.r.cfg.Leases.Acquire(ctx, s.lease(), ttl)
	switch {
	case err != nil:
		if ctx.Err() == nil {
			s.r.cfg.Logger.Warn("lease not reached", "sink", s.name, "error", err)
		}
		return s.token != 0 && time.Now().Before(s.until) // until it runs out it is ours
	case !held:
		if s.token != 0 {
			s.r.cfg.Logger.Info("sink is run by another node now", "sink", s.name)
		}
		s.drop()
		return false
	}
	s.until = asked.Add(ttl)
	if token == s.token {
		return true
	}
	s.drop()
	pos, err := s.r.claim(ctx, s.name, s.logName(), token, func() (commitlog.Position, error) {
		if s.opts.fromNow {
			return s.src.commits.Head(ctx)
		}
		return commitlog.Position{}, nil
	})
	if err != nil {
		if ctx.Err() == nil {
			s.r.cfg.Logger.Error("cursor not claimed", "sink", s.name, "error", err)
		}
		return false
	}
	s.token, s.until, s.pos, s.stored = token, asked.Add(ttl), pos, time.Now()
	s.failures, s.lone, s.limit, s.cutting = 0, 0, s.r.cfg.BatchRows, false
	s.r.cfg.Logger.Debug("sink is run here", "sink", s.name, "position", pos.String())
	return true
}

// prolong keeps the lease during a delivery, and reports false when it is surely lost. It changes nothing else: what
// follows from the loss is for when the delivery has ended.
func (s *sink[T]) prolong(ctx context.Context) bool {
	asked := time.Now()
	held, token, err := s.r.cfg.Leases.Acquire(ctx, s.lease(), s.r.cfg.LeaseTTL)
	if err != nil {
		return true // the fence on the cursor is what protects; perhaps it works next time
	}
	if !held || token != s.token {
		return false
	}
	s.until = asked.Add(s.r.cfg.LeaseTTL)
	return true
}

// idle waits for rows. On Postgres it keeps the lease; on SQLite, where nobody competes, it lets it run out and
// leadOn takes it again.
func (s *sink[T]) idle(ctx context.Context) {
	for ctx.Err() == nil {
		d := time.Hour
		if s.polled() {
			d = s.r.cfg.LeaseTTL / 3
		}
		if s.skipped > 0 {
			d = min(d, max(time.Millisecond, skipTime-time.Since(s.stored)))
		}
		if s.wait(ctx, d, s.rows) {
			if since := time.Since(s.read); since < linger {
				s.wait(ctx, linger-since, nil)
			}
			return
		}
		if s.skipped > 0 && time.Since(s.stored) >= skipTime && !s.storeSkip(ctx) {
			return
		}
		if s.polled() {
			return // leadOn prolongs the lease
		}
	}
}

// wait waits for d, for ctx or for ch, and reports whether it was ch.
func (s *sink[T]) wait(ctx context.Context, d time.Duration, ch <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-ch:
		return true
	}
	return false
}
