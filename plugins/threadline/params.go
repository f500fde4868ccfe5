package threadline

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// paramError says which query parameter is wrong, and how.
type paramError struct{ param, detail string }

func (e *paramError) Error() string { return e.param + ": " + e.detail }

// paramNames are the parameters a timeline takes.
var paramNames = []string{"actor", "target", "about", "relation", "organization", "session", "request", "correlation", "action", "action_prefix",
	"category", "outcome", "ip", "from", "to", "order", "limit", "after", "before"}

// maxParam bounds a parameter's value, in bytes.
const maxParam = 512

// parseFilter reads a timeline's query string. An unknown or repeated parameter is an error: a filter that was
// misspelt must not silently show more than was asked for.
func parseFilter(q url.Values, pageSize int) (Filter, error) {
	for name, values := range q {
		if !slices.Contains(paramNames, name) {
			return Filter{}, &paramError{name, "there is no such parameter; there are " + strings.Join(paramNames, ", ")}
		}
		if len(values) > 1 {
			return Filter{}, &paramError{name, "it is given more than once"}
		}
		if len(values[0]) > maxParam {
			return Filter{}, &paramError{name, fmt.Sprintf("it has %d bytes; at most %d are allowed", len(values[0]), maxParam)}
		}
		if strings.ContainsRune(values[0], 0) {
			return Filter{}, &paramError{name, "it contains a NUL character"}
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
		if len(f.subjects) == 0 || q.Get("about") == "" {
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
	for name, dst := range map[string]*int64{"from": &f.from, "to": &f.to} {
		if *dst, err = parseTime(q.Get(name)); err != nil {
			return Filter{}, &paramError{name, err.Error()}
		}
	}
	if f.from != 0 && f.to != 0 && f.from >= f.to {
		return Filter{}, &paramError{"to", "it must be later than from"}
	}
	if q.Get("after") != "" && q.Get("before") != "" {
		return Filter{}, &paramError{"before", "give after or before, not both"}
	}
	for name, dst := range map[string]**cursor{"after": &f.after, "before": &f.before} {
		if v := q.Get(name); v != "" {
			if *dst, err = parseCursor(v); err != nil {
				return Filter{}, &paramError{name, err.Error()}
			}
		}
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
