package storetest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var notes = fstest.MapFS{"migrations/2020010101_note.sql": {Data: []byte("-- +goose Up\nCREATE TABLE note (id BIGINT PRIMARY KEY, body TEXT NOT NULL);\n")}}

func TestEach_databasesAreFreshAndMigrated(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, []store.Source{notes}, func(t *testing.T, db *store.DB) {
				ctx := context.Background()
				err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
					_, err := tx.Exec(ctx, "INSERT INTO note (id, body) VALUES ($1, $2)", 1, "hello")
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				var n int
				if err := db.QueryRow(ctx, "SELECT count(*) FROM note").Scan(&n); err != nil || n != 1 {
					t.Fatal(n, err)
				}
			})
		})
	}
}

func TestDatabases_areEmpty(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Databases(t) {
		db := storetest.Dial(t, d.URL)
		if string(db.Dialect()) != d.Name {
			t.Errorf("%s is %s", d.Name, db.Dialect())
		}
		if err := db.Ping(context.Background()); err != nil {
			t.Error(err)
		}
		var n int
		if err := db.QueryRow(context.Background(), "SELECT count(*) FROM note").Scan(&n); err == nil {
			t.Error("there is a table already")
		}
	}
}

func TestStartPostgres_survivesACrash(t *testing.T) {
	t.Parallel()
	c := storetest.StartPostgres(t)
	url := c.Database()
	if !strings.HasPrefix(url, "postgres://") {
		t.Fatal("not a Postgres url")
	}
	ctx := context.Background()
	db := storetest.Dial(t, url)
	if _, err := db.Migrate(ctx, notes); err != nil {
		t.Fatal(err)
	}
	write := func(id int) error {
		return db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO note (id, body) VALUES ($1, 'x')", id)
			return err
		})
	}
	if err := write(1); err != nil {
		t.Fatal(err)
	}
	c.Kill()
	if err := write(2); err == nil {
		t.Fatal("a write to a dead server succeeded")
	}
	c.Start()
	var n int
	if err := storetest.Dial(t, url).QueryRow(ctx, "SELECT count(*) FROM note").Scan(&n); err != nil || n != 1 {
		t.Fatal(n, err)
	}
}
