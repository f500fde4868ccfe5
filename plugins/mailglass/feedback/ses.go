package feedback

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sesNotice is what SES publishes. Of a click nothing but its time is read: the link may hold a live token.
type sesNotice struct {
	EventType        string `json:"eventType"`
	NotificationType string `json:"notificationType"`
	Mail             struct {
		Timestamp   time.Time `json:"timestamp"`
		MessageID   string    `json:"messageId"`
		Destination []string  `json:"destination"`
	} `json:"mail"`
	Bounce struct {
		Type       string         `json:"bounceType"`
		SubType    string         `json:"bounceSubType"`
		Recipients []sesRecipient `json:"bouncedRecipients"`
		Timestamp  time.Time      `json:"timestamp"`
	} `json:"bounce"`
	Complaint struct {
		SubType    string         `json:"complaintSubType"`
		Feedback   string         `json:"complaintFeedbackType"`
		Recipients []sesRecipient `json:"complainedRecipients"`
		Timestamp  time.Time      `json:"timestamp"`
	} `json:"complaint"`
	Delivery struct {
		Recipients []string  `json:"recipients"`
		Timestamp  time.Time `json:"timestamp"`
	} `json:"delivery"`
	Delay struct {
		Recipients []sesRecipient `json:"delayedRecipients"`
		Timestamp  time.Time      `json:"timestamp"`
	} `json:"deliveryDelay"`
	Open  struct{ Timestamp time.Time } `json:"open"`
	Click struct{ Timestamp time.Time } `json:"click"`
	Topic struct {
		Timestamp time.Time `json:"timestamp"`
		New       struct {
			UnsubscribeAll bool `json:"unsubscribeAll"`
		} `json:"newTopicPreferences"`
	} `json:"subscription"`
}

type sesRecipient struct {
	Address string `json:"emailAddress"`
}

func addresses(list []sesRecipient) (out []string) {
	for _, r := range list {
		out = append(out, r.Address)
	}
	return out
}

// readSES reads what stands in an SNS message. What is no JSON is the text with which SES tries a new destination.
func readSES(r Report) (out Content, err error) {
	var n sesNotice
	if r.Body == nil || json.Unmarshal(r.Body, &n) != nil {
		return out, nil
	}
	if n.EventType == "" {
		n.EventType = n.NotificationType
	}
	e := Event{Type: Unknown}
	to, at := n.Mail.Destination, time.Time{}
	switch n.EventType {
	case "":
		return out, nil
	case "Send":
		e.Type = Sent
	case "Delivery":
		e.Type, to, at = Delivered, n.Delivery.Recipients, n.Delivery.Timestamp
	case "DeliveryDelay":
		e.Type, to, at = Deferred, addresses(n.Delay.Recipients), n.Delay.Timestamp
	case "Bounce":
		e = sesBounce(n.Bounce.Type, n.Bounce.SubType)
		to, at = addresses(n.Bounce.Recipients), n.Bounce.Timestamp
	case "Complaint":
		switch {
		case n.Complaint.Feedback == "not-spam": // somebody takes it out of their spam
		case n.Complaint.SubType == "OnAccountSuppressionList":
			e = Event{Type: Dropped, Reason: Complaint}
		default:
			e = Event{Type: Complained, Reason: Complaint}
		}
		to, at = addresses(n.Complaint.Recipients), n.Complaint.Timestamp
	case "Reject":
		e = Event{Type: Dropped, Alarm: ProviderRejects}
	case "Rendering Failure":
		e = Event{Type: Failed, Alarm: RenderingFailed}
	case "Open":
		e.Type, at = Opened, n.Open.Timestamp
	case "Click":
		e.Type, at = Clicked, n.Click.Timestamp
	case "Subscription":
		at = n.Topic.Timestamp
		if e.Type = Subscribed; n.Topic.New.UnsubscribeAll {
			e = Event{Type: Unsubscribed, Reason: Unsubscribe}
		}
	}
	if at.IsZero() {
		at = n.Mail.Timestamp
	}
	e.OccurredAt, e.MessageIDs = at.UTC(), ids(n.Mail.MessageID)
	for i, address := range to {
		// One whom the message did not go to may have been put there by anybody who answered it.
		if !slices.ContainsFunc(n.Mail.Destination, func(d string) bool { return SameAddress(d, address) }) {
			continue
		}
		e.Recipient, e.Key = address, r.Key
		if len(to) > 1 {
			e.Key += ":" + strconv.Itoa(i)
		}
		out.Events = append(out.Events, e)
	}
	return out, nil
}

func sesBounce(typ, sub string) Event {
	switch {
	case typ == "Permanent" && (strings.HasPrefix(sub, "On") && strings.HasSuffix(sub, "SuppressionList") || sub == "Suppressed"):
		return Event{Type: Dropped, Reason: HardBounce}
	case typ == "Permanent" && sub == "UnsubscribedRecipient":
		return Event{Type: Dropped, Reason: Unsubscribe}
	case typ == "Permanent" && (sub == "General" || sub == "NoEmail" || sub == ""):
		return Event{Type: Bounced, Permanent: true, Reason: HardBounce}
	}
	return Event{Type: Bounced, Soft: true}
}
