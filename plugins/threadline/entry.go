package threadline

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Entry is one line of a timeline, as the API gives it.
type Entry struct {
	AuditID        string          `json:"audit_id"`
	OccurredAt     time.Time       `json:"occurred_at"` // when it happened, by the core's clock
	IngestedAt     time.Time       `json:"ingested_at"` // when it arrived here
	Action         string          `json:"action"`
	Category       string          `json:"category"`
	CRUD           string          `json:"crud"`
	Outcome        string          `json:"outcome"`
	Reason         string          `json:"reason,omitempty"`
	Actor          pluginsdk.Ref   `json:"actor"`
	Impersonator   *pluginsdk.Ref  `json:"impersonator,omitempty"`
	Targets        []pluginsdk.Ref `json:"targets,omitempty"`
	OrganizationID string          `json:"organization_id,omitempty"`
	SessionID      string          `json:"session_id,omitempty"`
	RequestID      string          `json:"request_id,omitempty"`
	CorrelationID  string          `json:"correlation_id,omitempty"`
	IP             string          `json:"ip,omitempty"`
	UserAgent      string          `json:"user_agent,omitempty"`
	AuthMethod     string          `json:"auth_method,omitempty"`
	Metadata       map[string]any  `json:"metadata,omitempty"`
}

// detail is the part of an entry that is shown and never searched by itself.
type detail struct {
	ActorDisplay string          `json:"actor_display,omitempty"`
	Impersonator *pluginsdk.Ref  `json:"impersonator,omitempty"`
	Targets      []pluginsdk.Ref `json:"targets,omitempty"`
	UserAgent    string          `json:"user_agent,omitempty"`
	Metadata     map[string]any  `json:"metadata,omitempty"`
}

const entryColumns = `e.audit_id, e.occurred_at, e.ingested_at, e.action, e.category, e.crud, e.outcome, e.reason, e.actor_type, e.actor_id,
	e.organization_id, e.session_id, e.request_id, e.correlation_id, e.ip, e.auth_method, e.detail`

// scanEntry reads entryColumns, and whatever follows them into more.
func scanEntry(scan func(...any) error, more ...any) (Entry, error) {
	var e Entry
	var occurred, ingested int64
	var raw string
	if err := scan(append([]any{&e.AuditID, &occurred, &ingested, &e.Action, &e.Category, &e.CRUD, &e.Outcome, &e.Reason, &e.Actor.Type, &e.Actor.ID,
		&e.OrganizationID, &e.SessionID, &e.RequestID, &e.CorrelationID, &e.IP, &e.AuthMethod, &raw}, more...)...); err != nil {
		return Entry{}, err
	}
	var d detail
	if err := json.Unmarshal([]byte(raw), &d); err != nil {
		return Entry{}, fmt.Errorf("entry %s: %w", e.AuditID, err)
	}
	e.OccurredAt, e.IngestedAt = time.UnixMicro(occurred).UTC(), time.UnixMicro(ingested).UTC()
	e.Actor.Display, e.Impersonator, e.Targets, e.UserAgent, e.Metadata = d.ActorDisplay, d.Impersonator, d.Targets, d.UserAgent, d.Metadata
	return e, nil
}
