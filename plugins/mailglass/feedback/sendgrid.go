package feedback

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

type sendgrid struct {
	keys      []*ecdsa.PublicKey
	tolerance time.Duration
}

// NewSendGrid makes a verifier for signatures of SendGrid's, with its public keys as base64 of their SPKI form.
func NewSendGrid(keys []string, tolerance time.Duration) (Verifier, error) {
	if err := webhook.Keys(keys); err != nil {
		return nil, err
	}
	v := &sendgrid{tolerance: tolerance}
	for _, k := range keys {
		der, err := base64.StdEncoding.DecodeString(k)
		if err != nil {
			return nil, webhook.Reject(webhook.MalformedKey, "a public key is not base64")
		}
		parsed, err := x509.ParsePKIXPublicKey(der)
		key, ok := parsed.(*ecdsa.PublicKey)
		if err != nil || !ok || key.Curve != elliptic.P256() {
			return nil, webhook.Reject(webhook.MalformedKey, "a public key is not one of ECDSA on P-256")
		}
		v.keys = append(v.keys, key)
	}
	return v, nil
}

// Verify implements Verifier.
func (v *sendgrid) Verify(_ context.Context, r webhook.Request, now time.Time) (Report, error) {
	signature, err := webhook.One(r.Header, "X-Twilio-Email-Event-Webhook-Signature")
	if err != nil {
		return Report{}, err
	}
	timestamp, err := webhook.One(r.Header, "X-Twilio-Email-Event-Webhook-Timestamp")
	if err != nil {
		return Report{}, err
	}
	at, err := webhook.Timestamp(timestamp)
	if err != nil {
		return Report{}, err
	}
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return Report{}, webhook.Reject(webhook.MalformedHeader, "the signature is not base64")
	}
	digest := sha256.Sum256(append([]byte(timestamp), r.Body...))
	genuine := false
	for _, k := range v.keys {
		genuine = ecdsa.VerifyASN1(k, digest[:], sig) || genuine
	}
	if !genuine {
		return Report{}, webhook.Reject(webhook.BadSignature, "the signature fits no key that is set")
	}
	if err := webhook.Fresh(at, now, v.tolerance, v.tolerance); err != nil {
		return Report{}, err
	}
	var list []json.RawMessage
	if json.Unmarshal(r.Body, &list) != nil || list == nil {
		return Report{}, webhook.Reject(webhook.MalformedBody, "the body is not a JSON array")
	}
	return Report{Body: r.Body}, nil
}

func readSendGrid(body []byte) (out Content, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return out, fmt.Errorf("the batch can't be read: %w", err)
	}
	for _, raw := range list {
		var o struct {
			Email          string   `json:"email"`
			Timestamp      unixTime `json:"timestamp"`
			SMTPID         string   `json:"smtp-id"`
			MessageID      string   `json:"sg_message_id"`
			EventID        string   `json:"sg_event_id"`
			Event          string   `json:"event"`
			Type           string   `json:"type"`
			Reason         string   `json:"reason"`
			Status         string   `json:"status"`
			Classification string   `json:"bounce_classification"`
		}
		if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) || json.Unmarshal(raw, &o) != nil || o.Event == "" {
			out.Bad++
			continue
		}
		e := sendgridEvent(o.Event, o.Type, o.Reason, o.Status, o.Classification)
		own, _, _ := strings.Cut(o.MessageID, ".")
		e.Recipient, e.OccurredAt, e.Key = o.Email, o.Timestamp.Time, o.EventID
		e.MessageIDs = ids(strings.Trim(o.SMTPID, "<>"), own)
		if e.Key == "" {
			e.Key = strings.Join([]string{o.MessageID, o.SMTPID, o.Email, o.Event, o.Timestamp.Format(time.RFC3339)}, ":")
		}
		out.Events = append(out.Events, e)
	}
	return out, nil
}

func sendgridEvent(event, typ, reason, status, classification string) Event {
	switch event {
	case "processed":
		return Event{Type: Sent}
	case "delivered":
		return Event{Type: Delivered}
	case "deferred":
		return Event{Type: Deferred}
	case "bounce":
		// "blocked" is about the message or its sender. Of the others only those about the address are for good.
		about := classification == "Invalid Address" || (classification == "" || classification == "Unclassified") && strings.HasPrefix(status, "5.1.")
		if typ == "bounce" && about {
			return Event{Type: Bounced, Permanent: true, Reason: HardBounce}
		}
		return Event{Type: Bounced, Soft: true}
	case "dropped":
		return sendgridDropped(reason)
	case "spamreport":
		return Event{Type: Complained, Reason: Complaint}
	case "open":
		return Event{Type: Opened}
	case "click":
		return Event{Type: Clicked}
	case "unsubscribe", "group_unsubscribe":
		return Event{Type: Unsubscribed, Reason: Unsubscribe}
	case "group_resubscribe":
		return Event{Type: Subscribed}
	}
	return Event{Type: Unknown}
}

func sendgridDropped(reason string) Event {
	switch reason {
	case "Bounced Address":
		return Event{Type: Dropped, Reason: HardBounce}
	case "Invalid":
		return Event{Type: Dropped, Reason: InvalidRecipient}
	case "Spam Reporting Address":
		return Event{Type: Dropped, Reason: Complaint}
	case "Unsubscribed Address":
		return Event{Type: Dropped, Reason: Unsubscribe}
	}
	if strings.Contains(strings.ToLower(reason), "quota") {
		return Event{Type: Dropped, Alarm: ProviderQuota}
	}
	return Event{Type: Dropped, Alarm: ProviderRejects}
}
