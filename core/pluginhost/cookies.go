package pluginhost

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// What one plugin may keep in a browser. A browser sends it with every request, sign-in's included: together with what Sigra and the
// other plugins keep there it must stay below what servers and proxies take of a head.
const (
	maxCookies     = 8
	maxCookieBytes = 2 << 10 // names and values together
)

// cookiePrefix is what the names of a plugin's cookies begin with. Browsers hold a cookie of that prefix to this very host,
// to HTTPS and to the path / (RFC 6265bis §4.1.3.2), so that no other site nor a neighbour's host can plant one. No plugin has a
// hyphen in its name, so that no prefix begins another.
func cookiePrefix(plugin string) string { return "__Host-" + plugin + "-" }

// ownPairs are the plugin's own name=value pairs of Cookie header lines, in the order in which the browser got them.
func ownPairs(lines []string, plugin string) []string {
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			if name, _, ok := strings.Cut(pair, "="); ok && strings.HasPrefix(name, cookiePrefix(plugin)) {
				kept = append(kept, pair)
			}
		}
	}
	return kept
}

// ownCookies leaves of Cookie header lines what is the plugin's own: never another plugin's, the application's or Sigra's.
func ownCookies(lines []string, plugin string) []string {
	if kept := ownPairs(lines, plugin); len(kept) > 0 {
		return []string{strings.Join(kept, "; ")}
	}
	return nil
}

// allowedCookie lets a plugin set cookies of its own names only, and in the form that browsers hold the prefix to: another
// would be dropped by them without a word.
func allowedCookie(line, plugin string) (*http.Cookie, bool) {
	c, err := http.ParseSetCookie(line)
	ok := err == nil && strings.HasPrefix(c.Name, cookiePrefix(plugin)) && c.Secure && c.Path == "/" && c.Domain == ""
	return c, ok
}

// jar is what the browser that asks has of the plugin's cookies, the oldest first, and will have after the answer.
type jar struct {
	plugin string
	pairs  []string // as the browser sent them
	set    []jarred // by this answer
	lines  []string // Set-Cookie
}

type jarred struct {
	name  string
	bytes int
}

// put takes a Set-Cookie line in, and reports whether it may be set. Where there is no room for it, the oldest of the plugin's
// cookies give way, but never one that this answer sets.
func (j *jar) put(line string) bool {
	c, ok := allowedCookie(line, j.plugin)
	if !ok {
		return false
	}
	gone := c.MaxAge < 0 || !c.Expires.IsZero() && c.Expires.Before(time.Now())
	size := len(c.Name) + len(c.Value) + 1
	set := slices.DeleteFunc(slices.Clone(j.set), func(x jarred) bool { return x.name == c.Name })
	if !gone {
		set = append(set, jarred{c.Name, size})
	}
	n, total := len(set), 0
	for _, x := range set {
		total += x.bytes
	}
	if n > maxCookies || total > maxCookieBytes || len(j.lines) >= 4*maxCookies {
		return false
	}
	j.set, j.lines = set, append(j.lines, line)
	j.pairs = slices.DeleteFunc(j.pairs, func(p string) bool { return pairName(p) == c.Name })
	for _, p := range j.pairs {
		n, total = n+1, total+len(p)
	}
	for len(j.pairs) > 0 && (n > maxCookies || total > maxCookieBytes) {
		oldest := j.pairs[0]
		n, total, j.pairs = n-1, total-len(oldest), j.pairs[1:]
		j.lines = append(j.lines, pairName(oldest)+"=; Path=/; Max-Age=0; Secure; HttpOnly")
	}
	return true
}

func pairName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return name
}
