package threadline_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/threadline"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

// history fills a database with n rows as a service makes them: 1000 users, one of them with a tenth of everything,
// 20 organizations, sessions of ten rows.
func history(t testing.TB, r *plugintest.Running, n int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // a test
	actions := plugintest.Catalogue()
	for from := 0; from < n; from += 1000 {
		batch := make([]pluginsdk.AuditRow, min(1000, n-from))
		for i := range batch {
			k, a := from+i, actions[rnd.IntN(len(actions))]
			who := pluginsdk.Ref{Type: "user", ID: fmt.Sprintf("0195a4c5-0000-7000-8000-%012x", rnd.IntN(1000))}
			if k%10 == 0 {
				who = user(plugintest.Ada)
			}
			batch[i] = event(0, func(row *pluginsdk.AuditRow) {
				row.OccurredAt = plugintest.Epoch.Add(time.Duration(k) * 100 * time.Millisecond)
				row.Action, row.Category, row.CRUD = a.Action, a.Category, a.CRUD
				if rnd.IntN(50) == 0 {
					row.Outcome = "failure"
				}
				row.Actor, row.Targets = who, []pluginsdk.Ref{who, {Type: "session", ID: fmt.Sprintf("s%d", k/10)}}
				row.SessionID, row.RequestID, row.CorrelationID = fmt.Sprintf("s%d", k/10), fmt.Sprintf("r%d", k/2), ""
				row.OrganizationID, row.IP = fmt.Sprintf("o%d", k%20), fmt.Sprintf("192.0.%d.%d", k/256%200, k%256)
				row.Metadata = map[string]any{"method": "password", "remember": k%2 == 0}
			})
		}
		if _, err := r.Record(t.Context(), batch...); err != nil {
			t.Fatal(err)
		}
	}
	if db := r.SDK(); db.Dialect() == pluginsdk.Postgres {
		if _, err := db.Database().ExecContext(t.Context(), `ANALYZE threadline_entry, threadline_link`); err != nil {
			t.Fatal(err)
		}
	}
}

// views are the timelines that must cost the same however long the history is. index is the one whose range it is.
func views() []struct{ name, query, viewer, index string } {
	me := "user:" + plugintest.Ada.UserID
	return []struct{ name, query, viewer, index string }{
		{"everything", "", "", "threadline_entry_time"},
		{"a stretch of time", "from=2026-03-14T10:00:00Z&to=2026-03-14T11:00:00Z", "", "threadline_entry_time"},
		{"my own", "", me, "link"},
		{"what somebody did", "actor=" + me, "", "link"},
		{"what was done to somebody", "target=" + me, "", "link"},
		{"all about somebody, with a time", "about=" + me + "&from=2026-03-14", "", "link"},
		{"a resource of mine", "about=session:s50", me, "link"},
		{"an organization", "organization=o3", "", "threadline_entry_organization"},
		{"a session", "session=s50", "", "threadline_entry_session"},
		{"a session of mine", "session=s50", me, "threadline_entry_session"},
		{"a request", "request=r50", "", "threadline_entry_request"},
		{"a request of mine", "request=r50", me, "threadline_entry_request"},
		{"a correlation", "correlation=c1", "", "threadline_entry_correlation"},
		{"an action", "action=auth.logout", "", "threadline_entry_action"},
		{"a category", "category=session", "", "threadline_entry_category"},
		{"failures", "outcome=failure", "", "threadline_entry_trouble"},
		{"an address", "ip=192.0.3.7", "", "threadline_entry_ip"},
	}
}

func params(t testing.TB, query, viewer string) (url.Values, *pluginsdk.Ref) {
	t.Helper()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	if viewer == "" {
		return q, nil
	}
	typ, id, _ := strings.Cut(viewer, ":")
	return q, &pluginsdk.Ref{Type: typ, ID: id}
}

// TestPlans asks both databases how they would answer: by walking the range of the right index in its order, with
// nothing to sort, in every order and from any place.
func TestPlans(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		db, dialect := r.SDK().Database(), r.SDK().Dialect()
		n := 20_000
		if dialect == pluginsdk.SQLite {
			n = 200 // it plans without looking at the rows
		}
		history(t, r, n)
		middle := plugintest.Epoch.Add(time.Duration(n) * 60 * time.Millisecond).Format(time.RFC3339)
		place := timeline(t, r, plugintest.Root, "limit", "1", "from", middle, "order", "asc").Next
		for _, v := range views() {
			for _, more := range []string{"", "&order=asc", "&after=" + place, "&before=" + place, "&order=asc&after=" + place} {
				q, viewer := params(t, v.query+more, v.viewer)
				text, args, err := threadline.Question(dialect, viewer, q, 50)
				if err != nil {
					t.Fatal(err)
				}
				plan := explain(t, db, dialect, text, args)
				if dialect == pluginsdk.Postgres {
					// After five times Postgres may plan once for all arguments, knowing none of them.
					if p := explainGeneric(t, db, text, args); strings.Contains(p, "Merge") || strings.Contains(p, "Hash") || strings.Contains(p, "Seq Scan") {
						t.Errorf("%s%s, planned for any argument:\n%s", v.name, more, p)
					}
				}
				index := v.index
				if index == "link" {
					index = map[pluginsdk.Dialect]string{pluginsdk.Postgres: "threadline_link_pkey", pluginsdk.SQLite: " USING PRIMARY KEY"}[dialect]
				}
				if !strings.Contains(plan, index) {
					t.Errorf("%s%s does not walk %s:\n%s", v.name, more, index, plan)
				}
				for _, bad := range []string{"Hash", "Merge"} {
					if strings.Contains(plan, bad) {
						t.Errorf("%s%s: %s:\n%s", v.name, more, bad, plan)
					}
				}
				// A sort of what one index condition has narrowed to a handful is none of a history.
				few := strings.Contains(v.query, "session=") || strings.Contains(v.query, "request=") || strings.Contains(v.query, "correlation=") || strings.Contains(v.query, "ip=")
				if dialect == pluginsdk.Postgres && few {
					continue
				}
				for _, bad := range []string{"Sort", "TEMP B-TREE", "Seq Scan", "SCAN e"} {
					if i := strings.Index(plan, bad); i >= 0 && !(bad == "SCAN e" && strings.Contains(plan[i:], "SCAN e USING INDEX threadline_entry_time")) {
						t.Errorf("%s%s: %s:\n%s", v.name, more, bad, plan)
					}
				}
			}
		}
	})
}

var costs = regexp.MustCompile(`  \(cost=[^)]*\)`)

func explain(t testing.TB, q querier, d pluginsdk.Dialect, text string, args []any) string {
	t.Helper()
	prefix, dest := "EXPLAIN ", 1
	if d == pluginsdk.SQLite {
		prefix, dest = "EXPLAIN QUERY PLAN ", 4
	}
	rows, err := q.QueryContext(t.Context(), prefix+text, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	defer func() { _ = rows.Close() }()
	var out strings.Builder
	for rows.Next() {
		cells := make([]any, dest)
		for i := range cells {
			cells[i] = new(any)
		}
		if err := rows.Scan(cells...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, costs.ReplaceAllString(fmt.Sprint(*cells[dest-1].(*any)), ""))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// querier is a database or one connection to it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func explainGeneric(t testing.TB, db *sql.DB, text string, args []any) string {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, s := range []string{"SET plan_cache_mode = force_generic_plan", "PREPARE q AS " + text} {
		if _, err := conn.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%v\n%s", err, s)
		}
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(t.Context()), "DEALLOCATE q") }()
	call := "EXECUTE q"
	if len(args) > 0 {
		call += "(" + strings.TrimSuffix(strings.Repeat("NULL,", len(args)), ",") + ")" // which plans all the same
	}
	return explain(t, conn, pluginsdk.Postgres, call, nil)
}
