package pluginhost

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
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
