package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// timeline has a great many audit rows wait while the server is down, and compares the rate at which they then reach
// Threadline's tables with the rate at which the database takes the same rows from a program that has them in memory.
func (b *bench) timeline(t *testing.T) {
	n := 40_000
	if *soak {
		n = 1_000_000
	}
	for i, d := range storetest.Databases(t) {
		t.Run(d.Name, func(t *testing.T) {
			var carried, inserted, ratios, cpuRatios []float64
			for range 3 {
				database := storetest.Databases(t)[i].URL // fresh, so that both begin with empty tables
				in := b.sigra(t, setup{database: database, plugins: threadlineBlock})
				in.start()
				in.awaitPlugin("threadline")
				token := in.admin("root@example.com").Token
				in.stop()
				recordRows(t, database, n)

				rate, cpu := in.carry(t, database, token, n)
				in.stop()
				bulk := bulkPostgres
				if d.Name == "sqlite" {
					bulk = bulkSQLite
				}
				base, baseCPU := bulk(t, in, database)
				carried, inserted = append(carried, rate), append(inserted, base)
				ratios, cpuRatios = append(ratios, rate/base), append(cpuRatios, cpu/baseCPU)
			}
			b.found(finding{
				what: fmt.Sprintf("audit to Threadline, %d rows", n), database: d.Name, sigra: fmt.Sprintf("%.0f rows/s", median(carried)), baseline: fmt.Sprintf("bulk insert %.0f rows/s", median(inserted)),
				ratio: median(ratios), target: "10000 rows/s", met: median(carried) >= 10_000,
			})
			b.found(finding{what: "  CPU of all processes, a row", database: d.Name, baseline: "bulk insert", ratio: median(cpuRatios)})
		})
	}
}

// recordRows writes sign-ins of a thousand people to the log, as the server would.
func recordRows(t testing.TB, database string, n int) {
	t.Helper()
	db := openStore(t, database)
	log, err := audit.New(audit.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	people := make([]string, 1000)
	for i := range people {
		people[i] = uuid.NewString()
	}
	for done := 0; done < n; {
		err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			for range min(5000, n-done) {
				done++
				who := audit.Ref{Type: "user", ID: people[done%len(people)]}
				_, err := log.Record(ctx, tx, audit.Entry{
					Action: "auth.login.success", Actor: who, Targets: []audit.Ref{who}, SessionID: uuid.New(), AuthMethod: "pwd",
					Metadata: map[string]any{"method": "password", "aal": "aal1"},
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// carry starts the server and gives the rate of rows, and the CPU seconds that a row took, from the first that arrived to
// the last.
func (in *instance) carry(t testing.TB, database, token string, n int) (rate, cpu float64) {
	t.Helper()
	in.start()
	in.awaitPlugin("threadline")
	_, pid, err := in.pluginNow("threadline")
	if err != nil {
		t.Fatal(err)
	}
	m := newMeter(t, database, "", in.process().Pid, pid)
	w, err := dial(in.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	ask := get("/threadline/v1/status", in.addr, token)
	entries := func() int {
		a, err := w.do(ask)
		if err != nil || a.status != 200 {
			t.Fatalf("status: %d %s %v", a.status, a.body, err)
		}
		var st struct{ Entries int }
		if err := json.Unmarshal(a.body, &st); err != nil {
			t.Fatal(err)
		}
		return st.Entries
	}
	first := entries()
	if first >= n {
		t.Fatalf("%d rows had arrived before anybody looked: use more", first)
	}
	before, began := m.read(), time.Now()
	last := first
	for last < n {
		time.Sleep(50 * time.Millisecond) // asking costs, too
		last = entries()
		if time.Since(began) > 10*time.Minute {
			t.Fatalf("%d of %d rows after %v", last, n, time.Since(began))
		}
	}
	took := time.Since(began)
	after := m.read()
	used := after.server - before.server
	for pid, v := range after.backend {
		used += v - before.backend[pid]
	}
	rows := float64(last - first)
	return rows / took.Seconds(), used.Seconds() / rows
}

// bulkPostgres copies Threadline's tables into empty ones with the same indexes, by COPY.
func bulkPostgres(t testing.TB, _ *instance, database string) (rate, cpu float64) {
	t.Helper()
	ctx := context.Background()
	conn := connectPostgres(t, database)
	copies := map[string]*bytes.Buffer{}
	tables := []string{"threadline_entry", "threadline_link"}
	if _, err := conn.Exec(ctx, `CREATE SCHEMA bench`); err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		if _, err := conn.Exec(ctx, fmt.Sprintf(`CREATE TABLE bench.%s (LIKE plugin_threadline.%s INCLUDING ALL)`, name, name)); err != nil {
			t.Fatal(err)
		}
		copies[name] = &bytes.Buffer{}
		if _, err := conn.PgConn().CopyTo(ctx, copies[name], fmt.Sprintf(`COPY plugin_threadline.%s TO STDOUT (FORMAT binary)`, name)); err != nil {
			t.Fatal(err)
		}
	}
	pid := int(conn.PgConn().PID())
	before, _ := cpuOf(pid) // Postgres may be on another machine
	own, began := ownCPU(t), time.Now()
	var rows int64
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		tag, err := conn.PgConn().CopyFrom(ctx, copies[name], fmt.Sprintf(`COPY bench.%s FROM STDIN (FORMAT binary)`, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "threadline_entry" {
			rows = tag.RowsAffected()
		}
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	after, _ := cpuOf(pid)
	return float64(rows) / took.Seconds(), (after - before + ownCPU(t) - own).Seconds() / float64(rows)
}

// bulkSQLite inserts Threadline's rows into an empty file with the same tables and indexes: one prepared statement for each
// table, in transactions of 5000 rows.
func bulkSQLite(t testing.TB, in *instance, _ string) (rate, cpu float64) {
	t.Helper()
	const dsn = "?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=temp_store(2)&_txlock=immediate"
	from, err := sql.Open("sqlite", "file:"+filepath.Join(in.data, "plugins", "threadline.db")+dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	to, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "bulk.db")+dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = to.Close() }()
	to.SetMaxOpenConns(1)
	tables := []string{"threadline_entry", "threadline_link"}
	ddl := rowsOf(t, from, `SELECT sql FROM sqlite_master WHERE tbl_name IN ('threadline_entry', 'threadline_link') AND sql IS NOT NULL AND type IN ('table', 'index') ORDER BY type DESC`)
	for _, row := range ddl {
		if _, err := to.Exec(row[0].(string)); err != nil {
			t.Fatal(err)
		}
	}
	rows := map[string][][]any{}
	for _, name := range tables {
		rows[name] = rowsOf(t, from, `SELECT * FROM `+name)
	}
	own, began := ownCPU(t), time.Now()
	for _, name := range tables {
		for part := rows[name]; len(part) > 0; {
			batch := part[:min(5000, len(part))]
			part = part[len(batch):]
			tx, err := to.Begin()
			if err != nil {
				t.Fatal(err)
			}
			st, err := tx.Prepare(`INSERT INTO ` + name + ` VALUES (?` + strings.Repeat(", ?", len(batch[0])-1) + `)`)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range batch {
				if _, err := st.Exec(row...); err != nil {
					t.Fatal(err)
				}
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	took := time.Since(began)
	n := float64(len(rows["threadline_entry"]))
	return n / took.Seconds(), (ownCPU(t) - own).Seconds() / n
}

func rowsOf(t testing.TB, db *sql.DB, query string) [][]any {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out [][]any
	for rows.Next() {
		row, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
