package relay

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// leadOn moves rows until ctx ends or the lease is lost.
func (s *sink[T]) leadOn(ctx context.Context) {
	for ctx.Err() == nil && s.hold(ctx) {
		if len(s.buf) == 0 {
			rows, err := s.next(ctx)
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
	s.cutting = s.cutting && s.limit < s.r.cfg.BatchRows
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
		if !s.cutting {
			s.cutting, s.proven = true, false
		}
		s.limit = len(batch) / 2
		s.lone = 0
		log.Debug("batch refused; looking for the row that does it")
		return true
	case permanent:
		s.lone++
		// Neighbours of its batch that were taken show that it is the row; without them it could be the sink's bad moment.
		if (s.lone >= loneAttempts || s.cutting && s.proven) && s.poison < poisonRun {
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
