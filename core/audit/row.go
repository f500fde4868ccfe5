package audit

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
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
	Display string `json:"display,omitempty"` // a label for people; never an e-mail address
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

// Position is a place in a log in commit order. The zero value is before the first row.
//
// On SQLite, with its single writer, Seq alone orders. On Postgres sequence numbers are handed out before commit and
// so can become visible out of order; there rows are ordered by the writing transaction's id first, and only rows of
// transactions older than every running one are read. Such a row can have no later-appearing predecessor. Era grows
// when the database is found to have been moved to another cluster, whose transaction ids start anew.
type Position struct {
	Era int32
	Tx  int64
	Seq int64
}

// String is a fixed-width text that sorts like the position.
func (p Position) String() string {
	return fmt.Sprintf("%08x%016x%016x", uint32(p.Era), uint64(p.Tx), uint64(p.Seq))
}

// MarshalText implements encoding.TextMarshaler.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Position) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePosition(string(b))
	return err
}

// ParsePosition reads what String wrote; the empty string is the zero position.
func ParsePosition(s string) (Position, error) {
	if s == "" {
		return Position{}, nil
	}
	var era uint32
	var tx, seq uint64
	if len(s) != 40 {
		return Position{}, errors.New("not a log position")
	}
	if _, err := fmt.Sscanf(s, "%08x%016x%016x", &era, &tx, &seq); err != nil {
		return Position{}, errors.New("not a log position")
	}
	p := Position{Era: int32(era), Tx: int64(tx), Seq: int64(seq)}
	if p.Era < 0 || p.Tx < 0 || p.Seq < 0 || p.String() != s {
		return Position{}, errors.New("not a log position")
	}
	return p, nil
}

// Compare gives -1, 0 or 1 as p lies before, at or after q.
func (p Position) Compare(q Position) int {
	switch {
	case p == q:
		return 0
	case p.Era < q.Era, p.Era == q.Era && p.Tx < q.Tx, p.Era == q.Era && p.Tx == q.Tx && p.Seq < q.Seq:
		return -1
	}
	return 1
}
