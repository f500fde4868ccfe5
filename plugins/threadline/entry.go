package threadline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

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

// incoming is an audit row made ready to be stored.
type incoming struct {
	row        pluginsdk.AuditRow
	occurredAt int64  // microseconds
	hash       string // of the content, without the position, which is the log's and not the row's
	detail     string
	ipKey      string
}

// prepare checks a row and works out what is derived from it. Its error is permanent: the row can never be taken.
func prepare(row pluginsdk.AuditRow) (incoming, error) {
	id, err := uuid.Parse(row.ID)
	if err != nil {
		return incoming{}, fmt.Errorf("the id %.40q is not a UUID", row.ID)
	}
	row.ID = id.String()
	switch {
	case row.OccurredAt.IsZero():
		return incoming{}, fmt.Errorf("it has no time")
	case row.Action == "" || len(row.Action) > 200:
		return incoming{}, fmt.Errorf("its action has %d bytes; 1 to 200 are allowed", len(row.Action))
	case row.Actor.Type == "":
		return incoming{}, fmt.Errorf("it has no actor type")
	}
	// Postgres text can't hold U+0000; what a client sent as one must not stop the timeline.
	for _, s := range []*string{&row.Action, &row.Reason, &row.Actor.Type, &row.Actor.ID, &row.IP, &row.SessionID,
		&row.RequestID, &row.CorrelationID, &row.AuthMethod, &row.OrganizationID, &row.Position} {
		*s = strings.ReplaceAll(strings.ToValidUTF8(*s, "\uFFFD"), "\x00", "\uFFFD")
	}
	in := incoming{row: row, occurredAt: row.OccurredAt.UnixMicro(), ipKey: ipKey(row.IP)}
	d, err := json.Marshal(detail{
		ActorDisplay: row.Actor.Display, Impersonator: row.Impersonator, Targets: row.Targets,
		UserAgent: row.UserAgent, Metadata: row.Metadata,
	})
	if err != nil {
		return incoming{}, fmt.Errorf("its metadata is not JSON: %w", err)
	}
	in.detail = string(d)
	in.hash = contentHash(in)
	return in, nil
}

// contentHash covers every field that says what happened. encoding/json writes map keys sorted, so equal content
// gives equal bytes.
func contentHash(in incoming) string {
	r := in.row
	r.Position = ""
	r.OccurredAt = time.UnixMicro(in.occurredAt).UTC()
	b, err := json.Marshal(r)
	if err != nil { // prepare has marshalled its only open part already
		b = []byte(in.detail)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// ipKey is an address in a form whose text order is its numeric order, so that a network is one range.
func ipKey(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return ""
	}
	b := a.WithZone("").As16()
	return hex.EncodeToString(b[:])
}

// link is what ties an entry to somebody or something.
type link struct {
	typ, id   string
	did, done bool
}

// links are the distinct refs of a row. A ref without an id (anonymous, system) has no timeline of its own.
func links(row pluginsdk.AuditRow) []link {
	var out []link
	add := func(r pluginsdk.Ref, did bool) {
		r.Type, r.ID = strings.ReplaceAll(r.Type, "\x00", "\uFFFD"), strings.ReplaceAll(r.ID, "\x00", "\uFFFD")
		if r.ID == "" {
			return
		}
		for i := range out {
			if out[i].typ == r.Type && out[i].id == r.ID {
				out[i].did = out[i].did || did
				out[i].done = out[i].done || !did
				return
			}
		}
		out = append(out, link{typ: r.Type, id: r.ID, did: did, done: !did})
	}
	add(row.Actor, true)
	if row.Impersonator != nil {
		add(*row.Impersonator, true)
	}
	for _, t := range row.Targets {
		add(t, false)
	}
	return out
}
