package event_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/commitlog"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var sources = []store.Source{audit.Migrations, event.Migrations}

func open(t testing.TB, db *store.DB, change ...func(*event.Config)) *event.Store {
	t.Helper()
	cfg := event.Config{DB: db}
	for _, f := range change {
		f(&cfg)
	}
	s, err := event.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func readAll(t testing.TB, s *event.Store, n int) (events []event.Event) {
	t.Helper()
	var at audit.Position
	for end := time.Now().Add(20 * time.Second); len(events) < n; {
		got, next, err := s.Read(t.Context(), at, 7)
		if err != nil {
			t.Fatal(err)
		}
		events, at = append(events, got...), next
		if time.Now().After(end) {
			t.Fatalf("%d of %d events appeared", len(events), n)
		}
	}
	return events
}

func TestPublish_storesAndReads(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		var told atomic.Int32
		s := open(t, db, func(c *event.Config) { c.OnCommit = func() { told.Add(1) } })
		at := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
		in := event.Event{ID: "e1", Type: "billing.subscription.upgraded", OccurredAt: at, Subject: "org/1", Source: "shop", Data: json.RawMessage(`{ "z": 1.50, "a": "ü" }`)}
		stored, dup, err := s.Publish(t.Context(), []event.Event{in, {ID: "e2", Type: "crm.lead.won"}})
		if err != nil || stored != 2 || dup != 0 || told.Load() != 1 {
			t.Fatalf("stored %d, duplicate %d, told %d, %v", stored, dup, told.Load(), err)
		}
		got := readAll(t, s, 2)
		if e := got[0]; e.ID != "e1" || !e.OccurredAt.Equal(at) || e.Subject != "org/1" || e.Source != "shop" || string(e.Data) != `{"z":1.50,"a":"ü"}` || e.ReceivedAt.IsZero() {
			t.Errorf("read %+v", e)
		}
		if e := got[1]; !e.OccurredAt.Equal(e.ReceivedAt) || string(e.Data) != "null" {
			t.Errorf("read %+v; want the time of reception", e)
		}
		if e, err := s.Get(t.Context(), "e2"); err != nil || e.Type != "crm.lead.won" {
			t.Errorf("got %+v, %v", e, err)
		}
		if _, err := s.Get(t.Context(), "e3"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown event gave %v", err)
		}
		if n, d, err := s.Publish(t.Context(), nil); n+d != 0 || err != nil {
			t.Errorf("nothing published: %d, %d, %v", n, d, err)
		}
	})
}

func TestPublish_idempotency(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		s := open(t, db)
		at := time.Now().Add(-time.Minute)
		base := event.Event{ID: "e1", Type: "billing.x", OccurredAt: at, Data: json.RawMessage(`{"a":1,"b":[2,3]}`)}
		untimed := event.Event{ID: "e2", Type: "billing.x"}
		publish := func(events ...event.Event) string {
			stored, dup, err := s.Publish(t.Context(), events)
			if err != nil {
				f := fault.From(err)
				return fmt.Sprintf("%s at %s: %s", f.Kind, f.Field, f.Message)
			}
			return fmt.Sprintf("%d+%d", stored, dup)
		}
		other := func(f func(*event.Event)) event.Event { e := base; f(&e); return e }
		conflict := `conflict at events[1].id: The event id "e1" was used before, with other content.`
		for _, c := range []struct {
			name, want string
			events     []event.Event
		}{
			{"new", "2+0", []event.Event{base, untimed}},
			{"again", "0+2", []event.Event{base, untimed}},
			{"other spelling of the same JSON", "0+1", []event.Event{other(func(e *event.Event) { e.Data = json.RawMessage(` {"b": [2,3], "a": 1}`) })}},
			{"mixed", "1+1", []event.Event{base, {ID: "e3", Type: "billing.x"}}},
			{"twice in one batch", "1+1", []event.Event{{ID: "e4", Type: "billing.x"}, {ID: "e4", Type: "billing.x"}}},
			{"other type", conflict, []event.Event{{ID: "n1", Type: "billing.x"}, other(func(e *event.Event) { e.Type = "billing.y" })}},
			{"other data", conflict, []event.Event{{ID: "n2", Type: "billing.x"}, other(func(e *event.Event) { e.Data = json.RawMessage(`{"a":1,"b":[3,2]}`) })}},
			{"other time", conflict, []event.Event{{ID: "n3", Type: "billing.x"}, other(func(e *event.Event) { e.OccurredAt = at.Add(time.Second) })}},
			{"other subject", conflict, []event.Event{{ID: "n4", Type: "billing.x"}, other(func(e *event.Event) { e.Subject = "x" })}},
			{"other source", conflict, []event.Event{{ID: "n5", Type: "billing.x"}, other(func(e *event.Event) { e.Source = "x" })}},
			{"conflict inside a batch", `conflict at events[1].id: The event id "e9" was used before, with other content.`, []event.Event{{ID: "e9", Type: "billing.x"}, {ID: "e9", Type: "billing.y"}}},
		} {
			if got := publish(c.events...); got != c.want {
				t.Errorf("%s: %s; want %s", c.name, got, c.want)
			}
		}
		// Nothing of a refused batch was stored.
		if got := readAll(t, s, 4); len(got) != 4 {
			t.Errorf("%d events; want 4", len(got))
		}
	})
}

func TestPublish_concurrentRepetitions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		s := open(t, db)
		var stored atomic.Int32
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 10 {
					a, b := event.Event{ID: fmt.Sprint("a", i), Type: "billing.x"}, event.Event{ID: fmt.Sprint("b", i), Type: "billing.x"}
					batch := []event.Event{a, b}
					if w%2 == 0 { // the other way round, so that they would deadlock
						batch = []event.Event{b, a}
					}
					n, _, err := s.Publish(t.Context(), batch)
					if err != nil {
						t.Error(err)
					}
					stored.Add(int32(n))
				}
			})
		}
		wg.Wait()
		if n := stored.Load(); n != 20 {
			t.Errorf("%d events stored; want 20", n)
		}
	})
}

func TestPublish_limits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	x := strings.Repeat
	with := func(f func(*event.Event)) event.Event {
		e := event.Event{ID: "e1", Type: "billing.x"}
		f(&e)
		return e
	}
	type pair struct {
		name, field string
		ok, no      event.Event
	}
	cases := []pair{
		{"id", "id", with(func(e *event.Event) { e.ID = x("i", 200) }), with(func(e *event.Event) { e.ID = x("i", 201) })},
		{"no id", "id", with(func(e *event.Event) {}), with(func(e *event.Event) { e.ID = "" })},
		{"id with control character", "id", with(func(e *event.Event) { e.ID = "ü 1" }), with(func(e *event.Event) { e.ID = "a\x00" })},
		{"id not UTF-8", "id", with(func(e *event.Event) {}), with(func(e *event.Event) { e.ID = "\xff" })},
		{"type length", "type", with(func(e *event.Event) { e.Type = "b." + x("t", 126) }), with(func(e *event.Event) { e.Type = "b." + x("t", 127) })},
		{"one word", "type", with(func(e *event.Event) { e.Type = "a.b" }), with(func(e *event.Event) { e.Type = "ab" })},
		{"upper case", "type", with(func(e *event.Event) { e.Type = "a.b-c_d.3ds" }), with(func(e *event.Event) { e.Type = "A.b" })},
		{"empty word", "type", with(func(e *event.Event) {}), with(func(e *event.Event) { e.Type = "a..b" })},
		{"newline", "type", with(func(e *event.Event) {}), with(func(e *event.Event) { e.Type = "a.b\n" })},
		{"configured prefix", "type", with(func(e *event.Event) { e.Type = "threadlines.x" }), with(func(e *event.Event) { e.Type = "threadline.x" })},
		{"subject", "subject", with(func(e *event.Event) { e.Subject = x("s", 512) }), with(func(e *event.Event) { e.Subject = x("s", 513) })},
		{"source", "source", with(func(e *event.Event) { e.Source = x("s", 512) }), with(func(e *event.Event) { e.Source = x("s", 513) })},
		{"data", "data", with(func(e *event.Event) { e.Data = json.RawMessage(`"` + x("d", 65534) + `"`) }), with(func(e *event.Event) { e.Data = json.RawMessage(`"` + x("d", 65535) + `"`) })},
		{"data not JSON", "data", with(func(e *event.Event) { e.Data = json.RawMessage(`"\u0000"`) }), with(func(e *event.Event) { e.Data = json.RawMessage(`{"a":1} x`) })},
		{"data not UTF-8", "data", with(func(e *event.Event) { e.Data = json.RawMessage(`[]`) }), with(func(e *event.Event) { e.Data = json.RawMessage("\"\xff\"") })},
		{"future", "occurred_at", with(func(e *event.Event) { e.OccurredAt = now.Add(5 * time.Minute) }), with(func(e *event.Event) { e.OccurredAt = now.Add(5*time.Minute + 1) })},
		{"past", "occurred_at", with(func(e *event.Event) { e.OccurredAt = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }), with(func(e *event.Event) { e.OccurredAt = time.Unix(1_000_000, 0) })},
	}
	for _, p := range audit.ReservedPrefixes() {
		cases = append(cases, pair{"prefix " + p, "type", with(func(e *event.Event) { e.Type = "x" + p + ".x" }), with(func(e *event.Event) { e.Type = p + ".login.success" })})
	}
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		s := open(t, db, func(c *event.Config) { c.Now = func() time.Time { return now }; c.Reserved = []string{"threadline"} })
		for i, c := range cases {
			if c.ok.ID == "e1" {
				c.ok.ID = fmt.Sprint("ok", i)
			}
			if _, _, err := s.Publish(t.Context(), []event.Event{c.ok}); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			_, _, err := s.Publish(t.Context(), []event.Event{{ID: fmt.Sprint("first", i), Type: "billing.x"}, c.no})
			if f := fault.From(err); err == nil || f.Kind != fault.Invalid || f.Field != "events[1]."+c.field {
				t.Errorf("%s: %v; want a fault at events[1].%s", c.name, err, c.field)
			}
			if _, err := s.Get(t.Context(), fmt.Sprint("first", i)); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s: a part of the refused batch was stored", c.name)
			}
		}
		many := make([]event.Event, 501)
		for i := range many {
			many[i] = event.Event{ID: fmt.Sprint("m", i), Type: "billing.x"}
		}
		if _, _, err := s.Publish(t.Context(), many); fault.KindOf(err) != fault.TooLarge {
			t.Errorf("501 events: %v", err)
		}
		if n, _, err := s.Publish(t.Context(), many[:500]); n != 500 || err != nil {
			t.Errorf("500 events: %d, %v", n, err)
		}
	})
}

// Whatever the application sends: an answer, and what was stored reads back the same.
func TestPublish_anything(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.Postgres, sources...)
	s := open(t, db)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		e := event.Event{
			ID: fmt.Sprint(n, rapid.String().Draw(rt, "id")), Type: rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z]{1,9}\.[a-z]{1,9}`)).Draw(rt, "type"),
			Subject: rapid.String().Draw(rt, "subject"), Data: json.RawMessage(rapid.OneOf(rapid.String(), rapid.Just(`{"a":"\ud800"}`), rapid.Just(`[1e999]`)).Draw(rt, "data")),
		}
		stored, _, err := s.Publish(t.Context(), []event.Event{e})
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid {
				rt.Fatalf("%v", err)
			}
			return
		}
		got, err := s.Get(t.Context(), e.ID)
		if err != nil || stored != 1 || got.Type != e.Type || got.Subject != e.Subject {
			rt.Fatalf("stored %d, read back %+v, %v", stored, got, err)
		}
	})
}

func TestRetain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		log, err := audit.New(audit.Config{DB: db})
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, db)
		for i := range 5 {
			if _, _, err := s.Publish(t.Context(), []event.Event{{ID: fmt.Sprint(i), Type: "billing.x"}}); err != nil {
				t.Fatal(err)
			}
		}
		events := readAll(t, s, 5)
		r := audit.Retention{Before: time.Now().Add(time.Hour), Floor: events[2].Position}
		if n, err := s.Retain(t.Context(), log, r); n != 3 || err != nil {
			t.Errorf("removed %d, %v; want 3", n, err)
		}
		r.Floor = commitlog.End()
		if n, err := s.Retain(t.Context(), log, r); n != 2 || err != nil {
			t.Errorf("removed %d, %v; want 2", n, err)
		}
		if page, err := log.Query(t.Context(), audit.Filter{Action: "sigra.retention"}); err != nil || len(page.Rows) != 2 {
			t.Errorf("%d runs audited, %v", len(page.Rows), err)
		}
	})
}
