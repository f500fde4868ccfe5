package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"strings"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
)

// Limits, in bytes unless said otherwise.
const (
	MaxBatch = 500 // events
	MaxData  = 64 << 10
	maxID    = 200
	maxType  = 128
	maxText  = 512
)

// Event is one thing the application told.
type Event struct {
	ID         string          `json:"id"`   // the idempotency key
	Type       string          `json:"type"` // "billing.subscription.upgraded"
	OccurredAt time.Time       `json:"occurred_at"`
	ReceivedAt time.Time       `json:"received_at"` // set by Publish
	Subject    string          `json:"subject,omitempty"`
	Source     string          `json:"source,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
	// OrganizationID is the organization that it is about, as the application knows it to Sigra; empty: none.
	OrganizationID string         `json:"organization_id,omitempty"`
	Schema         string         `json:"schema,omitempty"`  // what the data looks like: "billing.subscription/1"
	Version        int64          `json:"version,omitempty"` // of the subject; grows with each of its changes; 0: not told
	Position       audit.Position `json:"position"`
}

var typeName = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+$`)

var schemaName = regexp.MustCompile(`^[a-z][a-z0-9_.-]*/[0-9]+$`)

// isID reports whether s is an id in its usual form, so that nobody has to compare two forms of one.
func isID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

// oldest is the earliest time an event may claim: before it, somebody sent seconds for milliseconds or no time at all.
var oldest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// ahead is how far an application's clock may be ahead of ours.
const ahead = 5 * time.Minute

// prepare checks one event, puts it into the form in which it is stored, and gives its digest. Field names in
// faults are those of the i-th event of the batch.
func (s *Store) prepare(e *Event, i int, now time.Time) ([]byte, error) {
	invalid := func(field, format string, args ...any) error {
		return fault.Newf(fault.Invalid, "event_invalid", format, args...).At(fmt.Sprintf("events[%d].%s", i, field))
	}
	switch {
	case e.ID == "":
		return nil, invalid("id", "An event needs an id of your own; it is what makes sending it twice harmless.")
	case len(e.ID) > maxID || !text(e.ID):
		return nil, invalid("id", "An event's id is at most %d bytes of printable text.", maxID)
	case e.Type == "" || len(e.Type) > maxType || !typeName.MatchString(e.Type):
		return nil, invalid("type", "A type is two or more dotted lower-case words, at most %d bytes: billing.subscription.upgraded.", maxType)
	case s.isReserved(e.Type):
		return nil, invalid("type", "The names below %q are Sigra's own. Choose another first word.", e.Type[:strings.IndexByte(e.Type, '.')+1])
	case len(e.Subject) > maxText || !text(e.Subject):
		return nil, invalid("subject", "A subject is at most %d bytes of printable text.", maxText)
	case len(e.Source) > maxText || !text(e.Source):
		return nil, invalid("source", "A source is at most %d bytes of printable text.", maxText)
	case e.OrganizationID != "" && !isID(e.OrganizationID):
		return nil, invalid("organization_id", "This is not the id of an organization.")
	case len(e.Schema) > maxType || e.Schema != "" && !schemaName.MatchString(e.Schema):
		return nil, invalid("schema", "A schema is a dotted name, a slash and a number, at most %d bytes: billing.subscription/1.", maxType)
	case e.Version < 0:
		return nil, invalid("version", "A version is 0, which is none, or more.")
	case len(e.Data) > s.maxData:
		return nil, invalid("data", "An event's data has %d bytes; at most %d are taken.", len(e.Data), s.maxData)
	case !e.OccurredAt.IsZero() && e.OccurredAt.Before(oldest):
		return nil, invalid("occurred_at", "This lies before %s; times are RFC 3339.", oldest.Format(time.DateOnly))
	case e.OccurredAt.After(now.Add(ahead)):
		return nil, invalid("occurred_at", "This lies more than %s in the future.", ahead)
	}
	if len(e.Data) == 0 {
		e.Data = json.RawMessage("null")
	}
	if !utf8.Valid(e.Data) {
		return nil, invalid("data", "The data is not UTF-8.")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, e.Data); err != nil {
		return nil, invalid("data", "The data is not JSON.")
	}
	e.Data = compact.Bytes()
	canonical, err := canonicalJSON(e.Data)
	if err != nil {
		return nil, invalid("data", "The data is not JSON.")
	}
	// A repetition need not repeat a time that we had to make up.
	at := ""
	if !e.OccurredAt.IsZero() {
		e.OccurredAt = e.OccurredAt.UTC().Truncate(time.Microsecond)
		at = e.OccurredAt.Format(time.RFC3339Nano)
	} else {
		e.OccurredAt = now
	}
	e.ReceivedAt = now
	h := sha256.New()
	parts := []string{e.Type, at, e.Subject, e.Source, string(canonical)}
	if e.OrganizationID != "" || e.Schema != "" || e.Version != 0 {
		parts = append(parts, e.OrganizationID, e.Schema, strconv.FormatInt(e.Version, 10))
	}
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	return h.Sum(nil), nil
}

// canonicalJSON sorts keys, so that two encodings of one value have one digest. Numbers stay as they were written.
func canonicalJSON(b []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func text(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }
