package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"
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
	steps, err := db.collect(sources)
	if err != nil {
		return nil, err
	}
	// The usual start has nothing to do and need not wait for anybody.
	if done, err := db.upToDate(ctx, steps); err != nil || done {
		return nil, err
	}
	unlock, err := db.lockSchema(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for the migration lock: %w", err)
	}
	defer unlock()
	p, done, err := db.provider(steps)
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
	steps, err := db.collect(sources)
	if err != nil {
		return nil, err
	}
	p, done, err := db.provider(steps)
	if err != nil {
		return nil, err
	}
	defer done()
	var out []Migration
	if any, err := db.hasLedger(ctx); err != nil {
		return nil, err
	} else if !any { // asking goose for the status would make its table
		for _, s := range p.ListSources() {
			out = append(out, Migration{Version: s.Version, Name: path.Base(s.Path)})
		}
		return out, nil
	}
	st, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	for _, s := range st {
		out = append(out, Migration{Version: s.Source.Version, Name: path.Base(s.Source.Path), Applied: s.State == goose.StateApplied, At: s.AppliedAt})
	}
	return out, nil
}

// hasLedger says whether any migration was ever run.
func (db *DB) hasLedger(ctx context.Context) (bool, error) {
	query := `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'sigra_migration'`
	if db.dialect == Postgres {
		query = `SELECT count(to_regclass('sigra_migration'))`
	}
	var n int
	if err := db.QueryRow(ctx, query).Scan(&n); err != nil {
		return false, fmt.Errorf("look for migrations: %w", err)
	}
	return n > 0, nil
}

func (db *DB) upToDate(ctx context.Context, steps fstest.MapFS) (bool, error) {
	if any, err := db.hasLedger(ctx); err != nil || !any {
		return false, err
	}
	rows, err := db.Query(ctx, `SELECT version_id FROM sigra_migration WHERE is_applied`)
	if err != nil {
		return false, fmt.Errorf("look for migrations: %w", err)
	}
	defer rows.Close()
	applied := map[string]bool{}
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return false, fmt.Errorf("look for migrations: %w", err)
		}
		applied[strconv.FormatInt(v, 10)] = true
	}
	for name := range steps {
		if !applied[name[:versionLen]] {
			return false, rows.Err()
		}
	}
	return true, rows.Err()
}

const versionLen = len("YYYYMMDDNN")

var stepName = regexp.MustCompile(`^[1-9]\d{9}_[a-z0-9_]+\.sql$`)

// collect gathers the steps of all sources for this database into one folder.
func (db *DB) collect(sources []Source) (fstest.MapFS, error) {
	merged := fstest.MapFS{}
	seen := map[string]string{}
	for _, src := range sources {
		for _, dir := range []string{"migrations", "migrations/" + string(db.dialect)} {
			names, err := fs.Glob(src, dir+"/*.sql")
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				b, err := fs.ReadFile(src, name)
				if err != nil {
					return nil, fmt.Errorf("read migration: %w", err)
				}
				base := path.Base(name)
				if !stepName.MatchString(base) {
					return nil, fmt.Errorf("migration %s: the name must be YYYYMMDDNN_what.sql", base)
				}
				version := base[:versionLen]
				if other, dup := seen[version]; dup {
					return nil, fmt.Errorf("migrations %s and %s have the same version", other, base)
				}
				seen[version] = base
				merged[base] = &fstest.MapFile{Data: b}
			}
		}
	}
	if len(merged) == 0 {
		return nil, errors.New("there are no migrations")
	}
	return merged, nil
}

func (db *DB) provider(steps fstest.MapFS) (*goose.Provider, func(), error) {
	sdb, done, err := db.sqlDB()
	if err != nil {
		return nil, nil, err
	}
	dialect := goose.DialectSQLite3
	if db.dialect == Postgres {
		dialect = goose.DialectPostgres
	}
	// Packages number their steps apart, so a new step may be older than the newest one applied.
	p, err := goose.NewProvider(dialect, sdb, steps, goose.WithAllowOutofOrder(true), goose.WithTableName("sigra_migration"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("migrations: %w", err)
	}
	return p, done, nil
}
