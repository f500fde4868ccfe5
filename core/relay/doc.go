// Package relay carries committed rows to sinks: audit rows to AuditSink plugins, host-emitted events to the plugins that
// subscribed to them. Every sink reads its log from a durable cursor of its own, in commit order, in batches, at least
// once. The sink makes the effect exactly once by keying on the row's id.
//
// One goroutine runs one sink on one node at a time:
//
//	             Attach                 lease won              rows after the cursor
//	(nothing) ──────────▶ standing by ───────────▶ idle ◀────────────────────────────▶ delivering
//	    ▲                   ▲   ▲  │                 ▲   all delivered, cursor moved       │ failed
//	    │ Detach, Run ends  │   │  └─ every ttl/4 ─▶ │                                    ▼
//	    └───────────────────┘   └─── lease lost ─────┴──────────── Nudge, time ──────── backing off
//	                                                                (long waits give the lease away)
//
// What is relied on, and by what it holds:
//
//   - No row is skipped: core/commitlog reads in commit order, and the cursor moves only past rows that the sink
//     acknowledged, refused for good, or does not want.
//   - At most the batch in flight is repeated: the cursor moves in a transaction of its own after each batch, and with it
//     go the batch's dead letters.
//   - One runner: a lease in the database with a fencing token. The cursor's row remembers the token of the last runner,
//     and moving it demands that token, so a runner that slept through the loss of its lease can't move it back.
//   - A bad sink harms nobody else: each has its own goroutine, one delivery at a time with a deadline, and back-off with
//     jitter. One that hangs or panics is a failed delivery; one that never returns gets no other.
//   - A bad row does not stop a sink for ever: rows that the sink names as refused become dead letters at once. When a
//     whole batch fails for good (Permanent), it is cut in half until the row that does it stands alone. A sink that
//     refuses one row after the other, and never takes any, is broken rather than the rows, and is only retried.
//   - A lying sink gains nothing: what it says about rows it was not given is ignored, logged and counted.
//
// New rows are noticed at once when this process committed them, within the poll interval when another node did. On
// SQLite nothing is polled and an idle relay does nothing at all.
//
// The relay also runs retention, because it knows what the cursors have yet to read.
//
// The package refuses to know what a sink is: it is given a function.
package relay
