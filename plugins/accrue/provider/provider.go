package provider

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// The providers.
const (
	Stripe   = "stripe"
	Paddle   = "paddle"
	Standard = "standard_webhooks"
	Sigra    = "sigra"
)

// Names are all of them.
var Names = []string{Stripe, Paddle, Standard, Sigra}

// Known reports whether there is a provider of that name.
func Known(name string) bool { return slices.Contains(Names, name) }

// Tolerance is how far from now a provider's own libraries let a signature's time be.
func Tolerance(name string) time.Duration {
	if name == Paddle {
		return 5 * time.Second
	}
	return 5 * time.Minute
}

// maxID bounds the id of an event.
const maxID = 255

// Config is what the receiver knows.
type Config struct {
	Secrets   []string
	Tolerance time.Duration // 0: the provider's own
}

// Verifier judges requests of one provider.
type Verifier interface {
	// Verify gives the id of an event that is genuine at now, or a *webhook.Rejection.
	Verify(r webhook.Request, now time.Time) (id string, err error)
}

// New makes the verifier of a provider. Without a secret, or with an empty one, it is a *webhook.Rejection.
func New(name string, c Config) (Verifier, error) {
	if err := webhook.Keys(c.Secrets); err != nil {
		return nil, err
	}
	if c.Tolerance == 0 {
		c.Tolerance = Tolerance(name)
	}
	switch name {
	case Stripe:
		return stripe{c}, nil
	case Paddle:
		return paddle{c}, nil
	case Standard:
		return webhook.NewStandard(c.Secrets, c.Tolerance)
	case Sigra:
		return sigra{c}, nil
	}
	return nil, webhook.Reject(webhook.NotConfigured, "there is no provider %q; there are %s", name, strings.Join(Names, ", "))
}

// parts reads a header of the form k=v,k=v: the one value of the timestamp, and all of the signatures. Other names are skipped, as
// providers add schemes.
func parts(header, separator, timestamp, signature string) (at string, signatures []string, err error) {
	seen := false
	for p := range strings.SplitSeq(header, separator) {
		name, value, ok := strings.Cut(p, "=")
		switch {
		case !ok:
			return "", nil, webhook.Reject(webhook.MalformedHeader, "the signature is not a list of name=value")
		case name == timestamp && seen:
			// The age of one and the signature of the other would let an old message through.
			return "", nil, webhook.Reject(webhook.MalformedHeader, "there are two timestamps in the signature")
		case name == timestamp:
			at, seen = value, true
		case name == signature:
			signatures = append(signatures, value)
		}
	}
	if !seen {
		return "", nil, webhook.Reject(webhook.MalformedHeader, "the signature has no timestamp")
	}
	return at, signatures, nil
}

// signed checks signatures of a text that begins with the timestamp, and then the timestamp's age.
func (c Config) signed(at string, text []byte, signatures []string, now time.Time) error {
	t, err := webhook.Timestamp(at)
	if err != nil {
		return err
	}
	if !webhook.HexHMAC(c.Secrets, text, signatures) {
		return webhook.Reject(webhook.BadSignature, "no signature fits a secret that is set")
	}
	return webhook.Fresh(t, now, c.Tolerance, c.Tolerance)
}

func joined(body []byte, separator string, before ...string) []byte {
	var b bytes.Buffer
	for _, s := range before {
		_, _ = b.WriteString(s + separator)
	}
	_, _ = b.Write(body)
	return b.Bytes()
}

// idIn reads the id of an event from its body, once that is known to be genuine.
func idIn(body []byte, name string) (string, error) {
	var o map[string]json.RawMessage
	if err := json.Unmarshal(body, &o); err != nil || o == nil {
		return "", webhook.Reject(webhook.MalformedBody, "the body is not a JSON object")
	}
	var id string
	if err := json.Unmarshal(o[name], &id); err != nil || !validID(id) {
		return "", webhook.Reject(webhook.MalformedBody, "the event has no %s of 1 to %d printable characters", name, maxID)
	}
	return id, nil
}

func validID(id string) bool {
	return id != "" && len(id) <= maxID && !strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' })
}

type stripe struct{ Config }

// Verify implements Verifier.
func (v stripe) Verify(r webhook.Request, now time.Time) (string, error) {
	h, err := webhook.One(r.Header, "Stripe-Signature")
	if err != nil {
		return "", err
	}
	at, signatures, err := parts(h, ",", "t", "v1")
	if err != nil {
		return "", err
	}
	if err := v.signed(at, joined(r.Body, ".", at), signatures, now); err != nil {
		return "", err
	}
	return idIn(r.Body, "id")
}

type paddle struct{ Config }

// Verify implements Verifier.
func (v paddle) Verify(r webhook.Request, now time.Time) (string, error) {
	h, err := webhook.One(r.Header, "Paddle-Signature")
	if err != nil {
		return "", err
	}
	at, signatures, err := parts(h, ";", "ts", "h1")
	if err != nil {
		return "", err
	}
	if len(signatures) == 0 {
		return "", webhook.Reject(webhook.MalformedHeader, "the signature has no h1")
	}
	if err := v.signed(at, joined(r.Body, ":", at), signatures, now); err != nil {
		return "", err
	}
	return idIn(r.Body, "event_id")
}

type sigra struct{ Config }

// Verify implements Verifier.
func (v sigra) Verify(r webhook.Request, now time.Time) (string, error) {
	var id, at, h string
	for name, to := range map[string]*string{"Sigra-Webhook-Id": &id, "Sigra-Webhook-Timestamp": &at, "Sigra-Webhook-Signature": &h} {
		s, err := webhook.One(r.Header, name)
		if err != nil {
			return "", err
		}
		*to = s
	}
	// A full stop in the id could take over the timestamp that was signed.
	if !validID(id) || strings.Contains(id, ".") {
		return "", webhook.Reject(webhook.MalformedHeader, "the id has a full stop, or what is not printable, or is longer than %d", maxID)
	}
	var signatures []string
	for p := range strings.SplitSeq(h, ",") {
		if s, ok := strings.CutPrefix(strings.TrimSpace(p), "v1="); ok {
			signatures = append(signatures, s)
		}
	}
	return id, v.signed(at, joined(r.Body, ".", id, at), signatures, now)
}
