package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Events is the store of host-emitted events; *event.Store is one.
type Events interface {
	Publish(ctx context.Context, events []event.Event) (stored, duplicate int, err error)
	Read(ctx context.Context, after audit.Position, limit int) ([]event.Event, audit.Position, error)
}

const (
	maxEvents    = 500
	maxEventBody = 8 << 20
)

// NewEvent is one event as the application sends it.
type NewEvent struct {
	ID             string          `json:"id" minLength:"1" maxLength:"200" doc:"Your own id of the event. Sending it again with the same content is harmless." example:"evt_8841"`
	Type           string          `json:"type" minLength:"3" maxLength:"128" doc:"Two or more dotted lower-case words. The names Sigra records itself (auth, account, session and so on) are refused." example:"billing.subscription.upgraded"`
	OccurredAt     time.Time       `json:"occurred_at,omitzero" format:"date-time" doc:"When it happened. Without it, when it was received."`
	Subject        string          `json:"subject,omitempty" maxLength:"512" doc:"What it is about." example:"user:0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11"`
	Source         string          `json:"source,omitempty" maxLength:"512" doc:"Who tells it." example:"billing"`
	Data           json.RawMessage `json:"data,omitempty" doc:"Anything. At most 64 KiB."`
	OrganizationID string          `json:"organization_id,omitempty" maxLength:"36" doc:"The organization that it is about." example:"0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b12"`
	Schema         string          `json:"schema,omitempty" maxLength:"128" doc:"What the data looks like: a dotted name, a slash and a number." example:"billing.subscription/1"`
	Version        int64           `json:"version,omitempty" minimum:"0" doc:"Of the subject: it grows with each of its changes, so that an old event that comes late is known for what it is."`
}

// Published says what became of a batch.
type Published struct {
	Accepted  int `json:"accepted" doc:"Events stored by this request."`
	Duplicate int `json:"duplicate" doc:"Events that were stored before, with the same content."`
}

type publishInput struct {
	RawBody []byte `contentType:"application/json"`
}

type publishOutput struct {
	Status int
	Body   Published
}

// hostEvents is the events that the application emits for plugins.
type hostEvents struct {
	kit    *kit
	events Events
}

// Mount adds the operations.
func (d hostEvents) Mount(k *kit) {
	schemas := d.kit.huma.OpenAPI().Components.Schemas
	one := schemas.Schema(reflect.TypeFor[NewEvent](), true, "NewEvent")
	most := maxEvents
	least := 1
	batch := &huma.Schema{OneOf: []*huma.Schema{one, {Type: huma.TypeArray, Items: one, MinItems: &least, MaxItems: &most}}}
	register(k, operation{
		method: http.MethodPost, path: "/v1/events", id: "publish-events", tag: "events", off: d.events == nil,
		limit: ratelimit.General, access: endpoint.Application, maxBody: maxEventBody, maxValues: maxEventBody / 2,
		status:  http.StatusAccepted,
		summary: "Tell events",
		description: "Takes one event or an array of up to 500, stores all or none, and hands them to the plugins that subscribe to them. An event whose id was " +
			"stored before is counted and left alone if its content is the same, and refused if it is not. They write no audit row.",
		ok:       "Stored durably. 200 instead when every event had been stored before.",
		body:     &huma.RequestBody{Required: true, Description: "One event or several.", Content: map[string]*huma.MediaType{"application/json": {Schema: batch}}},
		problems: map[int]string{http.StatusConflict: "An id was used before for other content. Nothing was stored."},
	}, d.publish)
}

func (d hostEvents) publish(ctx context.Context, _ asker, in *publishInput) (*publishOutput, error) {
	events, single, err := d.readEvents(in.RawBody)
	if err != nil {
		return nil, err
	}
	stored, duplicate, err := d.events.Publish(ctx, events)
	if err != nil {
		return nil, eventField(err, single)
	}
	out := &publishOutput{Status: http.StatusAccepted, Body: Published{Accepted: stored, Duplicate: duplicate}}
	if stored == 0 {
		out.Status = http.StatusOK
	}
	return out, nil
}

// readEvents reads a body that is one event or several. It is held against the schema of one event, event by event,
// so that a mistake is named where it is, which a schema with a choice in it can't do.
func (d hostEvents) readEvents(body []byte) (events []event.Event, single bool, err error) {
	var values []any
	var list []NewEvent
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, false, newProblem(http.StatusBadRequest, "malformed_body", "The body can't be read.")
	}
	switch v := v.(type) {
	case []any:
		values = v
	case map[string]any:
		values, single = []any{v}, true
	default:
		return nil, false, newProblem(http.StatusUnprocessableEntity, "validation_failed", "Send one event or an array of events.",
			ProblemDetail{Location: "body", Message: "expected an object or an array"})
	}
	if n := len(values); n == 0 || n > maxEvents {
		return nil, false, newProblem(http.StatusUnprocessableEntity, "validation_failed", "Send between 1 and "+strconv.Itoa(maxEvents)+" events.",
			ProblemDetail{Location: "body", Message: "expected between 1 and " + strconv.Itoa(maxEvents) + " events, got " + strconv.Itoa(n)})
	}
	schemas := d.kit.huma.OpenAPI().Components.Schemas
	schema := schemas.Schema(reflect.TypeFor[NewEvent](), true, "NewEvent")
	model := &huma.ErrorModel{Status: http.StatusUnprocessableEntity}
	for i, e := range values {
		at := huma.NewPathBuffer(nil, 0)
		at.Push("body")
		if !single {
			at.PushIndex(i)
		}
		res := &huma.ValidateResult{}
		huma.Validate(schemas, schema, at, huma.ModeWriteToServer, e, res)
		for _, err := range res.Errors {
			model.Add(err)
		}
		if len(model.Errors) >= 20 {
			break
		}
	}
	if len(model.Errors) > 0 {
		return nil, false, fromHuma(model)
	}
	if single {
		body = append(append([]byte{'['}, body...), ']')
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, false, newProblem(http.StatusUnprocessableEntity, "validation_failed", "The events can't be read.")
	}
	for _, e := range list {
		events = append(events, event.Event{ID: e.ID, Type: e.Type, OccurredAt: e.OccurredAt, Subject: e.Subject, Source: e.Source, Data: e.Data,
			OrganizationID: e.OrganizationID, Schema: e.Schema, Version: e.Version,
		})
	}
	return events, single, nil
}

// eventField names the place of a fault as the client wrote the body: the store speaks of events[3].type.
func eventField(err error, single bool) error {
	f := fault.From(err)
	rest, ok := strings.CutPrefix(f.Field, "events")
	if !ok {
		return err
	}
	if single {
		rest = strings.TrimPrefix(rest, "[0]")
	}
	return f.At("body" + rest)
}
