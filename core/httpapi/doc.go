// Package httpapi is the JSON API of Sigra: what a browser application, a back end or the command line may ask, the
// exact shape of every answer, and the OpenAPI document that says so.
//
//	                  ┌────────────── API.Handler (public) ── principal: cookie or bearer
//	router, one tree ─┤
//	                  └────────────── API.ControlHandler ──── principal: operator (the control socket)
//
//	request → route → principal → query and body made safe → one domain method → JSON, or a problem
//
// It owns the operations under /v1, the session cookie's attributes, the resolution of a request to a principal, and
// the one mapping from a fault to an HTTP status and an RFC 9457 problem document. core/web renders pages over the
// same domain methods and reuses the cookie and the principal from here.
//
// What a client sends is refused before a domain method runs when it is not exactly what the document says: another
// content type, JSON that is malformed, too deep, too large or followed by anything, a member given twice or not
// known, a parameter given twice or not known. A refusal names the place. It never echoes what was sent, for that may
// be a password.
//
// The package refuses to decide: no rule about accounts, sessions or events is here. It refuses to listen, to judge
// proxies, to log accesses and to limit rates, which is core/server's, and to know any satellite.
package httpapi
