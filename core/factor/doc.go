// Package factor owns what somebody shows beside a password, and how an account is kept true to what it has.
//
//	Proof ──Verify──▶ Verified ──Spend, in the flow's transaction──▶ right, or a reason that is counted and written down
//
// Verify does what is slow or needs no lock; Spend ends the matter with the account's row locked, so that a proof is good
// once and only while the account still has the factor. Added and Removed keep the account's flag, its recovery codes, its waiting
// sign-ins and its trusted browsers true to each change; Raise renews a session after a proof.
//
// The tables are those of core/credential. The package refuses to decide when a factor is asked for (core/auth) and who may
// change one (core/selfservice, core/administration).
package factor
