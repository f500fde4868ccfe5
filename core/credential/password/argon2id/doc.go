// Package argon2id derives keys from passwords with argon2id (RFC 9106), in memory that it keeps for the next one.
//
//	Key ─▶ take a region ─▶ H0, first blocks ─▶ fill (golang.org/x/crypto) ─▶ tag ─▶ wipe, give back ─▶ unmap when idle
//
// golang.org/x/crypto/argon2 does the work, but its API takes no buffer: each hash of a sign-in leaves 19 MiB of garbage, so
// that the collector walks the whole heap about once for every two of them, beside hashes that wait for memory already. That had made a
// sign-in cost a fifth to a third more than its hash, and had let up to as much again as was in use await collection. So the fill, which is all but a thousandth of the work, is called in the library where it is, and what
// is around it, which RFC 9106 gives in a page, is here. The function is not exported there: fill.go links to it by name. A
// version of the library without it does not build; one in which it does something else fails TestKey, which
// compares with what the library derives itself.
//
// Regions are mapped outside of the Go heap: the collector's pace does not depend on them, GOMEMLIMIT does not count them, and
// the system may back them with huge pages. A region is wiped before it is given back, so that nothing that came of a password
// lies around, and because the fill expects zeroes. All have one size, and a hash that needs less uses a part, so that how long it
// takes does not tell of what size the hashes before it were. Free ones are returned to the system when there was nothing to hash for
// half a minute.
//
// Built with the tag argon2_library the package does without the linked function and its own memory, and calls the library instead: for a
// toolchain or a policy that does not allow go:linkname. The keys are the same.
//
// The package refuses to bound how many derive at once: as many regions exist as callers had at a time.
package argon2id
