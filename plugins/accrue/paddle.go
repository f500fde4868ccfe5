package accrue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
)

// The types of Paddle's events of which something is understood, if only that nothing follows.
var paddleTypes = []string{
	"subscription.created", "subscription.activated", "subscription.imported", "subscription.updated", "subscription.trialing", "subscription.past_due",
	"subscription.paused", "subscription.resumed", "subscription.canceled",
	"customer.created", "customer.updated", "customer.imported", "transaction.", "adjustment.", "address.", "business.", "payment_method.", "price.", "product.", "discount.",
}

func readPaddle(id string, body []byte, r reading) (notice, error) {
	var e struct {
		Type       string          `json:"event_type"`
		OccurredAt time.Time       `json:"occurred_at"`
		Data       json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return notice{}, fmt.Errorf("the event can't be read: %w", err)
	}
	n := notice{Type: e.Type, OccurredAt: e.OccurredAt.UTC().Truncate(time.Microsecond)}
	if !typeIn(paddleTypes, e.Type) {
		return n, nil
	}
	n.Known = true
	if e.OccurredAt.IsZero() {
		return n, errors.New("the event doesn't say when it occurred")
	}
	switch {
	case strings.HasPrefix(e.Type, "customer."):
		var c struct {
			ID   string          `json:"id"`
			Data json.RawMessage `json:"custom_data"`
		}
		if err := json.Unmarshal(e.Data, &c); err != nil {
			return n, fmt.Errorf("the customer can't be read: %w", err)
		}
		n.Customer, n.Account = c.ID, named(c.Data, r.AccountKey)
	case strings.HasPrefix(e.Type, "subscription."):
		if err := n.paddleSubscription(id, e.Data, r); err != nil {
			return n, fmt.Errorf("the subscription can't be read: %w", err)
		}
	}
	return n, nil
}

func (n *notice) paddleSubscription(id string, data json.RawMessage, r reading) error {
	var s struct {
		ID         string          `json:"id"`
		Status     string          `json:"status"`
		CustomerID string          `json:"customer_id"`
		CanceledAt time.Time       `json:"canceled_at"`
		CustomData json.RawMessage `json:"custom_data"`
		Period     struct {
			EndsAt time.Time `json:"ends_at"`
		} `json:"current_billing_period"`
		Scheduled struct {
			Action      string    `json:"action"`
			EffectiveAt time.Time `json:"effective_at"`
		} `json:"scheduled_change"`
		Items []struct {
			Quantity int64 `json:"quantity"`
			Price    struct {
				ID string `json:"id"`
			} `json:"price"`
		} `json:"items"`
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	x := &snapshot{Status: s.Status, Items: []item{}, PeriodEnd: s.Period.EndsAt.UTC()}
	for _, i := range s.Items {
		x.Items = append(x.Items, item{i.Price.ID, i.Quantity})
	}
	switch s.Scheduled.Action {
	case "cancel":
		x.CancelAt = s.Scheduled.EffectiveAt.UTC()
	case "pause":
		x.PauseAt = s.Scheduled.EffectiveAt.UTC()
	}
	if s.Status == statusCanceled {
		x.EndedAt = s.CanceledAt.UTC()
	}
	var err error
	n.Customer, n.Account = s.CustomerID, named(s.CustomData, r.AccountKey)
	n.Event, err = snapshotEvent(provider.Paddle, id, n.Type, n.OccurredAt, s.CustomerID, s.ID, change{Snapshot: x})
	return err
}
