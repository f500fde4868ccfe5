package pluginhost

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// The limits of a plugin's response head.
const (
	maxHeaderNames = 100
	maxHeaderBytes = 64 << 10
)

// hopByHop end at the next hop (RFC 9110 §7.6.1) and with them what only a proxy should say.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Http2-Settings",
}

// identityHeaders are what some application behind some proxy takes for proof of who is asking or where from. A
// plugin is told that in typed fields; a header of that kind can only come from a client that lies.
var identityHeaders = []string{
	"Forwarded", "Remote-User", "Remote-Addr", "Remote-Name", "Remote-Email", "Remote-Groups", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip",
	"X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Original-Forwarded-For", "X-Original-Url", "X-Rewrite-Url", "X-Original-Host", "X-Host",
	"X-User", "X-User-Id", "X-Username", "X-Email", "X-Groups", "X-Roles", "X-Token-Subject", "X-Client-Cert", "X-Request-Id", "Client-Cert", "Client-Cert-Chain",
}

var identityPrefixes = []string{
	"X-Forwarded-", "X-Remote-", "X-Auth-", "X-Authenticated-", "X-Webauth-", "X-Sigra-", "Sigra-", "X-Ssl-", "Ssl-Client-", "X-Goog-Authenticated-",
	"X-Ms-Client-Principal", "X-Amzn-Oidc-", "X-Envoy-", "X-Vouch-", "X-Authentik-", "X-Tailscale-", "Tailscale-User-",
}

// originWide are response headers that act on the whole origin, which is Sigra's and not the plugin's: they would sign
// people out, take over other pages or change how the site is reached.
var originWide = []string{
	"Clear-Site-Data", "Service-Worker-Allowed", "Strict-Transport-Security", "Public-Key-Pins", "Alt-Svc", "Nel", "Report-To", "Expect-Ct",
	"Origin-Agent-Cluster", "Accept-Ch", "Critical-Ch", "Server", "Supports-Loading-Mode",
}

func isIdentity(name string) bool {
	name = strings.ReplaceAll(name, "_", "-") // many servers make X_Forwarded_For and X-Forwarded-For one
	name = textproto.CanonicalMIMEHeaderKey(name)
	return slices.Contains(identityHeaders, name) || slices.ContainsFunc(identityPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// connectionNames are the headers that a Connection header makes hop-by-hop.
func connectionNames(h http.Header) []string {
	var out []string
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			out = append(out, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		}
	}
	return out
}

// cookiePrefix is what the names of a plugin's cookies begin with. Browsers hold a cookie of that prefix to this very host,
// to HTTPS and to the path / (RFC 6265bis §4.1.3.2), so that no other site nor a neighbour's host can plant one.
func cookiePrefix(plugin string) string { return "__Host-" + plugin + "_" }

// ownCookies leaves of Cookie header lines what is the plugin's own: never another plugin's, the application's or Sigra's.
func ownCookies(lines []string, plugin string) []string {
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.TrimSpace(pair)
			if name, _, ok := strings.Cut(pair, "="); ok && strings.HasPrefix(name, cookiePrefix(plugin)) {
				kept = append(kept, pair)
			}
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return []string{strings.Join(kept, "; ")}
}

// requestHeaders is what a plugin sees of a request's headers. bearer says that the Authorization header is Sigra's.
func requestHeaders(h http.Header, plugin string, bearer bool) []*pluginv1.Header {
	skip := append(connectionNames(h), hopByHop...)
	out := make([]*pluginv1.Header, 0, len(h))
	for name, values := range h {
		switch {
		case slices.Contains(skip, name), isIdentity(name):
			continue
		case name == "Authorization" && bearer:
			continue
		case name == "Cookie":
			if values = ownCookies(values, plugin); len(values) == 0 {
				continue
			}
		}
		clean := make([]string, 0, len(values))
		for _, v := range values {
			clean = append(clean, strings.ToValidUTF8(v, "?")) // a proto string can't hold other bytes
		}
		out = append(out, &pluginv1.Header{Name: name, Values: clean})
	}
	return out
}

// responseHeaders puts a plugin's headers on an answer; refused names what was taken out. ok is false when they are too many.
func responseHeaders(dst http.Header, plugin string, in []*pluginv1.Header) (refused []string, ok bool) {
	if len(in) > maxHeaderNames {
		return nil, false
	}
	total := 0
	var listed []string
	for _, h := range in {
		if strings.EqualFold(h.GetName(), "Connection") {
			for _, v := range h.GetValues() {
				for name := range strings.SplitSeq(v, ",") {
					listed = append(listed, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
				}
			}
		}
	}
	for _, h := range in {
		name := textproto.CanonicalMIMEHeaderKey(h.GetName())
		if !httpguts.ValidHeaderFieldName(name) {
			refused = append(refused, "header_name")
			continue
		}
		switch {
		case slices.Contains(hopByHop, name), slices.Contains(listed, name):
			continue
		case slices.Contains(originWide, name), isIdentity(name):
			refused = append(refused, name)
			continue
		case name == "Content-Security-Policy", name == "X-Frame-Options":
			continue // see policies
		}
		var values []string
		for _, v := range h.GetValues() {
			total += len(name) + len(v) + 4
			if !httpguts.ValidHeaderFieldValue(v) {
				refused = append(refused, "header_value")
				continue
			}
			if name == "Set-Cookie" && !allowedCookie(v, plugin) {
				refused = append(refused, "cookie")
				continue
			}
			values = append(values, v)
		}
		if total > maxHeaderBytes {
			return refused, false
		}
		if len(values) > 0 {
			dst[name] = values
		}
	}
	return refused, true
}

// allowedCookie lets a plugin set cookies of its own names only, and in the form that browsers hold the prefix to: another
// would be dropped by them without a word.
func allowedCookie(line, plugin string) bool {
	c, err := http.ParseSetCookie(line)
	return err == nil && strings.HasPrefix(c.Name, cookiePrefix(plugin)) && c.Secure && c.Path == "/" && c.Domain == ""
}

// defaultPolicy is the Content-Security-Policy of a plugin's answer when the host was given none.
const defaultPolicy = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// policies are the Content-Security-Policy headers of an answer. Browsers enforce all of them together, so whatever a
// plugin adds can only tighten. One that brings a policy of its own that is strict about scripts replaces the default,
// since it may have to send a form elsewhere (OAuth, SAML); what guards Sigra's own pages from being framed stays.
// ASVS 5.0 3.4.3
func policies(in []*pluginv1.Header, base string) []string {
	var own []string
	for _, h := range in {
		if textproto.CanonicalMIMEHeaderKey(h.GetName()) == "Content-Security-Policy" {
			for _, v := range h.GetValues() {
				if httpguts.ValidHeaderFieldValue(v) && v != "" {
					own = append(own, v)
				}
			}
		}
	}
	if base == "" {
		base = defaultPolicy
	}
	if len(own) == 0 {
		return []string{base}
	}
	if !slices.ContainsFunc(own, strictPolicy) {
		return append(own, base)
	}
	if !slices.ContainsFunc(own, func(p string) bool { return strings.Contains(strings.ToLower(p), "frame-ancestors") }) {
		own = append(own, "frame-ancestors 'none'")
	}
	return append(own, "object-src 'none'; base-uri 'none'")
}

// strictPolicy reports whether a policy lets in no script that the page's author did not put there.
func strictPolicy(policy string) bool {
	directives := map[string][]string{}
	for d := range strings.SplitSeq(strings.ToLower(policy), ";") {
		if f := strings.Fields(d); len(f) > 0 {
			if _, dup := directives[f[0]]; !dup { // the first one counts
				directives[f[0]] = f[1:]
			}
		}
	}
	sources, ok := directives["script-src"]
	if !ok {
		if sources, ok = directives["default-src"]; !ok {
			return false
		}
	}
	for _, d := range []string{"script-src-elem", "script-src-attr", "worker-src"} {
		sources = append(slices.Clone(sources), directives[d]...)
	}
	for _, s := range sources {
		switch {
		case s == "'self'", s == "'none'", s == "'strict-dynamic'", s == "'report-sample'", strings.HasPrefix(s, "'nonce-"), strings.HasPrefix(s, "'sha"):
		default:
			return false // 'unsafe-inline', 'unsafe-eval', *, https:, a host
		}
	}
	return true
}
