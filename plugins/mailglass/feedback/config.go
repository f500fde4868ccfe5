package feedback

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// Recorded is what a receiver knows, as a file of recorded requests has it.
type Recorded struct {
	Known []Delivery // messages that were handed over; nil: the file doesn't say

	Secret            string          `json:"secret"`
	Secrets           []string        `json:"secrets"`
	PublicKey         string          `json:"public_key"`
	PublicKeys        []string        `json:"public_keys"`
	SigningKey        string          `json:"signing_key"`
	SigningKeys       []string        `json:"signing_keys"`
	ParentSigningKeys []string        `json:"parent_signing_keys"`
	Credentials       []Credential    `json:"credentials"`
	AllowedPeers      []netip.Prefix  `json:"allowed_peers"`
	TrustedProxies    []netip.Prefix  `json:"trusted_proxies"`
	Topics            []string        `json:"topics"`
	AllowSHA1         bool            `json:"allow_signature_version_1"`
	Tolerance         *int64          `json:"tolerance_seconds"`
	Past              *int64          `json:"tolerance_past_seconds"`
	Future            *int64          `json:"tolerance_future_seconds"`
	Deliveries        json.RawMessage `json:"known_deliveries"`
	Roots             []string        `json:"trust_roots"`
	CertificateName   string          `json:"certificate_name"`
	Fetches           map[string]struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
	} `json:"certificate_fetches"`
}

// ReadRecorded reads it from the settings of a case.
func ReadRecorded(config json.RawMessage) (out Recorded, err error) {
	if err := json.Unmarshal(config, &out); err != nil {
		return out, fmt.Errorf("settings: %w", err)
	}
	if d := out.Deliveries; len(d) > 0 && d[0] == '[' {
		if err := json.Unmarshal(d, &out.Known); err != nil {
			return out, fmt.Errorf("known_deliveries: %w", err)
		}
	}
	return out, nil
}

func one(list []string, s string) []string {
	if s != "" {
		return append(list, s)
	}
	return list
}

func seconds(n *int64, otherwise time.Duration) time.Duration {
	if n == nil {
		return otherwise
	}
	return time.Duration(*n) * time.Second
}

// The tolerances of the providers' times. Mailgun and SNS keep them when they try again.
const (
	Tolerance   = 5 * time.Minute
	MailgunPast = 8 * time.Hour
	SNSPast     = time.Hour
)

// Verifier makes the verifier of a provider. Certificates of SNS are those of the file, and no other is fetched.
func (c Recorded) Verifier(name string) (Verifier, error) {
	future := seconds(c.Future, Tolerance)
	switch name {
	case Postmark:
		return NewPostmark(c.Credentials, c.AllowedPeers, c.TrustedProxies)
	case SendGrid:
		return NewSendGrid(one(c.PublicKeys, c.PublicKey), seconds(c.Tolerance, Tolerance))
	case Mailgun:
		return NewMailgun(one(c.SigningKeys, c.SigningKey), c.ParentSigningKeys, seconds(c.Past, MailgunPast), future)
	case Resend:
		return NewResend(one(c.Secrets, c.Secret), seconds(c.Tolerance, Tolerance))
	case SES:
		s := SNSConfig{Topics: c.Topics, AllowSHA1: c.AllowSHA1, Past: seconds(c.Past, SNSPast), Future: future, Certificate: c.CertificateName, Fetch: c.fetch}
		if len(c.Roots) > 0 {
			s.Roots = x509.NewCertPool()
			for _, r := range c.Roots {
				if !s.Roots.AppendCertsFromPEM([]byte(r)) {
					return nil, webhook.Reject(webhook.MalformedKey, "a root that is to be trusted is no certificate in PEM")
				}
			}
		}
		return NewSNS(s)
	}
	return nil, webhook.Reject(webhook.NotConfigured, "there is no provider %q", name)
}

func (c Recorded) fetch(_ context.Context, url string) (int, []byte, error) {
	f, ok := c.Fetches[url]
	if !ok {
		return 0, nil, fmt.Errorf("%s is not among the certificates of the settings", url)
	}
	return f.Status, []byte(f.Body), nil
}

// Find gives the known message that an event is about; nil: there is none.
func (c Recorded) Find(e Event) *Delivery {
	for i, d := range c.Known {
		for _, id := range e.MessageIDs {
			if d.MessageID == id && SameAddress(d.Recipient, e.Recipient) {
				return &c.Known[i]
			}
		}
	}
	return nil
}
