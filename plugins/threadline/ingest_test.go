package threadline_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/plugins/threadline"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestRecord_keepsEveryField(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		row := event(1, func(r *pluginsdk.AuditRow) {
			r.OccurredAt = time.Date(2026, 3, 14, 15, 9, 26, 535897932, time.FixedZone("", 3600))
			r.Reason, r.Outcome, r.OrganizationID, r.CorrelationID = "wrong_password", "failure", "org-1", "corr-1"
			r.Actor.Display, r.Actor.Role = "Ada", "subject"
			r.Impersonator = &pluginsdk.Ref{Type: "user", ID: bob.UserID, Display: "Bob"}
			r.Targets = append(r.Targets, pluginsdk.Ref{Type: "session", ID: "s1", Role: "old", Display: "Phone"})
			r.Metadata = map[string]any{"n": 1.5, "s": "x\x00\u202e", "deep": map[string]any{"list": []any{true, nil, "y"}}, "": ""}
		})
		must(t, r, 1, 0, 0, 0, row)
		got := timeline(t, r, plugintest.Root).Entries[0]
		if got.IngestedAt.Before(time.Now().Add(-time.Minute)) || got.IngestedAt.Location() != time.UTC {
			t.Errorf("ingested at %v", got.IngestedAt)
		}
		want := threadline.Entry{
			AuditID: row.ID, OccurredAt: row.OccurredAt.UTC().Truncate(time.Microsecond), IngestedAt: got.IngestedAt, Action: row.Action,
			Category: row.Category, CRUD: row.CRUD, Outcome: row.Outcome, Reason: row.Reason,
			Actor:        pluginsdk.Ref{Type: "user", ID: plugintest.Ada.UserID, Display: "Ada"},
			Impersonator: row.Impersonator, Targets: row.Targets, OrganizationID: "org-1", SessionID: row.SessionID, RequestID: row.RequestID,
			CorrelationID: "corr-1", IP: row.IP, UserAgent: row.UserAgent, AuthMethod: row.AuthMethod, Metadata: row.Metadata,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the entry differs (-want +got):\n%s", diff)
		}
	})
}

func TestRecord_redelivery(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		rows := plugintest.RowsFrom(0, 100)
		must(t, r, 60, 0, 0, 0, rows[:60]...)
		must(t, r, 0, 60, 0, 0, rows[:60]...)
		late := slices.Clone(rows)
		slices.Reverse(late)
		must(t, r, 40, 60, 0, 0, late...)
		must(t, r, 0, 3, 0, 0, rows[5], rows[5], rows[5])
		fresh := event(1000, nil)
		again := fresh
		again.ID = strings.ToUpper(again.ID) // the same id
		again.Position = "elsewhere"         // the log's, not the row's
		must(t, r, 1, 2, 0, 0, fresh, again, fresh)
		must(t, r, 0, 0, 0, 0)
		if st := status(t, r); st.Entries != 101 || st.Conflicts != 0 || st.Duplicates != 60+60+3+2 {
			t.Errorf("status %+v", st)
		}
	})
}

func TestRecord_conflict(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		row := event(1, nil)
		content := row
		content.IP = "198.51.100.1"
		other := row
		other.OccurredAt = row.OccurredAt.Add(time.Microsecond)
		must(t, r, 1, 0, 0, 0, row)
		must(t, r, 0, 1, 2, 0, content, other, row)
		must(t, r, 0, 0, 2, 0, other, content) // kept once, however often they come
		fresh := event(2, nil)
		differs := fresh
		differs.Metadata = map[string]any{"x": "y"}
		must(t, r, 1, 0, 1, 0, fresh, differs) // in one batch the first one stands

		es := walk(t, r, plugintest.Root, "order", "asc")
		if len(es) != 2 || es[0].IP != row.IP || !es[0].OccurredAt.Equal(row.OccurredAt.Truncate(time.Microsecond)) || es[1].Metadata != nil {
			t.Errorf("an entry was overwritten: %+v", es)
		}
		if st := status(t, r); st.Entries != 2 || st.Conflicts != 3 {
			t.Errorf("status %+v", st)
		}
		var got struct{ Conflicts []threadline.Conflict }
		a := get(t, r, plugintest.Root, "/threadline/v1/conflicts")
		if err := json.Unmarshal(a.body, &got); err != nil || len(got.Conflicts) != 3 {
			t.Fatalf("%s: %v", a.body, err)
		}
		ips := map[string]bool{}
		for _, c := range got.Conflicts {
			ips[c.Content.IP] = true
		}
		if !ips["198.51.100.1"] {
			t.Errorf("the other version is not shown: %s", a.body)
		}
		page := get(t, r, plugintest.Root, "/threadline/entries/"+row.ID)
		if !strings.Contains(string(page.body), "came again with other content, 2 times") {
			t.Errorf("the entry's page does not say so:\n%s", page.body)
		}
	})
}

// Rows that can never be stored are refused with a reason; those beside them are stored, and hold nothing up.
func TestRecord_refusesAlone(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		for _, c := range []struct {
			name, says string
			change     func(*pluginsdk.AuditRow)
		}{
			{"no id", "not a UUID", func(r *pluginsdk.AuditRow) { r.ID = "" }},
			{"no uuid", "not a UUID", func(r *pluginsdk.AuditRow) { r.ID = "1'; DROP TABLE threadline_entry; --" }},
			{"no time", "1970 and 9999", func(r *pluginsdk.AuditRow) { r.OccurredAt = time.Time{} }},
			{"before 1970", "1970 and 9999", func(r *pluginsdk.AuditRow) { r.OccurredAt = time.Unix(-1, 0) }},
			{"year 10000", "1970 and 9999", func(r *pluginsdk.AuditRow) { r.OccurredAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
			{"year 300000", "1970 and 9999", func(r *pluginsdk.AuditRow) { r.OccurredAt = time.Unix(9e12, 0) }},
			{"no action", "no action", func(r *pluginsdk.AuditRow) { r.Action = "" }},
			{"long action", "201 bytes", func(r *pluginsdk.AuditRow) { r.Action = long[:201] }},
			{"no actor", "actor type", func(r *pluginsdk.AuditRow) { r.Actor = pluginsdk.Ref{} }},
			{"long id", "1048576 bytes", func(r *pluginsdk.AuditRow) { r.Actor.ID = long }},
			{"long target", "401 bytes", func(r *pluginsdk.AuditRow) { r.Targets[0].ID = long[:401] }},
			{"long impersonator", "201 bytes", func(r *pluginsdk.AuditRow) { r.Impersonator = &pluginsdk.Ref{Type: long[:201], ID: "1"} }},
			{"long session", "session id has", func(r *pluginsdk.AuditRow) { r.SessionID = long }},
			{"long request", "request id has", func(r *pluginsdk.AuditRow) { r.RequestID = long }},
			{"long correlation", "correlation id has", func(r *pluginsdk.AuditRow) { r.CorrelationID = long }},
			{"many targets", "1000 targets", func(r *pluginsdk.AuditRow) { r.Targets = make([]pluginsdk.Ref, 1000) }},
			{"huge metadata", "as JSON", func(r *pluginsdk.AuditRow) { r.Metadata = map[string]any{"x": long} }},
			{"huge user agent", "user agent", func(r *pluginsdk.AuditRow) { r.UserAgent = long }},
		} {
			bad, good := event(1, c.change), event(1, nil)
			rec := must(t, r, 1, 0, 0, 1, bad, good)
			if f := rec.Refused[0]; f.ID != bad.ID || !strings.Contains(f.Reason, c.says) || len(f.Reason) > 200 {
				t.Errorf("%s: refused as %.300q", c.name, f)
			}
		}
	})
}

// What is unusual and storable is stored, and comes out again.
func TestRecord_takesWhatIsOdd(t *testing.T) {
	t.Parallel()
	odd := strings.Repeat("🙂\x00", 80) // four bytes each, and one that Postgres refuses
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		rows := []pluginsdk.AuditRow{
			event(1, func(r *pluginsdk.AuditRow) {
				r.Action, r.Category, r.CRUD, r.Outcome, r.AuthMethod, r.IP = "a\x00", "c\x00", "\x00", "o\x00", "m\x00", "i\x00"
				r.Reason, r.UserAgent = odd[:250], odd
				r.OrganizationID, r.SessionID, r.RequestID, r.CorrelationID = "g\x00", "s\x00", "r\x00", "q\x00"
				r.Actor, r.Targets = pluginsdk.Ref{Type: "t\x00", ID: "u\x00", Display: odd}, []pluginsdk.Ref{{Type: "\x00", ID: "\x00"}, {Type: "", ID: "x"}, {}}
				r.Metadata = map[string]any{"k\x00": "v\x00"}
			}),
			event(2, func(r *pluginsdk.AuditRow) { r.OccurredAt = time.Unix(0, 0) }),
			event(3, func(r *pluginsdk.AuditRow) { r.OccurredAt = time.Date(9999, 12, 30, 23, 59, 59, 999999999, time.UTC) }),
			event(4, func(r *pluginsdk.AuditRow) { // as long as an index has to hold
				longest := ""
				for range 400 {
					longest += string(rune('0' + rand.IntN(70))) //nolint:gosec // a test
				}
				r.SessionID, r.RequestID, r.CorrelationID, r.OrganizationID = longest, longest, longest, longest
				r.Actor = pluginsdk.Ref{Type: longest[:200], ID: longest}
			}),
			event(5, func(r *pluginsdk.AuditRow) { r.Metadata = map[string]any{"x": strings.Repeat("<", 20<<10)} }),
			event(6, func(r *pluginsdk.AuditRow) {
				var deep any = "end"
				for range 500 {
					deep = map[string]any{"d": deep}
				}
				r.Metadata = map[string]any{"x": deep}
			}),
		}
		must(t, r, len(rows), 0, 0, 0, rows...)
		must(t, r, 0, len(rows), 0, 0, rows...)
		var got []string
		for _, limit := range []string{"1", "4"} {
			es := walk(t, r, plugintest.Root, "order", "asc", "limit", limit)
			got = nil
			for _, e := range es {
				got = append(got, e.AuditID)
			}
			want := []string{rows[1].ID, rows[0].ID, rows[3].ID, rows[4].ID, rows[5].ID, rows[2].ID}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("limit %s:\n%s", limit, diff)
			}
		}
		for _, row := range rows {
			if a := get(t, r, plugintest.Root, "/threadline/entries/"+row.ID); a.status != http.StatusOK {
				t.Errorf("page of %s: %d\n%s", row.Action, a.status, a.body)
			}
		}
		if a := get(t, r, plugintest.Root, "/threadline"); a.status != http.StatusOK {
			t.Errorf("page: %d\n%s", a.status, a.body)
		}
	})
}

// Two nodes run the same cursor for a moment: both deliver everything, in batches cut differently.
func TestRecord_twoWriters(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		writers := []*plugintest.Running{run(t, at), run(t, at)}
		rows := plugintest.RowsFrom(0, 400)
		var mu sync.Mutex
		var inserted, duplicate int
		var group sync.WaitGroup
		for i, w := range writers {
			group.Go(func() {
				for from, n := 0, 7+4*i; from < len(rows); from += n {
					batch := rows[from:min(from+n, len(rows))]
					rec, err := w.Record(t.Context(), batch...)
					if err != nil { // nothing here is wrong for good, and waiting is no error
						t.Errorf("writer %d: %v", i, err)
						return
					}
					mu.Lock()
					inserted, duplicate = inserted+rec.Inserted, duplicate+rec.Duplicate
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if inserted != len(rows) || duplicate != len(rows) {
			t.Errorf("%d inserted, %d duplicate of %d", inserted, duplicate, len(rows))
		}
		exactly(t, writers[0], rows)
	})
}

// exactly holds that the timeline is these rows, each once, in their order.
func exactly(t testing.TB, r *plugintest.Running, rows []pluginsdk.AuditRow, pairs ...string) {
	t.Helper()
	want := make([]string, len(rows))
	slices.SortFunc(rows, func(a, b pluginsdk.AuditRow) int {
		return cmpOr(a.OccurredAt.Compare(b.OccurredAt), strings.Compare(a.ID, b.ID))
	})
	for i, row := range rows {
		want[i] = row.ID
	}
	got := page{Entries: walk(t, r, plugintest.Root, append(pairs, "order", "asc", "limit", "200")...)}.ids()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the timeline differs from what was delivered (-want +got):\n%s", diff)
	}
}

func cmpOr(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}

// Whatever way the rows are cut into batches, repeated, mixed, cancelled or cut off by a crash: in the end the timeline
// is the set of them.
func TestRecord_anyHistoryGivesTheSet(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		rapid.Check(t, func(rt *rapid.T) {
			// One database serves all histories: each has an organization of its own.
			org := uuid.NewString()
			rows := make([]pluginsdk.AuditRow, rapid.IntRange(1, 30).Draw(rt, "rows"))
			for i := range rows {
				rows[i] = event(rapid.IntRange(0, 5).Draw(rt, "second"), func(r *pluginsdk.AuditRow) { r.OrganizationID = org })
			}
			taken := map[string]bool{}
			for range rapid.IntRange(0, 8).Draw(rt, "deliveries") {
				var batch []pluginsdk.AuditRow
				for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(rows)-1), 1, 20).Draw(rt, "batch") {
					batch = append(batch, rows[i])
				}
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				switch fate := rapid.SampledFrom([]string{"", "", "", "cancel", "crash"}).Draw(rt, "fate"); fate {
				case "cancel":
					group.Go(cancel)
				case "crash":
					group.Go(r.Crash)
				}
				_, err := r.Record(ctx, batch...)
				group.Wait()
				cancel()
				if err == nil {
					for _, row := range batch {
						taken[row.ID] = true
					}
				}
				if get := r.SDK().Database().PingContext(t.Context()); get != nil {
					r = r.Restart(threadline.New())
				}
			}
			// What was acknowledged is there at once; what was not comes again.
			there := map[string]bool{}
			for _, e := range walk(t, r, plugintest.Root, "organization", org, "limit", "200") {
				if there[e.AuditID] {
					rt.Fatalf("%s is there twice", e.AuditID)
				}
				there[e.AuditID] = true
			}
			for id := range taken {
				if !there[id] {
					rt.Fatalf("%s was acknowledged and is not there", id)
				}
			}
			rec, err := r.Record(t.Context(), rows...)
			// A cancelled call may still have been at work when the timeline was read, so fewer may be left.
			if err != nil || rec.Inserted > len(rows)-len(there) || rec.Inserted+rec.Duplicate != len(rows) {
				rt.Fatalf("the rest: %+v, %v", rec, err)
			}
			exactly(t, r, rows, "organization", org)
		})
		var entries, counted int64
		err := r.SDK().Database().QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM threadline_entry), (SELECT entries FROM threadline_state)`).Scan(&entries, &counted)
		if err != nil || entries != counted {
			t.Errorf("%d entries, counted as %d: %v", entries, counted, err)
		}
	})
}

// A database that does not answer is a reason to try again, not to give rows up.
func TestRecord_databaseGone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, at pluginsdk.Location) {
		r := run(t, at)
		if err := r.SDK().Database().Close(); err != nil {
			t.Fatal(err)
		}
		rec, err := r.Record(t.Context(), plugintest.RowsFrom(0, 2)...)
		if !pluginsdk.IsRetryable(err) || len(rec.Refused) > 0 {
			t.Errorf("%+v, %v", rec, err)
		}
		if _, err := r.Health(t.Context()); err == nil {
			t.Error("it calls itself well")
		}
		a := get(t, r, plugintest.Root, "/threadline/v1/timeline")
		if a.status < 500 || strings.Contains(string(a.body), "sql") || errors.Is(err, context.Canceled) {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}
