package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Storage opens databases for one plugin. It implements pluginsdk.Storage.
type Storage struct{ migrations fs.FS }

var _ pluginsdk.Storage = (*Storage)(nil)

// New makes the storage of a plugin with the given migrations: a file system with a folder "migrations". nil has none.
func New(migrations fs.FS) *Storage { return &Storage{migrations} }

// Open implements pluginsdk.Storage. Failures that time may heal are retryable.
func (s *Storage) Open(ctx context.Context, at pluginsdk.Location) (*sql.DB, error) {
	var db *sql.DB
	var err error
	switch at.Dialect {
	case pluginsdk.SQLite:
		db, err = openSQLite(at.DSN.Reveal())
	case pluginsdk.Postgres:
		db, err = openPostgres(at.DSN.Reveal(), at.Schema)
	default:
		err = pluginsdk.Permanent(fmt.Errorf("there is no database of kind %q", at.Dialect))
	}
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, classify(fmt.Errorf("reach the database: %w", hideDSN(err)))
	}
	if s.migrations != nil {
		if err := migrate(ctx, db, at, s.migrations); err != nil {
			_ = db.Close()
			return nil, err
		}
	}
	return db, nil
}

// hideDSN keeps connection strings, which hold passwords, out of messages.
func hideDSN(err error) error {
	if classOf(err) == unreachable {
		return errUnreachable
	}
	return err
}

var errUnreachable = errors.New("the server does not answer")
