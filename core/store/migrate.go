package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Source is one package's migrations: an embedded folder "migrations" whose *.sql files serve both databases, with
// optional subfolders "sqlite" and "postgres" for what only one of them understands. File names begin with a
// version unique over all sources (YYYYMMDDNN_what.sql); versions are applied in order.
//
// SQLite takes Postgres's type names as they are, so one text is the rule: UUID, TIMESTAMPTZ, JSONB, BYTEA, BIGINT, BOOLEAN, TEXT.
type Source fs.FS

// Migration is one step of the schema.
type Migration struct {
	Version int64
	Name    string
	Applied bool
	At      time.Time // when applied; zero when it was not
}

// Migrate brings the schema up to date. Several nodes may call it at once: one does the work, the others wait
// for it. It returns the steps it applied.
func (db *DB) Migrate(ctx context.Context, sources ...Source) ([]Migration, error) {
	p, done, err := db.provider(sources)
	if err != nil {
		return nil, err
	}
	defer done()
	res, err := p.Up(ctx)
	if err != nil {
		var pe *goose.PartialError
		if errors.As(err, &pe) && pe.Failed != nil {
			return nil, fmt.Errorf("migration %s: %w", path.Base(pe.Failed.Source.Path), pe.Err)
		}
		return nil, fmt.Errorf("migrate: %w", err)
	}
	var out []Migration
	for _, r := range res {
		out = append(out, Migration{Version: r.Source.Version, Name: path.Base(r.Source.Path), Applied: true, At: time.Now().UTC()})
	}
	return out, nil
}

// Migrations lists every step and whether it has been applied, without changing anything.
func (db *DB) Migrations(ctx context.Context, sources ...Source) ([]Migration, error) {
	p, done, err := db.provider(sources)
	if err != nil {
		return nil, err
	}
	defer done()
	st, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	var out []Migration
	for _, s := range st {
		out = append(out, Migration{Version: s.Source.Version, Name: path.Base(s.Source.Path), Applied: s.State == goose.StateApplied, At: s.AppliedAt})
	}
	return out, nil
}

func (db *DB) provider(sources []Source) (*goose.Provider, func(), error) {
	merged := fstest.MapFS{}
	seen := map[string]string{}
	for _, src := range sources {
		for _, dir := range []string{"migrations", "migrations/" + string(db.dialect)} {
			names, err := fs.Glob(src, dir+"/*.sql")
			if err != nil {
				return nil, nil, err
			}
			sort.Strings(names)
			for _, name := range names {
				b, err := fs.ReadFile(src, name)
				if err != nil {
					return nil, nil, err
				}
				base := path.Base(name)
				if len(base) < 10 {
					return nil, nil, fmt.Errorf("migration %s: the name needs a version YYYYMMDDNN", base)
				}
				if other, dup := seen[base[:10]]; dup {
					return nil, nil, fmt.Errorf("migrations %s and %s have the same version", other, base)
				}
				seen[base[:10]] = base
				merged[base] = &fstest.MapFile{Data: b}
			}
		}
	}
	sdb, done, err := db.sqlDB()
	if err != nil {
		return nil, nil, err
	}
	opts := []goose.ProviderOption{goose.WithAllowOutofOrder(true), goose.WithTableName("sigra_migration"), goose.WithDisableGlobalRegistry(true)}
	dialect := goose.DialectSQLite3
	if db.dialect == Postgres {
		dialect = goose.DialectPostgres
		// Probe often: a waiting node should start as soon as the first is done.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600), lock.WithUnlockTimeout(1, 60))
		if err != nil {
			done()
			return nil, nil, err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, sdb, merged, opts...)
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("migrations: %w", err)
	}
	return p, done, nil
}
