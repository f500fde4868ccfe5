package pluginhost_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/secret"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestStorage_aPluginReachesItsOwnAndNothingElse(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, d := range storetest.Migrated(t, append(sources, keyring.Migrations)...) {
		t.Run(d.Name, func(t *testing.T) {
			db := storetest.Dial(t, d.URL)
			dir := t.TempDir()
			ring, err := keyring.Open(ctx, keyring.Config{DB: db, DataDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			cfg := pluginhost.Config{DB: db, DataDir: dir, Keyring: ring}
			if d.Name == "postgres" {
				cfg.DatabaseURL = d.URL
			}
			h, err := pluginhost.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = h.Close(ctx) }()
			b := config.Plugin{Name: "greeter", Enabled: true}
			st, err := h.Storage(ctx, b)
			if err != nil {
				t.Fatal(err)
			}
			again, err := h.Storage(ctx, b)
			if err != nil || again.GetDsn() != st.GetDsn() {
				t.Errorf("the second time: %v, another address: %v", err, again.GetDsn() != st.GetDsn())
			}
			if d.Name == "sqlite" {
				fi, err := os.Stat(st.GetDsn())
				if err != nil || fi.Mode().Perm() != 0o600 || !strings.HasSuffix(st.GetDsn(), "/plugins/greeter.db") {
					t.Errorf("%s: %v %v", st.GetDsn(), fi, err)
				}
				if err := h.Purge(ctx, "greeter"); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(st.GetDsn()); err == nil {
					t.Error("purged, but the file is there")
				}
				return
			}
			conn, err := pgx.Connect(ctx, st.GetDsn())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(ctx, "CREATE TABLE note (id INT)"); err != nil {
				t.Error(err)
			}
			var schema string
			if err := conn.QueryRow(ctx, "SELECT schemaname FROM pg_tables WHERE tablename = 'note'").Scan(&schema); err != nil || schema != "plugin_greeter" {
				t.Errorf("its table is in %q: %v", schema, err)
			}
			if _, err := conn.Exec(ctx, "SELECT * FROM public.plugin_kv"); err == nil {
				t.Error("the plugin read a table of the core's")
			}
			_ = conn.Close(ctx)
			if err := h.Purge(ctx, "greeter"); err != nil {
				t.Error(err)
			}
			var left int
			if err := db.QueryRow(ctx, "SELECT COUNT(*) FROM pg_namespace WHERE nspname = 'plugin_greeter'").Scan(&left); err != nil || left != 0 {
				t.Errorf("purged, but %d schemas are there: %v", left, err)
			}
			if _, err := pgx.Connect(ctx, st.GetDsn()); err == nil {
				t.Error("purged, but the role still gets in")
			}
			// An address of the block's own wins.
			own := config.Plugin{Name: "greeter", Enabled: true, DatabaseURL: secret.New("sqlite://" + t.TempDir() + "/own.db")}
			if st, err := h.Storage(ctx, own); err != nil || st.GetDialect() != string(store.SQLite) {
				t.Errorf("%v %v", st, err)
			}
			wrong := config.Plugin{Name: "greeter", Enabled: true, DatabaseURL: secret.New("postgres://u:hunter2@127.0.0.1:1/x")}
			if _, err := h.Storage(ctx, wrong); err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v", err)
			}
		})
	}
}
