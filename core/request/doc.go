// Package request carries who is asking: the request id, the client's address and user agent, and the
// language it prefers. It is the only owner of context keys in the core.
//
// The values are set once, at the edge (core/server), after proxies have been judged; everything below reads
// them. The package refuses to parse HTTP: it takes values, not requests.
package request
