// Package egress is how Sigra calls addresses that somebody else chose: discovery documents and what they name, webhook endpoints, metadata,
// pictures.
//
//	URL ──▶ Client ──▶ name resolved ──▶ Policy.Control on each address ──▶ connected ──▶ answer, bounded in size and time
//	                                        │
//	                                        └── private, loopback, link-local, shared, multicast, mapped, NAT64, 6to4 and Teredo, metadata,
//	                                            documentation, reserved ──▶ Refused
//
// Whoever can have a server fetch a URL can otherwise have it talk to what only the server reaches: a cloud's metadata, a database, an
// administrative port (SSRF; ASVS 5.0 1.3.6, CWE-918). The check is made at connect time on the address itself: a check of the name beforehand
// says nothing about the connection that follows (DNS rebinding), and writes of an address that a parser and a resolver read differently all
// end in one.
//
// Of IPv6 only what IANA has given out is let through, and ranges that carry an IPv4 address in them are not: a gateway would take them to any
// IPv4 address, a private one too. Operators name exceptions in egress.allow.
//
// pluginsdk/egress is the same for plugins, which import nothing of the core; one table of addresses holds both to the same verdicts.
//
// The package refuses to follow redirects unless asked to, to send cookies, and to judge what an answer says.
package egress
