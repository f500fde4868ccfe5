package accrue

import (
	"fmt"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
)

// stripeUpdate is an event of Stripe's about one subscription, whose members are given as JSON.
func stripeUpdate(t *testing.T, id, typ, object, previous string) event {
	t.Helper()
	if previous != "" {
		previous = `, "previous_attributes": ` + previous
	}
	n, err := readNotice(provider.Stripe, id, fmt.Appendf(nil, `{"id": %q, "object": "event", "type": "customer.subscription.%s", "created": 1795434600,
		"data": {"object": {"id": "sub_1", "customer": "cus_1", %s}%s}}`, id, typ, object, previous), reading{})
	if err != nil || n.Event == nil {
		t.Fatal(n, err)
	}
	return *n.Event
}

// TestStripe_sameSecond: of changes within one second, each says what was before it.
func TestStripe_sameSecond(t *testing.T) {
	t.Parallel()
	items := func(n int) string {
		return fmt.Sprintf(`"status": "active", "items": {"data": [{"id": "si_1", "price": {"id": "p"}, "quantity": %d}]}`, n)
	}
	events := []event{
		stripeUpdate(t, "evt_d", "created", items(1), ""),
		stripeUpdate(t, "evt_c", "updated", items(2), `{"quantity": 1}`),
		stripeUpdate(t, "evt_b", "updated", items(5), `{"items": {"data": [{"id": "si_1", "price": {"id": "p"}, "quantity": 2}]}}`),
		stripeUpdate(t, "evt_a", "updated", `"cancel_at_period_end": true, "current_period_end": 1798026600, `+items(5), `{"cancel_at_period_end": false}`),
		stripeUpdate(t, "evt_0", "deleted", `"ended_at": 1795434600, `+`"status": "canceled", "items": {"data": [{"id": "si_1", "price": {"id": "p"}, "quantity": 5}]}`, ""),
	}
	permutations(4, func(order []int) {
		var mixed []event
		for _, k := range order {
			mixed = append(mixed, events[k])
		}
		sortEvents(mixed)
		s := fold("sub_1", mixed)
		if len(s.Items) != 1 || s.Items[0].Quantity != 5 || !s.CancelAt.Equal(time.Unix(1798026600, 0)) || s.Revision != 4 {
			t.Errorf("in the order %v: %+v", order, s)
		}
	})
	permutations(5, func(order []int) {
		var mixed []event
		for _, k := range order {
			mixed = append(mixed, events[k])
		}
		sortEvents(mixed)
		if s := fold("sub_1", mixed); s.Status != statusCanceled || s.Revision != 5 {
			t.Errorf("in the order %v: %+v", order, s)
		}
	})
}

// FuzzReadNotice: whatever a provider signs is read or refused, and what follows from it names an object.
func FuzzReadNotice(f *testing.F) {
	for _, name := range []string{"stripe", "paddle"} {
		for _, s := range readSequenceFile(f, "testdata/"+name+"/sequences.json").sequences {
			for _, d := range s.Deliveries {
				f.Add(name, []byte(d.Body))
			}
		}
	}
	f.Add(provider.Standard, []byte(`{"type": "billing.seats.changed", "timestamp": "2026-11-23T12:00:00Z", "data": {"subscription": "s", "organization_id": "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11", "seats": 3}}`))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		n, err := readNotice(name, "evt_1", body, reading{AccountKey: "sigra_account"})
		if err != nil || n.Event == nil {
			return
		}
		if n.Event.Holder == "" || n.Event.OccurredAt.IsZero() || n.Event.Change.Subscription == "" && n.Event.Change.Feature == "" {
			t.Fatalf("taken without what it is about: %+v", n.Event)
		}
		_ = fold(n.Event.Change.Subscription, []event{*n.Event})
	})
}
