// Package sessionjwt issues tokens that stand for a session for a few minutes, and that an application verifies by itself, with public keys that it
// fetches now and then.
//
//	session ──Issue──▶ JWT (RFC 7519): ES256, five minutes, the session's end at most
//	keys    ──Set────▶ JWK Set (RFC 7517), to be kept for fifteen minutes
//
// A key's life. It is published a while before it signs, and a while after, so that a verifier with a set from its cache knows every key that it meets:
//
//	next ──thirty days, or Rotate──▶ current ──▶ retired ──an hour──▶ gone
//
// The keys are in the database, sealed, and the same on every node.
//
// The package refuses to tell who has a session, and to say that a session has ended: a token outlives it by up to its five minutes.
package sessionjwt
