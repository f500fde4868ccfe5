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

// Whatever a method does, it does whole or not at all. First the database refuses every audit row, then every mail, which
// comes after it: each table is then to the byte as before, and nobody is given a session.
func TestCrash_wholeOrNothing(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"audit_log", "mail_queue"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
				s := newStage(t, db)
				deeds := make([]deed, len(acts))
				for i, a := range acts {
					_, deeds[i] = s.prepare(t, i, a)
				}
				s.base.tx(func(ctx context.Context, tx *store.Tx) error { // what the preparations left there only makes looking slow
					for _, name := range []string{"audit_target", "audit_log", "mail_queue"} {
						if _, err := tx.Exec(ctx, `DELETE FROM `+name); err != nil {
							return err
						}
					}
					return nil
				})
				refuse(t, db, table)
				cut, before := 0, s.base.tables()
				for i, a := range acts {
					given, err := deeds[i]()
					after := s.base.tables()
					changed := slices.Sorted(maps.Keys(after))
					changed = slices.DeleteFunc(changed, func(name string) bool { return before[name] == after[name] })
					before = after
					if code(err) == a.wanted() {
						if table == "audit_log" && len(a.rows) > 0 {
							t.Errorf("%s: %s, without its audit row", a.method, code(err))
						}
						continue
					}
					if cut++; given != "" || strings.Join(changed, " ") != a.before {
						t.Errorf("%s was cut off (%v), gave %q and left something in %q, expected in %q", a.method, err, given, changed, a.before)
					}
				}
				if cut < 20 {
					t.Errorf("%d were cut off", cut)
				}
			})
		})
	}
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
