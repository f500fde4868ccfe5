// Package apitoken owns what programs show instead of a session: the keys of applications.
//
//	sigra_app_  43 characters, 256 random bits in base62  6 characters, CRC-32 of what is before them
//
// The prefix says what it is to whoever finds one in a log or a repository, and the checksum tells one from what only looks like it, without asking the
// database. Stored is the SHA-256: of 256 random bits nobody finds the original (ASVS 5.0 11.4.1).
//
// A key's life:
//
//	Create ──▶ in use ──Rotate──▶ in use until the overlap is over, beside its successor ──▶ gone
//	              └────Revoke──▶ gone, on every node within a second
//
// The package refuses to know what an application may do.
package apitoken
