package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sigra-auth/sigra/core/store"
)

// Each runs f twice, as subtests "sqlite" and "postgres", each with an empty database brought up to date from sources. The subtests run
// one after the other; call t.Parallel in the outer test.
func Each(t *testing.T, sources []store.Source, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	for _, dialect := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(string(dialect), func(t *testing.T) { f(t, Open(t, dialect, sources...)) })
	}
}

// One is Each on SQLite alone, for tests of what owns no SQL and takes long: the second database would show nothing that the tests of
// the packages with SQL don't.
func One(t *testing.T, sources []store.Source, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	t.Run(string(store.SQLite), func(t *testing.T) { f(t, Open(t, store.SQLite, sources...)) })
}

// Open gives an empty database of one kind, brought up to date from sources and closed when the test ends.
func Open(t testing.TB, dialect store.Dialect, sources ...store.Source) *store.DB {
	t.Helper()
	var url string
	if dialect == store.Postgres {
		url = postgresFrom(t, sources)
	} else {
		url = sqliteFrom(t, sources)
	}
	return Dial(t, url)
}

// Dial opens one more handle on a database, as another node would, and closes it when the test ends.
func Dial(t testing.TB, url string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return db
}

// Database is where an empty database can be reached.
type Database struct {
	Name string // "sqlite" or "postgres"
	URL  string // as config's database.url takes it
}

// Databases gives one fresh, empty database of each kind, for tests that start whole programs or several nodes.
func Databases(t testing.TB) []Database {
	t.Helper()
	return []Database{{"sqlite", sqliteFrom(t, nil)}, {"postgres", PostgresURL(t)}}
}

// Migrated is Databases, brought up to date from sources.
func Migrated(t testing.TB, sources ...store.Source) []Database {
	t.Helper()
	return []Database{{"sqlite", sqliteFrom(t, sources)}, {"postgres", postgresFrom(t, sources)}}
}

// PostgresURL gives the url of a fresh, empty Postgres database that is dropped when the test ends.
func PostgresURL(t testing.TB) string {
	t.Helper()
	return postgresFrom(t, nil)
}

// sqliteImages keeps migrated files by the fingerprint of their migrations: copying one is many times quicker.
var sqliteImages sync.Map

func sqliteFrom(t testing.TB, sources []store.Source) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sigra.db")
	url := "sqlite://" + path
	if len(sources) == 0 {
		return url
	}
	print := fingerprint(t, sources)
	if image, ok := sqliteImages.Load(print); ok {
		if err := os.WriteFile(path, image.([]byte), 0o600); err != nil {
			t.Fatal(err)
		}
		return url
	}
	migrate(t, url, sources)
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sqliteImages.Store(print, image)
	return url
}

func migrate(t testing.TB, url string, sources []store.Source) {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{URL: url, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Migrate(context.Background(), sources...)
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fingerprint tells sets of migrations apart by their names and texts.
func fingerprint(t testing.TB, sources []store.Source) string {
	t.Helper()
	sum := sha256.New()
	for _, src := range sources {
		err := fs.WalkDir(src, "migrations", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fs.ReadFile(src, path)
			fmt.Fprintf(sum, "%s %d\n%s", path, len(b), b)
			return err
		})
		if err != nil {
			t.Fatalf("read migrations: %v", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}
