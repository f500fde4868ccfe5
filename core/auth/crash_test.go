package auth_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// Whatever a method does, it does whole or not at all. The database refuses every audit row, or every mail, which comes after it: what
// is cut off by that commits nothing, gives nobody a session, and can be tried again; after that each table is to the byte as before.
func TestCrash_wholeOrNothing(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"audit_log", "mail_queue"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			for _, d := range storetest.Migrated(t, sources...) {
				t.Run(d.Name, func(t *testing.T) { cutsOff(t, d.URL, table) })
			}
		})
	}
}

func cutsOff(t *testing.T, url, table string) {
	db, tr := dialTraced(t, url)
	s := newStage(t, db)
	deeds := make([]deed, len(acts))
	for i, a := range acts {
		_, deeds[i] = s.prepare(t, i, a)
	}
	refuse(t, db, table)
	do := func(i int) (cut bool) {
		t.Helper()
		a := acts[i]
		tr.take()
		given, err := deeds[i]()
		if code(err) == a.wanted() {
			if table == "audit_log" && len(a.rows) > 0 {
				t.Errorf("%s: %s, without its audit row", a.method, code(err))
			}
			return false
		}
		if given != "" {
			t.Errorf("%s was cut off (%v) and gave %q", a.method, err, given)
		}
		if n := len(tr.take("COMMIT")); n > 0 && a.before == "" && a.method != "Sweep" { // which tidies up first
			t.Errorf("%s was cut off (%v) and committed %d transactions", a.method, err, n)
		}
		return true
	}
	var again []int
	for i, a := range acts {
		if a.before == "" {
			if do(i) {
				again = append(again, i)
			}
			continue
		}
		before := s.base.tables()
		if cut := do(i); cut {
			if changed := differ(before, s.base.tables()); changed != a.before {
				t.Errorf("%s was cut off and left something in %q, expected in %q", a.method, changed, a.before)
			}
		}
	}
	if len(again) < 20 {
		t.Errorf("%d were cut off", len(again))
	}
	before := s.base.tables()
	for _, i := range again {
		if !do(i) {
			t.Errorf("%s was cut off once and not twice", acts[i].method)
		}
	}
	if changed := differ(before, s.base.tables()); changed != "" {
		t.Errorf("what was cut off left something in %q", changed)
	}
}

// differ names the tables that are not the same.
func differ(before, after map[string]string) string {
	changed := slices.Sorted(maps.Keys(after))
	return strings.Join(slices.DeleteFunc(changed, func(name string) bool { return before[name] == after[name] }), " ")
}

// refuse makes every insert into a table fail from now on.
func refuse(t *testing.T, db *store.DB, table string) {
	t.Helper()
	stmts := []string{`CREATE TRIGGER refuse BEFORE INSERT ON ` + table + ` BEGIN SELECT RAISE(ABORT, 'refused'); END`}
	if db.Dialect() == store.Postgres {
		stmts = []string{
			`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`,
			`CREATE TRIGGER refuse BEFORE INSERT ON ` + table + ` FOR EACH ROW EXECUTE FUNCTION refuse()`,
		}
	}
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, s := range stmts {
			if _, err := tx.Exec(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tables gives what every table of the database holds, to the byte, or a hash of it.
func (w *world) tables() map[string]string {
	w.t.Helper()
	if w.dump == "" {
		var parts []string
		for _, name := range w.tableNames() {
			part := fmt.Sprintf(`SELECT '%s', coalesce((SELECT md5(string_agg(r::text, chr(10) ORDER BY r::text)) FROM %s r), '')`, name, name)
			if w.db.Dialect() == store.SQLite {
				columns := w.strings(fmt.Sprintf(`SELECT 'quote("' || name || '")' FROM pragma_table_info('%s')`, name))
				part = fmt.Sprintf(`SELECT '%s', coalesce((SELECT group_concat(r, char(10)) FROM (SELECT %s AS r FROM %s ORDER BY r)), '')`, name, strings.Join(columns, ` || ',' || `), name)
			}
			parts = append(parts, part)
		}
		w.dump = strings.Join(parts, ` UNION ALL `)
	}
	rows, err := w.db.Query(w.ctx(), w.dump)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, held string
		if err := rows.Scan(&name, &held); err != nil {
			w.t.Fatal(err)
		}
		out[name] = held
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) tableNames() []string {
	w.t.Helper()
	if w.db.Dialect() == store.Postgres {
		return w.strings(`SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'`)
	}
	return w.strings(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
}
