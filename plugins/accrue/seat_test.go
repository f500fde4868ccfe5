package accrue_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/plugins/accrue"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

const acme = "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11"

// world is Accrue on one database.
type world struct {
	*testing.T
	*plugintest.Running
	version int64
}

func onBoth(t *testing.T, settings string, run func(w *world)) {
	t.Parallel()
	for name, at := range map[string]func(testing.TB) *pluginsdk.Location{
		"sqlite": func(t testing.TB) *pluginsdk.Location { at := plugintest.SQLiteAt(t); return &at },
		"postgres": func(t testing.TB) *pluginsdk.Location {
			at, ok := plugintest.PostgresAt(t)
			if !ok {
				t.Fatal("SIGRA_TEST_POSTGRES is not set")
			}
			return &at
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(&world{T: t, Running: plugintest.Start(t, accrue.New(), plugintest.Config{Settings: settings, Storage: at(t)})})
		})
	}
}

// bill reports a subscription of Acme's.
func (w *world) bill(typ string, data map[string]any) {
	w.Helper()
	w.version++
	data["subscription"] = "sub_1"
	b, err := json.Marshal(data)
	if err != nil {
		w.Fatal(err)
	}
	out, err := w.Receive(w.Context(), pluginsdk.Event{
		ID: uuid.NewString(), Type: typ, OccurredAt: time.Now(), Version: w.version, OrganizationID: acme, Data: b,
	})
	if err != nil || len(out.Refused) > 0 {
		w.Fatalf("%s: %v %v", typ, out.Refused, err)
	}
}

// ask asks for a place; settle says what came of it.
func (w *world) ask(m pluginsdk.MemberContext) (pluginsdk.Verdict, string) {
	w.Helper()
	attempt := uuid.NewString()
	if m.OrganizationID == "" {
		m.OrganizationID = acme
	}
	v, err := w.Ask(w.Context(), pluginsdk.Ask{Question: pluginsdk.MemberAdd, AttemptID: attempt, Member: &m})
	if err != nil {
		w.Fatal(err)
	}
	return v, attempt
}

// join is a whole way in: the question, the membership and its row.
func (w *world) join(m pluginsdk.MemberContext) string {
	w.Helper()
	v, attempt := w.ask(m)
	if v.Decision != "allow" {
		return v.Reason
	}
	w.row(pluginsdk.AuditRow{Action: "membership.create", CorrelationID: attempt, Targets: []pluginsdk.Ref{{Type: "user", ID: m.UserID}}})
	return ""
}

func (w *world) row(r pluginsdk.AuditRow) {
	w.Helper()
	r.ID, r.OccurredAt, r.Outcome, r.OrganizationID = uuid.NewString(), time.Now(), "success", acme
	if _, err := w.Record(w.Context(), r); err != nil {
		w.Fatal(err)
	}
}

func person() pluginsdk.MemberContext {
	return pluginsdk.MemberContext{UserID: uuid.NewString(), Kind: "member", Via: "direct"}
}

// TestClaims_askedAnew: what billing changed is not kept anywhere.
func TestClaims_askedAnew(t *testing.T) {
	onBoth(t, `{}`, func(w *world) {
		w.bill("billing.subscription.created", map[string]any{"plan": "team", "seats": 3})
		user := uuid.NewString()
		b, err := json.Marshal(map[string]any{"subscription": "sub_2", "user_id": user, "plan": "solo"})
		if err != nil {
			w.Fatal(err)
		}
		out, err := w.Receive(w.Context(), pluginsdk.Event{ID: uuid.NewString(), Type: "billing.subscription.created", OccurredAt: time.Now(), Data: b})
		if err != nil || len(out.Refused) > 0 {
			w.Fatalf("%+v, %v", out, err)
		}
		if got := w.Host.Invalidated(); len(got) != 2 || got[0] != "" || got[1] != user {
			w.Errorf("%q", got)
		}
	})
}

// TestSeats_firstCut: three seats, a fourth member, an upgrade.
func TestSeats_firstCut(t *testing.T) {
	onBoth(t, `{}`, func(w *world) {
		if reason := w.join(person()); reason != "" {
			w.Fatalf("without a subscription: %s", reason)
		}
		w.bill("billing.subscription.created", map[string]any{"plan": "team", "seats": 3})
		for i := range 2 {
			if reason := w.join(person()); reason != "" {
				w.Fatalf("member %d: %s", i+2, reason)
			}
		}
		for _, via := range []string{"direct", "invitation", "just_in_time", "provisioning"} {
			m := person()
			m.Via = via
			v, _ := w.ask(m)
			if v.Decision == "allow" || v.Reason != "seat_limit_reached" || v.Message != "All 3 seats of this organization are taken." {
				w.Fatalf("the fourth by %s: %+v", via, v)
			}
		}
		w.bill("billing.subscription.upgraded", map[string]any{"seats": 5})
		for range 2 {
			if reason := w.join(person()); reason != "" {
				w.Fatalf("after the upgrade: %s", reason)
			}
		}
		if reason := w.join(person()); reason != "seat_limit_reached" {
			w.Fatalf("the sixth: %q", reason)
		}
		w.bill("billing.subscription.canceled", map[string]any{})
		if reason := w.join(person()); reason != "subscription_ended" {
			w.Fatalf("after the end: %q", reason)
		}
		owner := person()
		owner.Protected = true
		if reason := w.join(owner); reason != "" {
			w.Fatalf("an owner is locked out: %s", reason)
		}
	})
}

// TestSeats_atOnce: of forty who ask at the same time for five seats, five get one.
func TestSeats_atOnce(t *testing.T) {
	onBoth(t, `{}`, func(w *world) {
		w.bill("billing.subscription.created", map[string]any{"seats": 5})
		var welcome atomic.Int64
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				v, err := w.Ask(w.Context(), pluginsdk.Ask{Question: pluginsdk.MemberAdd, AttemptID: uuid.NewString(),
					Member: &pluginsdk.MemberContext{OrganizationID: acme, UserID: uuid.NewString(), Kind: "member", Via: "direct"}})
				if err != nil {
					w.Error(err)
				} else if v.Decision == "allow" {
					welcome.Add(1)
				}
			})
		}
		all.Wait()
		if n := welcome.Load(); n != 5 {
			w.Fatalf("%d got one of five seats", n)
		}
	})
}

// TestSeats_attempts: a repeated question is answered alike, an abandoned attempt gives its seat back, a dry run takes none.
func TestSeats_attempts(t *testing.T) {
	onBoth(t, `{}`, func(w *world) {
		w.bill("billing.subscription.created", map[string]any{"seats": 1})
		m := person()
		m.OrganizationID = acme
		dry, err := w.Ask(w.Context(), pluginsdk.Ask{Question: pluginsdk.MemberAdd, AttemptID: "dry", DryRun: true, Member: &m})
		if err != nil || dry.Decision != "allow" {
			w.Fatal(dry, err)
		}
		q := pluginsdk.Ask{Question: pluginsdk.MemberAdd, AttemptID: "one", Member: &m}
		first, err := w.Ask(w.Context(), q)
		if err != nil || first.Decision != "allow" || first.ReservationID == "" {
			w.Fatal(first, err)
		}
		again, err := w.Ask(w.Context(), q)
		if err != nil || again.ReservationID != first.ReservationID {
			w.Fatalf("asked again: %+v %v", again, err)
		}
		if v, _ := w.ask(person()); v.Decision == "allow" {
			w.Fatal("the seat was given twice")
		}
		for range 2 { // settling is repeated until it succeeds
			if err := w.Settle(w.Context(), pluginsdk.Settlement{Question: pluginsdk.MemberAdd, AttemptID: "one", ReservationID: first.ReservationID}); err != nil {
				w.Fatal(err)
			}
		}
		v, attempt := w.ask(m)
		if v.Decision != "allow" {
			w.Fatalf("an abandoned attempt keeps its seat: %+v", v)
		}
		if err := w.Settle(w.Context(), pluginsdk.Settlement{AttemptID: attempt, ReservationID: v.ReservationID, Committed: true}); err != nil {
			w.Fatal(err)
		}
		w.row(pluginsdk.AuditRow{Action: "membership.create", CorrelationID: attempt, Targets: []pluginsdk.Ref{{Type: "user", ID: m.UserID}}})
		if v, _ := w.ask(person()); v.Decision == "allow" {
			w.Fatal("a second member on one seat")
		}
		w.row(pluginsdk.AuditRow{Action: "membership.delete", Targets: []pluginsdk.Ref{{Type: "user", ID: m.UserID}}})
		if v, _ := w.ask(person()); v.Decision != "allow" {
			w.Fatalf("who left keeps the seat: %+v", v)
		}
	})
}

// TestSeats_invitations: an open invitation holds a seat, its acceptance takes the hold over, and it never counts twice.
func TestSeats_invitations(t *testing.T) {
	onBoth(t, `{}`, func(w *world) {
		w.bill("billing.subscription.created", map[string]any{"seats": 1})
		invitation := uuid.NewString()
		w.row(pluginsdk.AuditRow{Action: "invitation.create", Targets: []pluginsdk.Ref{{Type: "invitation", ID: invitation}}})
		if reason := w.join(person()); reason != "seat_limit_reached" {
			w.Fatalf("beside an invitation: %q", reason)
		}
		m := person()
		m.Via, m.InvitationID = "invitation", invitation
		if reason := w.join(m); reason != "" {
			w.Fatalf("accepting at the limit: %s", reason)
		}
		w.row(pluginsdk.AuditRow{Action: "invitation.accept", Targets: []pluginsdk.Ref{{Type: "invitation", ID: invitation}, {Type: "user", ID: m.UserID}}})
		other := person()
		other.Via, other.InvitationID = "invitation", uuid.NewString()
		w.row(pluginsdk.AuditRow{Action: "invitation.create", Targets: []pluginsdk.Ref{{Type: "invitation", ID: other.InvitationID}}})
		if reason := w.join(other); reason != "seat_limit_reached" {
			w.Fatalf("accepting above the limit: %q", reason)
		}
		w.bill("billing.seats.changed", map[string]any{"seats": 2})
		if reason := w.join(other); reason != "" {
			w.Fatalf("accepting once there are two: %s", reason)
		}
	})
}

// TestAPI answers what an account may use, and names what is wrong with a question.
func TestAPI(t *testing.T) {
	onBoth(t, `{"plan": {"team": {"seats": 2, "features": ["sso"], "limits": {"projects": 10}}}}`, func(w *world) {
		w.bill("billing.subscription.created", map[string]any{"plan": "team"})
		client := w.Client(&pluginsdk.Principal{Kind: "application"})
		check := func(body, want string) {
			w.Helper()
			resp, err := client.Post("https://sigra.example/accrue/v1/check", "application/json", strings.NewReader(body))
			if err != nil {
				w.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			var got map[string]any
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
				w.Fatal(err)
			}
			if s := strings.TrimSpace(fmt.Sprintln(resp.StatusCode, got["allowed"], got["reason"], got["code"])); s != want {
				w.Errorf("%s: %s, want %s (%v)", body, s, want, got)
			}
		}
		check(`{"account":"`+acme+`","feature":"sso"}`, "200 true entitled <nil>")
		check(`{"account":"organization:`+acme+`","feature":"scim"}`, "200 false not_in_plan <nil>")
		check(`{"account":"`+acme+`","limit":"projects","quantity":10}`, "200 true entitled <nil>")
		check(`{"account":"`+acme+`","limit":"projects","quantity":11}`, "200 false limit_reached <nil>")
		check(`{"account":"user:`+acme+`","feature":"sso"}`, "200 false no_subscription <nil>")
		check(`{"account":"nobody","feature":"sso"}`, "400 <nil> <nil> invalid_question")
		check(`{"account":"`+acme+`"}`, "400 <nil> <nil> invalid_question")
		check(`{"account":"`+acme+`","limit":"projects"}`, "400 <nil> <nil> invalid_question")
		check(`{"acount":"`+acme+`"}`, "400 <nil> <nil> invalid_body")
		c, err := w.Claims(w.Context(), pluginsdk.ClaimsRequest{Principal: pluginsdk.Principal{UserID: uuid.NewString(), OrganizationID: acme}})
		if err != nil || fmt.Sprint(c.Claims) != "map[features:[sso] plan:team seats:2]" {
			w.Errorf("claims %v %v", c.Claims, err)
		}
	})
}
