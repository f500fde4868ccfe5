package web

import (
	"net/url"
	"path"
	"strings"
)

// maxReturnTo bounds an address to return to.
const maxReturnTo = 2048

// ReturnTo judges where a browser may be sent after signing in.
type ReturnTo struct {
	own     string          // Sigra's own origin
	allowed map[string]bool // further origins: "https://app.example.com"
	sealer  Sealer          // of errands; nil: there are none
}

// NewReturnTo takes Sigra's own base URL and the origins that may be returned to.
func NewReturnTo(baseURL string, origins []string) ReturnTo {
	r := ReturnTo{own: originOf(baseURL), allowed: map[string]bool{}}
	for _, o := range origins {
		if o = originOf(o); o != "" {
			r.allowed[o] = true
		}
	}
	return r
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
	case u.Host == "":
		return "", false
	case origin == t.own:
		return t.ownPath(u)
	case t.allowed[origin]:
		if u.Path != "" && !plainPath(u.Path) {
			return "", false
		}
		return origin + rest(u), true
	}
	return "", false
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
	for i := range len(raw) {
		// Browsers drop tabs and newlines, take a backslash for a slash, and an address on the wire is ASCII.
		if c := raw[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return nil, false
		}
	}
	u, err := url.Parse(raw)
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

// allowedOrigins lists the further origins, for the form-action directive.
func (t ReturnTo) allowedOrigins() []string {
	out := make([]string, 0, len(t.allowed))
	for o := range t.allowed {
		out = append(out, o)
	}
	return out
}
