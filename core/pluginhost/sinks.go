package pluginhost

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/relay"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// Relay feeds sinks from durable cursors; core/relay is one.
type Relay interface {
	AttachAudit(name string, wants func(action string) bool, deliver func(context.Context, []audit.Row) (relay.Result, error), opts ...relay.Option) error
	AttachEvents(name string, wants func(typ string) bool, deliver func(context.Context, []event.Event) (relay.Result, error), opts ...relay.Option) error
	Detach(ctx context.Context, name string) error
	Nudge(name string)
	// Forget drops a sink's cursor and dead letters.
	Forget(ctx context.Context, name string) error
}

// maxBatchBytes keeps a batch below the 4 MB that a gRPC server takes by default.
const maxBatchBytes = 3 << 20

func sizeOf(m proto.Message) int { return proto.Size(m) + 8 }

func cursorName(plugin string) string      { return "plugin." + plugin }
func eventCursorName(plugin string) string { return "plugin." + plugin + ".events" }

// attachments are the sinks of a plugin that the relay knows.
type attachments struct{ audit, events bool }

// attach brings the relay in line with what the plugin offers; it is called under Host.wiring.
func (h *Host) attach(ctx context.Context, p *plugin) {
	if h.cfg.Relay == nil {
		return
	}
	p.mu.Lock()
	m, b, have := p.manifest, p.block, p.attached
	p.mu.Unlock()
	var opts []relay.Option
	if b.Events.From == config.FromNow {
		opts = append(opts, relay.FromNow())
	}
	wantAudit, wantEvents := m.offers(pluginv1.AuditSink_ServiceDesc.ServiceName), m.offers(pluginv1.EventSink_ServiceDesc.ServiceName)
	if have.audit != wantAudit {
		var err error
		if wantAudit {
			err = h.cfg.Relay.AttachAudit(cursorName(p.name), sink{p}.wantsAction, sink{p}.record, opts...)
		} else {
			err = h.cfg.Relay.Detach(ctx, cursorName(p.name))
		}
		if err != nil {
			h.log.Error("audit sink not attached or detached", "plugin", p.name, "error", err)
		} else {
			have.audit = wantAudit
		}
	}
	if have.events != wantEvents {
		var err error
		if wantEvents {
			err = h.cfg.Relay.AttachEvents(eventCursorName(p.name), sink{p}.wantsEvent, sink{p}.receive, opts...)
		} else {
			err = h.cfg.Relay.Detach(ctx, eventCursorName(p.name))
		}
		if err != nil {
			h.log.Error("event sink not attached or detached", "plugin", p.name, "error", err)
		} else {
			have.events = wantEvents
		}
	}
	p.mu.Lock()
	p.attached = have
	p.mu.Unlock()
}

// detach takes a plugin's sinks from the relay, which waits for the delivery in flight and keeps the cursors.
func (h *Host) detach(ctx context.Context, p *plugin) {
	p.mu.Lock()
	have := p.attached
	p.attached = attachments{}
	p.mu.Unlock()
	for name, attached := range map[string]bool{cursorName(p.name): have.audit, eventCursorName(p.name): have.events} {
		if !attached {
			continue
		}
		if err := h.cfg.Relay.Detach(ctx, name); err != nil {
			h.log.Warn("sink not detached", "plugin", p.name, "sink", name, "error", err)
		}
	}
}

// nudge tells the relay that a plugin's sinks are worth trying again.
func (h *Host) nudge(p *plugin) {
	if h.cfg.Relay != nil {
		h.cfg.Relay.Nudge(cursorName(p.name))
		h.cfg.Relay.Nudge(eventCursorName(p.name))
	}
}

// sink is what the relay feeds of a plugin.
type sink struct{ p *plugin }

// wantsAction says whether a row goes to the plugin: what its block excludes never, what it or the manifest includes
// always, and the rest as the catalogue has it. A plugin's own rows never come back to it.
func (s sink) wantsAction(action string) bool {
	s.p.mu.Lock()
	b, m := s.p.block.Events, s.p.manifest
	s.p.mu.Unlock()
	switch {
	case m != nil && strings.HasPrefix(action, m.GetName()+"."), matches(b.Exclude, action):
		return false
	case matches(b.Include, action), m != nil && matches(m.GetAuditActions(), action):
		return true
	}
	return audit.Delivered(action)
}

// wantsEvent says whether a host-emitted event goes to the plugin: those it named, and what its block includes.
func (s sink) wantsEvent(typ string) bool {
	s.p.mu.Lock()
	b, m := s.p.block.Events, s.p.manifest
	s.p.mu.Unlock()
	if m == nil || matches(b.Exclude, typ) {
		return false
	}
	return matches(m.GetEventPatterns(), typ) || matches(b.Include, typ)
}

// matches reports whether a name is in the list, or below one of its prefixes: "billing.*".
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, ok := strings.CutSuffix(p, "*")
		return p == name || ok && (prefix == "" || strings.HasSuffix(prefix, ".")) && strings.HasPrefix(name, prefix)
	})
}

// record is the AuditSink facade: a batch of the relay's, cut to what fits into a message.
func (s sink) record(ctx context.Context, rows []audit.Row) (relay.Result, error) {
	rows, refused, most, err := tooFar(ctx, s.p.host.hops, rows, rowHop)
	if err != nil {
		return relay.Result{}, err
	}
	defer s.p.host.hops.begin(s.p.name, most)()
	out := relay.Result{Refused: refused}
	for len(rows) > 0 {
		req := &pluginv1.RecordRequest{}
		size, n := 0, 0
		for ; n < len(rows); n++ {
			row, err := rowTo(&rows[n])
			if err != nil {
				out.Refused = append(out.Refused, relay.Refusal{ID: rows[n].ID.String(), Reason: err.Error()})
				continue
			}
			if size += sizeOf(row); size > maxBatchBytes && len(req.Rows) > 0 {
				break
			}
			req.Rows = append(req.Rows, row)
		}
		rows = rows[n:]
		err := s.p.call(ctx, pluginv1.AuditSink_ServiceDesc.ServiceName, s.p.host.timing.sink, func(ctx context.Context, in *instance) error {
			resp, err := pluginv1.NewAuditSinkClient(in.conn).Record(ctx, req)
			if err != nil {
				return err
			}
			out.Inserted += int(resp.GetInserted())
			out.Duplicate += int(resp.GetDuplicate())
			out.Conflict += int(resp.GetConflict())
			out.Refused = append(out.Refused, refusedRows(resp.GetRefused())...)
			return nil
		})
		if err != nil {
			return relay.Result{}, err
		}
	}
	return out, nil
}

// receive is the EventSink facade.
func (s sink) receive(ctx context.Context, events []event.Event) (relay.Result, error) {
	events, refused, most, err := tooFar(ctx, s.p.host.hops, events, eventHop)
	if err != nil {
		return relay.Result{}, err
	}
	defer s.p.host.hops.begin(s.p.name, most)()
	out := relay.Result{Refused: refused}
	for len(events) > 0 {
		req := &pluginv1.ReceiveRequest{}
		size, n := 0, 0
		for ; n < len(events); n++ {
			e := eventTo(&events[n])
			if size += sizeOf(e); size > maxBatchBytes && n > 0 {
				break
			}
			req.Events = append(req.Events, e)
		}
		events = events[n:]
		err := s.p.call(ctx, pluginv1.EventSink_ServiceDesc.ServiceName, s.p.host.timing.sink, func(ctx context.Context, in *instance) error {
			resp, err := pluginv1.NewEventSinkClient(in.conn).Receive(ctx, req)
			if err != nil {
				return err
			}
			refused := refusedRows(resp.GetRefused())
			out.Inserted += len(req.Events) - min(len(refused), len(req.Events))
			out.Refused = append(out.Refused, refused...)
			return nil
		})
		if err != nil {
			return relay.Result{}, err
		}
	}
	return out, nil
}

func refusedRows(in []*pluginv1.RowFailure) []relay.Refusal {
	var out []relay.Refusal
	for _, f := range in {
		out = append(out, relay.Refusal{ID: f.GetId(), Reason: printable(clip(f.GetReason(), 512))})
	}
	return out
}
