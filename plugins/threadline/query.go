package threadline

import (
	"cmp"
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

func (w *where) add(cond string, args ...any) { w.conds = append(w.conds, w.bind(cond, args...)) }

// bind numbers the arguments of a piece of the query.
func (w *where) bind(text string, args ...any) string {
	for _, a := range args {
		w.args = append(w.args, a)
		text = strings.Replace(text, "?", fmt.Sprintf("$%d", len(w.args)), 1)
	}
	return text
}

// joined is one use of the links: whose they are, and under which alias.
type joined struct {
	subject
	alias string
}

// sources are the tables a question reads, the one whose order is the timeline's first.
//
// What has few entries leads: a session, a request, a correlation, or the links of something that is not somebody (of
// whom there may be a long history). Otherwise it is the links of somebody, in time order, with an entry looked up for
// each, or the entries themselves.
//
// Both databases are told to walk the leading table and look the others up. Left to itself SQLite may turn the order
// round, and Postgres, once it plans for any argument, merges: it then walks somebody's whole history beside the ten
// entries of a session.
//
// A filter meets only what the viewer may see of an entry (see view.go).
func (s *store) sources(f Filter, w *where) (from, key string) {
	var links []joined
	if f.viewer != nil {
		links = append(links, joined{subject{ref: *f.viewer}, "v"})
	}
	for i, sub := range f.subjects {
		links = append(links, joined{sub, fmt.Sprintf("l%d", i)})
	}
	slices.SortStableFunc(links, func(a, b joined) int { return cmp.Compare(a.crowd(), b.crowd()) })
	join, lookup := " CROSS JOIN ", " CROSS JOIN threadline_link %[1]s ON %[3]s"
	if s.dialect == pluginsdk.Postgres {
		join, lookup = " JOIN ", " CROSS JOIN LATERAL (SELECT did, done, own FROM threadline_link %[1]s WHERE %[3]s LIMIT 1) %[1]s"
	}
	lookup = strings.ReplaceAll(lookup, "%[3]s",
		"%[1]s.ref_type = ? AND %[1]s.ref_id = ? AND %[1]s.occurred_at = %[2]s.occurred_at AND %[1]s.audit_id = %[2]s.audit_id")
	few := f.session != "" || f.request != "" || f.correlation != ""
	if from, key = "threadline_entry e", "e"; !few && len(links) > 0 {
		key = links[0].alias
		from = "threadline_link " + key
	}
	for _, l := range links {
		if l.alias == key {
			w.add(key+".ref_type = ? AND "+key+".ref_id = ?", l.typ, l.id)
		} else {
			from += w.bind(fmt.Sprintf(lookup, l.alias, key), l.typ, l.id)
		}
		switch l.relation {
		case did:
			w.add(l.alias + ".did")
		case done:
			w.add(l.alias + ".done")
		}
		if f.viewer != nil && l.ref != *f.viewer {
			switch {
			case l.relation == did, slices.Contains(actors, l.typ):
				w.add("v.own")
			case l.relation == both:
				w.add("(v.own OR " + l.alias + ".done)")
			}
		}
	}
	if key != "e" {
		from += join + "threadline_entry e ON e.audit_id = " + key + ".audit_id"
	}
	if f.viewer != nil && (few || f.ipLow != "") {
		w.add("v.own")
	}
	return from, key
}

// crowd is how long a history something may have, roughly: of several, the shortest is walked and the others looked up.
func (j joined) crowd() int {
	switch {
	case j.typ == "organization":
		return 2
	case slices.Contains(actors, j.typ):
		return 1
	}
	return 0
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
	dir, beyond := "DESC", "<"
	if ascending {
		dir, beyond = "ASC", ">"
	}
	if at != nil {
		w.add("("+key+".occurred_at, "+key+".audit_id) "+beyond+" (?, ?)", at.occurredAt, at.auditID)
	}
	own := "TRUE"
	if f.viewer != nil {
		own = "v.own"
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
		text = `SELECT ` + entryColumns + `, v.own FROM threadline_entry e
			JOIN threadline_link v ON v.audit_id = e.audit_id AND v.occurred_at = e.occurred_at
			WHERE e.audit_id = $1 AND v.ref_type = $2 AND v.ref_id = $3`
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
