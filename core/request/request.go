package request

import (
	"context"
	"net/netip"
)

// Info is what is known of the request being served. The zero value means "not a request" (a command, a job).
type Info struct {
	ID        string     // request id, at most 64 visible ASCII characters
	IP        netip.Addr // the client's address as judged by the trusted-proxy rules; invalid when unknown
	UserAgent string     // at most 512 bytes
	Language  string     // BCP 47 tag chosen for the answer; empty means English
	// Traceparent is the client's W3C Trace Context, which Sigra passes on as it came; empty: there is none.
	Traceparent string
	Operator    string // who asks over the control socket, "1000/alice"; empty for every other request
	Asked       Asked  // by a trusted proxy, about another request
	Local       bool   // straight from this machine, as far as can be told: a loopback peer that asks for a loopback name, no proxy's header
}

// Asked is a request that a proxy asks about before it passes it on.
type Asked struct {
	Trusted     bool   // the proxy is one of the trusted ones; without that all else is empty
	Method, URI string // as the client sent them
	Contradicts bool   // it is said in two ways, one of which may be the client's
	Redirects   bool   // the proxy passes a redirect on to the browser
}

type infoKey struct{}

// With returns a context that carries info.
func With(ctx context.Context, info Info) context.Context {
	return context.WithValue(ctx, infoKey{}, info)
}

// From gives the request's info, or the zero value outside of a request.
func From(ctx context.Context) Info {
	info, _ := ctx.Value(infoKey{}).(Info)
	return info
}

// IPString is the address as text, empty when unknown.
func (i Info) IPString() string {
	if !i.IP.IsValid() {
		return ""
	}
	return i.IP.String()
}
