package store_test

import (
	"context"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func file(sql string) *fstest.MapFile { return &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql)} }

// Five nodes start at once on an empty database. The steps are no "IF NOT EXISTS": twice would fail.
func TestMigrate_manyNodesAtOnce(t *testing.T) {
	t.Parallel()
	more := fstest.MapFS{
		"migrations/2020010103_b.sql":          file("CREATE TABLE b (id BIGINT);"),
		"migrations/2020010104_c.sql":          file("ALTER TABLE b ADD COLUMN x TEXT;"),
		"migrations/sqlite/2020010105_d.sql":   file("CREATE TABLE only_sqlite (id BIGINT);"),
		"migrations/postgres/2020010105_d.sql": file("CREATE TABLE only_postgres (id BIGINT);"),
	}
	for _, d := range storetest.Databases(t) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			var applied atomic.Int32
			var wg sync.WaitGroup
			for range 5 {
				db := storetest.Dial(t, d.URL)
				wg.Go(func() {
					done, err := db.Migrate(context.Background(), schema, more)
					if err != nil {
						t.Error(err)
					}
					applied.Add(int32(len(done)))
					if n := count(t, db, "SELECT count(*) FROM only_"+d.Name); n != 0 {
						t.Error(n)
					}
				})
			}
			wg.Wait()
			if applied.Load() != 4 {
				t.Errorf("%d steps were applied, 4 there are", applied.Load())
			}
			db := storetest.Dial(t, d.URL)
			if done, err := db.Migrate(context.Background(), schema, more); err != nil || len(done) != 0 {
				t.Error(done, err)
			}
		})
	}
}

func TestMigrations_listsWithoutChanging(t *testing.T) {
	t.Parallel()
	storetest.Each(t, nil, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		list := func() (out []string) {
			steps, err := db.Migrations(ctx, schema)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range steps {
				if s.Applied == s.At.IsZero() {
					t.Errorf("%+v", s)
				}
				out = append(out, s.Name)
				if s.Applied {
					out = append(out, "applied")
				}
			}
			return out
		}
		if got := strings.Join(list(), " "); got != "2020010101_schema.sql" {
			t.Error(got)
		}
		query := "SELECT count(*) FROM sqlite_master"
		if db.Dialect() == store.Postgres {
			query = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
		}
		if n := count(t, db, query); n != 0 {
			t.Errorf("asking made %d tables", n)
		}
		if _, err := db.Migrate(ctx, schema); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(list(), " "); got != "2020010101_schema.sql applied" {
			t.Error(got)
		}
	})
}

func TestMigrate_failureNamesTheFileAndChangesNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		bad := fstest.MapFS{"migrations/2020010106_broken.sql": file("CREATE TABLE half (id BIGINT);\nCREATE TABLE counter (id BIGINT);")}
		_, err := db.Migrate(ctx, schema, bad)
		if err == nil || !strings.Contains(err.Error(), "2020010106_broken.sql") {
			t.Fatal(err)
		}
		if err := db.QueryRow(ctx, "SELECT count(*) FROM half").Scan(new(int)); err == nil {
			t.Error("half a migration was applied")
		}
		// Mended, it goes on.
		bad["migrations/2020010106_broken.sql"] = file("CREATE TABLE half (id BIGINT);")
		if done, err := db.Migrate(ctx, schema, bad); err != nil || len(done) != 1 {
			t.Error(done, err)
		}
		// A step of another package, older than the newest one, is applied too.
		older := fstest.MapFS{"migrations/2020010102_older.sql": file("CREATE TABLE older (id BIGINT);")}
		if done, err := db.Migrate(ctx, schema, bad, older); err != nil || len(done) != 1 {
			t.Error(done, err)
		}
	})
}

func TestMigrate_refusesNonsense(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite)
	for name, src := range map[string]fs.FS{
		"no version":  fstest.MapFS{"migrations/first.sql": file("SELECT 1;")},
		"too long":    fstest.MapFS{"migrations/20200101011_x.sql": file("SELECT 1;")},
		"empty":       fstest.MapFS{},
		"same number": fstest.MapFS{"migrations/2020010101_a.sql": file("SELECT 1;"), "migrations/2020010101_b.sql": file("SELECT 1;")},
		"no goose":    fstest.MapFS{"migrations/2020010101_a.sql": {Data: []byte("CREATE TABLE x (id BIGINT);")}},
	} {
		if _, err := db.Migrate(context.Background(), src); err == nil {
			t.Errorf("%s: migrated", name)
		}
	}
}
