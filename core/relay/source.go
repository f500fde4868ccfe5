package relay

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/event"
)

// source is a log as the relay sees it.
type source[T any] struct {
	commits *commitlog.Log
	read    func(ctx context.Context, after commitlog.Position, limit int) ([]T, commitlog.Position, error)
	get     func(ctx context.Context, id string) (T, error)
	id      func(*T) string
	kind    func(*T) string
	pos     func(*T) commitlog.Position
	size    func(*T) int // bytes, about
}

func auditSource(l *audit.Log) *source[audit.Row] {
	return &source[audit.Row]{
		commits: l.Commits(),
		read:    l.Read,
		get: func(ctx context.Context, id string) (audit.Row, error) {
			u, err := uuid.Parse(id)
			if err != nil {
				return audit.Row{}, err
			}
			return l.Get(ctx, u)
		},
		id:   func(r *audit.Row) string { return r.ID.String() },
		kind: func(r *audit.Row) string { return r.Action },
		pos:  func(r *audit.Row) commitlog.Position { return r.Position },
		size: auditSize,
	}
}

// auditSize reckons roughly what a row weighs on the wire.
func auditSize(r *audit.Row) int {
	n := 300 + len(r.UserAgent) + len(r.Reason) + len(r.Actor.ID) + len(r.Actor.Display)
	for _, t := range r.Targets {
		n += 20 + len(t.ID) + len(t.Display)
	}
	return n + weigh(r.Metadata)
}

func weigh(v any) int {
	switch v := v.(type) {
	case string:
		return 4 + len(v)
	case map[string]any:
		n := 4
		for k, e := range v {
			n += len(k) + 4 + weigh(e)
		}
		return n
	case []any:
		n := 4
		for _, e := range v {
			n += weigh(e)
		}
		return n
	}
	return 8
}

func eventSource(s *event.Store) *source[event.Event] {
	return &source[event.Event]{
		commits: s.Commits(),
		read:    s.Read,
		get:     s.Get,
		id:      func(e *event.Event) string { return e.ID },
		kind:    func(e *event.Event) string { return e.Type },
		pos:     func(e *event.Event) commitlog.Position { return e.Position },
		size:    func(e *event.Event) int { return 200 + len(e.ID) + len(e.Subject) + len(e.Source) + len(e.Data) },
	}
}
