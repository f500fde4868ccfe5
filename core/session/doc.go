// Package session owns being signed in: a row per session, found by the hash of the token its holder presents.
//
//	Issue ──▶ live ──▶ Rotate ──▶ live (a new token; the old one is worth nothing at once)
//	            │
//	            ├── idle longer than IdleTimeout (not when persistent) ──▶ gone
//	            ├── older than AbsoluteTimeout, or RememberMe when persistent ──▶ gone
//	            ├── its account disabled or deleted ──▶ does not resolve
//	            └── Revoke, RevokeAllIn, SignOut ──▶ gone
//
// A token is 256 bits from the system's generator, base64url without padding, and only its SHA-256 is stored. A plain hash is
// enough for a random value of that size (ASVS 5.0 6.5.2), and finding a row by a hash tells nothing through timing.
//
// Resolve is the hot path: one indexed read that joins the account, no write, no cache. So a revocation, a disabled
// account or a new administrator flag holds on the very next request on every node, with nothing to invalidate.
// The same read joins the membership and the policy of the active organization: when the membership ends or is suspended, or the
// session no longer fits the policy, the principal has no organization from the next request on. The session stays.
//
// That somebody was active is remembered in memory, at most once per session and ActivityInterval, and written in
// batches by Run; what a crash loses is up to that much of the idle time.
//
// Sessions end by deletion of the row: the audit log is the memory, not this table. Every way to end them that is an
// action of its own writes its audit row in the same transaction; the ones named …In take part in the transaction
// of a larger action, which is audited as what it is.
//
// The package refuses to know cookies and HTTP, to verify any credential, and to decide who may revoke what.
package session
