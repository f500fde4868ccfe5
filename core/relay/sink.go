package relay

import (
	"context"
	"errors"
	"math/rand/v2"
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
	buf      []T // rows after pos, read and not yet dealt with
	skipped  int // rows passed over since the cursor was stored
	stored   time.Time
	read     time.Time // when rows were last read
	limit    int       // rows per delivery: halved by trouble, doubled by success
	failures int
	lone     int  // failures for good of the row that now stands alone
	proven   bool // a row was taken since the last one given up on
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
func (s *sink[T]) drop() { s.token, s.buf, s.skipped, s.until = 0, nil, 0, time.Time{} }

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
	s.failures, s.lone, s.limit = 0, 0, s.r.cfg.BatchRows
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

// leadOn moves rows until ctx ends or the lease is lost.
func (s *sink[T]) leadOn(ctx context.Context) {
	for ctx.Err() == nil && s.hold(ctx) {
		if len(s.buf) == 0 {
			rows, _, err := s.src.read(ctx, s.pos, s.r.cfg.BatchRows)
			s.read = time.Now()
			if err != nil {
				if ctx.Err() == nil {
					s.r.cfg.Logger.Warn("log not read", "sink", s.name, "error", err)
				}
				s.wait(ctx, time.Second, nil)
				continue
			}
			if len(rows) == 0 {
				s.idle(ctx)
				continue
			}
			s.buf = rows
		}
		batch, through := s.pick()
		if len(batch) == 0 {
			s.pass(through)
			if s.skipped >= skipRows && !s.storeSkip(ctx) {
				return
			}
			continue
		}
		if !s.attempt(ctx, batch, through) {
			return
		}
	}
}

// pick chooses the wanted rows at the head of the buffer, within the limits, and says how many rows of the buffer they
// cover: the unwanted ones between and behind them are covered too.
func (s *sink[T]) pick() (batch []T, through int) {
	bytes := 0
	for i := range s.buf {
		row := &s.buf[i]
		if !s.wants(s.src.kind(row)) {
			continue
		}
		size := s.src.size(row)
		if len(batch) > 0 && (len(batch) == s.limit || bytes+size > s.r.cfg.BatchBytes) {
			return batch, i
		}
		bytes += size
		batch = append(batch, *row)
	}
	return batch, len(s.buf)
}

// pass leaves the first n rows of the buffer behind.
func (s *sink[T]) pass(n int) {
	s.pos = s.src.pos(&s.buf[n-1])
	s.buf = s.buf[n:]
	s.skipped += n
}

// attempt delivers a batch and does what its end demands. It reports whether this node is still the runner.
func (s *sink[T]) attempt(ctx context.Context, batch []T, through int) bool {
	began := time.Now()
	res, err := s.deliver(ctx, batch, func() bool { return s.prolong(ctx) })
	s.r.metrics.delivered(s.name, time.Since(began), err)
	if err != nil {
		return s.failed(ctx, batch, through, err)
	}
	dead, counts, lies := judge(s.src, batch, res)
	if len(lies) > 0 {
		s.r.metrics.lies.WithLabelValues(s.name).Add(float64(len(lies)))
		s.r.cfg.Logger.Warn("sink gave an answer that can't be true; that part is ignored", "sink", s.name, "answer", lies)
	}
	s.r.metrics.rows(s.name, counts, len(dead))
	if len(dead) < len(batch) {
		s.proven, s.poison = true, 0
	}
	s.failures, s.lone = 0, 0
	s.limit = min(2*s.limit, s.r.cfg.BatchRows)
	s.pass(through)
	return s.store(ctx, len(batch)-len(dead), dead)
}

// store puts the cursor where the runner is. What was delivered is stored even when the runner was told to stop
// meanwhile; while the database fails it is tried again, because asking the sink again would only bring duplicates.
func (s *sink[T]) store(ctx context.Context, delivered int, dead []deadRow) bool {
	for {
		done, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		err := s.r.move(done, s.name, s.logName(), s.token, s.pos, delivered, dead)
		cancel()
		switch {
		case err == nil:
			s.skipped, s.stored = 0, time.Now()
			return true
		case errors.Is(err, errFenced):
			s.r.cfg.Logger.Info("sink is run by another node now", "sink", s.name)
			s.drop()
			return false
		}
		s.r.cfg.Logger.Warn("cursor not stored", "sink", s.name, "error", err)
		s.wait(ctx, 200*time.Millisecond, nil)
		if ctx.Err() != nil || !s.hold(ctx) {
			s.drop() // the stored cursor is behind: the batch will be repeated
			return false
		}
	}
}

func (s *sink[T]) storeSkip(ctx context.Context) bool { return s.skipped == 0 || s.store(ctx, 0, nil) }

// failed deals with a delivery that failed: cut the batch, give up on a row, or wait.
func (s *sink[T]) failed(ctx context.Context, batch []T, through int, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	log := s.r.cfg.Logger.With("sink", s.name, "rows", len(batch), "error", shorten(err.Error(), 500))
	switch permanent := isPermanent(err); {
	case permanent && len(batch) > 1:
		s.limit = len(batch) / 2
		s.lone = 0
		log.Debug("batch refused; looking for the row that does it")
		return true
	case permanent:
		s.lone++
		if (s.lone >= loneAttempts || s.proven) && s.poison < poisonRun {
			row := &batch[0]
			id := s.src.id(row)
			log.Warn("row given up on; see the dead letters", "id", id)
			s.poison++
			s.proven, s.lone, s.failures = false, 0, 0
			s.r.metrics.rows(s.name, Result{}, 1)
			dead := []deadRow{{id, s.src.kind(row), shorten(err.Error(), 500), s.src.pos(row)}}
			s.pass(through)
			return s.store(ctx, 0, dead)
		}
	case errors.Is(err, context.DeadlineExceeded):
		s.limit = max(1, len(batch)/2) // perhaps it would have managed fewer
	}
	wait := s.backoff()
	s.failures++
	if s.failures == 1 || s.failures%10 == 0 {
		log.Warn("delivery failed; trying again", "failures", s.failures, "in", wait.Round(time.Millisecond))
	}
	if e := s.r.fail(ctx, s.name, s.token, s.failures, wait, err); errors.Is(e, errFenced) {
		s.drop()
		return false
	}
	if wait > s.r.cfg.LeaseTTL && s.polled() {
		// Perhaps the sink is well on another node.
		failures := s.failures
		s.release(ctx)
		s.lead.Store(false)
		s.wait(ctx, wait, s.well)
		defer func() { s.failures = failures }()
		if !s.hold(ctx) {
			return false
		}
		s.lead.Store(true)
		return true
	}
	s.renewing(ctx, wait)
	return ctx.Err() == nil
}

// backoff is the wait before the next attempt: doubling, and a fifth up or down so that sinks don't march in step.
func (s *sink[T]) backoff() time.Duration {
	d := s.r.cfg.FirstBackoff
	for range min(s.failures, 30) {
		if d *= 2; d >= s.r.cfg.MaxBackoff {
			break
		}
	}
	d = min(d, s.r.cfg.MaxBackoff)
	return d*4/5 + rand.N(d*2/5+1)
}

// renewing waits out a back-off, or until the sink is said to be well, and keeps the lease meanwhile.
func (s *sink[T]) renewing(ctx context.Context, d time.Duration) {
	for end := time.Now().Add(d); ctx.Err() == nil; {
		left := time.Until(end)
		if left <= 0 {
			return
		}
		if s.wait(ctx, min(left, s.r.cfg.LeaseTTL/3), s.well) {
			s.failures = 0
			return
		}
		if !s.hold(ctx) {
			return
		}
	}
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
