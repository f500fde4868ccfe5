package threadline

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// paramError says which query parameter is wrong, and how.
type paramError struct{ param, detail string }

func (e *paramError) Error() string { return e.param + ": " + e.detail }

// paramNames are the parameters a timeline takes.
var paramNames = []string{"actor", "target", "about", "relation", "organization", "session", "request", "correlation", "action", "action_prefix",
	"category", "outcome", "ip", "from", "to", "order", "limit", "after", "before"}

// maxParam bounds a parameter's value, in bytes.
const maxParam = 512

// parseQuery reads a query string. url.URL.Query would drop what it can't read and go on.
func parseQuery(raw string) (url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, &paramError{"query", "it is not a well-formed query string"}
	}
	return q, nil
}

// checkText refuses what no stored text can be equal to, and what a database would refuse.
func checkText(s string) string {
	switch {
	case len(s) > maxParam:
		return fmt.Sprintf("it has %d bytes; at most %d are allowed", len(s), maxParam)
	case !utf8.ValidString(s):
		return "it is not UTF-8"
	case strings.IndexByte(s, 0) >= 0:
		return "it contains a NUL character"
	}
	return ""
}

// parseFilter makes a filter of a query string's parameters. An unknown or repeated one is an error: a filter that was
// misspelt must not silently show more than was asked for.
func parseFilter(q url.Values, pageSize int) (Filter, error) {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		values := q[name]
		if !slices.Contains(paramNames, name) {
			return Filter{}, &paramError{plain(cut(name, 40)), "there is no such parameter; there are " + strings.Join(paramNames, ", ")}
		}
		if len(values) > 1 {
			return Filter{}, &paramError{name, "it is given more than once"}
		}
		if wrong := checkText(values[0]); wrong != "" {
			return Filter{}, &paramError{name, wrong}
		}
	}
	f := Filter{
		organization: q.Get("organization"), session: q.Get("session"), request: q.Get("request"), correlation: q.Get("correlation"),
		action: q.Get("action"), actionPrefix: q.Get("action_prefix"), category: q.Get("category"),
		limit: pageSize,
	}
	var err error
	for _, p := range []struct {
		name string
		rel  relation
	}{{"about", both}, {"actor", did}, {"target", done}} {
		v := q.Get(p.name)
		if v == "" {
			continue
		}
		typ, id, ok := strings.Cut(v, ":")
		if !ok || typ == "" || id == "" {
			return Filter{}, &paramError{p.name, "it must be a type and an id, like user:0198…"}
		}
		f.subjects = append(f.subjects, subject{ref{typ, id}, p.rel})
	}
	switch v := q.Get("relation"); relation(v) {
	case both:
	case did, done:
		if q.Get("about") == "" {
			return Filter{}, &paramError{"relation", "it needs about=type:id"}
		}
		f.subjects[0].relation = relation(v)
	default:
		return Filter{}, &paramError{"relation", `it must be "did" or "done"`}
	}
	switch f.outcome = q.Get("outcome"); f.outcome {
	case "", "success", "failure", "error":
	default:
		return Filter{}, &paramError{"outcome", `it must be "success", "failure" or "error"`}
	}
	switch q.Get("order") {
	case "", "desc":
	case "asc":
		f.oldestFirst = true
	default:
		return Filter{}, &paramError{"order", `it must be "desc" (newest first) or "asc"`}
	}
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > maxPage {
			return Filter{}, &paramError{"limit", fmt.Sprintf("it must be a number from 1 to %d", maxPage)}
		}
		f.limit = n
	}
	if f.ipLow, f.ipHigh, err = ipRange(q.Get("ip")); err != nil {
		return Filter{}, &paramError{"ip", err.Error()}
	}
	if f.from, err = parseTime(q.Get("from")); err != nil {
		return Filter{}, &paramError{"from", err.Error()}
	}
	if f.to, err = parseTime(q.Get("to")); err != nil {
		return Filter{}, &paramError{"to", err.Error()}
	}
	if f.from != 0 && f.to != 0 && f.from >= f.to {
		return Filter{}, &paramError{"to", "it must be later than from"}
	}
	if q.Get("after") != "" && q.Get("before") != "" {
		return Filter{}, &paramError{"before", "give after or before, not both"}
	}
	if f.after, err = parseCursor(q.Get("after")); err != nil {
		return Filter{}, &paramError{"after", err.Error()}
	}
	if f.before, err = parseCursor(q.Get("before")); err != nil {
		return Filter{}, &paramError{"before", err.Error()}
	}
	return f, nil
}

// parseTime takes RFC 3339, what a datetime-local field sends, or a day; the latter two are UTC.
func parseTime(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			if us := t.UnixMicro(); us > 0 {
				return us, nil
			}
		}
	}
	return 0, fmt.Errorf("it must be a time after 1970 like 2026-01-31T09:30:00Z, or a day")
}

// ipRange gives the first and last key of an address or a network.
func ipRange(s string) (low, high string, err error) {
	if s == "" {
		return "", "", nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		k := ipKey(a.String())
		return k, k, nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("it must be an address or a network, like 192.0.2.7 or 2001:db8::/32")
	}
	first := p.Masked().Addr().As16()
	last := first
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for i := bits; i < 128; i++ {
		last[i/8] |= 1 << (7 - i%8)
	}
	return hex.EncodeToString(first[:]), hex.EncodeToString(last[:]), nil
}
