// Package password owns password hashes: making, checking and keeping them, the machine they cost, and which passwords
// are refused.
//
//	Check (policy) ─▶ Screen (breaches) ─▶ Hash ─▶ admission ─▶ argon2id ─▶ PHC string ─▶ Set (in the flow's transaction)
//	Find ─▶ Verify ─▶ which form? ─▶ limits ─▶ admission ─▶ the hash ─▶ match? stale? ─▶ Hash ─▶ Upgrade
//	import ─▶ Admit ─▶ Set
//
// Hashing. argon2id, m=19456 KiB, t=2, p=1 unless configured (OWASP Password Storage Cheat Sheet; RFC 9106 §4 for the
// algorithm), a 16-byte salt and a 32-byte tag, written as a PHC string, so that every hash says how it was made and
// parameters can change: Verify reports a hash made with others as stale and the flow replaces it.
//
// Admission. A hash costs about 20 ms of a core and 19 MiB. At most as many run at once as there are cores (or as
// configured); the others wait in line, first come first served, until QueueTimeout, and then get
// fault.Unavailable with a Retry-After. Whoever could not be served in time anyway, judging by the length of the line and
// how long hashes take lately, is told so at once; a flow that reads before it hashes asks with Announce, so that this
// happens before its reads. A caller who gives up leaves the line at once. A stored hash
// that needs more memory than the configured ones takes several places, so memory in use by hashing never
// exceeds places × configured cost, unless one hash alone needs more than that, and then it runs alone.
// Hashes of other systems that need less than that have it beside what is kept for ours: at most as much again.
//
// The memory is kept for the next hash and returned to the system when none came for a while (core/credential/password/argon2id);
// scrypt, and argon2 of other systems, leave theirs as garbage. The kept memory is mapped, so GOMEMLIMIT does not count it.
//
// Unknown users. Verify with an empty hash takes a place, hashes with the configured parameters and never matches: no
// difference in time or load tells who has an account.
//
// Hashes of other systems (core/credential/password/foreign has the forms) verify as they did there and count as stale, so that
// the first sign-in replaces them. What one costs follows from its parameters, and Limits bound it twice: Admit and Set refuse
// what goes beyond, naming the parameter, and Verify asks again before it computes anything, whatever is in the database. A
// hash takes its places by memory and its share of the line by work.
//
// Which form an account's hash has must not show either. One that is quicker than the configured argon2id is followed by as
// much argon2id as is missing, whether it matched or not. What remains: a hash that is dearer than ours (bcrypt above
// cost 8, say) takes longer than nobody's password, until its owner has signed in once; and the difference that is made up is
// reckoned by the figures in cost.go, so that on a processor that is much better or worse at one algorithm some milliseconds
// are left over. Both tell that there is an account, to who can measure them over a network and through the limits on guessing.
// An import that must not tell even that can have everybody set a new password instead.
//
// bcrypt takes 72 bytes. A longer password matches as it did in the system that cut it off, but what follows the 72nd byte was
// not proved, so it is not stale: hashed anew, a slip of the finger there would become the password.
//
// Refused passwords. Check knows the 10 000 most common ones and the words of the account; Screen asks a Breaches whether the
// password was seen in a breach, refuses it if so, and lets it pass, saying so, where that can't be told.
//
// Text. A password is UTF-8, taken whole, never trimmed and never truncated (ASVS 5.0 6.2.8, 6.2.9), and put in Unicode NFC before
// hashing, as RFC 8265 §4.2.2 prescribes for passwords (OpaqueString). SP 800-63B asks for a stable normalization;
// we do not take its NFKC, because that merges characters a person can tell apart (² and 2, ﬁ and fi) and so
// weakens what they chose. Nothing else is mapped. Other systems hashed what was typed, so their hashes are verified with
// that; of an argon2id hash in our own form it can't be told that another system made it.
//
// The package refuses to know accounts beyond their id, to rate-limit guesses (core/ratelimit does) and to log or
// keep any password.
package password
