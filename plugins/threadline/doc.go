// Package threadline is the satellite that turns Sigra's committed audit rows into timelines people can query.
//
// It owns a projection and nothing else. The audit log in the core stays the source of truth: Threadline can be
// dropped and fed again from the first row, and comes out the same.
//
//	audit row ──Record──▶ seen before? ──no──▶ entry + one link per actor, impersonator and target
//	                          │yes
//	                          ├─ same content ──▶ counted as duplicate
//	                          └─ other content ─▶ conflict: kept aside, counted, shown; the entry stays as it is
//
// Rows arrive at least once and in batches; the effect is exactly once, because a batch is one transaction and an
// entry is unique on (audit id, occurred_at). A batch is acknowledged only after that transaction is durable.
//
// Every view is one range of one index: a timeline of an actor or a resource reads its links in time order and stops
// at the page's end, however long the history is. Pages are cut by key, never by offset, so they stay put while new
// rows arrive.
//
// Who sees what: an administrator sees everything, anybody else what they did and what was done to them.
//
// The package refuses to change anything in Sigra and to be asked before anything happens there: it only listens.
package threadline
