package plugintest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// PostgresEnv names the variable with the URL of a Postgres server for tests.
const PostgresEnv = "SIGRA_TEST_POSTGRES"

// SQLiteAt is a fresh SQLite file for a plugin, gone at the test's end.
func SQLiteAt(t testing.TB) pluginsdk.Location {
	t.Helper()
	return pluginsdk.Location{Dialect: pluginsdk.SQLite, DSN: pluginsdk.NewSecret(filepath.Join(t.TempDir(), "plugin.db"))}
}

// PostgresAt is a fresh schema for a plugin on the server that SIGRA_TEST_POSTGRES names, dropped at the test's end. ok
// is false when the variable is not set.
func PostgresAt(t testing.TB) (at pluginsdk.Location, ok bool) {
	t.Helper()
	url := os.Getenv(PostgresEnv)
	if url == "" {
		return pluginsdk.Location{}, false
	}
	return PostgresOn(t, url), true
}

// PostgresOn is PostgresAt for a server named by its URL.
func PostgresOn(t testing.TB, url string) pluginsdk.Location {
	t.Helper()
	var b [6]byte
	_, _ = rand.Read(b[:])
	schema := "plugintest_" + hex.EncodeToString(b[:])
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	run := func(ctx context.Context, query string) error {
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close(ctx) }()
		_, err = c.Exec(ctx, query)
		return err
	}
	if err := run(ctx, "CREATE SCHEMA "+schema); err != nil {
		t.Fatalf("plugintest: %s names a server where no schema can be made: %v", PostgresEnv, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := run(ctx, "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Errorf("plugintest: drop schema %s: %v", schema, err)
		}
	})
	return pluginsdk.Location{Dialect: pluginsdk.Postgres, DSN: pluginsdk.NewSecret(url), Schema: schema}
}
