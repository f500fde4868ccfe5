// Package commitlog reads a table in the order in which its rows were committed, so that a reader that remembers only
// one position never skips a row. The audit log and the store of host-emitted events are such tables.
//
// # Why a sequence number is not enough
//
// On Postgres a sequence number is handed out when a row is written and the row appears when its transaction commits,
// and two transactions can do the one and the other in opposite order: a reader that has seen 8 and remembers 8 never
// sees 7, whose transaction took longer. Such a row would be in the log and never reach a sink.
//
// # What is done instead
//
// Every row keeps the id of the transaction that wrote it (tx, 64 bits, it does not wrap), and rows are ordered by
// (era, tx, seq). A read takes only rows whose tx is less than pg_snapshot_xmin of the read's own snapshot, the horizon:
// the oldest transaction id that was still running when the snapshot was taken. The order is sound because
//
//   - every transaction with an id below the horizon has ended, and if it committed, the same snapshot shows all its rows;
//   - ids below the horizon are never handed out again, as Postgres hands them out in ascending order and lists a
//     transaction as running before it hands out the next one's id;
//   - the horizon never falls.
//
// So whatever becomes visible after a read lies at or above the horizon of that read, and everything the read returned
// lies below it: nothing can appear at or before a position that was once returned. Within one transaction all rows
// appear at once, and seq orders them as they were written. (pg_current_xact_id gives the outer transaction's id inside
// a savepoint too, and the snapshot treats the whole as one.)
//
// The price: a transaction that writes anything and stays open, anywhere in the database cluster, holds the log back
// (not the writers, only the readers). Held finds and names it. Transactions that only read have no id and hold nothing.
//
// # Eras
//
// Transaction ids are the cluster's. A database that was dumped and restored into another cluster brings rows whose tx
// may lie in that cluster's future: new rows would sort before them. Open notices (the largest tx of the log, pruned rows
// included, is not below pg_snapshot_xmax, which can't happen to a log at home) and begins a new era, which sorts after
// everything of the one before; rows of an older era are complete and need no horizon. Every writer opens the log
// before it writes, so no row of the old era can still be on its way when the new one begins.
//
// On SQLite there is one writer at a time: rowids ascend in commit order, and seq alone orders. AUTOINCREMENT keeps the
// number of a deleted last row from being given out again. Era and tx are 0 there.
//
// A replica promoted after losing commits is behind its cursors only as far as the cursors themselves, which lie in the
// same database, were lost with them.
//
// The package owns positions, eras and the SQL around them. It refuses to know what a row holds.
package commitlog
