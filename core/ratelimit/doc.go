// Package ratelimit bounds how often something may be tried, and makes trying cost something.
//
// Three limiters are leaky buckets in the form of GCRA (the "generic cell rate algorithm" of ITU-T I.371): all that is
// kept of a key is the moment at which its bucket will be empty. Every attempt moves it by Per/Count; an attempt that
// would move it further than Per ahead of now is refused. So Count attempts may come at once, and afterwards one every
// Per/Count.
//
//   - IP counts requests per address, in memory: one /32 or one /64. It bounds its memory: under a flood of addresses it
//     forgets those who did least first, so that the heaviest stay known.
//   - Pair counts attempts per address and account together, likewise.
//   - Account counts failures per account, in the database, inside the transaction of the attempt: it holds across nodes
//     and restarts, and however many guesses run in parallel. It stops when the bucket is full.
//
// Backoff counts failures per account as Account does, for sign-in, where a stop would be a weapon: whoever knows an address could
// keep its owner out. It slows down instead, and asks for a proof:
//
//	open ──After failures──▶ slowed ──Hard failures──▶ stopped
//	 ▲                          │                         │
//	 └──── a success, or time ──┴───────── time ──────────┘
//
//	open     every attempt is judged
//	slowed   one at a time: with a proof, and First·2ⁿ after the last failure (Longest at most)
//	stopped  none
//
// It keeps the moment of each failure that counts, so its windows are exact: in no span of Hard.Per are more than Hard.Count
// wrong guesses judged, in none of After.Per more than After.Count without a proof, and those with one keep their distance. A
// stranger who brings proof after proof can still take the turns of somebody who comes from an unknown browser. Known browsers
// the caller counts under keys of their own, which no stranger's failures touch.
//
// # Why parallel guesses don't help
//
// Guesses that run at the same time all pass a check that comes before the password is verified. So the check is
// repeated where the attempt ends, in its own transaction:
//
//	Check ──▶ verify the password ──▶ wrong: Fail ──▶ counted, or already full: RateLimited
//	                              └─▶ right: Reset ─▶ cleared, or already full: RateLimited
//
// The row's lock puts all attempts in one order. What comes after the bucket is full, too soon or with a proof that another one has
// used, gets the same answer whether it was right or wrong, and so teaches nothing. A refused attempt adds nothing and keeps its
// proof, so that a flood doesn't keep the owner out longer.
//
// # Proofs
//
// A Verifier asks for a proof and judges it: Puzzles by itself, captcha.Verifier (in a package of its own, since it calls out) by asking
// a provider. Judging uses nothing up, and Spend does, in the transaction of what the proof allows:
//
//	Issue ──▶ (the client works) ──▶ Verify ──▶ Ticket ──▶ Spend, once on all nodes ──▶ forgotten after its end
//
// A puzzle is kept nowhere before that: it carries its difficulty and its end, and a MAC over both and over what it is for. Solving it
// means to find numbers whose SHA-256 begins with zeros. That is no match for graphics cards, and need not be: the bound
// on guesses is the back-off's. The work is what a crowd of cheap clients pays, thousands of accounts long, and what a person
// does not notice. A function that needs much memory would cost the small phone more than the attacker.
//
// The package refuses to know HTTP, email addresses or what is being limited.
package ratelimit
