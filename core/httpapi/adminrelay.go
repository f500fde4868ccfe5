package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/relay"
)

// Relay is the relay as the API needs it; *relay.Relay is one.
type Relay interface {
	Status(ctx context.Context) ([]relay.CursorStatus, error)
	DeadLetters(ctx context.Context, sink string, after audit.Position, limit int) ([]relay.DeadLetter, error)
	Replay(ctx context.Context, actor audit.Ref, sink string, ids ...string) (relay.Replayed, error)
	Drop(ctx context.Context, actor audit.Ref, sink string, ids ...string) (int, error)
}

// RelayCursor is how one sink fares.
type RelayCursor relay.CursorStatus

// RelayCursors is how all sinks fare.
type RelayCursors struct {
	Cursors []RelayCursor `json:"cursors" doc:"One for each sink, by name."`
}

// DeadLetter is a row that a sink refused for good.
type DeadLetter relay.DeadLetter

// DeadLetterPage is a part of a sink's dead letters.
type DeadLetterPage struct {
	DeadLetters []DeadLetter   `json:"dead_letters" doc:"The oldest first."`
	Next        audit.Position `json:"next,omitzero" doc:"The position to go on from; absent at the end."`
}

// Refused is a row that a sink refused again.
type Refused struct {
	ID     string `json:"id" doc:"The row's id."`
	Reason string `json:"reason" doc:"What the sink said."`
}

// Replayed is what became of dead letters that were delivered again.
type Replayed struct {
	Replayed int       `json:"replayed" doc:"Taken now, and dead letters no longer."`
	Missing  int       `json:"missing" doc:"Gone from the log by retention. They stay until dropped."`
	Failed   []Refused `json:"failed" doc:"Refused again."`
}

// Dropped says how many dead letters were thrown away.
type Dropped struct {
	Dropped int `json:"dropped" doc:"How many were thrown away."`
}

type deadLettersInput struct {
	Sink  string         `path:"sink" maxLength:"128" doc:"The sink's name." example:"plugin.threadline"`
	After audit.Position `query:"after" doc:"The next member of the page before."`
	Limit int            `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many at most."`
}

type chooseInput struct {
	Sink string `path:"sink" maxLength:"128" doc:"The sink's name." example:"plugin.threadline"`
	Body struct {
		IDs []string `json:"ids,omitempty" maxItems:"500" doc:"Ids of the rows."`
		All bool     `json:"all,omitempty" doc:"Instead of ids: the oldest 500."`
	} `nameHint:"DeadLetterChoice"`
}

func (in *chooseInput) ids() ([]string, error) {
	if in.Body.All == (len(in.Body.IDs) > 0) {
		return nil, fault.New(fault.Invalid, "choice_needed", "Send either ids or \"all\": true.").At("ids")
	}
	return in.Body.IDs, nil
}

// adminRelay is the delivery of the audit log and of events to their sinks.
type adminRelay struct{ relay Relay }

// Mount adds the operations.
func (d adminRelay) Mount(k *kit) {
	off := d.relay == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/relay", id: "list-relay-cursors", tag: "relay", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Show how far each sink is", description: "Position, lag, who runs it, back-off and dead letters of every sink in the database.", ok: "All cursors.",
	}, func(ctx context.Context, _ asker, _ *none) (*struct{ Body RelayCursors }, error) {
		list, err := d.relay.Status(ctx)
		if err != nil {
			return nil, err
		}
		out := &struct{ Body RelayCursors }{RelayCursors{Cursors: []RelayCursor{}}}
		for _, c := range list {
			out.Body.Cursors = append(out.Body.Cursors, RelayCursor(c))
		}
		return out, nil
	})
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/relay/{sink}/dead-letters", id: "list-dead-letters", tag: "relay", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "List a sink's dead letters", description: "Rows the sink refused for good, with its reason. The rows themselves stay in their log.", ok: "A page of dead letters.",
	}, func(ctx context.Context, _ asker, in *deadLettersInput) (*struct{ Body DeadLetterPage }, error) {
		list, err := d.relay.DeadLetters(ctx, in.Sink, in.After, in.Limit)
		if err != nil {
			return nil, err
		}
		out := &struct{ Body DeadLetterPage }{DeadLetterPage{DeadLetters: []DeadLetter{}}}
		for _, d := range list {
			out.Body.DeadLetters = append(out.Body.DeadLetters, DeadLetter(d))
		}
		if len(list) == in.Limit {
			out.Body.Next = list[len(list)-1].Position
		}
		return out, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/relay/{sink}/dead-letters/replay", id: "replay-dead-letters", tag: "relay", off: off,
		limit: ratelimit.General, access: endpoint.Administrator, maxBody: adminBody, maxValues: 600,
		summary: "Deliver dead letters again", description: "Those the sink takes are dead letters no longer.", ok: "What became of them.",
		problems: map[int]string{http.StatusNotFound: "An id is no dead letter of the sink.", http.StatusConflict: "The sink is not attached on this node."},
	}, func(ctx context.Context, who asker, in *chooseInput) (*struct{ Body Replayed }, error) {
		ids, err := in.ids()
		if err != nil {
			return nil, err
		}
		res, err := d.relay.Replay(ctx, who.actor(), in.Sink, ids...)
		if err != nil {
			return nil, err
		}
		out := &struct{ Body Replayed }{Replayed{Replayed: res.Replayed, Missing: res.Missing, Failed: []Refused{}}}
		for _, f := range res.Failed {
			out.Body.Failed = append(out.Body.Failed, Refused{ID: f.ID, Reason: f.Reason})
		}
		return out, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/relay/{sink}/dead-letters/drop", id: "drop-dead-letters", tag: "relay", off: off,
		limit: ratelimit.General, access: endpoint.Administrator, maxBody: adminBody, maxValues: 600,
		summary: "Throw dead letters away", description: "The sink will never get these rows. There is no way back.", ok: "How many were thrown away.",
		problems: map[int]string{http.StatusNotFound: "An id is no dead letter of the sink."},
	}, func(ctx context.Context, who asker, in *chooseInput) (*struct{ Body Dropped }, error) {
		ids, err := in.ids()
		if err != nil {
			return nil, err
		}
		n, err := d.relay.Drop(ctx, who.actor(), in.Sink, ids...)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Dropped }{Dropped{n}}, nil
	})
}
