// Package onetime owns secrets that are spent once: the link in a mail, the six digits beside it, and the flow token that
// the browser which asked keeps.
//
//	Issue ──▶ open ──▶ Spend ──▶ spent
//	            │ ╲
//	            │  Guess (wrong): attempts + 1, and no more guesses after Config.Attempts; the link still works
//	            ├── Approve (by the link, elsewhere) ──▶ open, and the flow may be spent without the link or the code
//	            ├── past its end ──▶ gone
//	            └── Forget (another one was spent, the account ended) ──▶ gone
//
// One row holds up to three secrets of one purpose, none of which can be read back out of it:
//
//   - the link, 256 random bits, stored as SHA-256;
//   - the flow, the same, given to the browser and never mailed;
//   - the code, six digits. Hashing a million possibilities hides nothing, so what is stored is HMAC-SHA-256 of the code
//     keyed with the flow token, which the database has never seen. The code is worth nothing without the
//     flow, and a copy of the table does not give it away.
//
// Every operation names the purpose: a link made for one can't be spent for another. Look only reads, so that a page
// can be shown, and a mail scanner can open every link, without anything being used up (ASVS 5.0 6.6.2, 6.4.1). Spend is a compare-and-swap in the
// transaction of what it allows: of any number at the same moment, on any number of nodes, exactly one succeeds.
// Guess counts before it compares, in the same statement, so that parallel guesses are no cheaper than one after another.
//
// A decoy is a row like any other whose secrets match nothing: what a flow writes when the address it was asked about may
// not be helped. Guessing against it runs the same statements, counts and ends alike.
//
// The payload is sealed while it waits. Unknown, spent, exhausted, expired and foreign secrets all give the
// same error.
//
// The package refuses to send anything, to know what a purpose means, and to say whose a row is to anybody who does
// not hold one of its secrets.
package onetime
