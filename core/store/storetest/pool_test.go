package storetest_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// What one test leaves in a database, the next does not find: rows, numbers given out, tables, triggers, rows of migrations,
// connections.
func TestOpen_nothingIsLeftOfTheLastTest(t *testing.T) {
	t.Parallel()
	source := fstest.MapFS{
		"migrations/postgres/2020010101_kept.sql": {Data: []byte(`-- +goose Up
CREATE TABLE parent (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE TABLE child (parent BIGINT NOT NULL REFERENCES parent);
CREATE TABLE seed (n INT NOT NULL);
INSERT INTO seed (n) VALUES (7);
-- +goose StatementBegin
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'append only'; END $$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE DELETE ON child FOR EACH ROW EXECUTE FUNCTION refuse();
`)},
	}
	fresh := func(t *testing.T, db *store.DB) {
		t.Helper()
		for query, want := range map[string]int{
			"SELECT count(*) FROM parent": 0, "SELECT count(*) FROM child": 0, "SELECT sum(n) FROM seed": 7,
			"SELECT count(*) FROM pg_class WHERE relname IN ('left_over', 'parent_index')": 0,
			"SELECT count(*) FROM pg_trigger WHERE tgname = 'left_over'":                   0,
			"SELECT last_value FROM parent_id_seq WHERE NOT is_called":                     1,
		} {
			var n int
			if err := db.QueryRow(t.Context(), query).Scan(&n); err != nil || n != want {
				t.Errorf("%s: %d (%v), want %d", query, n, err, want)
			}
		}
	}
	for _, leave := range [][]string{
		{"INSERT INTO parent DEFAULT VALUES", "INSERT INTO child (parent) SELECT id FROM parent"},
		{"INSERT INTO parent SELECT FROM generate_series(1, 30000)"}, // enough to be vacuumed
		{"INSERT INTO parent DEFAULT VALUES", "DELETE FROM parent"},
		{"CREATE TABLE left_over (n INT)"},
		{"CREATE INDEX parent_index ON parent (id)"},
		{"CREATE TRIGGER left_over BEFORE INSERT ON parent FOR EACH ROW EXECUTE FUNCTION refuse()"},
		{"UPDATE seed SET n = 8"},
		{"TRUNCATE parent CASCADE"},
		{"DROP TABLE child"},
		{"SELECT 1"},
	} {
		t.Run(leave[0], func(t *testing.T) {
			db := storetest.Open(t, store.Postgres, source)
			fresh(t, db)
			err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				for _, sql := range leave {
					if _, err := tx.Exec(ctx, sql); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("last", func(t *testing.T) { fresh(t, storetest.Open(t, store.Postgres, source)) })
}

// Two tests at a time never have the same database.
func TestOpen_nobodySharesADatabase(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 4 {
		var name string
		if err := storetest.Open(t, store.Postgres, notes).QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
		if seen[name] {
			t.Errorf("%s was lent twice", name)
		}
		seen[name] = true
	}
}
