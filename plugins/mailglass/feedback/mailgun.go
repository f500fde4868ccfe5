package feedback

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

type mailgun struct {
	keys, parents []string
	past, future  time.Duration
}

// NewMailgun makes a verifier for Mailgun's signatures, which lie in the body and cover a timestamp and a token, and nothing of the event.
// parents are the keys of the account above, which signs for its subaccounts.
func NewMailgun(keys, parents []string, past, future time.Duration) (Verifier, error) {
	all := append(append([]string{}, keys...), parents...)
	if err := webhook.Keys(all); err != nil {
		return nil, err
	}
	return &mailgun{keys, parents, past, future}, nil
}

// Verify implements Verifier. The report is good once: its key again with other bytes is a forgery.
func (v *mailgun) Verify(_ context.Context, r webhook.Request, now time.Time) (Report, error) {
	top, err := members(r.Body)
	if err != nil {
		return Report{}, webhook.Reject(webhook.MalformedBody, "%s", err)
	}
	if top["signature"] == nil {
		return Report{}, webhook.Reject(webhook.MissingHeader, "the body has no signature")
	}
	token, err := v.signature(top["signature"], now)
	if err != nil {
		return Report{}, err
	}
	return Report{Key: token, Once: true, Body: r.Body}, nil
}

// signature verifies the account's own signature, or that of the account above it.
func (v *mailgun) signature(raw json.RawMessage, now time.Time) (string, error) {
	m, err := members(raw)
	if err != nil {
		return "", webhook.Reject(webhook.MalformedHeader, "the signature: %s", err)
	}
	text := func(name string) (s string) {
		if json.Unmarshal(m[name], &s) != nil && name == "timestamp" {
			var n json.Number
			_ = json.Unmarshal(m[name], &n)
			s = n.String()
		}
		return s
	}
	token, timestamp, own, parent := text("token"), text("timestamp"), text("signature"), text("parent-signature")
	if token == "" || timestamp == "" || own == "" {
		return "", webhook.Reject(webhook.MalformedHeader, "the signature has no token, timestamp or signature")
	}
	// Nothing stands between timestamp and token, so a digit may have been moved; the time check finds what is left of it.
	at, err := webhook.Timestamp(timestamp)
	if err != nil || len(timestamp) < 10 || len(token) > 255 {
		return "", webhook.Reject(webhook.MalformedHeader, "the signature's timestamp or token has not its form")
	}
	signed := []byte(timestamp + token)
	byOwn, byParent := webhook.HexHMAC(v.keys, signed, []string{own}), webhook.HexHMAC(v.parents, signed, []string{parent})
	if !byOwn && !byParent {
		return "", webhook.Reject(webhook.BadSignature, "the signature fits no key that is set")
	}
	return token, webhook.Fresh(at, now, v.past, v.future)
}

// members reads a JSON object, and refuses one with two members of a name: parsers disagree on which counts.
func members(b []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		k, err := d.Token()
		name, ok := k.(string)
		if err != nil || !ok {
			return nil, errors.New("it is not a JSON object")
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("it has two members %q", name)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, errors.New("it is not a JSON object")
		}
		out[name] = v
	}
	if _, err := d.Token(); err != nil || len(bytes.TrimSpace(b[d.InputOffset():])) > 0 {
		return nil, errors.New("it is not one JSON object")
	}
	return out, nil
}

func readMailgun(body []byte) (Content, error) {
	var o struct {
		Data struct {
			ID        string   `json:"id"`
			Timestamp unixTime `json:"timestamp"`
			Event     string   `json:"event"`
			Severity  string   `json:"severity"`
			Reason    string   `json:"reason"`
			Recipient string   `json:"recipient"`
			Status    struct {
				Enhanced string `json:"enhanced-code"`
				Bounce   string `json:"bounce-type"`
			} `json:"delivery-status"`
			Message struct {
				Headers struct {
					ID string `json:"message-id"`
				} `json:"headers"`
			} `json:"message"`
		} `json:"event-data"`
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return Content{}, fmt.Errorf("the event can't be read: %w", err)
	}
	d := o.Data
	e := mailgunEvent(d.Event, d.Severity, d.Reason, d.Status.Bounce, d.Status.Enhanced)
	e.Recipient, e.OccurredAt, e.Key, e.MessageIDs = d.Recipient, d.Timestamp.Time, d.ID, ids(strings.Trim(d.Message.Headers.ID, "<>"))
	if e.Key == "" {
		e.Key = strings.Join([]string{d.Message.Headers.ID, d.Recipient, d.Event, d.Timestamp.Format(time.RFC3339Nano)}, ":")
	}
	return Content{Events: []Event{e}}, nil
}

func mailgunEvent(event, severity, reason, bounce, enhanced string) Event {
	switch event {
	case "accepted":
		return Event{Type: Sent}
	case "delivered":
		return Event{Type: Delivered}
	case "rejected":
		return Event{Type: Dropped, Alarm: ProviderRejects}
	case "complained":
		return Event{Type: Complained, Reason: Complaint}
	case "opened":
		return Event{Type: Opened}
	case "clicked":
		return Event{Type: Clicked}
	case "unsubscribed":
		return Event{Type: Unsubscribed, Reason: Unsubscribe}
	case "failed":
	default:
		return Event{Type: Unknown}
	}
	switch {
	case severity != "permanent":
		return Event{Type: Deferred}
	case reason == "suppress-bounce":
		return Event{Type: Dropped, Reason: HardBounce}
	case reason == "suppress-complaint":
		return Event{Type: Dropped, Reason: Complaint}
	case reason == "suppress-unsubscribe":
		return Event{Type: Dropped, Reason: Unsubscribe}
	case bounce == "hard", bounce == "" && reason == "bounce" && strings.HasPrefix(enhanced, "5.1."):
		return Event{Type: Bounced, Permanent: true, Reason: HardBounce}
	}
	return Event{Type: Bounced, Soft: true} // given up for this message; the address may be good
}
