package web

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReturnTo bounds an address to return to.
const maxReturnTo = 2048

// ReturnTo judges where a browser may be sent after signing in or out.
type ReturnTo struct {
	own     string // Sigra's own origin
	allowed []destination
	sealer  Sealer // of errands; nil: there are none
}

// destination is a place beside Sigra itself that may be returned to: an origin, the origins that differ in their first label, or
// whatever has the scheme of an application.
type destination struct {
	scheme string
	host   string // with the port; with a wildcard, what follows it, dot included; empty: any, of an application's scheme
	wild   bool
}

// NewReturnTo takes Sigra's own base URL and what may be returned to beside it, as sign_in.return_to has it: "https://app.example.com",
// "https://*.example.com", "myapp://".
func NewReturnTo(baseURL string, allowed []string) ReturnTo {
	r := ReturnTo{own: originOf(baseURL)}
	for _, a := range allowed {
		scheme, rest, ok := strings.Cut(strings.ToLower(strings.TrimRight(a, "/")), ":")
		if rest = strings.TrimLeft(rest, "/"); !ok || paged(scheme) && rest == "" {
			continue
		}
		d := destination{scheme: scheme, host: rest}
		if parent, wild := strings.CutPrefix(rest, "*"); wild {
			d.host, d.wild = parent, true
		}
		r.allowed = append(r.allowed, d)
	}
	return r
}

// paged reports whether a scheme is one that browsers fetch pages with. Any other is an application's.
func paged(scheme string) bool { return scheme == "https" || scheme == "http" }

func (d destination) has(u *url.URL) bool {
	host := strings.ToLower(u.Host)
	switch {
	case d.scheme != u.Scheme:
		return false
	case d.wild:
		label, ok := strings.CutSuffix(host, d.host)
		return ok && label != "" && !strings.Contains(label, ".")
	}
	return d.host == host || d.host == "" && !paged(d.scheme)
}

// source is the destination as a Content-Security-Policy names it (CSP Level 3 §2.3.1).
func (d destination) source() string {
	switch {
	case d.wild:
		return d.scheme + "://*" + d.host
	case d.host == "":
		return d.scheme + ":"
	}
	return d.scheme + "://" + d.host
}

// Safe gives the address to send a browser to: a path of this Sigra, or an address below an allowed origin, or where an errand of
// this Sigra's goes on. It is put
// together anew from what was parsed, so that nothing a browser might read differently comes through. ok is false for
// everything else (ASVS 5.0 3.7.2; RFC 9700 §4.11).
func (t ReturnTo) Safe(raw string) (address string, ok bool) {
	if e, ok := t.errand(raw); ok {
		raw = e.ReturnTo
	}
	u, ok := plain(raw)
	if !ok {
		return "", false
	}
	if u.Scheme == "" && u.Host == "" {
		if !strings.HasPrefix(raw, "/") || strings.HasPrefix(raw, "//") {
			return "", false
		}
		return t.ownPath(u)
	}
	origin := u.Scheme + "://" + strings.ToLower(u.Host)
	switch {
	case origin == t.own:
		return t.ownPath(u)
	case u.Host == "" && paged(u.Scheme), u.Path != "" && !plainPath(u.Path):
		return "", false
	case slices.ContainsFunc(t.allowed, func(d destination) bool { return d.has(u) }):
		return origin + rest(u), true
	}
	return "", false
}

// absolute is a safe address with Sigra's own origin before it where it is a path.
func (t ReturnTo) absolute(address string) string {
	if strings.HasPrefix(address, "/") {
		return t.own + address
	}
	return address
}

// elsewhere gives a safe address that is not Sigra's own.
func (t ReturnTo) elsewhere(raw string) (address string, ok bool) {
	if address, ok = t.Safe(raw); !ok || strings.HasPrefix(address, "/") {
		return "", false
	}
	return address, true
}

// Local gives a path of this Sigra to go back to, whichever it is; ok is false for everything else.
func (t ReturnTo) Local(raw string) (address string, ok bool) {
	u, ok := plain(raw)
	if !ok || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(raw, "/") || strings.HasPrefix(raw, "//") || !plainPath(u.Path) {
		return "", false
	}
	return rest(u), true
}

// ownPath is a path of this Sigra. The pages of the sign-in itself are no place to return to.
func (t ReturnTo) ownPath(u *url.URL) (string, bool) {
	if u.Path == "" {
		u.Path = "/"
	}
	if !plainPath(u.Path) {
		return "", false
	}
	switch first, _, _ := strings.Cut(u.Path[1:], "/"); first {
	case "login", "logout", "register", "confirm", "reset", "set-password", "step-up", "language":
		return "", false
	}
	return rest(u), true
}

// plain parses an address that every browser reads alike.
func plain(raw string) (*url.URL, bool) {
	if raw == "" || len(raw) > maxReturnTo {
		return nil, false
	}
	var b strings.Builder
	for i, r := range raw {
		switch {
		// Browsers drop tabs, newlines and blanks around, and take a backslash for a slash.
		case r < ' ', r == 0x7f, r == '\\', r == ' ' && (i == 0 || i == len(raw)-1):
			return nil, false
		case r == ' ', r >= utf8.RuneSelf && r != utf8.RuneError && unicode.IsPrint(r):
			// Somebody on the way has decoded it once too often. Browsers escape these where an address has them (URL Standard §1.3).
			b.WriteString(strings.ReplaceAll(url.QueryEscape(string(r)), "+", "%20"))
		case r >= utf8.RuneSelf:
			return nil, false
		default:
			b.WriteRune(r)
		}
	}
	u, err := url.Parse(b.String())
	return u, err == nil && u.User == nil && u.Opaque == ""
}

// rest is path and query; a fragment stays behind.
func rest(u *url.URL) string {
	s := u.EscapedPath()
	if u.RawQuery != "" {
		s += "?" + u.RawQuery
	}
	return s
}

// plainPath reports whether a decoded path is absolute and clean, and stays so however often somebody further on
// decodes it again.
func plainPath(p string) bool {
	for range 4 {
		if p == "" || p[0] != '/' || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
			return false
		}
		if clean := path.Clean(p); p != clean && (clean == "/" || p != clean+"/") {
			return false
		}
		next, err := url.PathUnescape(p)
		if err != nil || next == p {
			return true
		}
		p = next
	}
	return false
}

// originOf is scheme and host of an address, lower-case, or "" when it has none.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

// sources lists what may be returned to, for the form-action directive.
func (t ReturnTo) sources() []string {
	out := make([]string, len(t.allowed))
	for i, d := range t.allowed {
		out[i] = d.source()
	}
	slices.Sort(out)
	return out
}
