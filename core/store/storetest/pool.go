package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sigra-auth/sigra/core/store"
)

// lent is what this process holds of the cluster's pools. The locks last as long as the connection, so a process that is
// killed holds nothing.
var lent struct {
	mu    sync.Mutex
	locks *pgx.Conn
	held  map[string]bool     // every name that is locked
	free  map[string][]string // those that no test has at the moment, by template
}

// base is a migrated database and what one copied from it looks like before a test has touched it.
type base struct {
	name string
	was  contents
}

// contents is kept as the comment on the template.
type contents struct {
	Catalog string            `json:"catalog"` // the schema
	Empty   []string          `json:"empty"`   // tables without rows
	Seeds   map[string]string `json:"seeds"`   // tables that migrations put rows into, and a hash of the rows
}

// lease gives a database like the template, until the test ends. Emptying one that another test has used takes a tenth of
// the time of copying and dropping one.
func lease(t testing.TB, admin string, b *base) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	name, err := claim(ctx, admin, b)
	if err != nil {
		t.Fatalf("test database: %v", err)
	}
	t.Cleanup(func() {
		lent.mu.Lock()
		defer lent.mu.Unlock()
		lent.free[b.name] = append(lent.free[b.name], name)
	})
	if ok, err := reset(ctx, withDatabase(admin, name), &b.was); err != nil {
		t.Fatalf("empty a test database: %v", err)
	} else if ok {
		return withDatabase(admin, name)
	}
	if err := dropDatabase(admin, name); err != nil {
		t.Fatalf("test database: %v", err)
	}
	if err := copyDatabase(admin, name, b.name); err != nil {
		t.Fatalf("test database: %v", err)
	}
	return withDatabase(admin, name)
}

// claim gives the name of a database that nobody else uses and that may not exist yet.
func claim(ctx context.Context, admin string, b *base) (string, error) {
	lent.mu.Lock()
	defer lent.mu.Unlock()
	if free := lent.free[b.name]; len(free) > 0 {
		lent.free[b.name] = free[:len(free)-1]
		return free[len(free)-1], nil
	}
	if lent.locks == nil {
		conn, err := connect(ctx, admin)
		if err != nil {
			return "", err
		}
		lent.locks, lent.held, lent.free = conn, map[string]bool{}, map[string][]string{}
	}
	_, print, _ := strings.Cut(strings.TrimPrefix(b.name, templatePrefix), "_")
	for n := 0; ; n++ {
		// The hour is in the name, so that old ones are swept.
		name := fmt.Sprintf("%s%s_%s_%d", poolPrefix, time.Now().UTC().Format(hourForm), print, n)
		if lent.held[name] {
			continue
		}
		var mine bool
		if err := lent.locks.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", name).Scan(&mine); err != nil {
			return "", err
		}
		if mine {
			lent.held[name] = true
			return name, nil
		}
	}
}

// catalog changes with every change of the schema: a new or altered row has a higher xmin than all before it.
const catalog = `SELECT concat_ws(' ',
	(SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_namespace WHERE nspname !~ '^pg_'),
	(SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_class WHERE oid >= 16384),
	(SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_attribute WHERE attrelid >= 16384),
	(SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_attrdef),
	(SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_index WHERE indexrelid >= 16384),
	(SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_constraint),
	(SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_trigger),
	(SELECT count(*) || ':' || sum(xmin::text::bigint) FROM pg_proc WHERE oid >= 16384))`

// reset empties a database that an earlier test has used. It is not ok when there is none, or when its schema or what
// migrations put into it has changed.
func reset(ctx context.Context, url string, was *contents) (ok bool, err error) {
	conn, err := connect(ctx, url)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer closeConn(conn)
	// Whoever is still connected belongs to the earlier test.
	for others := 1; others > 0; {
		err := conn.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`).Scan(&others)
		if err != nil {
			return false, err
		}
		if others > 0 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	var now string
	if err := conn.QueryRow(ctx, catalog).Scan(&now); err != nil || now != was.Catalog {
		return false, err
	}
	for table, want := range was.Seeds {
		if got, err := rowsHash(ctx, conn, table); err != nil || got != want {
			return false, err
		}
	}
	var used strings.Builder
	for i, table := range was.Empty {
		if i > 0 {
			used.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&used, "SELECT '%s', pg_relation_size('%s') WHERE EXISTS (SELECT FROM %s)", table, table, table)
	}
	if used.Len() == 0 {
		return true, nil
	}
	rows, err := conn.Query(ctx, used.String(), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return false, err
	}
	var table string
	var size int64
	// No triggers: not those that keep rows from being deleted, and no order among tables.
	empty, large := "SET session_replication_role = replica; ", ""
	_, err = pgx.ForEachRow(rows, []any{&table, &size}, func() error {
		empty += "DELETE FROM " + table + "; "
		if size > 1<<18 {
			large += table + ", "
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	// DELETE and not TRUNCATE, which makes new files for every table and index.
	if _, err := conn.Exec(ctx, empty+"SELECT setval(seqrelid, seqstart, false) FROM pg_sequence", pgx.QueryExecModeSimpleProtocol); err != nil {
		return false, err
	}
	if large != "" {
		_, err = conn.Exec(ctx, "VACUUM "+strings.TrimSuffix(large, ", "), pgx.QueryExecModeSimpleProtocol)
	}
	return err == nil, err
}

// look reads what a fresh template holds.
func look(ctx context.Context, conn *pgx.Conn) (*contents, error) {
	c := &contents{Seeds: map[string]string{}}
	if err := conn.QueryRow(ctx, catalog).Scan(&c.Catalog); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384 AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)' ORDER BY 1")
	if err != nil {
		return nil, err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		hash, err := rowsHash(ctx, conn, table)
		if err != nil {
			return nil, err
		}
		if hash == "" {
			c.Empty = append(c.Empty, table)
		} else {
			c.Seeds[table] = hash
		}
	}
	return c, nil
}

func rowsHash(ctx context.Context, conn *pgx.Conn, table string) (hash string, err error) {
	err = conn.QueryRow(ctx, "SELECT coalesce(md5(string_agg(r::text, E'\\n' ORDER BY r::text)), '') FROM "+table+" AS r").Scan(&hash)
	return hash, err
}

// bases keeps the templates that this process has looked at.
var bases sync.Map

// baseFor gives a migrated database to copy, making it when no test process has today.
func baseFor(t testing.TB, admin string, sources []store.Source) *base {
	t.Helper()
	print := fingerprint(t, sources)
	if b, ok := bases.Load(admin + print); ok {
		return b.(*base)
	}
	name := templatePrefix + time.Now().UTC().Format(dayForm) + "_" + print
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := connect(ctx, admin)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	b := &base{name: name}
	read := func() bool {
		var text string
		err := conn.QueryRow(ctx, "SELECT coalesce(max(shobj_description(oid, 'pg_database')), '') FROM pg_database WHERE datname = $1", name).Scan(&text)
		if err == nil && text != "" {
			err = json.Unmarshal([]byte(text), &b.was)
		}
		if err != nil {
			t.Fatal(err)
		}
		return text != ""
	}
	if !read() {
		// One process makes it, under a name that nobody copies until it is complete.
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil {
			t.Fatal(err)
		}
		if !read() {
			if err := makeBase(t, ctx, conn, admin, b, sources); err != nil {
				t.Fatalf("make a template: %v", err)
			}
		}
	}
	bases.Store(admin+print, b)
	return b
}

func makeBase(t testing.TB, ctx context.Context, conn *pgx.Conn, admin string, b *base, sources []store.Source) error {
	draft := b.name + "_draft"
	if err := dropDatabase(admin, draft); err != nil {
		return err
	}
	if err := copyDatabase(admin, draft, "template0"); err != nil {
		return err
	}
	migrate(t, withDatabase(admin, draft), sources)
	inside, err := connect(ctx, withDatabase(admin, draft))
	if err != nil {
		return err
	}
	was, err := look(ctx, inside)
	closeConn(inside)
	if err != nil {
		return err
	}
	b.was = *was
	text, err := json.Marshal(was)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "COMMENT ON DATABASE "+draft+" IS '"+strings.ReplaceAll(string(text), "'", "''")+"'"); err != nil {
		return err
	}
	return retryInUse(func() error {
		_, err := conn.Exec(ctx, "ALTER DATABASE "+draft+" RENAME TO "+b.name)
		return err
	})
}
