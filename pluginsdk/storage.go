package pluginsdk

import (
	"context"
	"database/sql"
)

// Dialect is which database a plugin's storage is.
type Dialect string

// The dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Location is where the host has made room for a plugin's data.
type Location struct {
	Dialect Dialect
	DSN     Secret // a file path for SQLite, a connection string for Postgres
	Schema  string // Postgres: the schema to work in, already there
}

// Storage opens a plugin's database and brings its schema up to date. Use the package pluginsdk/storage; it stands
// behind an interface only so that plugins without a database link no driver.
type Storage interface {
	Open(ctx context.Context, at Location) (*sql.DB, error)
}
