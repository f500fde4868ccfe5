package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// EventInfo is a stored event.
type EventInfo struct {
	ID             string          `json:"id" doc:"The application's id of the event."`
	Type           string          `json:"type" doc:"What happened." example:"billing.subscription.upgraded"`
	OccurredAt     time.Time       `json:"occurred_at" doc:"When it happened."`
	ReceivedAt     time.Time       `json:"received_at" doc:"When it was stored."`
	Subject        string          `json:"subject,omitempty" doc:"What it is about."`
	Source         string          `json:"source,omitempty" doc:"Who told it."`
	Data           json.RawMessage `json:"data,omitempty" doc:"As it was sent."`
	OrganizationID string          `json:"organization_id,omitempty" doc:"The organization that it is about."`
	Schema         string          `json:"schema,omitempty" doc:"What the data looks like."`
	Version        int64           `json:"version,omitempty" doc:"Of the subject."`
	Position       audit.Position  `json:"position" doc:"Its place in the log of events."`
}

// EventPage is a part of the log of events.
type EventPage struct {
	Events []EventInfo    `json:"events" doc:"In the order in which they were stored."`
	Next   audit.Position `json:"next" doc:"The position to go on from."`
}

type listEventsInput struct {
	After audit.Position `query:"after" doc:"The next member of the page before; without it, from the beginning."`
	Limit int            `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"How many at most."`
}

// adminEvents is the stored events, to read.
type adminEvents struct{ events Events }

// Mount adds the operations.
func (d adminEvents) Mount(k *kit) {
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/events", id: "list-events", tag: "events", off: d.events == nil,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "List events", description: "In the order in which they were stored.", ok: "A page of events.",
	}, d.list)
}

func (d adminEvents) list(ctx context.Context, _ asker, in *listEventsInput) (*struct{ Body EventPage }, error) {
	list, next, err := d.events.Read(ctx, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body EventPage }{EventPage{Events: []EventInfo{}, Next: next}}
	for _, e := range list {
		out.Body.Events = append(out.Body.Events, EventInfo(e))
	}
	return out, nil
}
