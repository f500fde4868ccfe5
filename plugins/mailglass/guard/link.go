package guard

import (
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/idna"
)

var scheme = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*):`)

// clean does to an address what every browser does before it reads one (WHATWG URL §4.4): blanks and control characters
// around it go, tabs and line breaks in it too.
func clean(s string) string {
	s = strings.TrimFunc(s, func(r rune) bool { return r <= 0x20 || r == 0xa0 })
	return strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(s)
}

// fetches reports whether a client would fetch an address by itself: all but parts of the message and what is in it already.
func fetches(s string) bool {
	s = strings.ToLower(clean(s))
	return s != "" && !strings.HasPrefix(s, "data:") && !strings.HasPrefix(s, "cid:") && !strings.HasPrefix(s, "#")
}

// link checks where a link leads and what it carries. It gives the host, for the comparison with the link's text.
func (r *report) link(raw, part string, line int, element string) (host string) {
	s := clean(raw)
	found := func(reason string) {
		r.add(Finding{Reason: reason, Part: part, Line: line, Element: element, Detail: s})
	}
	m := scheme.FindStringSubmatch(s)
	switch {
	case s == "" || strings.HasPrefix(s, "#"):
		return ""
	case m == nil && strings.HasPrefix(strings.ReplaceAll(s, `\`, "/"), "//"):
		s = "https:" + s
	case m == nil:
		found(LinkScheme) // where a relative address leads is up to the client
		return ""
	default:
		switch strings.ToLower(m[1]) {
		case "https", "http":
		case "mailto", "tel":
			return ""
		default:
			found(LinkScheme)
			return ""
		}
	}
	u, err := url.Parse(strings.ReplaceAll(s, `\`, "/")) // as browsers do for these schemes
	if err != nil || u.Host == "" || u.User != nil || strings.Contains(s, `\`) {
		found(LinkHost)
		return ""
	}
	if strings.EqualFold(u.Scheme, "http") {
		secure := *u
		secure.Scheme = "https"
		if !r.guard.ours(u) { // plain http is an origin of development only
			found(InsecureLink)
			if !r.guard.ours(&secure) {
				found(LinkHost)
			}
		}
	} else if !r.guard.ours(u) {
		found(LinkHost)
	}
	for _, pair := range strings.FieldsFunc(u.RawQuery+"&"+u.RawFragment, func(c rune) bool { return c == '&' || c == ';' || c == '?' }) {
		name, _, _ := strings.Cut(pair, "=")
		if tracks(unescape(name)) {
			found(TrackingParam)
		}
	}
	if r.wraps(u) {
		found(LinkWrapped)
	}
	if h, err := idna.Lookup.ToASCII(strings.ToLower(u.Hostname())); err == nil {
		host = h
	}
	return host
}

// params are the ids of campaigns and clicks that the well-known trackers put into links.
var params = map[string]bool{
	"gclid": true, "gclsrc": true, "dclid": true, "gbraid": true, "wbraid": true, "fbclid": true, "msclkid": true, "yclid": true, "twclid": true, "ttclid": true,
	"li_fat_id": true, "igshid": true, "mc_eid": true, "mc_cid": true, "_hsenc": true, "_hsmi": true, "__hssc": true, "__hstc": true, "hsctatracking": true,
	"mkt_tok": true, "vero_id": true, "vero_conv": true, "oly_anon_id": true, "oly_enc_id": true, "_ke": true, "_kx": true, "__s": true, "ck_subscriber_id": true,
	"s_cid": true, "trk_contact": true, "trk_msg": true, "trk_module": true, "trk_sid": true, "wickedid": true, "rb_clickid": true, "sc_cid": true, "epik": true,
}

func tracks(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	return strings.HasPrefix(name, "utm_") || strings.HasPrefix(name, "pk_") || strings.HasPrefix(name, "mtm_") || params[name]
}

// unescape undoes percent escapes as often as there are any, within bounds.
func unescape(s string) string {
	for range 4 {
		next, err := url.QueryUnescape(s)
		if err != nil || next == s {
			break
		}
		s = next
	}
	return s
}

var inner = regexp.MustCompile(`(?i)(?:https?:)[/\\]{1,2}[^\s"'<>&]+|(?:^|=)[/\\]{2}[^\s"'<>&]+`)

// wraps reports a link that carries the address of another place: what a click tracker, a gateway or an open redirect looks like.
func (r *report) wraps(u *url.URL) bool {
	var carried []string
	for _, pair := range strings.FieldsFunc(u.RawQuery+"&"+u.RawFragment, func(c rune) bool { return c == '&' || c == ';' }) {
		_, value, _ := strings.Cut(pair, "=")
		carried = append(carried, unescape(value))
	}
	path := unescape(u.EscapedPath())
	carried = append(carried, strings.TrimLeft(path, "/"))
	for _, text := range carried {
		for _, found := range inner.FindAllString(text, -1) {
			found = strings.TrimLeft(strings.ReplaceAll(found, `\`, "/"), "=")
			if strings.HasPrefix(found, "//") {
				found = "https:" + found
			}
			if i := strings.Index(found, ":/"); i > 0 && !strings.HasPrefix(found[i:], "://") {
				found = found[:i] + "://" + found[i+2:]
			}
			if to, err := url.Parse(found); err != nil || !r.guard.ours(to) {
				return true
			}
		}
	}
	return false
}

var (
	wholeAddress = regexp.MustCompile(`(?i)^(?:https?://)?((?:[\p{L}\p{N}-]+\.)+\p{L}{2,})(?::\d+)?(?:[/?#]\S*)?$`)
	plainLink    = regexp.MustCompile(`(?i)(?:\bhttps?:[/\\]{2}|\bwww\.)[^\s<>"]+`)
)

// textHost is the host that a link's text names; empty where it names none.
func textHost(text string) string {
	m := wholeAddress.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return ""
	}
	h, err := idna.Lookup.ToASCII(strings.ToLower(m[1]))
	if err != nil {
		return strings.ToLower(m[1])
	}
	return h
}

// plain checks the addresses in a text part, which clients make links of.
func (r *report) plain(text, part string) {
	for n, line := range strings.Split(text, "\n") {
		for _, found := range plainLink.FindAllString(line, -1) {
			found = strings.TrimRight(found, ".,;:!?)]}'\r")
			if strings.HasPrefix(strings.ToLower(found), "www.") {
				found = "https://" + found
			}
			r.link(found, part, n+1, "text")
		}
	}
}
