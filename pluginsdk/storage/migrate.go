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

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/sigra-auth/sigra/pluginsdk"
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
	if _, err := p.Up(ctx); err != nil {
		var pe *goose.PartialError
		if errors.As(err, &pe) && pe.Failed != nil {
			return classify(fmt.Errorf("migration %s: %w", path.Base(pe.Failed.Source.Path), pe.Err))
		}
		return classify(fmt.Errorf("migrate: %w", err))
	}
	return nil
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
