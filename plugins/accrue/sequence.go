package accrue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// sequence is a recorded history: webhooks in the order they were received, and, or, billing events of the application.
type sequence struct {
	ID         string         `json:"id"`
	Title      string         `json:"title"`
	Config     *ledgerConfig  `json:"config"`
	Start      startState     `json:"start"`
	Deliveries []delivery     `json:"deliveries"`
	Events     []billingEvent `json:"events"`
	Expect     struct {
		Decisions []struct {
			At      time.Time `json:"at"`
			Account string    `json:"account"`
		} `json:"decisions"`
	} `json:"expect"`
}

// startState is what is so before the first delivery.
type startState struct {
	Accounts         map[string]string `json:"accounts"` // the provider's customers and the accounts that they are
	Livemode         *bool             `json:"livemode"`
	PastDueGraceDays *int64            `json:"past_due_grace_days"`
	Members          []startMember     `json:"members"` // of every account that is there at the start
}

type startMember struct {
	User       string    `json:"user"`
	Role       string    `json:"role"`
	JoinedAt   time.Time `json:"joined_at"`
	LastActive time.Time `json:"last_active"`
}

// delivery is one webhook.
type delivery struct {
	webhook.Recorded
	Clock      int64     `json:"clock"`
	ReceivedAt time.Time `json:"received_at"`
}

func (d delivery) at() time.Time {
	if d.Clock != 0 {
		return time.Unix(d.Clock, 0).UTC()
	}
	return d.ReceivedAt.UTC()
}

// billingEvent is an event as the application posts it to /v1/events.
type billingEvent struct {
	ID             string          `json:"id"`
	Type           string          `json:"type"`
	OccurredAt     time.Time       `json:"occurred_at"`
	Version        int64           `json:"version"`
	OrganizationID string          `json:"organization_id"`
	Data           json.RawMessage `json:"data"`
}

func (e billingEvent) event() pluginsdk.Event {
	return pluginsdk.Event{ID: e.ID, Type: e.Type, OccurredAt: e.OccurredAt, Version: e.Version, OrganizationID: e.OrganizationID, Data: e.Data}
}

// readSequences reads a file: an object with a list of sequences as "cases", a list of them, one alone, or a list of billing events.
func readSequences(b []byte) (config *ledgerConfig, out []sequence, err error) {
	b = bytes.TrimSpace(b)
	if len(b) > 0 && b[0] == '[' {
		var events []billingEvent
		if json.Unmarshal(b, &events) == nil && len(events) > 0 && events[0].Type != "" {
			return nil, []sequence{{ID: "events", Events: events}}, nil
		}
		return nil, out, json.Unmarshal(b, &out)
	}
	var f struct {
		Config *ledgerConfig `json:"config"`
		Cases  []sequence    `json:"cases"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, nil, err
	}
	if f.Cases == nil {
		var one sequence
		if err := json.Unmarshal(b, &one); err != nil {
			return nil, nil, err
		}
		if one.Deliveries == nil && one.Events == nil {
			return nil, nil, errors.New("there are no deliveries and no events in it")
		}
		return nil, []sequence{one}, nil
	}
	return f.Config, f.Cases, nil
}

// ledgerConfig is what the receiver of a sequence knows: plans, and how to verify and read.
type ledgerConfig struct {
	Secret      string                `json:"secret"`
	Secrets     []string              `json:"secrets"`
	Tolerance   *int64                `json:"tolerance_seconds"`
	Clock       time.Time             `json:"clock"` // the end of the history, at which decisions are made
	Plans       map[string]ledgerPlan `json:"plans"`
	AccountKey  string                `json:"account_key"`
	MetadataKey string                `json:"account_metadata_key"`
	Defaults    struct {
		PastDueGraceDays int64 `json:"past_due_grace_days"`
		Livemode         bool  `json:"livemode"`
	} `json:"defaults"`
}

type ledgerPlan struct {
	Prices   []string         `json:"prices"`
	Seats    json.RawMessage  `json:"seats"` // a number, "quantity", or {"from_price": …}
	Features []string         `json:"features"`
	Limits   map[string]int64 `json:"limits"`
}

// settings are the settings block that the file speaks of.
func (c *ledgerConfig) settings(start startState, providers ...string) (settings, error) {
	s := settings{
		UnsubscribedSeats: -1, PastDueGraceDays: c.Defaults.PastDueGraceDays, CountInvitations: true, CountSuspended: true,
		Plans: map[string]plan{}, Webhooks: map[string]webhookSettings{},
	}
	if start.PastDueGraceDays != nil {
		s.PastDueGraceDays = *start.PastDueGraceDays
	}
	for name, p := range c.Plans {
		out := plan{Prices: p.Prices, Features: p.Features, Limits: p.Limits}
		var from struct {
			Price string `json:"from_price"`
		}
		switch word := ""; {
		case len(p.Seats) == 0, json.Unmarshal(p.Seats, &word) == nil && word == "quantity":
		case json.Unmarshal(p.Seats, &out.Seats) == nil:
		case json.Unmarshal(p.Seats, &from) == nil && from.Price != "":
			out.SeatsPrice = from.Price
		default:
			return s, fmt.Errorf("plan %s: seats must be a number, \"quantity\" or {\"from_price\": …}", name)
		}
		s.Plans[name] = out
	}
	w := webhookSettings{AccountKey: "sigra_account", Livemode: c.Defaults.Livemode}
	for _, key := range []string{strings.TrimPrefix(c.AccountKey, "custom_data."), c.MetadataKey} {
		if key != "" {
			w.AccountKey = key
		}
	}
	if start.Livemode != nil {
		w.Livemode = *start.Livemode
	}
	for _, secret := range append([]string{c.Secret}, c.Secrets...) {
		if secret != "" {
			w.Secrets = append(w.Secrets, pluginsdk.NewSecret(secret))
		}
	}
	if c.Tolerance != nil {
		w.Tolerance = time.Duration(*c.Tolerance) * time.Second
	}
	for _, name := range providers {
		s.Webhooks[name] = w
	}
	return s, s.check()
}
