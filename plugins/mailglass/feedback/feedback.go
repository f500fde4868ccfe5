package feedback

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// The providers.
const (
	Postmark = "postmark"
	SendGrid = "sendgrid"
	Mailgun  = "mailgun"
	SES      = "ses"
	Resend   = "resend"
)

// Names are all of them.
var Names = []string{Postmark, SendGrid, Mailgun, SES, Resend}

// Verifier judges requests of one provider.
type Verifier interface {
	// Verify gives what a genuine request holds, or a *webhook.Rejection.
	Verify(ctx context.Context, r webhook.Request, now time.Time) (Report, error)
}

// Report is a request that is genuine.
type Report struct {
	// Key tells requests apart, where the provider signs one for each; empty: only the events in it do. The same key with other
	// bytes is a forgery where Once is set: the provider's signature doesn't cover them.
	Key  string
	Once bool

	Body    []byte   // what the provider says, in its own form
	Confirm *Confirm // SNS wants to know whether we want to hear of the topic
	Alarm   string   // something an operator must see, of the request as a whole
}

// Confirm is a confirmation of a subscription to an SNS topic that we make ourselves: nothing that a message names is ever fetched.
type Confirm struct {
	Host   string `json:"host"`
	Action string `json:"action"`
	Topic  string `json:"topic"`
	Token  string `json:"token"`
}

// The types of events.
const (
	Queued        = "queued"
	Sent          = "sent"
	Delivered     = "delivered"
	Deferred      = "deferred" // the provider goes on trying
	Bounced       = "bounced"
	Dropped       = "dropped" // never tried
	Failed        = "failed"  // ours or the provider's fault
	Complained    = "complained"
	Unsubscribed  = "unsubscribed"
	Subscribed    = "subscribed"
	Opened        = "opened"
	Clicked       = "clicked"
	Autoresponded = "autoresponded"
	Unknown       = "unknown"
)

// Why an address is suppressed.
const (
	HardBounce       = "hard_bounce"
	InvalidRecipient = "invalid_recipient"
	Complaint        = "complaint"
	Unsubscribe      = "unsubscribe"
	Manual           = "manual"
)

// What an operator must see.
const (
	TrackingSeen    = "tracking_seen_on_auth_stream"
	TrackingEnabled = "tracking_enabled_at_provider"
	ProviderRejects = "provider_rejects"
	ProviderQuota   = "provider_quota"
	ProviderBlocks  = "provider_suppresses_auth_mail"
	SenderBlocked   = "sender_blocked"
	DMARCFailed     = "dmarc_failed"
	RenderingFailed = "rendering_failed"
	SNSUnsubscribed = "sns_unsubscribed"
)

// Event is one thing a provider says of one recipient of one message.
type Event struct {
	Type       string
	MessageIDs []string // by any of which the message may be known here
	Recipient  string
	OccurredAt time.Time
	Key        string // the provider's id of the event, or what stands for it
	Permanent  bool   // of a bounce
	Soft       bool   // of a bounce: it counts, and several of them mean something
	Reason     string // why the address should get nothing more; empty: no reason
	Alarm      string
}

// Added is an address that a provider put onto its own list.
type Added struct{ Address, Reason string }

// Content is all that a report says.
type Content struct {
	Events []Event
	Added  []Added
	Alarm  string // of the report as a whole
	Bad    int    // entries that can't be read
}

// Read reads a report of a provider.
func Read(name string, r Report) (Content, error) {
	switch name {
	case Postmark:
		return readPostmark(r.Body)
	case SendGrid:
		return readSendGrid(r.Body)
	case Mailgun:
		return readMailgun(r.Body)
	case SES:
		return readSES(r)
	}
	return readResend(r)
}

// Delivery is a message that Mailglass handed over.
type Delivery struct {
	ID        string `json:"delivery"`
	Purpose   string `json:"purpose"`
	Stream    string `json:"stream"`
	Recipient string `json:"recipient"`
	MessageID string `json:"message_id"`
}

// The streams.
const (
	Transactional = "transactional"
	Bulk          = "bulk"
)

// Suppress is what an event takes an address out of.
type Suppress struct {
	Scope       string `json:"scope"` // address, address_stream
	Stream      string `json:"stream,omitempty"`
	Reason      string `json:"reason"`
	Overridable bool   `json:"overridable"`
}

// Judged is an event with what follows from it here.
type Judged struct {
	Type       string    `json:"type"`
	Delivery   string    `json:"delivery,omitempty"` // empty: none that is known
	Recipient  string    `json:"recipient"`
	OccurredAt time.Time `json:"occurred_at"`
	Key        string    `json:"provider_event_id"`
	Permanence string    `json:"permanence,omitempty"` // permanent, transient
	Soft       bool      `json:"counts_as_soft_bounce,omitempty"`
	Suppress   *Suppress `json:"suppress"`
	Alarm      string    `json:"alarm,omitempty"`
}

// SameAddress compares addresses as mailboxes are compared in practice: without regard to case.
func SameAddress(a, b string) bool { return strings.EqualFold(a, b) }

// Judge says what follows from an event. d is the message that it is about; nil, or another's recipient: nothing follows.
func Judge(e Event, d *Delivery) Judged {
	j := Judged{Type: e.Type, Recipient: e.Recipient, OccurredAt: e.OccurredAt, Key: e.Key, Alarm: e.Alarm}
	if e.Type == Bounced {
		j.Permanence = "transient"
		if e.Permanent {
			j.Permanence = "permanent"
		}
	}
	if d == nil || !SameAddress(d.Recipient, e.Recipient) {
		j.Alarm = ""
		return j
	}
	j.Delivery, j.Soft = d.ID, e.Soft
	// A stream that nobody knows is taken for the one on which the most depends.
	auth := d.Stream != Bulk && d.Stream != "operational"
	switch e.Type {
	case Opened, Clicked, Unsubscribed:
		if auth {
			j.Alarm = TrackingSeen
			return j
		}
	}
	switch e.Reason {
	case "":
	case Unsubscribe:
		if auth { // nobody unsubscribes from the mail that lets them sign in
			j.Alarm = ProviderBlocks
			return j
		}
		j.Suppress = &Suppress{Scope: "address_stream", Stream: d.Stream, Reason: e.Reason, Overridable: true}
	default:
		j.Suppress = &Suppress{Scope: "address", Reason: e.Reason, Overridable: e.Reason != Complaint}
	}
	return j
}

// rank orders the states of a delivery. It never goes backwards.
var rank = map[string]int{Queued: 1, Sent: 2, Deferred: 3, Delivered: 4, Failed: 5, Dropped: 5, Bounced: 6}

// Advance gives the state of a delivery after an event of a type.
func Advance(state, typ string) string {
	if rank[typ] > rank[state] {
		return typ
	}
	return state
}

// unixTime is seconds since 1970 as a number or as a text, with or without a fraction.
type unixTime struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *unixTime) UnmarshalJSON(b []byte) error {
	var f float64
	text := strings.Trim(string(b), `"`)
	if text == "null" || text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return err
	}
	t.Time = time.UnixMicro(int64(f * 1e6)).UTC()
	return nil
}
