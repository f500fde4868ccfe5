package threadline

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// incoming is an audit row made ready to be stored.
type incoming struct {
	row        pluginsdk.AuditRow
	occurredAt int64  // microseconds
	hash       string // of the content
	detail     string
	ipKey      string
}

// What a row may have, in bytes. All of it is well above what Sigra's log takes, and what an index holds stays well
// below what an index row can be: a row that the database can't take would hold up all that follow it.
const (
	maxWord    = 200
	maxID      = 400
	maxTargets = 200
	maxDetail  = 128 << 10
)

// The times that can be stored, paged through and written as RFC 3339.
var (
	earliest = time.Unix(0, 0).UTC()
	latest   = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// prepare checks a row and works out what is derived from it. Its error is permanent: the row can never be taken.
func prepare(row pluginsdk.AuditRow) (incoming, error) {
	id, err := uuid.Parse(row.ID)
	if err != nil {
		return incoming{}, fmt.Errorf("the id %.40q is not a UUID", row.ID)
	}
	row.ID = id.String()
	if row.OccurredAt.Before(earliest) || row.OccurredAt.After(latest) {
		return incoming{}, errors.New("its time is not between the years 1970 and 9999")
	}
	if row.Action == "" {
		return incoming{}, errors.New("it has no action")
	}
	if row.Actor.Type == "" {
		return incoming{}, errors.New("it has no actor type")
	}
	if len(row.Targets) > maxTargets {
		return incoming{}, fmt.Errorf("it has %d targets; at most %d are allowed", len(row.Targets), maxTargets)
	}
	row.Targets = slices.Clone(row.Targets)
	if row.Impersonator != nil {
		imp := *row.Impersonator
		row.Impersonator = &imp
	}
	if err := tidy(&row); err != nil {
		return incoming{}, err
	}
	d, err := json.Marshal(detail{
		ActorDisplay: row.Actor.Display, Impersonator: row.Impersonator, Targets: row.Targets,
		UserAgent: row.UserAgent, Metadata: row.Metadata,
	})
	if err != nil {
		return incoming{}, errors.New("its metadata can't be written as JSON")
	}
	if len(d) > maxDetail {
		return incoming{}, fmt.Errorf("its targets, user agent and metadata have %d bytes as JSON; at most %d are allowed", len(d), maxDetail)
	}
	in := incoming{row: row, occurredAt: row.OccurredAt.UnixMicro(), ipKey: ipKey(row.IP), detail: string(d)}
	in.hash = contentHash(in)
	return in, nil
}

// field is a text of a row with what it may have.
type field struct {
	name string
	text *string
	most int
}

// tidy bounds every text and makes it one that both databases can hold: Postgres's can't hold U+0000 or what is not
// UTF-8, and what a client sent as such must not stop the timeline.
func tidy(row *pluginsdk.AuditRow) error {
	fields := []field{
		{"action", &row.Action, maxWord}, {"category", &row.Category, maxWord}, {"crud", &row.CRUD, maxWord}, {"outcome", &row.Outcome, maxWord},
		{"reason", &row.Reason, maxID}, {"organization id", &row.OrganizationID, maxID}, {"session id", &row.SessionID, maxID},
		{"request id", &row.RequestID, maxID}, {"correlation id", &row.CorrelationID, maxID}, {"address", &row.IP, maxWord},
		{"method", &row.AuthMethod, maxWord}, {"position", &row.Position, maxID}, {"user agent", &row.UserAgent, maxDetail},
	}
	refs := []*pluginsdk.Ref{&row.Actor}
	if row.Impersonator != nil {
		refs = append(refs, row.Impersonator)
	}
	for i := range row.Targets {
		refs = append(refs, &row.Targets[i])
	}
	for _, r := range refs {
		fields = append(fields, field{"type of an actor or target", &r.Type, maxWord}, field{"id of an actor or target", &r.ID, maxID},
			field{"role of a target", &r.Role, maxID}, field{"label of an actor or target", &r.Display, maxDetail})
	}
	for _, f := range fields {
		if !utf8.ValidString(*f.text) || strings.IndexByte(*f.text, 0) >= 0 {
			*f.text = strings.ReplaceAll(strings.ToValidUTF8(*f.text, "\uFFFD"), "\x00", "\uFFFD")
		}
		if n := len(*f.text); n > f.most {
			return fmt.Errorf("its %s has %d bytes; at most %d are allowed", f.name, n, f.most)
		}
	}
	return nil
}

// contentHash covers every field that says what happened; the position is the log's and not the row's. It is stored and
// compared for as long as the entry stays, so its making must not depend on how a Go type happens to look: each field
// stands in a fixed order behind its length, and a field that comes later goes in only where a row has it. The detail is
// JSON with sorted keys, so equal content gives equal bytes.
func contentHash(in incoming) string {
	r := in.row
	b := make([]byte, 0, 512+len(in.detail))
	b = binary.BigEndian.AppendUint64(b, uint64(in.occurredAt))
	for _, s := range [...]string{r.ID, r.Action, r.Category, r.CRUD, r.Outcome, r.Reason, r.Actor.Type, r.Actor.ID, r.Actor.Role, r.OrganizationID,
		r.SessionID, r.RequestID, r.CorrelationID, r.IP, r.AuthMethod, in.detail} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
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
	ref
	did, done, own bool
}

// links are the distinct refs of a row. A ref without an id (anonymous, system) has no timeline of its own.
func links(row pluginsdk.AuditRow) []link {
	out := make([]link, 0, 2+len(row.Targets))
	behind := row.Actor
	if row.Impersonator != nil {
		behind = *row.Impersonator
	}
	// Where nobody can be named (a failed sign-in), those it was done to may know where it came from.
	nobody := behind.ID == "" && (behind.Type == "anonymous" || behind.Type == "system")
	add := func(r pluginsdk.Ref, did bool) {
		if r.ID == "" {
			return
		}
		l := link{ref: ref{r.Type, r.ID}, did: did, done: !did}
		l.own = nobody || (r.Type == behind.Type && r.ID == behind.ID)
		for i := range out {
			if out[i].ref == l.ref {
				out[i].did, out[i].done = out[i].did || l.did, out[i].done || l.done
				return
			}
		}
		out = append(out, l)
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
