package accrue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/plugins/accrue/provider"
	"github.com/sigra-auth/sigra/pluginsdk"
)

// notice is what a webhook says, in words that are the same for all providers.
type notice struct {
	Type       string
	OccurredAt time.Time
	Customer   string // the provider's customer it is about; empty: nobody, or the event names the account itself
	Account    string // the account that the customer is said to be; empty: not said
	Event      *event // what follows for a subscription; nil: nothing
	Known      bool   // its type has a meaning, be it that nothing follows
	Ignored    bool   // it is not for this endpoint
	Alerts     []string
}

// What an operator should look at.
const (
	alertLinked    = "account_already_linked"
	alertLivemode  = "livemode_mismatch"
	alertTruncated = "entitlement_summary_truncated"
	alertAccount   = "invalid_account"
	alertUnmapped  = "unmapped_plan"
	alertBelow     = "downgrade_below_members"
)

// reading is what is to be known to read a provider's events.
type reading struct {
	AccountKey string // of metadata or custom data: under it stands the account
	Livemode   bool   // Stripe: events of live mode are meant, not those of test mode
}

// readNotice reads the body of a webhook that was verified. id is the provider's for the event.
func readNotice(name, id string, body []byte, r reading) (notice, error) {
	switch name {
	case provider.Stripe:
		return readStripe(id, body, r)
	case provider.Paddle:
		return readPaddle(id, body, r)
	}
	return readBilling(name, id, body)
}

// eventID is the id under which a provider's event stands in the ledger, beside those of others.
func eventID(name, id string) string { return name + ":" + id }

// customerHolder is whose a customer's subscriptions are, until and after an account is linked to it.
func customerHolder(name, customer string) string { return name + ":" + customer }

// typeOf reads the type of an event, for people.
func typeOf(body []byte) (string, error) {
	var o struct {
		Type      string `json:"type"`
		EventType string `json:"event_type"`
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return "", errors.New("the body is not a JSON object")
	}
	if o.Type == "" {
		o.Type = o.EventType
	}
	if o.Type == "" || len(o.Type) > 255 {
		return "", errors.New("the event has no type of 1 to 255 characters")
	}
	return o.Type, nil
}

// readBilling reads a billing.* event of the application's or of another Sigra's: what /v1/events takes, with the time as "occurred_at" or,
// as Standard Webhooks have it, "timestamp".
func readBilling(name, id string, body []byte) (notice, error) {
	var o struct {
		Type           string          `json:"type"`
		OccurredAt     time.Time       `json:"occurred_at"`
		Timestamp      time.Time       `json:"timestamp"`
		Version        int64           `json:"version"`
		OrganizationID string          `json:"organization_id"`
		Data           json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return notice{}, fmt.Errorf("the event can't be read: %w", err)
	}
	if o.OccurredAt.IsZero() {
		o.OccurredAt = o.Timestamp
	}
	var wrapped struct {
		Object json.RawMessage `json:"object"`
	}
	if json.Unmarshal(o.Data, &wrapped) == nil && wrapped.Object != nil {
		o.Data = wrapped.Object
	}
	n := notice{Type: o.Type, OccurredAt: o.OccurredAt}
	if o.OccurredAt.IsZero() {
		return n, errors.New("the event doesn't say when it occurred")
	}
	e, known, err := readEvent(pluginsdk.Event{
		ID: eventID(name, id), Type: o.Type, OccurredAt: o.OccurredAt, Version: o.Version, OrganizationID: o.OrganizationID, Data: o.Data,
	})
	if err != nil {
		return n, err
	}
	if n.Known = known; known {
		n.Event = &e
	}
	return n, nil
}

// snapshotEvent is an event that says all of a subscription.
func snapshotEvent(name, id, typ string, at time.Time, customer, subscription string, c change) (*event, error) {
	if !subscriptionID.MatchString(subscription) || !subscriptionID.MatchString(customer) {
		return nil, errors.New("a subscription and its customer must have ids of 1 to 255 printable characters")
	}
	c.Subscription = subscription
	if s := c.Snapshot; s != nil {
		if !validStatus(s.Status) {
			return nil, fmt.Errorf("status %q is none of %s", s.Status, strings.Join(statuses, ", "))
		}
		for _, i := range s.Items {
			if i.Quantity < 0 || i.Quantity > maxSeats {
				return nil, fmt.Errorf("a quantity must be 0 to %d, not %d", maxSeats, i.Quantity)
			}
		}
	}
	var data bytes.Buffer
	if err := json.NewEncoder(&data).Encode(c); err != nil {
		return nil, err
	}
	return &event{ID: eventID(name, id), Type: typ, OccurredAt: at, Holder: customerHolder(name, customer), Change: c, Data: data.Bytes()}, nil
}

// named gives the text under a key, of metadata that may hold anything.
func named(metadata json.RawMessage, key string) string {
	var m map[string]any
	if json.Unmarshal(metadata, &m) != nil {
		return ""
	}
	s, _ := m[key].(string)
	return s
}
