package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// lateness is how long a sink may take to notice that its deadline has passed, before it counts as hanging.
const lateness = time.Second

type answer struct {
	res Result
	err error
}

// deliver hands one batch to the sink. It returns when the sink has, or a little after the deadline at the latest; the
// sink's turn ends only when the sink returns, so one that hangs is never called twice at once. When owner ends, the
// delivery in flight gets a moment to end well. tick, if not nil, is called every so often and ends it by saying false.
func (s *sink[T]) deliver(owner context.Context, batch []T, tick func() bool) (Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(owner), s.r.cfg.DeliveryTimeout)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return Result{}, fmt.Errorf("an earlier delivery has not returned: %w", ctx.Err())
	}
	done := make(chan answer, 1)
	go func() {
		defer func() { <-s.turn }()
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a = answer{err: fmt.Errorf("the sink panicked: %v", p)}
			}
			done <- a
		}()
		a.res, a.err = s.call(ctx, batch)
	}()
	ticker := time.NewTicker(s.r.cfg.LeaseTTL / 3)
	defer ticker.Stop()
	stopping := owner.Done()
	var grace <-chan time.Time
	for {
		select {
		case a := <-done:
			return a.res, a.err
		case <-stopping:
			stopping, grace = nil, time.After(stopGrace)
		case <-grace:
			cancel()
		case <-ticker.C:
			if tick != nil && !tick() {
				cancel()
			}
		case <-ctx.Done():
			t := time.NewTimer(lateness)
			defer t.Stop()
			select {
			case a := <-done:
				if a.err != nil && !errors.Is(a.err, ctx.Err()) {
					a.err = fmt.Errorf("%w: %w", ctx.Err(), a.err)
				}
				return a.res, a.err
			case <-t.C:
				return Result{}, fmt.Errorf("the sink hangs: %w", ctx.Err())
			}
		}
	}
}

// judge sorts a sink's answer: the rows it refused, and what can't be true of this batch, which is dropped.
func judge[T any](src *source[T], batch []T, res Result) (dead []deadRow, counts Result, lies []string) {
	given := make(map[string]*T, len(batch))
	for i := range batch {
		given[src.id(&batch[i])] = &batch[i]
	}
	for _, f := range res.Refused {
		row, ok := given[f.ID]
		if !ok {
			if len(lies) < 5 {
				lies = append(lies, fmt.Sprintf("refused %q, which it was not given", shorten(f.ID, 64)))
			}
			continue
		}
		delete(given, f.ID)
		reason := shorten(f.Reason, 500)
		if reason == "" {
			reason = "refused without a reason"
		}
		dead = append(dead, deadRow{f.ID, src.kind(row), reason, src.pos(row)})
	}
	counts = Result{Inserted: res.Inserted, Duplicate: res.Duplicate, Conflict: res.Conflict}
	taken := len(batch) - len(dead)
	switch sum := counts.Inserted + counts.Duplicate + counts.Conflict; {
	case min(counts.Inserted, counts.Duplicate, counts.Conflict) < 0, max(counts.Inserted, counts.Duplicate, counts.Conflict) > taken, sum != 0 && sum != taken:
		lies = append(lies, fmt.Sprintf("counted %d inserted, %d duplicate and %d conflicting of %d", res.Inserted, res.Duplicate, res.Conflict, taken))
		fallthrough
	case sum == 0: // it doesn't count
		counts = Result{Inserted: taken}
	}
	return dead, counts, lies
}

// shorten makes text of a sink fit for the database and the log.
func shorten(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
