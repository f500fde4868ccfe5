package audit_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var sources = []store.Source{audit.Migrations}

func open(t testing.TB, db *store.DB, change ...func(*audit.Config)) *audit.Log {
	t.Helper()
	cfg := audit.Config{DB: db}
	for _, f := range change {
		f(&cfg)
	}
	l, err := audit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func record(ctx context.Context, db *store.DB, l *audit.Log, e audit.Entry) (id uuid.UUID, err error) {
	err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		id, err = l.Record(ctx, tx, e)
		return err
	})
	return id, err
}

func must(t testing.TB, db *store.DB, l *audit.Log, e audit.Entry) uuid.UUID {
	t.Helper()
	id, err := record(t.Context(), db, l, e)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func login(user string) audit.Entry {
	return audit.Entry{Action: "auth.login.success", Actor: audit.Ref{Type: "user", ID: user}, Targets: []audit.Ref{{Type: "user", ID: user}}}
}

// readAll reads n rows in commit order; other databases of the cluster can hold the horizon for a moment.
func readAll(t testing.TB, l *audit.Log, n int) (rows []audit.Row) {
	t.Helper()
	var at audit.Position
	for end := time.Now().Add(20 * time.Second); len(rows) < n; {
		got, next, err := l.Read(t.Context(), at, 100)
		if err != nil {
			t.Fatal(err)
		}
		rows, at = append(rows, got...), next
		if time.Now().After(end) {
			t.Fatalf("%d of %d rows appeared", len(rows), n)
		}
	}
	return rows
}

func TestRecord_everyField(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		now := time.Date(2026, 11, 23, 7, 0, 0, 123456789, time.FixedZone("x", 3600))
		tap := audit.NewTap()
		l := open(t, db, func(c *audit.Config) { c.Now = func() time.Time { return now }; c.Tap = tap })
		tapped, cancel := tap.Subscribe("test", 4)
		defer cancel()
		ctx := request.With(t.Context(), request.Info{ID: "req-1", IP: netip.MustParseAddr("2001:db8::1"), UserAgent: "Mozilla/5.0 ‽"})
		e := audit.Entry{
			Action: "auth.login.success", Reason: "because", Actor: audit.Ref{Type: "user", ID: "u1", Display: "Ann"},
			Impersonator: &audit.Ref{Type: "user", ID: "admin"}, Targets: []audit.Ref{{Type: "user", ID: "u1", Role: "subject"}, {Type: "session", ID: "s1"}},
			OrganizationID: uuid.Must(uuid.NewV7()), SessionID: uuid.Must(uuid.NewV7()), AuthMethod: "pwd", CorrelationID: "c-1",
			Metadata: map[string]any{"remember": true, "amr": []string{"pwd", "otp"}, "aal": "aal2"},
		}
		id, err := record(ctx, db, l, e)
		if err != nil {
			t.Fatal(err)
		}
		want := audit.Row{
			ID: id, OccurredAt: time.Date(2026, 11, 23, 6, 0, 0, 123456000, time.UTC), Action: e.Action, Category: "authentication", CRUD: "c",
			Outcome: audit.Success, Reason: "because", Actor: e.Actor, Impersonator: e.Impersonator, Targets: e.Targets,
			OrganizationID: e.OrganizationID, SessionID: e.SessionID, RequestID: "req-1", CorrelationID: "c-1", IP: "2001:db8::1",
			UserAgent: "Mozilla/5.0 ‽", AuthMethod: "pwd", Metadata: map[string]any{"remember": true, "amr": []any{"pwd", "otp"}, "aal": "aal2"},
		}
		rows := readAll(t, l, 1)
		want.Position = rows[0].Position
		if diff := cmp.Diff(want, rows[0]); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
		got, err := l.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("got (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, *<-tapped); diff != "" {
			t.Errorf("tapped (-want +got):\n%s", diff)
		}
		if id.Version() != 7 || want.Position.IsZero() {
			t.Errorf("id %s, position %s", id, want.Position)
		}
		if _, err := l.Get(t.Context(), uuid.New()); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown id gave %v", err)
		}
	})
}

func TestRecord_rollsBackWithItsChange(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		l := open(t, db)
		tapped, cancel := l.Tap().Subscribe("test", 4)
		defer cancel()
		sorry := errors.New("sorry")
		err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if _, err := l.Record(ctx, tx, login("u1")); err != nil {
				return err
			}
			return sorry
		})
		if !errors.Is(err, sorry) {
			t.Fatal(err)
		}
		must(t, db, l, login("u2"))
		if rows := readAll(t, l, 1); len(rows) != 1 || rows[0].Actor.ID != "u2" {
			t.Errorf("read %+v", rows)
		}
		if r := <-tapped; r.Actor.ID != "u2" || len(tapped) != 0 {
			t.Errorf("the tap saw a row that was rolled back")
		}
	})
}

// Each limit at its edge: the last that is taken, and the first that is not.
func TestRecord_limits(t *testing.T) {
	t.Parallel()
	x := strings.Repeat
	with := func(f func(*audit.Entry)) audit.Entry {
		e := login("u1")
		f(&e)
		return e
	}
	meta := func(m map[string]any) audit.Entry { return with(func(e *audit.Entry) { e.Metadata = m }) }
	deep := func(n int) any {
		var v any = 1
		for range n {
			v = map[string]any{"x": v}
		}
		return v
	}
	const frame = len(`{"connection":""}`)
	cases := []struct {
		name   string
		ok, no audit.Entry
		field  string
	}{
		{"unknown action", login("u"), with(func(e *audit.Entry) { e.Action = "auth.login.sucess" }), "auth.login.sucess"},
		{"host's name", login("u"), with(func(e *audit.Entry) { e.Action = "billing.subscription.upgraded" }), "billing"},
		{"reason", with(func(e *audit.Entry) { e.Reason = x("r", 128) }), with(func(e *audit.Entry) { e.Reason = x("r", 129) }), "reason"},
		{"reason text", with(func(e *audit.Entry) { e.Reason = "ünï" }), with(func(e *audit.Entry) { e.Reason = "a\nb" }), "reason"},
		{"method", with(func(e *audit.Entry) { e.AuthMethod = x("m", 64) }), with(func(e *audit.Entry) { e.AuthMethod = x("m", 65) }), "auth_method"},
		{"correlation", with(func(e *audit.Entry) { e.CorrelationID = x("c", 200) }), with(func(e *audit.Entry) { e.CorrelationID = x("c", 201) }), "correlation_id"},
		{"actor id", with(func(e *audit.Entry) { e.Actor.ID = x("i", 200) }), with(func(e *audit.Entry) { e.Actor.ID = x("i", 201) }), "actor.id"},
		{"actor type", with(func(e *audit.Entry) { e.Actor.Type = x("t", 64) }), with(func(e *audit.Entry) { e.Actor.Type = x("t", 65) }), "actor.type"},
		{"no actor", login("u"), with(func(e *audit.Entry) { e.Actor = audit.Ref{} }), "actor.type"},
		{"impersonator", with(func(e *audit.Entry) { e.Impersonator = &audit.Ref{Type: "user", ID: x("i", 200)} }), with(func(e *audit.Entry) { e.Impersonator = &audit.Ref{Type: "user", ID: x("i", 201)} }), "impersonator.id"},
		{"target id", with(func(e *audit.Entry) { e.Targets[0].ID = x("i", 200) }), with(func(e *audit.Entry) { e.Targets[0].ID = x("i", 201) }), "targets[0].id"},
		{"target role", with(func(e *audit.Entry) { e.Targets[0].Role = x("r", 64) }), with(func(e *audit.Entry) { e.Targets[0].Role = x("r", 65) }), "targets[0].role"},
		{"targets", with(func(e *audit.Entry) { e.Targets = slices.Repeat(e.Targets, 32) }), with(func(e *audit.Entry) { e.Targets = slices.Repeat(e.Targets, 33) }), "targets"},
		{"outcome", with(func(e *audit.Entry) { e.Outcome = audit.Error }), with(func(e *audit.Entry) { e.Outcome = "maybe" }), "outcome"},
		{"metadata key", meta(map[string]any{"remember": true}), meta(map[string]any{"favourite": 1}), "metadata.favourite"},
		{"metadata size", meta(map[string]any{"connection": x("x", 8192-frame)}), meta(map[string]any{"connection": x("x", 8193-frame)}), "metadata"},
		{"metadata size in bytes", meta(map[string]any{"connection": x("é", (8192-frame)/2)}), meta(map[string]any{"connection": x("é", (8192-frame)/2+1)}), "metadata"},
		{"metadata depth", meta(map[string]any{"connection": deep(6)}), meta(map[string]any{"connection": deep(7)}), "connection"},
		{"nested secret", meta(map[string]any{"connection": map[string]any{"token_id": 1}}), meta(map[string]any{"connection": map[string]any{"deeper": []any{1, map[string]any{"Access-Token": 1}}}}), "Access-Token"},
		{"nested secret in a struct", meta(map[string]any{"connection": struct{ Name string }{"x"}}), meta(map[string]any{"connection": struct{ Password string }{"x"}}), "Password"},
		{"metadata not JSON", meta(map[string]any{"connection": 1.5}), meta(map[string]any{"connection": math.NaN()}), "metadata"},
	}
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		l := open(t, db)
		for _, c := range cases {
			if _, err := record(t.Context(), db, l, c.ok); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			_, err := record(t.Context(), db, l, c.no)
			if err == nil || !strings.Contains(err.Error(), c.field) {
				t.Errorf("%s: error %v; want one that names %s", c.name, err, c.field)
			}
			if fault.KindOf(err) != fault.Internal {
				t.Errorf("%s: our own defect would be shown to a user: %v", c.name, err)
			}
		}
	})
}

// What comes from outside never fails the change it comes with.
func TestRecord_hostileTexts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		l := open(t, db)
		for _, c := range []struct{ agent, want string }{
			{strings.Repeat("a", 512), strings.Repeat("a", 512)},
			{strings.Repeat("a", 513), strings.Repeat("a", 512)},
			{strings.Repeat("a", 511) + "é", strings.Repeat("a", 511)},
			{strings.Repeat("a", 510) + "é!", strings.Repeat("a", 510) + "é"},
			{"a\x00b\nc", "a b c"},
			{"a\xffb", "a\ufffdb"},
			{strings.Repeat("\xff", 600), strings.Repeat("\ufffd", 170)},
		} {
			ctx := request.With(t.Context(), request.Info{ID: strings.Repeat("r", 65), UserAgent: c.agent})
			e := login("u1")
			e.Actor.Display = "Ann <ann@example.com>, x@y " + strings.Repeat("z", 300)
			e.Metadata = map[string]any{"connection": "a\x00b\xff"}
			id, err := record(ctx, db, l, e)
			if err != nil {
				t.Fatalf("%q: %v", c.agent, err)
			}
			row, err := l.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if row.UserAgent != c.want || len(row.RequestID) != 64 {
				t.Errorf("user agent %q, request id of %d bytes; want %q and 64", row.UserAgent, len(row.RequestID), c.want)
			}
			if strings.Contains(row.Actor.Display, "@") || len(row.Actor.Display) != 200 || !strings.HasPrefix(row.Actor.Display, "Ann <[email]>, [email] z") {
				t.Errorf("display %q", row.Actor.Display)
			}
		}
	})
}

func TestRecordAs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		l := open(t, db)
		try := func(prefix string, e audit.Entry) (id uuid.UUID, err error) {
			err = db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				id, err = l.RecordAs(ctx, tx, prefix, e)
				return err
			})
			return id, err
		}
		actor := audit.Ref{Type: "user", ID: "u1"}
		id, err := try("relyra", audit.Entry{Action: "relyra.connection.create", Actor: actor, Metadata: map[string]any{"anything": map[string]any{"status_code": 200}}})
		if err != nil {
			t.Fatal(err)
		}
		if row, err := l.Get(t.Context(), id); err != nil || row.Category != "relyra" || row.CRUD != "c" || row.Outcome != audit.Success {
			t.Errorf("row %+v, %v", row, err)
		}
		if !audit.Delivered("relyra.connection.create") {
			t.Error("a plugin's own rows are delivered by default")
		}
		for _, c := range []struct {
			prefix, action string
			meta           map[string]any
		}{
			{"auth", "auth.login.success", nil}, {"sigra", "sigra.x", nil}, {"admin", "admin.user.create", nil}, {"account", "account.x", nil},
			{"relyra", "lockspire.grant", nil}, {"relyra", "relyra", nil}, {"relyra", "relyra.", nil}, {"relyra", "relyra.A", nil},
			{"relyra", "relyrax.y", nil}, {"relyra", "auth.login.success", nil}, {"", ".x", nil}, {"Relyra", "Relyra.x", nil},
			{"relyra", "relyra." + strings.Repeat("x", 122), nil},
			{"relyra", "relyra.ok", map[string]any{"saml": []any{map[string]any{"clientSecret": "x"}}}},
			{"relyra", "relyra.ok", map[string]any{"big": strings.Repeat("x", 8192)}},
		} {
			_, err := try(c.prefix, audit.Entry{Action: c.action, Actor: actor, Metadata: c.meta})
			if f := fault.From(err); err == nil || f.Kind != fault.Invalid || f.Field == "" {
				t.Errorf("%q below %q: %v; want a fault that names the field", c.action, c.prefix, err)
			}
		}
		if _, err := try("relyra", audit.Entry{Action: "relyra." + strings.Repeat("x", 121), Actor: actor}); err != nil {
			t.Errorf("a name of 128 bytes: %v", err)
		}
	})
}

func TestTap_slowSubscriberHarmsNobody(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	l := open(t, db)
	_, stopSlow := l.Tap().Subscribe("slow", 2)
	quick, stopQuick := l.Tap().Subscribe("quick", 100)
	defer stopSlow()
	for range 10 {
		must(t, db, l, login("u1"))
	}
	if len(quick) != 10 {
		t.Errorf("the quick subscriber got %d rows; want 10", len(quick))
	}
	for _, s := range l.Tap().Status() {
		if s.Name == "slow" && (s.Sent != 2 || s.Lost != 8) {
			t.Errorf("%+v; want 2 sent and 8 lost", s)
		}
	}
	stopQuick()
	stopQuick()
	must(t, db, l, login("u1"))
	n := 0
	for range quick {
		n++
	}
	if n != 10 || len(l.Tap().Status()) != 1 {
		t.Errorf("after the end of the subscription: %d rows, %d subscribers", n, len(l.Tap().Status()))
	}
}

func TestQuery_filters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		l := open(t, db, func(c *audit.Config) { c.Now = func() time.Time { clock = clock.Add(time.Minute); return clock } })
		org, session := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
		from := func(ip, id string) context.Context {
			return request.With(t.Context(), request.Info{ID: id, IP: netip.MustParseAddr(ip)})
		}
		add := func(ctx context.Context, e audit.Entry) {
			if _, err := record(ctx, db, l, e); err != nil {
				t.Fatal(err)
			}
		}
		add(from("192.0.2.1", "r1"), audit.Entry{Action: "auth.login.success", Actor: audit.Ref{Type: "user", ID: "ann"}, SessionID: session, Targets: []audit.Ref{{Type: "user", ID: "ann"}}})                                           // 1
		add(from("192.0.2.2", "r2"), audit.Entry{Action: "auth.login.failure", Actor: audit.Ref{Type: "anonymous"}, Reason: "unknown_email"})                                                                                             // 2
		add(from("192.0.2.1", "r1"), audit.Entry{Action: "membership.create", Actor: audit.Ref{Type: "user", ID: "ann"}, OrganizationID: org, Targets: []audit.Ref{{Type: "user", ID: "bob"}, {Type: "organization", ID: org.String()}}}) // 3
		add(t.Context(), audit.Entry{Action: "admin.user.disable", Actor: audit.Ref{Type: "operator"}, Targets: []audit.Ref{{Type: "user", ID: "bob"}}, CorrelationID: "c1"})                                                             // 4
		add(t.Context(), audit.Entry{Action: "auth.logout", Outcome: audit.Error, Actor: audit.Ref{Type: "service_account", ID: "ann"}})                                                                                                  // 5
		minute := func(n int) time.Time { return time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC) }
		for _, c := range []struct {
			name string
			f    audit.Filter
			want string
		}{
			{"none", audit.Filter{}, "5 4 3 2 1"},
			{"actor", audit.Filter{ActorID: "ann"}, "5 3 1"},
			{"actor and type", audit.Filter{ActorType: "user", ActorID: "ann"}, "3 1"},
			{"actor type", audit.Filter{ActorType: "operator"}, "4"},
			{"target", audit.Filter{TargetType: "user", TargetID: "bob"}, "4 3"},
			{"target without type", audit.Filter{TargetID: org.String()}, "3"},
			{"target and action", audit.Filter{TargetID: "bob", Action: "membership.create"}, "3"},
			{"action", audit.Filter{Action: "auth.logout"}, "5"},
			{"prefix", audit.Filter{Prefix: "auth.login."}, "2 1"},
			{"prefix word", audit.Filter{Prefix: "auth"}, "5 2 1"},
			{"prefix star", audit.Filter{Prefix: "auth.*"}, "5 2 1"},
			{"part of a word is no prefix", audit.Filter{Prefix: "aut"}, ""},
			{"category", audit.Filter{Category: "admin"}, "4"},
			{"failure", audit.Filter{Outcome: audit.Failure}, "2"},
			{"success", audit.Filter{Outcome: audit.Success}, "4 3 1"},
			{"organization", audit.Filter{OrganizationID: org}, "3"},
			{"session", audit.Filter{SessionID: session}, "1"},
			{"request", audit.Filter{RequestID: "r1"}, "3 1"},
			{"correlation", audit.Filter{CorrelationID: "c1"}, "4"},
			{"ip", audit.Filter{IP: "192.0.2.2"}, "2"},
			{"from", audit.Filter{From: minute(3)}, "5 4 3"},
			{"to", audit.Filter{To: minute(3)}, "2 1"},
			{"range", audit.Filter{From: minute(2), To: minute(4)}, "3 2"},
			{"target in range", audit.Filter{TargetID: "bob", From: minute(4)}, "4"},
			{"all at once", audit.Filter{ActorID: "ann", Prefix: "auth.", IP: "192.0.2.1", RequestID: "r1", Outcome: audit.Success, From: minute(1), To: minute(2)}, "1"},
			{"nothing", audit.Filter{ActorID: "' OR 1=1 --"}, ""},
		} {
			page, err := l.Query(t.Context(), c.f)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			var got []string
			for _, r := range page.Rows {
				got = append(got, fmt.Sprint(r.OccurredAt.Minute()))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("%s: rows %q; want %q", c.name, s, c.want)
			}
		}
		for name, f := range map[string]audit.Filter{
			"target type alone": {TargetType: "user"}, "outcome": {Outcome: "maybe"}, "limit": {Limit: 201}, "negative limit": {Limit: -1},
			"cursor": {Cursor: "x"}, "cursor of another kind": {Cursor: strings.Repeat("A", 34)},
		} {
			if _, err := l.Query(t.Context(), f); fault.KindOf(err) != fault.Invalid || fault.From(err).Field == "" {
				t.Errorf("%s: %v; want a fault that names the field", name, err)
			}
		}
	})
}

func TestQuery_paging(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		// Several rows of one instant: the id decides.
		clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		n := 0
		l := open(t, db, func(c *audit.Config) {
			c.Now = func() time.Time { n++; return clock.Add(time.Duration(n/4) * time.Second) }
		})
		var want []uuid.UUID
		for range 23 {
			want = append([]uuid.UUID{must(t, db, l, login("u1"))}, want...)
		}
		for name, f := range map[string]audit.Filter{"plain": {Limit: 5}, "target": {Limit: 5, TargetType: "user", TargetID: "u1"}} {
			ids := func(p audit.Page) (out []uuid.UUID) {
				for _, r := range p.Rows {
					out = append(out, r.ID)
				}
				return out
			}
			var got []uuid.UUID
			var pages []audit.Page
			page, err := l.Query(t.Context(), f)
			for {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, ids(page)...)
				pages = append(pages, page)
				if page.Next == "" {
					break
				}
				next := f
				next.Cursor = page.Next
				page, err = l.Query(t.Context(), next)
			}
			if !slices.Equal(got, want) || len(pages) != 5 || pages[0].Previous != "" {
				t.Fatalf("%s: %d rows on %d pages", name, len(got), len(pages))
			}
			for i := len(pages) - 1; i > 0; i-- { // and back
				back := f
				back.Cursor = pages[i].Previous
				page, err := l.Query(t.Context(), back)
				if err != nil || !slices.Equal(ids(page), ids(pages[i-1])) {
					t.Fatalf("%s: back from page %d: %v, %d rows", name, i, err, len(page.Rows))
				}
				if (page.Previous == "") != (i == 1) || page.Next == "" {
					t.Errorf("%s: back on page %d: previous %q, next %q", name, i-1, page.Previous, page.Next)
				}
			}
		}
		// Rows that arrive don't shift a page.
		first, err := l.Query(t.Context(), audit.Filter{Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		must(t, db, l, login("u1"))
		second, err := l.Query(t.Context(), audit.Filter{Limit: 5, Cursor: first.Next})
		if err != nil || second.Rows[0].ID != want[5] {
			t.Errorf("the second page shifted: %v", err)
		}
	})
}

func TestExport(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		l := open(t, db)
		err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for i := range 1203 {
				e := login("u1")
				e.Actor.Display = `=HYPERLINK("http://evil")`
				e.Metadata = map[string]any{"failures": i}
				e.Action = "auth.login.failure"
				if _, err := l.Record(ctx, tx, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		var steps []int
		n, err := l.Export(t.Context(), audit.Filter{}, &out, audit.NDJSON, func(n int) { steps = append(steps, n) })
		if err != nil || n != 1203 || !slices.Equal(steps, []int{500, 1000, 1203}) {
			t.Fatalf("exported %d rows in steps %v, %v", n, steps, err)
		}
		seen := map[uuid.UUID]bool{}
		d := json.NewDecoder(&out)
		for d.More() {
			var r audit.Row
			if err := d.Decode(&r); err != nil {
				t.Fatal(err)
			}
			seen[r.ID] = true
		}
		if len(seen) != 1203 {
			t.Errorf("%d different rows", len(seen))
		}
		out.Reset()
		if n, err = l.Export(t.Context(), audit.Filter{Action: "auth.login.failure"}, &out, audit.CSV, nil); err != nil || n != 1203 {
			t.Fatalf("exported %d rows, %v", n, err)
		}
		recs, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(recs) != 1204 || recs[0][0] != "id" {
			t.Fatalf("%d records, %v", len(recs), err)
		}
		display := slices.Index(recs[0], "actor_display")
		for _, r := range recs[1:] {
			if !strings.HasPrefix(r[display], "'=") {
				t.Fatalf("a formula got through: %q", r[display])
			}
		}
		if _, err := l.Export(t.Context(), audit.Filter{}, &out, "xml", nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("format xml: %v", err)
		}
		broken := errors.New("gone")
		if _, err := l.Export(t.Context(), audit.Filter{}, writer(func([]byte) (int, error) { return 0, broken }), audit.NDJSON, nil); !errors.Is(err, broken) {
			t.Errorf("a reader that went away: %v", err)
		}
	})
}

// Failures of strangers go, however old what they stand between is; what somebody did, and what strangers managed, stays.
func TestRetain_anonymous(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		now := time.Now()
		age := 48 * time.Hour
		l := open(t, db, func(c *audit.Config) { c.Now = func() time.Time { return now.Add(-age) } })
		stranger := audit.Entry{Action: "auth.login.failure", Reason: "wrong_password", Actor: audit.Ref{Type: "anonymous"}, Targets: []audit.Ref{{Type: "user", ID: "ada"}}}
		for range 5 {
			must(t, db, l, stranger)
			must(t, db, l, login("ada"))
		}
		must(t, db, l, audit.Entry{Action: "auth.login.failure", Reason: "wrong_password", Actor: audit.Ref{Type: "user", ID: "ada"}})
		age = 0
		must(t, db, l, stranger)
		rows := readAll(t, l, 12)
		r := audit.Retention{Before: now.Add(-time.Hour), Floor: rows[3].Position, Batch: 2, Anonymous: true}
		for _, want := range []int{2, 0} {
			if n, err := l.Retain(t.Context(), r); n != want || err != nil {
				t.Fatalf("removed %d, %v; want %d", n, err, want)
			}
		}
		r.Floor = commitlog.End()
		if n, err := l.Retain(t.Context(), r); n != 3 || err != nil {
			t.Fatalf("removed %d, %v; want 3", n, err)
		}
		left := readAll(t, l, 9)
		young := 0
		for _, row := range left {
			if row.Actor.Type == "anonymous" {
				young++
			}
			if row.Action == "sigra.retention" && row.Metadata["rows"] != "anonymous_failures" {
				t.Errorf("%v", row.Metadata)
			}
		}
		if young != 1 || len(left) < 9 {
			t.Errorf("%d of strangers among %d left", young, len(left))
		}
		var targets int
		if err := db.QueryRow(t.Context(), `SELECT count(*) FROM audit_target WHERE target_id = 'ada'`).Scan(&targets); err != nil || targets != 6 {
			t.Errorf("%d targets, %v", targets, err)
		}
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func TestRetain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		now := time.Now()
		age := 48 * time.Hour
		l := open(t, db, func(c *audit.Config) { c.Now = func() time.Time { return now.Add(-age) } })
		for range 12 {
			must(t, db, l, login("old"))
		}
		age = 0
		must(t, db, l, login("young"))
		rows := readAll(t, l, 13)
		r := audit.Retention{Before: now.Add(-time.Hour), Floor: rows[9].Position, Batch: 4}
		if n, err := l.Retain(t.Context(), r); n != 10 || err != nil {
			t.Fatalf("removed %d, %v; want 10, up to the floor", n, err)
		}
		r.Floor = commitlog.End()
		if n, err := l.Retain(t.Context(), r); n != 2 || err != nil {
			t.Fatalf("removed %d, %v; want 2", n, err)
		}
		if n, err := l.Retain(t.Context(), r); n != 0 || err != nil {
			t.Fatalf("removed %d, %v; want none", n, err)
		}
		left := readAll(t, l, 4)
		var runs []string
		for _, row := range left[1:] {
			runs = append(runs, fmt.Sprintf("%s %v %v", row.Action, row.Metadata["removed"], row.Metadata["complete"]))
		}
		want := []string{"sigra.retention 4 false", "sigra.retention 10 true", "sigra.retention 2 true"}
		if left[0].Actor.ID != "young" || !slices.Equal(runs, want) {
			t.Errorf("left: %+v %v; want the young row and %v", left[0].Actor, runs, want)
		}
		var targets int
		if err := db.QueryRow(t.Context(), `SELECT count(*) FROM audit_target`).Scan(&targets); err != nil || targets != 1 {
			t.Errorf("%d rows in the index of targets, %v; want 1", targets, err)
		}
	})
}

func TestFollow(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		l := open(t, db)
		must(t, db, l, login("u0"))
		first := readAll(t, l, 1)[0]
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan string, 10)
		done := make(chan error, 1)
		go func() {
			done <- l.Follow(ctx, first.Position, 10*time.Millisecond, func(rows []audit.Row) error {
				for _, r := range rows {
					got <- r.Actor.ID
				}
				return nil
			})
		}()
		for i := range 3 {
			must(t, db, l, login(fmt.Sprint("u", i+1)))
		}
		for i := range 3 {
			if id := <-got; id != fmt.Sprint("u", i+1) {
				t.Errorf("row %d is %s's", i, id)
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}
