// Package ratelimit bounds how often something may be tried.
//
// Both limiters are leaky buckets in the form of GCRA (the "generic cell rate algorithm" of ITU-T I.371): all that is
// kept of a key is the moment at which its bucket will be empty. Every attempt moves it by Per/Count; an attempt that
// would move it further than Per ahead of now is refused. So Count attempts may come at once, and afterwards one every
// Per/Count.
//
//   - IP counts requests per address, in memory: one /32 or one /64. It bounds its memory: under a flood of addresses it
//     forgets those who did least first, so that the heaviest stay known.
//   - Account counts failures per account, in the database, inside the transaction of the attempt: it holds across nodes
//     and restarts, and however many guesses run in parallel.
//
// # Why parallel guesses don't help
//
// Guesses that run at the same time all pass a check that comes before the password is verified. So the check is
// repeated where the attempt ends, in its own transaction:
//
//	Check ──▶ verify the password ──▶ wrong: Fail ──▶ counted, or already full: RateLimited
//	                              └─▶ right: Reset ─▶ cleared, or already full: RateLimited
//
// The row's lock puts all attempts in one order. What comes after the bucket is full gets the same answer whether it was
// right or wrong, and so teaches nothing: Count guesses are judged, not one more. A refused attempt adds nothing, so
// that a flood doesn't keep the owner out longer than Per/Count after its end.
//
// The package refuses to know HTTP, e-mail addresses or what is being limited.
package ratelimit
