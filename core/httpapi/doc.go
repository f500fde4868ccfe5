// Package httpapi is the JSON API of Sigra: what a browser application, a back end or the command line may ask, the
// exact shape of every answer, and the OpenAPI document that says so.
//
//	request → route → body read whole → who is asking → query and body made safe → one domain method → JSON, or a problem
//
// The body is read before anybody is authenticated, so that nothing waits between the two: a client may take a minute over
// its body, and a session need not live that long.
//
// The API is made of domains, each a handler struct of its own with what it calls and one Mount (kit.go says what they
// share): sessionCheck, signUp, signIn, secondFactor, stepUp … for everybody; account… for what people do to their own account; admin… for
// administration; audit…, hostEvents. To add one, write such a struct in a file of its name, give Services a field for what it
// calls, and add it to Services.domains. Each operation declares its limit class, who may use it, the limit of its body,
// and whether it needs recent authentication; without, New fails.
//
// It owns the operations under /v1, the form of what /v1/session answers, and the one mapping from a fault to an HTTP status and an
// RFC 9457 problem document. Who sends a request is core/principal's to tell, by the chain in Config.Callers.
//
// What a client sends is refused before a domain method runs when it is not exactly what the document says: another
// content type, JSON that is malformed, too deep, too large or followed by anything, a member given twice or not
// known, a parameter given twice or not known. A refusal names the place, and at most twenty of them. It never echoes what was
// sent, for that may be a password.
//
// The package refuses to decide: no rule about accounts, sessions or events is here. It refuses to listen, to judge
// proxies, to log accesses and to limit rates, which is core/server's, and to know any satellite.
package httpapi
