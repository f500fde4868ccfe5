package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path"
	"strings"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/sigra-auth/sigra/pluginsdk"
	"modernc.org/sqlite"
)

// table is where goose keeps what has been applied.
const table = "plugin_migration"

// migrate brings the plugin's schema up to date. Several nodes may do it at once.
func migrate(ctx context.Context, db *sql.DB, at pluginsdk.Location, source fs.FS) error {
	files, err := collect(source, at.Dialect)
	if err != nil {
		return pluginsdk.Permanent(err)
	}
	if len(files) == 0 {
		return nil
	}
	opts := []goose.ProviderOption{goose.WithTableName(table), goose.WithDisableGlobalRegistry(true), goose.WithAllowOutofOrder(true)}
	dialect := goose.DialectSQLite3
	if at.Dialect == pluginsdk.Postgres {
		dialect = goose.DialectPostgres
		// A lock of its own: plugins need not wait for each other or for Sigra.
		h := fnv.New64a()
		_, _ = h.Write([]byte("sigra-plugin:" + at.Schema))
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(int64(h.Sum64())), //nolint:gosec // any number will do
			lock.WithLockTimeout(1, 600), lock.WithUnlockTimeout(1, 60))
		if err != nil {
			return err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, db, files, opts...)
	if err != nil {
		return pluginsdk.Permanent(fmt.Errorf("migrations: %w", err))
	}
	return up(ctx, p)
}

// up applies what is pending. SQLite has no lock to hold meanwhile, so two processes may try the same step; one of them
// fails, as a whole, and finds that the step has been done.
func up(ctx context.Context, p *goose.Provider) error {
	var err error
	for attempt := range 10 {
		if attempt > 0 {
			if pause(ctx, time.Duration(attempt)*20*time.Millisecond) != nil {
				break
			}
		}
		if _, err = p.Up(ctx); err == nil {
			return nil
		}
		var pe *goose.PartialError
		if errors.As(err, &pe) && pe.Failed != nil {
			err = fmt.Errorf("migration %s: %w", path.Base(pe.Failed.Source.Path), pe.Err)
			if !applied(ctx, p, pe.Failed.Source.Version) {
				return classify(err)
			}
			continue
		}
		var se *sqlite.Error // both made goose's own table
		if !errors.As(err, &se) {
			break
		}
	}
	return classify(fmt.Errorf("migrate: %w", err))
}

// applied reports whether another process has done a step meanwhile.
func applied(ctx context.Context, p *goose.Provider, version int64) bool {
	states, err := p.Status(ctx)
	if err != nil {
		return false
	}
	for _, s := range states {
		if s.Source.Version == version {
			return s.State == goose.StateApplied
		}
	}
	return false
}

// collect takes the files for both databases and those for this one.
func collect(source fs.FS, d pluginsdk.Dialect) (fstest.MapFS, error) {
	out := fstest.MapFS{}
	seen := map[string]string{}
	for _, dir := range []string{"migrations", "migrations/" + string(d)} {
		names, err := fs.Glob(source, dir+"/*.sql")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			b, err := fs.ReadFile(source, name)
			if err != nil {
				return nil, err
			}
			version, _, ok := strings.Cut(path.Base(name), "_")
			if !ok || strings.Trim(version, "0123456789") != "" {
				return nil, fmt.Errorf("migration %s: the name must be <version>_<what>.sql", name)
			}
			if dup, ok := seen[version]; ok {
				return nil, fmt.Errorf("migrations %s and %s have the same version", dup, name)
			}
			seen[version] = name
			out[path.Base(name)] = &fstest.MapFile{Data: b}
		}
	}
	return out, nil
}
