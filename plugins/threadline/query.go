package threadline

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// maxPage is the most entries one page can have.
const maxPage = 200

// ref names whose timeline is asked for.
type ref struct{ typ, id string }

// relation narrows a timeline to what its subject did, or what was done to it.
type relation string

const (
	both relation = ""
	did  relation = "did"
	done relation = "done"
)

// subject is somebody or something a timeline is about.
type subject struct {
	ref
	relation relation
}

// Filter says which entries are wanted. The zero value wants all of them.
type Filter struct {
	viewer        *ref      // only what this one did or had done to it: all that somebody who is no administrator may see
	subjects      []subject // entries linked to every one of these
	organization  string
	session       string
	request       string
	correlation   string
	action        string
	actionPrefix  string // "auth." matches auth.login.success
	category      string
	outcome       string
	ipLow, ipHigh string // keys, inclusive
	from, to      int64  // microseconds; from inclusive, to exclusive; zero: open
	oldestFirst   bool
	limit         int
	after         *cursor // the page that follows this place, in the order asked for
	before        *cursor // the page that precedes it
}

// page is a stretch of a timeline in the order asked for.
type page struct {
	entries    []Entry
	prev, next *cursor // nil at the ends
}

// where gathers conditions and their arguments. Its texts are constants of this file; values only ever become arguments.
type where struct {
	conds []string
	args  []any
}

func (w *where) add(cond string, args ...any) {
	for i := range args {
		cond = strings.Replace(cond, "?", fmt.Sprintf("$%d", len(w.args)+i+1), 1)
	}
	w.conds = append(w.conds, cond)
	w.args = append(w.args, args...)
}

const entryColumns = `e.audit_id, e.occurred_at, e.ingested_at, e.action, e.category, e.crud, e.outcome, e.reason, e.actor_type, e.actor_id,
	e.organization_id, e.session_id, e.request_id, e.correlation_id, e.ip, e.auth_method, e.detail`

// list reads one page. Where the timeline is somebody's, it walks that one's links in time order and fetches an entry
// for each; otherwise it walks the entries.
func (s *store) list(ctx context.Context, f Filter) (page, error) {
	if f.limit <= 0 || f.limit > maxPage {
		f.limit = maxPage
	}
	var w where
	from, key := "threadline_entry e", "e"
	// The narrowest subject should lead; the viewer's own links are fewer than most resources'.
	subjects := f.subjects
	if f.viewer != nil {
		subjects = append([]subject{{ref: *f.viewer}}, subjects...)
	}
	for i, sub := range subjects {
		t := fmt.Sprintf("l%d", i)
		if i == 0 {
			key = t
			from = "threadline_link l0 JOIN threadline_entry e ON e.audit_id = l0.audit_id AND e.occurred_at = l0.occurred_at"
		} else {
			from += fmt.Sprintf(" JOIN threadline_link %[1]s ON %[1]s.audit_id = l0.audit_id AND %[1]s.occurred_at = l0.occurred_at", t)
		}
		w.add(t+".ref_type = ? AND "+t+".ref_id = ?", sub.typ, sub.id)
		switch sub.relation {
		case did:
			w.add(t + ".did")
		case done:
			w.add(t + ".done")
		}
	}
	for _, c := range []struct{ cond, value string }{
		{"e.organization_id = ?", f.organization}, {"e.session_id = ?", f.session}, {"e.request_id = ?", f.request},
		{"e.correlation_id = ?", f.correlation}, {"e.action = ?", f.action}, {"e.category = ?", f.category}, {"e.outcome = ?", f.outcome},
		{"e.ip_key >= ?", f.ipLow}, {"e.ip_key <= ?", f.ipHigh},
	} {
		if c.value != "" {
			w.add(c.cond, c.value)
		}
	}
	if f.actionPrefix != "" {
		// Action names are ASCII; U+10FFFF sorts after anything that can follow the prefix, in bytes.
		w.add("e.action >= ? AND e.action < ?", f.actionPrefix, f.actionPrefix+"\U0010FFFF")
	}
	if f.from != 0 {
		w.add(key+".occurred_at >= ?", f.from)
	}
	if f.to != 0 {
		w.add(key+".occurred_at < ?", f.to)
	}
	// The page before a place is read in the opposite order and turned round.
	ascending, at := f.oldestFirst, f.after
	backwards := f.before != nil
	if backwards {
		ascending, at = !ascending, f.before
	}
	dir, cmp := "DESC", "<"
	if ascending {
		dir, cmp = "ASC", ">"
	}
	if at != nil {
		w.add("("+key+".occurred_at, "+key+".audit_id) "+cmp+" (?, ?)", at.occurredAt, at.auditID)
	}
	query := "SELECT " + entryColumns + " FROM " + from
	if len(w.conds) > 0 {
		query += " WHERE " + strings.Join(w.conds, " AND ")
	}
	query += fmt.Sprintf(" ORDER BY %[1]s.occurred_at %[2]s, %[1]s.audit_id %[2]s LIMIT %[3]d", key, dir, f.limit+1)

	entries, err := s.scan(ctx, query, w.args)
	if err != nil {
		return page{}, err
	}
	more := len(entries) > f.limit
	if more {
		entries = entries[:f.limit]
	}
	if backwards {
		for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
			entries[i], entries[j] = entries[j], entries[i]
		}
	}
	p := page{entries: entries}
	if len(entries) == 0 {
		return p, nil
	}
	if (backwards && more) || (!backwards && at != nil) {
		p.prev = cursorOf(entries[0])
	}
	if backwards || more {
		p.next = cursorOf(entries[len(entries)-1])
	}
	return p, nil
}

// get finds one entry, if viewer (nil: anybody) may see it.
func (s *store) get(ctx context.Context, auditID string, viewer *ref) (*Entry, error) {
	query, args := `SELECT `+entryColumns+` FROM threadline_entry e WHERE e.audit_id = $1`, []any{auditID}
	if viewer != nil {
		query += ` AND EXISTS (SELECT 1 FROM threadline_link l WHERE l.ref_type = $2 AND l.ref_id = $3 AND l.occurred_at = e.occurred_at AND l.audit_id = e.audit_id)`
		args = append(args, viewer.typ, viewer.id)
	}
	entries, err := s.scan(ctx, query+` LIMIT 1`, args)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	return &entries[0], nil
}

func (s *store) scan(ctx context.Context, query string, args []any) ([]Entry, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	defer func() { _ = rows.Close() }()
	entries := []Entry{}
	for rows.Next() {
		var e Entry
		var occurred, ingested int64
		var raw string
		if err := rows.Scan(&e.AuditID, &occurred, &ingested, &e.Action, &e.Category, &e.CRUD, &e.Outcome, &e.Reason, &e.Actor.Type, &e.Actor.ID,
			&e.OrganizationID, &e.SessionID, &e.RequestID, &e.CorrelationID, &e.IP, &e.AuthMethod, &raw); err != nil {
			return nil, fmt.Errorf("read timeline: %w", err)
		}
		var d detail
		if err := json.Unmarshal([]byte(raw), &d); err != nil {
			return nil, fmt.Errorf("read timeline: entry %s: %w", e.AuditID, err)
		}
		e.OccurredAt, e.IngestedAt = time.UnixMicro(occurred).UTC(), time.UnixMicro(ingested).UTC()
		e.Actor.Display, e.Impersonator, e.Targets, e.UserAgent, e.Metadata = d.ActorDisplay, d.Impersonator, d.Targets, d.UserAgent, d.Metadata
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	return entries, nil
}

// Status is how the projection stands.
type Status struct {
	Entries      int64      `json:"entries"`
	Conflicts    int64      `json:"conflicts"`
	LastOccurred *time.Time `json:"last_occurred_at,omitempty"`
	LastIngested *time.Time `json:"last_ingested_at,omitempty"`
	Position     string     `json:"position,omitempty"` // of the newest row in the core's log order
}

// status reads the figures an operator asks for. The number of entries is that of the highest sequence number, which
// costs no count; it exceeds the true number by rows lost to rolled back batches.
func (s *store) status(ctx context.Context) (Status, error) {
	var st Status
	var occurred, ingested int64
	err := s.db.QueryRowContext(ctx, `SELECT COALESCE((SELECT MAX(seq) FROM threadline_entry), 0),
		(SELECT COUNT(*) FROM threadline_conflict),
		COALESCE((SELECT MAX(occurred_at) FROM threadline_entry), 0),
		COALESCE((SELECT ingested_at FROM threadline_entry ORDER BY seq DESC LIMIT 1), 0),
		COALESCE((SELECT position FROM threadline_entry ORDER BY seq DESC LIMIT 1), '')`).
		Scan(&st.Entries, &st.Conflicts, &occurred, &ingested, &st.Position)
	if err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	if occurred != 0 {
		o, i := time.UnixMicro(occurred).UTC(), time.UnixMicro(ingested).UTC()
		st.LastOccurred, st.LastIngested = &o, &i
	}
	return st, nil
}
