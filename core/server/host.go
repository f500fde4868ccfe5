package server

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/request"
)

// allowedHosts are the Host values Sigra answers to. For a base URL on loopback the other loopback names are fine too:
// an attacker's domain that resolves to 127.0.0.1 is none of them.
func allowedHosts(base *url.URL, more []string) map[string]bool {
	hosts := map[string]bool{canonicalHost(base.Host, base.Scheme): true}
	if name := base.Hostname(); loopback(name) {
		for _, other := range []string{"localhost", "127.0.0.1", "[::1]"} {
			if port := base.Port(); port != "" {
				other += ":" + port
			}
			hosts[canonicalHost(other, base.Scheme)] = true
		}
	}
	for _, h := range more {
		hosts[canonicalHost(h, base.Scheme)] = true
	}
	return hosts
}

func internalHosts(base *url.URL, names []string) map[string]bool {
	hosts := map[string]bool{}
	for _, h := range names {
		hosts[canonicalHost(h, base.Scheme)] = true
	}
	return hosts
}

// canonicalHost lowers the name and drops the scheme's own port.
func canonicalHost(host, scheme string) string {
	host = strings.ToLower(host)
	if name, port, err := net.SplitHostPort(host); err == nil && (scheme == "http" && port == "80" || scheme == "https" && port == "443") {
		if strings.Contains(name, ":") {
			name = "[" + name + "]"
		}
		return name
	}
	return host
}

func loopback(name string) bool {
	if name == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback()
}

// probes are asked by address, by machines that know no name.
var probes = map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true}

// checkHost refuses requests for another host than the base URL's. Without it a page on evil.example whose name is
// re-bound to 127.0.0.1 could talk to a Sigra on the developer's machine as its own origin; behind a proxy it stops
// cache poisoning by Host. RFC 9110 §15.5.20 names the status. A plain-HTTP request for an HTTPS Sigra, as a trusted
// proxy reports it, is sent over.
func (s *Server) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A trusted proxy asks about a request to an application, whose name is in it; see verify.
		if probes[r.URL.Path] || r.URL.Path == verifyPath && request.From(r.Context()).Asked.Trusted {
			next.ServeHTTP(w, r)
			return
		}
		if s.internal(r) {
			next.ServeHTTP(w, r)
			return
		}
		if !s.hosts[canonicalHost(r.Host, s.base.Scheme)] {
			s.log.Debug("refused a Host that is not base_url's", "host", r.Host, "base_url", s.cfg.BaseURL)
			refuse(w, r, http.StatusMisdirectedRequest, "misdirected_request",
				"This is not an address Sigra answers to. If it should be, set server.base_url; if a proxy stands in front, have it pass the Host header.")
			return
		}
		if s.base.Scheme == "https" && r.URL.Scheme == "http" {
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				s.Fail(w, r, fault.New(fault.Denied, "https_required", "Sigra answers over HTTPS only."))
				return
			}
			http.Redirect(w, r, "https://"+s.base.Host+r.URL.RequestURI(), http.StatusPermanentRedirect)
			return
		}
		next.ServeHTTP(w, r)
	})
}
