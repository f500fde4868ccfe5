package feedback

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // SNS's version 1, off unless a setting asks for it
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/webhook"
)

// snsName is the name that Amazon's signing certificates carry.
const snsName = "sns.amazonaws.com"

// certificateMemory is how long a certificate that was fetched is used.
const certificateMemory = 24 * time.Hour

// SNSConfig is what is known of the topics.
type SNSConfig struct {
	Topics      []string // the only ones that are listened to
	AllowSHA1   bool     // signatures of version 1
	Past        time.Duration
	Future      time.Duration
	Roots       *x509.CertPool // nil: the system's
	Certificate string         // the name in it; empty: Amazon's

	// Fetch gets a certificate from an address that was checked.
	Fetch func(ctx context.Context, url string) (status int, body []byte, err error)
}

type sns struct {
	SNSConfig

	mu     sync.Mutex
	cached map[string]certificate
}

type certificate struct {
	*x509.Certificate
	until time.Time
}

// NewSNS makes a verifier for messages of SNS.
func NewSNS(c SNSConfig) (Verifier, error) {
	if len(c.Topics) == 0 || slices.Contains(c.Topics, "") {
		return nil, webhook.Reject(webhook.NotConfigured, "no topic is set")
	}
	if c.Certificate == "" {
		c.Certificate = snsName
	}
	return &sns{SNSConfig: c, cached: map[string]certificate{}}, nil
}

// snsMessage is SNS's envelope.
type snsMessage struct {
	Type, MessageId, TopicArn, Message, Timestamp, SignatureVersion, Signature, SigningCertURL, SubscribeURL, Token string
	Subject                                                                                                         *string
}

// Verify implements Verifier.
func (v *sns) Verify(ctx context.Context, r webhook.Request, now time.Time) (Report, error) {
	var m snsMessage
	var o map[string]json.RawMessage
	if json.Unmarshal(r.Body, &o) != nil || o == nil || json.Unmarshal(r.Body, &m) != nil {
		return Report{}, webhook.Reject(webhook.MalformedBody, "the body is not an SNS message")
	}
	for name, value := range map[string]string{
		"Type": m.Type, "MessageId": m.MessageId, "TopicArn": m.TopicArn, "Timestamp": m.Timestamp, "SignatureVersion": m.SignatureVersion, "Signature": m.Signature, "SigningCertURL": m.SigningCertURL,
	} {
		if value == "" {
			return Report{}, webhook.Reject(webhook.MissingHeader, "the message has no %s; raw message delivery is unsigned, so it must be off", name)
		}
	}
	// Anybody can make a topic and point it here: Amazon signs for them, too.
	if !slices.Contains(v.Topics, m.TopicArn) {
		return Report{}, webhook.Reject(webhook.TopicDisallowed, "the topic is not among those set")
	}
	if err := v.signed(ctx, m, now); err != nil {
		return Report{}, err
	}
	at, err := time.Parse(time.RFC3339, m.Timestamp)
	if err != nil {
		return Report{}, webhook.Reject(webhook.MalformedBody, "the timestamp can't be read")
	}
	if err := webhook.Fresh(at, now, v.Past, v.Future); err != nil {
		return Report{}, err
	}
	out := Report{Key: m.MessageId}
	switch m.Type {
	case "Notification":
		out.Body = []byte(m.Message)
	case "SubscriptionConfirmation":
		host, ok := topicHost(m.TopicArn)
		if !ok || m.Token == "" {
			return Report{}, webhook.Reject(webhook.MalformedBody, "the topic or the token has not its form")
		}
		out.Confirm = &Confirm{Host: host, Action: "ConfirmSubscription", Topic: m.TopicArn, Token: m.Token}
	case "UnsubscribeConfirmation":
		out.Alarm = SNSUnsubscribed
	default:
		return Report{}, webhook.Reject(webhook.MalformedBody, "there is no message of type %q", m.Type)
	}
	return out, nil
}

var region = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)

// topicHost is where a topic lives.
func topicHost(arn string) (string, bool) {
	p := strings.Split(arn, ":")
	if len(p) != 6 || p[0] != "arn" || p[2] != "sns" || !region.MatchString(p[3]) {
		return "", false
	}
	host := "sns." + p[3] + ".amazonaws.com"
	if p[1] == "aws-cn" {
		host += ".cn"
	}
	return host, true
}

// text is what is signed: of each member its name, a line's end, its value, a line's end.
func (m snsMessage) text() []byte {
	var b strings.Builder
	add := func(name, value string) { _, _ = b.WriteString(name + "\n" + value + "\n") }
	add("Message", m.Message)
	add("MessageId", m.MessageId)
	if m.Type == "Notification" {
		if m.Subject != nil {
			add("Subject", *m.Subject)
		}
	} else {
		add("SubscribeURL", m.SubscribeURL)
	}
	add("Timestamp", m.Timestamp)
	if m.Type != "Notification" {
		add("Token", m.Token)
	}
	add("TopicArn", m.TopicArn)
	add("Type", m.Type)
	return []byte(b.String())
}

func (v *sns) signed(ctx context.Context, m snsMessage, now time.Time) error {
	var hash crypto.Hash
	var digest []byte
	switch text := m.text(); m.SignatureVersion {
	case "2":
		d := sha256.Sum256(text)
		hash, digest = crypto.SHA256, d[:]
	case "1":
		if !v.AllowSHA1 {
			return webhook.Reject(webhook.WrongAlgorithm, "the signature is made with SHA-1; have the topic sign by version 2")
		}
		d := sha1.Sum(text) //nolint:gosec // as above
		hash, digest = crypto.SHA1, d[:]
	default:
		return webhook.Reject(webhook.WrongAlgorithm, "there is no signature version %q", m.SignatureVersion)
	}
	if err := certificateURL(m.SigningCertURL); err != nil {
		return err
	}
	sig, err := base64.StdEncoding.DecodeString(m.Signature)
	if err != nil {
		return webhook.Reject(webhook.MalformedHeader, "the signature is not base64")
	}
	cert, err := v.certificate(ctx, m.SigningCertURL, now)
	if err != nil {
		return err
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok || rsa.VerifyPKCS1v15(key, hash, digest, sig) != nil {
		return webhook.Reject(webhook.BadSignature, "the signature is not that of the certificate")
	}
	return nil
}

var certificateHost = regexp.MustCompile(`^sns\.[a-z0-9-]{3,}\.amazonaws\.com(\.cn)?$`)

// certificateURL refuses every address but a certificate's at SNS: what is fetched is what the sender says.
func certificateURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || strings.ContainsAny(s, "\\?#@ \t\r\n") || u.Scheme != "https" || u.User != nil || u.Opaque != "" ||
		!certificateHost.MatchString(u.Host) || !strings.HasSuffix(u.Path, ".pem") || strings.Contains(u.Path, "..") {
		return webhook.Reject(webhook.CertURL, "SigningCertURL is not the address of a certificate at SNS")
	}
	return nil
}

func (v *sns) certificate(ctx context.Context, from string, now time.Time) (*x509.Certificate, error) {
	v.mu.Lock()
	known, ok := v.cached[from]
	v.mu.Unlock()
	if ok && now.Before(known.until) && now.Before(known.NotAfter) {
		return known.Certificate, nil
	}
	status, body, err := v.Fetch(ctx, from)
	if err != nil || status != 200 {
		return nil, webhook.Reject(webhook.CertUnavailable, "the certificate could not be fetched: status %d, %v", status, err)
	}
	var chain []*x509.Certificate
	for rest := body; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			chain = append(chain, c)
		}
	}
	if len(chain) == 0 {
		return nil, webhook.Reject(webhook.CertUntrusted, "what was fetched is no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: v.Roots, Intermediates: between, CurrentTime: now, DNSName: v.Certificate, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return nil, webhook.Reject(webhook.CertUntrusted, "the certificate is not one that is trusted: %v", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.cached) > 16 { // as many addresses as anybody who is not Amazon may have made us fetch
		clear(v.cached)
	}
	v.cached[from] = certificate{chain[0], now.Add(certificateMemory)}
	return chain[0], nil
}
