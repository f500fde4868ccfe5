// Package audit is the log of everything that happened to an identity: who did what to whom, when, from where, and how
// it ended. It is the spine of Sigra.
//
// Every change of identity state is one transaction that also writes its audit row. Record takes that transaction as
// its argument, so a row outside of one does not compile; when either is rolled back, so is the other.
//
//	flow ── db.Tx ─┬─ change ─┐
//	               └─ Record ─┴─ COMMIT ──▶ audit_log ──▶ Query, Export      (people)
//	                                │            └──────▶ Read ──▶ relay     (sinks, in commit order)
//	                                └──────────▶ Tap "sigra.audit.log"       (subscribers in this process)
//
// What may be recorded is fixed by the catalogue, which is data: every action with its category, its description, the
// metadata keys it may carry, and where it goes by default. docs/audit-events.md is made from it. A plugin records below
// its own name (RecordAs) and never below one of Sigra's.
//
// No secret can be recorded: metadata keys that name a password, token, secret or code are refused at any depth, on top
// of the catalogue's list. A display text never holds an email address. Texts from outside (user agent, request id,
// display) are cut and cleaned, because a hostile header must not be able to fail the change it came with; everything
// the code itself chooses is checked and refused.
//
// Rows are never changed. Only retention removes them, oldest first, in small batches, audited, and never a row that an
// attached sink has yet to read.
//
// The package refuses to deliver anything to anybody (core/relay does) and to judge what happened.
package audit
