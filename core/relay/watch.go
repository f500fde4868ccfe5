package relay

import (
	"context"
	"time"

	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/store"
)

// watch wakes the sinks of one log when it has grown: at once when this process committed, and on Postgres when its
// head is seen to have moved, which other nodes and rows that the horizon held back make it do.
func (r *Relay) watch(ctx context.Context, cl *commitlog.Log) {
	commits := make(chan commitlog.Position, 1)
	stop := cl.OnCommit(func(p commitlog.Position) {
		for { // the newest stays
			select {
			case commits <- p:
				return
			default:
			}
			select {
			case <-commits:
			default:
			}
		}
	})
	defer stop()
	if r.cfg.DB.Dialect() == store.SQLite {
		for {
			select {
			case <-ctx.Done():
				return
			case <-commits:
				r.wakeAll(cl)
			}
		}
	}
	const soon = 2 * time.Millisecond
	var head, latest commitlog.Position
	wait := soon
	for {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case p := <-commits:
			t.Stop()
			if p.Compare(latest) > 0 {
				latest = p
			}
			r.wakeAll(cl)
			wait = soon // the horizon may have hidden it: look again
			continue
		case <-t.C:
		}
		now, err := cl.Head(ctx)
		if err != nil {
			if ctx.Err() == nil {
				r.cfg.Logger.Warn("log not watched", "log", cl.Table(), "error", err)
			}
			wait = time.Second
			continue
		}
		if now != head {
			head = now
			r.wakeAll(cl)
		}
		if wait = min(2*wait, r.cfg.Poll); head.Compare(latest) >= 0 {
			wait = r.cfg.Poll
		}
	}
}

func (r *Relay) wakeAll(cl *commitlog.Log) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sinks {
		if s.commits() == cl {
			s.wake()
		}
	}
}
