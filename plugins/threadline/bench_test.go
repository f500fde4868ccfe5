package threadline_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sigra-auth/sigra/plugins/threadline"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

const (
	benchRows = 200_000
	batchSize = 500
)

func eachBench(b *testing.B, f func(b *testing.B, at pluginsdk.Location)) {
	b.Helper()
	b.Run("sqlite", func(b *testing.B) { f(b, plugintest.SQLiteAt(b)) })
	b.Run("postgres", func(b *testing.B) { f(b, postgres(b)) })
}

// BenchmarkIngest delivers batches of 500 rows over gRPC, and right after each inserts the rows that came of it into
// copies of the tables, same columns and indexes, by the database's own bulk insert in one transaction: COPY on
// Postgres, a prepared INSERT of many rows on SQLite. ratio is the time of the former by that of the latter; both end
// with a durable commit.
func BenchmarkIngest(b *testing.B) {
	eachBench(b, func(b *testing.B, at pluginsdk.Location) {
		r := plugintest.Start(b, threadline.New(), plugintest.Config{Storage: &at})
		db, dialect := r.SDK().Database(), r.SDK().Dialect()
		copyTables(b, db, dialect)
		var ours, theirs time.Duration
		n := 0
		b.ResetTimer()
		for b.Loop() {
			b.StopTimer()
			rows := make([]pluginsdk.AuditRow, batchSize)
			ids := make([]string, batchSize)
			for i, row := range plugintest.RowsFrom(n, batchSize) {
				row.ID = uuid.Must(uuid.NewV7()).String()
				rows[i], ids[i] = row, row.ID
			}
			n += batchSize
			b.StartTimer()
			begin := time.Now()
			if rec, err := r.Record(b.Context(), rows...); err != nil || rec.Inserted != batchSize {
				b.Fatal(rec, err)
			}
			ours += time.Since(begin)
			b.StopTimer()
			entries := stored(b, db, "threadline_entry", rows[0].ID, batchSize)
			links := stored(b, db, "threadline_link", rows[0].ID, 2*batchSize)
			begin = time.Now()
			if err := bulk(b.Context(), db, dialect, entries, links); err != nil {
				b.Fatal(err)
			}
			theirs += time.Since(begin)
			b.StartTimer()
		}
		b.ReportMetric(float64(ours)/float64(theirs), "ratio")
		b.ReportMetric(float64(n)/ours.Seconds(), "rows/s")
		b.ReportMetric(float64(n)/theirs.Seconds(), "bulk-rows/s")
		b.ReportMetric(0, "ns/op")
	})
}

var tables = []string{"threadline_entry", "threadline_link"}

func copyTables(b *testing.B, db *sql.DB, d pluginsdk.Dialect) {
	b.Helper()
	run := func(query string) {
		if _, err := db.ExecContext(b.Context(), query); err != nil {
			b.Fatalf("%v\n%s", err, query)
		}
	}
	if d == pluginsdk.Postgres {
		for _, t := range tables {
			run(fmt.Sprintf("CREATE TABLE copy_%[1]s (LIKE %[1]s INCLUDING ALL)", t))
		}
		return
	}
	rows, err := db.QueryContext(b.Context(), `SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name IN ('threadline_entry', 'threadline_link') ORDER BY type DESC`)
	if err != nil {
		b.Fatal(err)
	}
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			b.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	for _, s := range all {
		run(strings.ReplaceAll(s, "threadline_", "copy_threadline_"))
	}
}

// stored reads back what Threadline made of the last batch, so that the bulk insert writes the very same.
func stored(b *testing.B, db *sql.DB, table, first string, want int) [][]any {
	b.Helper()
	rows, err := db.QueryContext(b.Context(), `SELECT * FROM `+table+` WHERE audit_id >= $1 ORDER BY audit_id`, first)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	cols, err := rows.Columns()
	if err != nil {
		b.Fatal(err)
	}
	var out [][]any
	for rows.Next() {
		vals := make([]any, len(cols))
		dest := make([]any, len(cols))
		for i := range vals {
			dest[i] = &vals[i]
		}
		if err := rows.Scan(dest...); err != nil {
			b.Fatal(err)
		}
		out = append(out, vals)
	}
	if err := rows.Err(); err != nil || len(out) != want {
		b.Fatalf("%d rows of %s, want %d: %v", len(out), table, want, err)
	}
	return out
}

func bulk(ctx context.Context, db *sql.DB, d pluginsdk.Dialect, entries, links [][]any) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if d == pluginsdk.Postgres {
		return conn.Raw(func(c any) error {
			return pgx.BeginFunc(ctx, c.(*stdlib.Conn).Conn(), func(tx pgx.Tx) error {
				for i, rows := range [][][]any{entries, links} {
					var cols []string
					fields, err := tx.Query(ctx, "SELECT * FROM copy_"+tables[i]+" LIMIT 0")
					if err != nil {
						return err
					}
					for _, f := range fields.FieldDescriptions() {
						cols = append(cols, f.Name)
					}
					fields.Close()
					if _, err := tx.CopyFrom(ctx, pgx.Identifier{"copy_" + tables[i]}, cols, pgx.CopyFromRows(rows)); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	const many = 50
	for i, rows := range [][][]any{entries, links} {
		one := "(" + strings.Repeat("?,", len(rows[0])-1) + "?)"
		st, err := tx.PrepareContext(ctx, "INSERT INTO copy_"+tables[i]+" VALUES "+strings.Repeat(one+",", many-1)+one)
		if err != nil {
			return err
		}
		for ; len(rows) > 0; rows = rows[many:] {
			args := make([]any, 0, many*len(rows[0]))
			for _, row := range rows[:many] {
				args = append(args, row...)
			}
			if _, err := st.ExecContext(ctx, args...); err != nil {
				return err
			}
		}
		if err := st.Close(); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// BenchmarkTimeline asks for a page of 50 out of 200 000 entries: the query, and as JSON over the plugin's routes.
func BenchmarkTimeline(b *testing.B) {
	eachBench(b, func(b *testing.B, at pluginsdk.Location) {
		r := plugintest.Start(b, threadline.New(), plugintest.Config{Storage: &at})
		history(b, r, benchRows)
		place := timeline(b, r, plugintest.Root, "limit", "1", "from", "2026-03-14T12:00:00Z", "order", "asc").Next
		for _, v := range views() {
			who := plugintest.Root
			if v.viewer != "" {
				who = plugintest.Ada
			}
			target := "http://sigra/threadline/v1/timeline?" + v.query
			if !strings.Contains(v.query, "session") && !strings.Contains(v.query, "request") && !strings.Contains(v.query, "ip=") && !strings.Contains(v.query, "to=") {
				target += "&after=" + place // in the middle
			}
			b.Run(strings.ReplaceAll(v.name, " ", "-"), func(b *testing.B) {
				client := r.Client(who)
				for b.Loop() {
					resp, err := client.Get(target)
					if err != nil || resp.StatusCode != http.StatusOK {
						b.Fatal(resp, err)
					}
					_ = resp.Body.Close()
				}
			})
		}
	})
}
