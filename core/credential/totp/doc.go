// Package totp owns authenticator apps: the secret that an account shares with one, and the spending of its codes (RFC 6238).
//
//	Enroll ──▶ pending ──Confirm, a right code──▶ confirmed ──Remove──▶ gone
//	  ▲           │                                │     ▲
//	  └──again────┤                                Spend ┘ last_step only ever rises
//	              ├── Cancel ──▶ gone
//	              └── past EnrollmentTTL ──▶ gone
//
// SHA-1, 6 digits, 30 seconds: the only parameters that every app understands, and many ignore what else a URI says. The
// secret has 160 bits (RFC 4226 §4, R6), lies sealed in the table, for this account and no other, and leaves this package
// in an Enrollment alone, while it is pending.
//
// # A code is spent once
//
// A code belongs to a step of 30 seconds. One is taken from the step that the server's clock is in and its two neighbours
// (RFC 6238 §5.2), and only when its step is greater than that of every code spent before: a compare-and-swap on last_step, so
// that of any number of equal codes at the same moment, on any number of nodes, exactly one succeeds (ASVS 5.0 6.5.1). A code of
// an older step is refused too, once a newer one was spent: whoever read it over a shoulder comes too late. The code that
// confirms an enrolment is spent by that.
//
// When the clock is set back, last_step stays: codes are refused until the clock has passed it again. The alternative, to
// forget it, would let everybody who can move the clock spend codes twice.
//
// The package refuses to count wrong codes (core/ratelimit does, and a million codes need it: ASVS 5.0 6.3.1), to decide when a code is asked
// for, and to write audit rows: all changes are made in the caller's transaction.
package totp
