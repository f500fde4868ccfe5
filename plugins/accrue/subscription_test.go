package accrue

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/pluginsdk"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// TestEntitles_truthTable holds what each state of a subscription gives.
func TestEntitles_truthTable(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for _, c := range []struct {
		name   string
		s      subscription
		grace  time.Duration
		want   bool
		reason string
	}{
		{"trialing", subscription{Status: statusTrialing}, 0, true, "entitled"},
		{"active", subscription{Status: statusActive}, 0, true, "entitled"},
		{"cancels later", subscription{Status: statusActive, CancelAt: noon.Add(time.Microsecond)}, 0, true, "entitled"},
		{"cancels now", subscription{Status: statusActive, CancelAt: noon}, 0, false, "subscription_ended"},
		{"ends later", subscription{Status: statusActive, EndedAt: noon.Add(time.Second)}, 0, true, "entitled"},
		{"ended", subscription{Status: statusActive, EndedAt: noon}, 0, false, "subscription_ended"},
		{"collection paused", subscription{Status: statusActive, Paused: true}, 0, false, "subscription_paused"},
		{"paused", subscription{Status: statusPaused}, 9 * day, false, "subscription_paused"},
		{"past due, no grace", subscription{Status: statusPastDue, PastDueSince: noon}, 0, false, "payment_overdue"},
		{"past due, last moment of grace", subscription{Status: statusPastDue, PastDueSince: noon.Add(-3 * day)}, 3 * day, true, "past_due_grace"},
		{"past due, grace over", subscription{Status: statusPastDue, PastDueSince: noon.Add(-3*day - 1)}, 3 * day, false, "grace_period_over"},
		{"past due since nobody knows when", subscription{Status: statusPastDue}, 3 * day, false, "grace_period_over"},
		{"unpaid, never in grace", subscription{Status: statusUnpaid, PastDueSince: noon}, 3 * day, false, "payment_overdue"},
		{"canceled", subscription{Status: statusCanceled}, 3 * day, false, "subscription_ended"},
		{"incomplete", subscription{Status: statusIncomplete}, 0, false, "subscription_incomplete"},
		{"incomplete expired", subscription{Status: statusIncompleteExpired}, 0, false, "subscription_ended"},
	} {
		if got, reason := c.s.entitles(noon, c.grace); got != c.want || reason != c.reason {
			t.Errorf("%s: %v (%s), want %v (%s)", c.name, got, reason, c.want, c.reason)
		}
	}
}

// TestFold_anyOrder: whatever the order of arrival, the sum is the same.
func TestFold_anyOrder(t *testing.T) {
	t.Parallel()
	var types []string
	for typ := range impliedStatus {
		if typ[:len("billing.e")] != "billing.e" {
			types = append(types, typ)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		versioned := rapid.Bool().Draw(t, "versioned")
		n := rapid.IntRange(1, 6).Draw(t, "events")
		var events []event
		for i := range n {
			e := event{ID: fmt.Sprint("evt", i), Type: rapid.SampledFrom(types).Draw(t, "type"), OccurredAt: noon.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "at")) * time.Second)}
			if versioned || rapid.Bool().Draw(t, "has version") {
				e.Version = int64(i + 1)
			}
			seats := int64(rapid.IntRange(0, 9).Draw(t, "seats"))
			e.Change.Seats = &seats
			events = append(events, e)
		}
		sorted := append([]event(nil), events...)
		sortEvents(sorted)
		want := fold("s", sorted)
		shuffled := rapid.Permutation(events).Draw(t, "order")
		sortEvents(shuffled)
		if got := fold("s", shuffled); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\nwant %+v", got, want)
		}
	})
}

// FuzzReadEvent: what the application sends is taken whole or refused.
func FuzzReadEvent(f *testing.F) {
	f.Add("billing.subscription.created", `{"subscription":"s","organization_id":"0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11","seats":3}`)
	f.Add("billing.entitlement.granted", `{"feature":"sso","user_id":"0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11"}`)
	f.Add("billing.else", `[]`)
	f.Fuzz(func(t *testing.T, typ, data string) {
		if !json.Valid([]byte(data)) {
			return
		}
		e, known, err := readEvent(pluginsdk.Event{ID: "e", Type: typ, Data: []byte(data)})
		if known && err == nil {
			if e.Holder == "" || e.Change.Subscription == "" && e.Change.Feature == "" {
				t.Fatalf("taken without an account or an object: %+v", e)
			}
			_ = fold(e.Change.Subscription, []event{e})
		}
	})
}
