package feedback

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// Credential is one of those that Postmark may show. Postmark signs nothing.
type Credential struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

type postmark struct {
	credentials []Credential
	peers       []netip.Prefix // empty: from anywhere
	proxies     []netip.Prefix // whose word on the address is taken
}

// NewPostmark makes a verifier for HTTP Basic authentication, and for the addresses that may call, if any are named.
func NewPostmark(credentials []Credential, peers, proxies []netip.Prefix) (Verifier, error) {
	if len(credentials) == 0 {
		return nil, webhook.Reject(webhook.NotConfigured, "no credentials are set")
	}
	for _, c := range credentials {
		if c.Username == "" || c.Password == "" {
			return nil, webhook.Reject(webhook.NotConfigured, "a username or a password is empty")
		}
	}
	return &postmark{credentials, peers, proxies}, nil
}

// Verify implements Verifier.
func (v *postmark) Verify(_ context.Context, r webhook.Request, _ time.Time) (Report, error) {
	h, err := webhook.One(r.Header, "Authorization")
	if err != nil {
		return Report{}, err
	}
	scheme, encoded, ok := strings.Cut(h, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return Report{}, webhook.Reject(webhook.MalformedHeader, "Authorization is not HTTP Basic")
	}
	pair, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !strings.Contains(string(pair), ":") {
		return Report{}, webhook.Reject(webhook.MalformedHeader, "Authorization holds no name and password in base64")
	}
	got, matches := sha256.Sum256(pair), 0
	for _, c := range v.credentials {
		want := sha256.Sum256([]byte(c.Username + ":" + c.Password))
		matches |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	if matches != 1 {
		return Report{}, webhook.Reject(webhook.BadCredentials, "the name or the password is another")
	}
	if len(v.peers) > 0 && !within(v.peers, v.sender(r)) {
		return Report{}, webhook.Reject(webhook.AddressDisallowed, "it comes from an address that is not among those named")
	}
	var o map[string]json.RawMessage
	if json.Unmarshal(r.Body, &o) != nil || o == nil {
		return Report{}, webhook.Reject(webhook.MalformedBody, "the body is not a JSON object")
	}
	return Report{Body: r.Body}, nil
}

// sender is the address a request came from, as trusted proxies tell it: the last one in the list that is not one of theirs.
func (v *postmark) sender(r webhook.Request) netip.Addr {
	at := r.Peer.Unmap()
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(forwarded) - 1; i >= 0 && within(v.proxies, at); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(forwarded[i]))
		if err != nil {
			return netip.Addr{}
		}
		at = next.Unmap()
	}
	return at
}

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if a.IsValid() && p.Contains(a) {
			return true
		}
	}
	return false
}

// postmarkBounces are Postmark's TypeCodes. Any other is transient, and counts.
var postmarkBounces = map[int]Event{
	1:      {Type: Bounced, Permanent: true, Reason: HardBounce},
	2:      {Type: Deferred},
	16:     {Type: Unsubscribed, Reason: Unsubscribe},
	32:     {Type: Subscribed},
	64:     {Type: Autoresponded},
	512:    {Type: Bounced, Soft: true, Alarm: SenderBlocked},
	100000: {Type: Bounced, Permanent: true, Reason: InvalidRecipient},
	100001: {Type: Complained, Reason: Complaint},
	100002: {Type: Dropped, Reason: Manual},
	100006: {Type: Bounced, Soft: true, Alarm: SenderBlocked},
	100009: {Type: Bounced, Alarm: DMARCFailed},
	100010: {Type: Failed, Alarm: RenderingFailed},
}

func readPostmark(body []byte) (Content, error) {
	var o struct {
		RecordType, MessageID, Recipient, Email       string
		ID                                            int64
		TypeCode                                      int
		DeliveredAt, BouncedAt, ReceivedAt, ChangedAt time.Time
		SuppressSending                               bool
		SuppressionReason                             string
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return Content{}, fmt.Errorf("the record can't be read: %w", err)
	}
	e := Event{Type: Unknown}
	at := time.Time{}
	for _, t := range []time.Time{o.DeliveredAt, o.BouncedAt, o.ReceivedAt, o.ChangedAt} {
		if !t.IsZero() {
			at = t.UTC()
		}
	}
	switch o.RecordType {
	case "Delivery":
		e.Type = Delivered
	case "Bounce":
		known := false
		if e, known = postmarkBounces[o.TypeCode]; !known {
			e = Event{Type: Bounced, Soft: true}
		}
	case "SpamComplaint":
		e = postmarkBounces[100001]
	case "Open":
		e.Type = Opened
	case "Click":
		e.Type = Clicked
	case "SubscriptionChange":
		switch {
		case !o.SuppressSending:
			e.Type = Subscribed
		case o.SuppressionReason == "HardBounce":
			e = postmarkBounces[1]
		case o.SuppressionReason == "SpamComplaint":
			e = postmarkBounces[100001]
		default:
			e = postmarkBounces[16]
		}
	}
	e.Recipient, e.OccurredAt, e.MessageIDs = o.Recipient, at, ids(o.MessageID)
	if e.Recipient == "" {
		e.Recipient = o.Email
	}
	if e.Key = fmt.Sprintf("bounce:%d", o.ID); o.ID == 0 {
		e.Key = strings.Join([]string{o.RecordType, o.MessageID, e.Recipient, at.Format(time.RFC3339Nano)}, ":")
	}
	return Content{Events: []Event{e}}, nil
}

// ids are those given that are not empty.
func ids(list ...string) (out []string) {
	for _, id := range list {
		if id != "" {
			out = append(out, id)
		}
	}
	return out
}
