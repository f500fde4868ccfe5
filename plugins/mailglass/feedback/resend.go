package feedback

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

type resend struct{ standard *webhook.Standard }

// NewResend makes a verifier for Resend's webhooks: Standard Webhooks under the names of Svix.
func NewResend(secrets []string, tolerance time.Duration) (Verifier, error) {
	s, err := webhook.NewStandard(secrets, tolerance, "svix-")
	if err != nil {
		return nil, err
	}
	return &resend{s}, nil
}

// Verify implements Verifier.
func (v *resend) Verify(_ context.Context, r webhook.Request, now time.Time) (Report, error) {
	id, err := v.standard.Verify(r, now)
	if err != nil {
		return Report{}, err
	}
	var o map[string]json.RawMessage
	if json.Unmarshal(r.Body, &o) != nil || o == nil {
		return Report{}, webhook.Reject(webhook.MalformedBody, "the body is not a JSON object")
	}
	return Report{Key: id, Body: r.Body}, nil
}

func readResend(r Report) (out Content, err error) {
	var o struct {
		Type      string    `json:"type"`
		CreatedAt time.Time `json:"created_at"`
		Data      struct {
			EmailID string   `json:"email_id"`
			To      []string `json:"to"`
			Bounce  struct {
				Type string `json:"type"`
			} `json:"bounce"`
			Failed struct {
				Reason string `json:"reason"`
			} `json:"failed"`
			ClickTracking bool   `json:"click_tracking"`
			OpenTracking  bool   `json:"open_tracking"`
			Email         string `json:"email"`  // of a suppression
			Reason        string `json:"reason"` // of a suppression
		} `json:"data"`
	}
	if err := json.Unmarshal(r.Body, &o); err != nil {
		return out, fmt.Errorf("the event can't be read: %w", err)
	}
	kind, isEmail := strings.CutPrefix(o.Type, "email.")
	switch {
	case strings.HasPrefix(o.Type, "domain.") && (o.Data.ClickTracking || o.Data.OpenTracking):
		out.Alarm = TrackingEnabled
		return out, nil
	case o.Type == "suppression.added":
		reason := HardBounce
		if o.Data.Reason == "complaint" {
			reason = Complaint
		}
		out.Added = []Added{{o.Data.Email, reason}}
		return out, nil
	case !isEmail:
		return out, nil
	}
	e := resendEvent(kind, o.Data.Bounce.Type, o.Data.Failed.Reason)
	e.OccurredAt, e.MessageIDs = o.CreatedAt.UTC(), ids(o.Data.EmailID)
	for i, to := range o.Data.To {
		e.Recipient, e.Key = to, r.Key
		if len(o.Data.To) > 1 {
			e.Key += ":" + strconv.Itoa(i)
		}
		out.Events = append(out.Events, e)
	}
	return out, nil
}

func resendEvent(kind, bounce, failure string) Event {
	switch kind {
	case "scheduled":
		return Event{Type: Queued}
	case "sent":
		return Event{Type: Sent}
	case "delivered":
		return Event{Type: Delivered}
	case "delivery_delayed":
		return Event{Type: Deferred}
	case "bounced":
		if bounce == "Permanent" {
			return Event{Type: Bounced, Permanent: true, Reason: HardBounce}
		}
		return Event{Type: Bounced, Soft: true}
	case "suppressed":
		return Event{Type: Dropped, Reason: HardBounce}
	case "complained":
		return Event{Type: Complained, Reason: Complaint}
	case "failed":
		if strings.Contains(failure, "quota") {
			return Event{Type: Failed, Alarm: ProviderQuota}
		}
		return Event{Type: Failed, Alarm: ProviderRejects}
	case "opened":
		return Event{Type: Opened}
	case "clicked":
		return Event{Type: Clicked}
	}
	return Event{Type: Unknown}
}
