// Package lease lets one node at a time run a job: a row in the database that names the holder, until when, and a
// fencing token.
//
//	(no row) ──Acquire──▶ held by A, token 1 ──Acquire by A──▶ held by A, token 1, later end   (renewal)
//	                        │            │
//	              A's time runs out   Release by A
//	                        ▼            ▼
//	                      free ──Acquire by B──▶ held by B, token 2
//
// Time is the database's alone: nodes with wrong clocks can neither steal a lease nor keep one too long. The token
// grows at every change of holder and never shrinks, so work written with an older token can be told from the
// current holder's; Guard checks it inside the transaction that does the work, which is the only check that a holder
// that was stopped (SIGSTOP, a long pause) and woken up can't pass.
//
// A node's name must be unique among the processes that run at the same time: two processes of one name are one
// holder. A name that stays the same over restarts gets its leases back at once.
//
// The package refuses to run goroutines: whoever holds a lease renews it.
package lease
