package accrue

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
)

// stripeEvent is Stripe's envelope. A thin event has no object, and says its time in another form; nothing follows from one.
type stripeEvent struct {
	Object   string          `json:"object"`
	Type     string          `json:"type"`
	Created  json.RawMessage `json:"created"`
	Livemode bool            `json:"livemode"`
	Data     struct {
		Object   json.RawMessage `json:"object"`
		Previous json.RawMessage `json:"previous_attributes"`
	} `json:"data"`
}

// stripeSubscription is what is read of one. The period's end lies on the items since API version 2025-03-31, and before on the
// subscription itself.
type stripeSubscription struct {
	ID                string          `json:"id"`
	Customer          string          `json:"customer"`
	Status            string          `json:"status"`
	CancelAtPeriodEnd bool            `json:"cancel_at_period_end"`
	CancelAt          int64           `json:"cancel_at"`
	EndedAt           int64           `json:"ended_at"`
	PeriodEnd         int64           `json:"current_period_end"`
	PauseCollection   json.RawMessage `json:"pause_collection"`
	Schedule          string          `json:"schedule"`
	Metadata          json.RawMessage `json:"metadata"`
	Items             struct {
		Data []struct {
			Price struct {
				ID string `json:"id"`
			} `json:"price"`
			Quantity  int64 `json:"quantity"`
			PeriodEnd int64 `json:"current_period_end"`
		} `json:"data"`
	} `json:"items"`
}

// The types of which something is understood, if only that nothing follows. A name that ends in a full stop stands for all below it.
var stripeTypes = []string{
	"customer.created", "customer.updated", "customer.deleted",
	"customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted", "customer.subscription.paused",
	"customer.subscription.resumed", "customer.subscription.trial_will_end", "customer.subscription.pending_update_applied", "customer.subscription.pending_update_expired",
	"subscription_schedule.created", "subscription_schedule.updated", "subscription_schedule.released", "subscription_schedule.completed",
	"subscription_schedule.canceled", "subscription_schedule.expiring", "subscription_schedule.aborted",
	"checkout.session.", "entitlements.active_entitlement_summary.updated",
	"invoice.", "charge.", "refund.", "payment_method.", "payment_intent.", "setup_intent.", "price.", "product.",
}

func typeIn(types []string, typ string) bool {
	return slices.ContainsFunc(types, func(t string) bool { return t == typ || strings.HasSuffix(t, ".") && strings.HasPrefix(typ, t) })
}

func readStripe(id string, body []byte, r reading) (notice, error) {
	var e stripeEvent
	if err := json.Unmarshal(body, &e); err != nil {
		return notice{}, fmt.Errorf("the event can't be read: %w", err)
	}
	n := notice{Type: e.Type}
	if e.Livemode != r.Livemode {
		n.Known, n.Ignored, n.Alerts = true, true, []string{alertLivemode}
		return n, nil
	}
	var created int64
	if e.Object != "event" || json.Unmarshal(e.Created, &created) != nil || !typeIn(stripeTypes, e.Type) {
		return n, nil
	}
	n.Known, n.OccurredAt = true, time.Unix(created, 0).UTC()
	var err error
	switch {
	case strings.HasPrefix(e.Type, "customer.subscription."):
		err = n.stripeSubscription(id, e, r)
	case strings.HasPrefix(e.Type, "subscription_schedule."):
		err = n.stripeSchedule(id, e)
	case strings.HasPrefix(e.Type, "customer."):
		var c struct {
			ID       string          `json:"id"`
			Metadata json.RawMessage `json:"metadata"`
		}
		if err = json.Unmarshal(e.Data.Object, &c); err == nil {
			n.Customer, n.Account = c.ID, named(c.Metadata, r.AccountKey)
		}
	case strings.HasPrefix(e.Type, "checkout.session."):
		// Whoever opens a payment link chooses client_reference_id, so it says nothing. Metadata are the application's. Nothing is granted: the
		// subscription decides.
		var c struct {
			Customer string          `json:"customer"`
			Metadata json.RawMessage `json:"metadata"`
		}
		if err = json.Unmarshal(e.Data.Object, &c); err == nil {
			n.Customer, n.Account = c.Customer, named(c.Metadata, r.AccountKey)
		}
	case strings.HasPrefix(e.Type, "entitlements."):
		var c struct {
			Entitlements struct {
				More bool `json:"has_more"`
			} `json:"entitlements"`
		}
		// Plans in the settings say what is included; the provider's list is not taken, and a part of one never could be.
		if err = json.Unmarshal(e.Data.Object, &c); err == nil && c.Entitlements.More {
			n.Alerts = append(n.Alerts, alertTruncated)
		}
	}
	if err != nil {
		return n, fmt.Errorf("the object of %s can't be read: %w", e.Type, err)
	}
	return n, nil
}

func (n *notice) stripeSubscription(id string, e stripeEvent, r reading) error {
	var s stripeSubscription
	if err := json.Unmarshal(e.Data.Object, &s); err != nil {
		return err
	}
	c := change{Snapshot: s.snapshot()}
	if before, ok := stripeBefore(e.Data.Object, e.Data.Previous); ok {
		c.Snapshot.Before = before
	}
	var err error
	n.Customer, n.Account = s.Customer, named(s.Metadata, r.AccountKey)
	n.Event, err = snapshotEvent(provider.Stripe, id, e.Type, n.OccurredAt, s.Customer, s.ID, c)
	return err
}

func (s stripeSubscription) snapshot() *snapshot {
	out := &snapshot{
		Status: s.Status, Items: []item{}, CancelAt: unix(s.CancelAt), EndedAt: unix(s.EndedAt), Scheduled: s.Schedule != "",
		CollectionPaused: len(s.PauseCollection) > 0 && string(s.PauseCollection) != "null",
	}
	end := s.PeriodEnd
	for _, i := range s.Items.Data {
		out.Items = append(out.Items, item{i.Price.ID, i.Quantity})
		end = max(end, i.PeriodEnd)
	}
	out.PeriodEnd = unix(end)
	if s.CancelAtPeriodEnd && s.CancelAt == 0 {
		out.CancelAt = out.PeriodEnd
	}
	return out
}

func unix(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// stripeBefore is the subscription with what previous_attributes say it was. ok is false where they can't be laid over it.
func stripeBefore(object, previous json.RawMessage) (*snapshot, bool) {
	var now, was map[string]any
	if json.Unmarshal(object, &now) != nil || json.Unmarshal(previous, &was) != nil || len(was) == 0 {
		return nil, false
	}
	if q, ok := was["quantity"]; ok && was["items"] == nil { // of the single item, as the oldest shape had it
		items, _ := now["items"].(map[string]any)
		data, _ := items["data"].([]any)
		if len(data) != 1 {
			return nil, false
		}
		if first, ok := data[0].(map[string]any); ok {
			first["quantity"] = q
		}
	}
	lay(now, was)
	b, err := json.Marshal(now)
	if err != nil {
		return nil, false
	}
	var s stripeSubscription
	if json.Unmarshal(b, &s) != nil {
		return nil, false
	}
	return s.snapshot(), true
}

// lay puts the members of was over those of now; of lists of objects, one by one, since an item in it tells only what it changed.
func lay(now, was map[string]any) {
	for k, v := range was {
		switch v := v.(type) {
		case map[string]any:
			if under, ok := now[k].(map[string]any); ok {
				lay(under, v)
				continue
			}
		case []any:
			under, ok := now[k].([]any)
			if ok && len(under) == len(v) {
				for i := range v {
					a, isA := under[i].(map[string]any)
					b, isB := v[i].(map[string]any)
					if isA && isB {
						lay(a, b)
					} else {
						under[i] = v[i]
					}
				}
				continue
			}
		}
		now[k] = v
	}
}

// stripeSchedule reads which changes are to come. They change nothing today: when one comes, the subscription says so.
func (n *notice) stripeSchedule(id string, e stripeEvent) error {
	var s struct {
		Customer     string `json:"customer"`
		Subscription string `json:"subscription"`
		Released     string `json:"released_subscription"`
		Status       string `json:"status"`
		Phases       []struct {
			Start int64 `json:"start_date"`
			Items []struct {
				Price    string `json:"price"`
				Quantity int64  `json:"quantity"`
			} `json:"items"`
		} `json:"phases"`
	}
	if err := json.Unmarshal(e.Data.Object, &s); err != nil {
		return err
	}
	n.Customer = s.Customer
	c := change{Schedule: true}
	if s.Subscription == "" {
		s.Subscription = s.Released
	}
	if s.Subscription == "" {
		return nil // it has not begun, or is over
	}
	if s.Status == "active" || s.Status == "not_started" {
		for _, p := range s.Phases {
			if at := unix(p.Start); at.After(n.OccurredAt) {
				x := phase{At: at}
				for _, i := range p.Items {
					x.Items = append(x.Items, item{i.Price, i.Quantity})
				}
				c.Upcoming = append(c.Upcoming, x)
			}
		}
	}
	var err error
	n.Event, err = snapshotEvent(provider.Stripe, id, e.Type, n.OccurredAt, s.Customer, s.Subscription, c)
	return err
}
