// Package storage gives a plugin a database of its own: put storage.New(migrations) into the manifest, and
// host.Database() is a ready *sql.DB, with the plugin's migrations applied.
//
//	//go:embed migrations
//	var migrations embed.FS
//
//	func (p *Plugin) Manifest() pluginsdk.Manifest {
//		return pluginsdk.Manifest{Name: "greeter", Version: "1.0.0", Storage: storage.New(migrations)}
//	}
//
// Which database it is follows Sigra's: a SQLite file of the plugin's own, or a Postgres schema of its own, on the
// connection's search_path so that table names need no prefix. One SQL text serves both wherever the dialects agree, as
// placeholders ($1), ON CONFLICT and RETURNING do. Migrations are goose files "migrations/<version>_<name>.sql" for
// both, and "migrations/sqlite", "migrations/postgres" for what only one of them understands. Several nodes may start
// at once: one migrates, the others wait.
//
// # Types
//
// Use Postgres's names in migrations; SQLite takes them as they are. In and out of queries then go the same Go values:
//
//	UUID         string or uuid.UUID
//	TIMESTAMPTZ  time.Time: UTC, cut to microseconds (SQLite keeps microseconds since 1970, which compare and sort)
//	JSONB        json.RawMessage (SQLite keeps text)
//	BYTEA        []byte
//	BOOLEAN      bool
//	BIGINT, TEXT int64, string
//
// SQLite knows the type of a column, not that of an expression: scan max(occurred_at), coalesce(…) or a RETURNING column
// into storage.Time(&t), which takes both databases' answers.
//
// # Durability
//
// SQLite runs in WAL mode with synchronous=FULL: when a sink answers "recorded", Sigra moves its cursor and never
// sends those rows again, so they must be on disk and not only on their way there (synchronous=NORMAL may lose the
// last commits when power fails). The price is one fsync per transaction, paid once per batch.
//
// The package refuses to map structs and to build SQL.
package storage
