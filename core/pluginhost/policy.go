package pluginhost

import (
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

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
