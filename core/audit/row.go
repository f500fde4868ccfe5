package audit

import (
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/commitlog"
)

// Outcome says how an action ended.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Failure Outcome = "failure"
	Error   Outcome = "error"
)

// Ref names somebody or something: an actor or a target.
type Ref struct {
	Type    string `json:"type"`              // "user", "session", "organization", "service_account", "system", "operator", "anonymous" …
	ID      string `json:"id,omitempty"`      // empty for anonymous and system
	Role    string `json:"role,omitempty"`    // of a target, when one action has several: "subject", "old", "new"
	Display string `json:"display,omitempty"` // a label for people; never an email address
}

// Entry is what a flow says of an action. Time, id, request id, address and user agent are added by Record, the
// category, crud letter and outcome by the catalogue.
type Entry struct {
	Action         string  // from the catalogue, or below a plugin's own prefix
	Outcome        Outcome // empty: the catalogue's
	Reason         string  // a code, for failures: "wrong_password"
	Actor          Ref
	Impersonator   *Ref
	Targets        []Ref
	OrganizationID uuid.UUID // uuid.Nil: none
	SessionID      uuid.UUID // uuid.Nil: none
	AuthMethod     string    // RFC 8176 name: "pwd", "otp" …
	CorrelationID  string
	Metadata       map[string]any // keys allowed by the catalogue only, at most 8 KB as JSON
}

// Row is a committed audit row.
type Row struct {
	ID             uuid.UUID      `json:"id"`
	OccurredAt     time.Time      `json:"occurred_at"` // UTC, microseconds
	Action         string         `json:"action"`
	Category       string         `json:"category"`
	CRUD           string         `json:"crud"` // c, r, u, d
	Outcome        Outcome        `json:"outcome"`
	Reason         string         `json:"reason,omitempty"`
	Actor          Ref            `json:"actor"`
	Impersonator   *Ref           `json:"impersonator,omitempty"`
	Targets        []Ref          `json:"targets,omitempty"`
	OrganizationID uuid.UUID      `json:"organization_id,omitzero"`
	SessionID      uuid.UUID      `json:"session_id,omitzero"`
	RequestID      string         `json:"request_id,omitempty"`
	CorrelationID  string         `json:"correlation_id,omitempty"`
	IP             string         `json:"ip,omitempty"`
	UserAgent      string         `json:"user_agent,omitempty"`
	AuthMethod     string         `json:"auth_method,omitempty"`
	Metadata       map[string]any `json:"metadata,omitempty"`
	Position       Position       `json:"position"`
}

// Position is a place in the log in commit order: see core/commitlog. The zero value is before the first row.
type Position = commitlog.Position

// ParsePosition reads what Position.String wrote; the empty string is the zero position.
func ParsePosition(s string) (Position, error) { return commitlog.ParsePosition(s) }
