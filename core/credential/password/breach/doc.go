// Package breach tells how often a password was seen in data breaches, from its SHA-1: by asking the range API of Pwned
// Passwords, or in a file that lies here.
//
//	API   Count ─▶ breaker closed? ─▶ GET …/range/AAAAA ─▶ every line read ─▶ count
//	               │ open: ErrUnavailable at once           │ late, wrong, down
//	               │                                        ▼
//	               └─ pause over ─▶ one probe, in the background ─▶ closed again, or open for twice as long (30 s … 10 min)
//
//	File  Build ─▶ docs/breach-file.md ─▶ Open ─▶ Count: two reads, nothing kept in memory
//
// The API learns five of the forty digits of the SHA-1, one in a million of all passwords, and the address of this server; answers are
// padded (Add-Padding) so that their length tells an eavesdropper nothing. Nothing else leaves. The deadline (2 s) is paid once: what waits
// when a request fails is let go at once, and until the API answers again nobody waits, because the question whether it does is
// asked by a probe with a prefix of no one's password.
//
// An answer counts only if all of it is in its form: a portal that answers everything with a page of its own is an API that
// is down, not one that knows of nothing.
//
// A File that is replaced (rename) is picked up at the next Count; one that vanished or is damaged is an error, each time.
//
// The package refuses to see a password, to decide what follows from a count, and to keep an answer.
package breach
