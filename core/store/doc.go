// Package store is one SQL store for two databases: SQLite, embedded and the default, and Postgres.
//
// It owns opening, migrating and transacting, and the small differences of the two that queries must not see:
// placeholders are $1 in both, times go in and come out as time.Time (microseconds, UTC), ids as uuid.UUID,
// JSON as json.RawMessage. Each domain package keeps its own tables and SQL and gets them run here.
//
//	Read:  db.Query / db.QueryRow, on reader connections, outside of any transaction
//	Write: db.Tx only. A transaction is retried as a whole when the database asks for it, so the function
//	       given to it must have no effect other than through its *Tx; Tx.AfterCommit is the way to have one.
//
// A transaction's life, the same on both databases:
//
//	begin ──▶ open ──f returns nil──▶ commit ──▶ AfterCommit
//	  ▲        │  └─a statement failed─▶ aborted: every further statement and the commit fail
//	  │        └─error, panic, context ended─▶ rolled back
//	  └─conflict, deadlock or busy: again, up to 12 times
//
// The caller's context is obeyed up to the commit and not during it, so that giving up never leaves a change in doubt.
// A commit whose connection broke is in doubt, and is reported and not repeated.
//
// SQLite runs in WAL mode with synchronous=FULL, one writer connection and several readers. Postgres 13 or newer
// is reached through pgx with its own pool and statement cache.
//
// The package refuses to build SQL, to map structs and to hide the database behind an interface for mocks.
package store
