// Package endpoint is what every operation of the JSON API and every page declares before it is mounted: what it costs (the
// limit class), how large a body it takes, who may use it, and whether they must have proved who they are a moment ago.
//
//	core/httpapi, core/web ── declare ──▶ Rules ──▶ Table ◀── asks ── core/server
//
// There is no default: a declaration that leaves something open does not mount, and a route that is in no table keeps the
// server from being made. The server limits a request by the class of the route it matched and bounds its body; the
// handler's own package checks access and freshness. The flows behind it check both again, in the transaction that
// relies on them.
//
// The package refuses to enforce anything, and knows no handler.
package endpoint
