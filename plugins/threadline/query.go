package threadline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// maxPage is the most entries one page can have.
const maxPage = 200

// queryTime bounds a question. Every view is a range of an index, but a filter that hardly anything in a long range
// meets has to walk it.
const queryTime = 5 * time.Second

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

// sources are the tables a question reads, the one whose order is the timeline's first.
//
// A session, a request and a correlation have few entries: they lead when they are asked for. Otherwise it is the links
// of somebody, in time order, with an entry looked up for each, or the entries themselves. SQLite is told the order
// (CROSS JOIN), Postgres finds it.
func (s *store) sources(f Filter, w *where) (from, key string) {
	subjects := f.subjects
	if f.viewer != nil {
		subjects = append([]subject{{ref: *f.viewer}}, subjects...)
	}
	join := " JOIN "
	if s.dialect == pluginsdk.SQLite {
		join = " CROSS JOIN "
	}
	few := f.session != "" || f.request != "" || f.correlation != ""
	if from, key = "threadline_entry e", "e"; !few && len(subjects) > 0 {
		from, key = "threadline_link l0", "l0"
	}
	for i, sub := range subjects {
		l := fmt.Sprintf("l%d", i)
		if l != key {
			from += join + fmt.Sprintf("threadline_link %[1]s ON %[1]s.audit_id = %[2]s.audit_id AND %[1]s.occurred_at = %[2]s.occurred_at", l, key)
		}
		w.add(l+".ref_type = ? AND "+l+".ref_id = ?", sub.typ, sub.id)
		switch sub.relation {
		case did:
			w.add(l + ".did")
		case done:
			w.add(l + ".done")
		}
		if f.viewer != nil && sub.ref != *f.viewer {
			switch {
			case sub.relation == did, slices.Contains(actors, sub.typ):
				w.add("l0.own")
			case sub.relation == both:
				w.add("(l0.own OR " + l + ".done)")
			}
		}
	}
	if key != "e" {
		from += join + "threadline_entry e ON e.audit_id = l0.audit_id"
	}
	if f.viewer != nil && (few || f.ipLow != "") {
		w.add("l0.own")
	}
	return from, key
}

// conditions of the entry's own fields. Where an index leaves out what has no value, its condition is repeated here in
// the same words: without it neither database can tell that the index will do.
func (f Filter) conditions(w *where) {
	for _, c := range []struct{ cond, value string }{
		{"e.organization_id = ? AND e.organization_id <> ''", f.organization}, {"e.session_id = ? AND e.session_id <> ''", f.session},
		{"e.request_id = ? AND e.request_id <> ''", f.request}, {"e.correlation_id = ? AND e.correlation_id <> ''", f.correlation},
		{"e.action = ?", f.action}, {"e.category = ?", f.category},
	} {
		if c.value != "" {
			w.add(c.cond, c.value)
		}
	}
	switch f.outcome {
	case "":
	case "success":
		w.add("e.outcome = 'success'")
	default:
		w.add("e.outcome = ? AND e.outcome <> 'success'", f.outcome)
	}
	switch f.ipLow {
	case "":
	case f.ipHigh:
		w.add("e.ip_key = ? AND e.ip_key <> ''", f.ipLow)
	default:
		w.add("e.ip_key >= ? AND e.ip_key <= ?", f.ipLow, f.ipHigh)
	}
	if f.actionPrefix != "" {
		// U+10FFFF sorts after anything that can follow the prefix, in bytes.
		w.add("e.action >= ? AND e.action < ?", f.actionPrefix, f.actionPrefix+"\U0010FFFF")
	}
}

// question is the text and the arguments of one page's query, for one entry more than the page has.
func (s *store) question(f Filter) (text string, args []any) {
	var w where
	from, key := s.sources(f, &w)
	f.conditions(&w)
	if f.from != 0 {
		w.add(key+".occurred_at >= ?", f.from)
	}
	if f.to != 0 {
		w.add(key+".occurred_at < ?", f.to)
	}
	// The page before a place is read in the opposite order and turned round.
	ascending, at := f.oldestFirst, f.after
	if f.before != nil {
		ascending, at = !ascending, f.before
	}
	dir, cmp := "DESC", "<"
	if ascending {
		dir, cmp = "ASC", ">"
	}
	if at != nil {
		w.add("("+key+".occurred_at, "+key+".audit_id) "+cmp+" (?, ?)", at.occurredAt, at.auditID)
	}
	own := "TRUE"
	if f.viewer != nil {
		own = "l0.own"
	}
	text = "SELECT " + entryColumns + ", " + own + " FROM " + from
	if len(w.conds) > 0 {
		text += " WHERE " + strings.Join(w.conds, " AND ")
	}
	return text + fmt.Sprintf(" ORDER BY %[1]s.occurred_at %[2]s, %[1]s.audit_id %[2]s LIMIT %[3]d", key, dir, f.limit+1), w.args
}

// list reads one page.
func (s *store) list(ctx context.Context, f Filter) (page, error) {
	if f.limit <= 0 || f.limit > maxPage {
		f.limit = maxPage
	}
	text, args := s.question(f)
	entries, err := s.read(ctx, f.viewer, text, args)
	if err != nil {
		return page{}, err
	}
	backwards := f.before != nil
	more := len(entries) > f.limit
	if more {
		entries = entries[:f.limit]
	}
	if backwards {
		slices.Reverse(entries)
	}
	p := page{entries: entries}
	if len(entries) == 0 {
		return p, nil
	}
	if (backwards && more) || (!backwards && f.after != nil) {
		p.prev = cursorOf(entries[0])
	}
	if backwards || more {
		p.next = cursorOf(entries[len(entries)-1])
	}
	return p, nil
}

// get finds one entry, if viewer (nil: anybody) may see it.
func (s *store) get(ctx context.Context, auditID string, viewer *ref) (*Entry, error) {
	text, args := `SELECT `+entryColumns+`, TRUE FROM threadline_entry e WHERE e.audit_id = $1`, []any{auditID}
	if viewer != nil {
		text = `SELECT ` + entryColumns + `, l0.own FROM threadline_entry e
			JOIN threadline_link l0 ON l0.audit_id = e.audit_id AND l0.occurred_at = e.occurred_at
			WHERE e.audit_id = $1 AND l0.ref_type = $2 AND l0.ref_id = $3`
		args = append(args, viewer.typ, viewer.id)
	}
	entries, err := s.read(ctx, viewer, text, args)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	return &entries[0], nil
}

// read gives the entries as viewer may see them.
func (s *store) read(ctx context.Context, viewer *ref, text string, args []any) ([]Entry, error) {
	bounded, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	entries, err := s.scan(bounded, viewer, text, args)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return nil, errTooSlow
	}
	if err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	return entries, nil
}

func (s *store) scan(ctx context.Context, viewer *ref, text string, args []any) ([]Entry, error) {
	rows, err := s.db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	entries := []Entry{}
	for rows.Next() {
		var own bool
		e, err := scanEntry(rows.Scan, &own)
		if err != nil {
			return nil, err
		}
		if viewer != nil {
			e = e.masked(*viewer, own)
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}
