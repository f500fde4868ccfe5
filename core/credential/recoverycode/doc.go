// Package recoverycode owns the codes on paper that stand in for a lost second factor.
//
//	Generate ──▶ 10 left ──Spend──▶ 9 left ──▶ … ──▶ none left
//	   ▲            │                  │                │
//	   └────────────┴──── replaces them all ────────────┘      Remove ──▶ gone
//
// A code is K7QM-2XVD-9RTA-4HNE: 80 random bits in the alphabet of Crockford's base32, which has no I, L, O and U. Typed back,
// case, spaces and dashes don't matter, an O is a 0, an I or an L is a 1. Codes are spent in any order, each once (ASVS 5.0 6.5.1),
// and shown once: the table can't give them back.
//
// # What is stored
//
// All of an account's codes are one row: a random salt and, of each code that is left, HMAC-SHA-256 over salt, account and code,
// keyed by the keyring. ASVS 5.0 6.5.2 wants secrets below 112 bits hashed as passwords are, so that whoever copies the table
// can't search for them. The key does that better: it is not in the table, and without it there is nothing to search. Whoever
// has the key as well still faces 80 bits; a password hash would put twenty more on top, and cost ten hashes for each set.
//
// The keyring's MAC key outlives rotations and changes of the root key, so codes on paper stay good.
//
// One row, locked first by whoever spends or replaces, keeps it simple: of any number of attempts with one code exactly one
// succeeds, attempts with different codes see different numbers left, and two sets are never mixed.
//
// The package refuses to count wrong codes (core/ratelimit does), to decide when a code is asked for, to mail or keep any in
// clear, and to write audit rows: all changes are made in the caller's transaction.
package recoverycode
