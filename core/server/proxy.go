package server

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/core/request"
)

// maxHops bounds how far back a chain of proxies is followed.
const maxHops = 32

// forwardedHeaders say something of the request before the last hop. They are gone from every request behind the
// edge, so that nothing there can believe them by mistake.
var forwardedHeaders = [...]string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Method", "X-Forwarded-Uri", "X-Original-Method", "X-Original-Uri", "X-Original-Url", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip",
}

func dropForwarded(h http.Header) {
	for _, name := range forwardedHeaders {
		h.Del(name)
	}
}

// local reports whether a request comes straight from this machine. A loopback peer alone does not say so: it may be a
// proxy that everybody's requests come through. Such a one is told by the header it adds or, if it adds none, by the
// name it asks for, which is Sigra's public one.
func local(r *http.Request, peer netip.Addr) bool {
	if !peer.IsLoopback() || r.Header.Get("Via") != "" {
		return false
	}
	for _, name := range forwardedHeaders {
		if len(r.Header.Values(name)) > 0 {
			return false
		}
	}
	u := url.URL{Host: r.Host}
	return loopback(strings.ToLower(u.Hostname())) // and no name that somebody had resolve to 127.0.0.1
}

// trusts reports whether a peer is one of the configured proxies.
func (s *Server) trusts(a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// judge decides the client's address, and the host and scheme it asked for, and removes the headers it looked at.
//
// Headers count only when the peer itself is a trusted proxy. Then the chain is walked from the right, the end that
// the nearest proxy wrote, and the first address that is no trusted proxy is the client: what lies further left is
// the client's own claim (RFC 7239 §8.1; ASVS 5.0 4.1.3). Of X-Forwarded-For and Forwarded the one counts that the proxies
// are configured to write. The other may be there, too: proxies pass on what they don't know, and then it is the client's.
//
// What the proxy says of the request that it asks about (forward-auth) is put into asked.
func (s *Server) judge(r *http.Request, peer netip.Addr, trusted bool, asked *request.Asked) netip.Addr {
	defer dropForwarded(r.Header)
	if !trusted {
		return peer
	}
	client := peer
	*asked = askedAbout(r.Header)
	values, other := r.Header.Values("X-Forwarded-For"), r.Header.Values("Forwarded")
	hops := splitList
	if s.cfg.Forwarded {
		values, other, hops = other, values, forwardedFor
	}
	if len(values) > 0 {
		client = s.walk(peer, hops(values))
	} else if len(other) > 0 {
		s.unheard.Do(func() {
			s.log.Warn("a trusted proxy does not say whom a request comes from in the header that it is asked for; its requests count as its own until server.forwarded_header names the header that it sends", "proxy", peer)
		})
	}
	if host := single(r.Header.Values("X-Forwarded-Host")); host != "" {
		r.Host = host // checked against the base URL like any other
	}
	if proto := single(r.Header.Values("X-Forwarded-Proto")); strings.EqualFold(proto, "http") || strings.EqualFold(proto, "https") {
		r.URL.Scheme = strings.ToLower(proto)
	}
	return client
}

// askedAbout reads which request a proxy asks about. Traefik and Caddy send X-Forwarded-Method and -Uri, and pass a redirect on to the
// browser; nginx, configured as documented, sends X-Original-Method and -Uri, and can pass on no more than 401 and 403.
func askedAbout(h http.Header) request.Asked {
	one := func(name string) string {
		if v := h.Values(name); len(v) == 1 { // an address may have commas in it
			return v[0]
		}
		return ""
	}
	original := request.Asked{Trusted: true, Method: one("X-Original-Method"), URI: one("X-Original-Uri")}
	forwarded := request.Asked{Trusted: true, Method: one("X-Forwarded-Method"), URI: one("X-Forwarded-Uri"), Redirects: true}
	named := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return len(h.Values(name)) > 0 })
	}
	switch o, f := named("X-Original-Method", "X-Original-Uri", "X-Original-Url"), named("X-Forwarded-Method", "X-Forwarded-Uri"); {
	case o && f: // a proxy sends one kind and passes the client's other kind through: believing either would let clients choose the rule
		return request.Asked{Trusted: true, Contradicts: true}
	case o:
		return original
	}
	return forwarded
}

// walk follows the chain from its right end to the first address that is no trusted proxy. Something unreadable ends
// it at the last address that was read.
func (s *Server) walk(peer netip.Addr, hops []string) netip.Addr {
	last := peer
	for i := range min(len(hops), maxHops) {
		a, ok := parseHop(hops[len(hops)-1-i])
		if !ok {
			return last
		}
		if last = a; !s.trusts(a) {
			return a
		}
	}
	return last
}

// parseHop reads an address, alone or with a port: "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1".
func parseHop(hop string) (netip.Addr, bool) {
	hop = strings.Trim(strings.TrimSpace(hop), `"`)
	if ap, err := netip.ParseAddrPort(hop); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	if strings.HasPrefix(hop, "[") && strings.HasSuffix(hop, "]") {
		hop = hop[1 : len(hop)-1]
	}
	a, err := netip.ParseAddr(hop)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap().WithZone(""), true
}

func splitList(values []string) []string {
	var out []string
	for _, v := range values {
		out = append(out, strings.Split(v, ",")...)
	}
	return out
}

// forwardedFor takes the for= of each element of the Forwarded header (RFC 7239 §4). An element without one, or an
// obfuscated one ("_hidden", "unknown"), stays as it is and ends the walk.
func forwardedFor(values []string) []string {
	elements := splitList(values)
	for i, element := range elements {
		node := ""
		for pair := range strings.SplitSeq(element, ";") {
			if name, value, ok := strings.Cut(pair, "="); ok && strings.EqualFold(strings.TrimSpace(name), "for") {
				node = value
			}
		}
		elements[i] = node
	}
	return elements
}

// single is the value of a header that came once and lists one thing; several proxies that each added one leave it
// open which to believe.
func single(values []string) string {
	if len(values) != 1 || strings.Contains(values[0], ",") {
		return ""
	}
	return strings.TrimSpace(values[0])
}
