package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// Request is a webhook as it came.
type Request struct {
	Header http.Header
	Body   []byte     // the bytes that were sent
	Peer   netip.Addr // who sent them; the zero value: not known
}

// Reason says why a request was refused. Its texts are stable.
type Reason string

// The reasons.
const (
	MissingHeader     Reason = "missing_header"
	MalformedHeader   Reason = "malformed_header"
	MalformedBody     Reason = "malformed_body"
	BadSignature      Reason = "bad_signature"
	WrongAlgorithm    Reason = "wrong_algorithm"
	BadCredentials    Reason = "bad_credentials"
	AddressDisallowed Reason = "ip_disallowed"
	TimestampSkew     Reason = "timestamp_skew"
	Replayed          Reason = "replayed"
	NotConfigured     Reason = "not_configured"
	MalformedKey      Reason = "malformed_key"
	CertURL           Reason = "cert_url"
	CertUntrusted     Reason = "cert_untrusted"
	CertUnavailable   Reason = "cert_unavailable"
	TopicDisallowed   Reason = "topic_disallowed"
)

// Rejection is a request that was refused.
type Rejection struct {
	Reason Reason
	Detail string // for the operator; it holds nothing of a secret
}

// Error implements error.
func (r *Rejection) Error() string { return string(r.Reason) + ": " + r.Detail }

// Retry reports whether the same request may be taken later: what is missing is not the sender's doing.
func (r *Rejection) Retry() bool { return r.Reason == CertUnavailable || r.Reason == NotConfigured }

// Status is the HTTP status to refuse with.
func (r *Rejection) Status() int {
	switch r.Reason {
	case CertUnavailable, NotConfigured, MalformedKey:
		return http.StatusServiceUnavailable
	case BadCredentials, BadSignature, WrongAlgorithm, MissingHeader, AddressDisallowed, TopicDisallowed, CertURL, CertUntrusted, Replayed, TimestampSkew:
		return http.StatusUnauthorized
	}
	return http.StatusBadRequest
}

// Reject makes a *Rejection.
func Reject(reason Reason, format string, args ...any) error {
	return &Rejection{reason, fmt.Sprintf(format, args...)}
}

// ReasonOf is why err refused; empty when it is something else.
func ReasonOf(err error) Reason {
	var r *Rejection
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

// One gives the value of a header that must be there once. Of two, one side may read the first and another the last.
func One(h http.Header, name string) (string, error) {
	switch v := h.Values(name); {
	case len(v) == 0 || len(v) == 1 && v[0] == "":
		return "", Reject(MissingHeader, "there is no header %s", name)
	case len(v) > 1:
		return "", Reject(MalformedHeader, "there are %d headers %s", len(v), name)
	default:
		return v[0], nil
	}
}

// Timestamp reads Unix seconds: digits and nothing else.
func Timestamp(s string) (time.Time, error) {
	if s == "" || len(s) > 18 || len(s) > 1 && s[0] == '0' {
		return time.Time{}, Reject(MalformedHeader, "the timestamp is not Unix seconds")
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return time.Time{}, Reject(MalformedHeader, "the timestamp is not Unix seconds")
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, Reject(MalformedHeader, "the timestamp is not Unix seconds")
	}
	return time.Unix(n, 0), nil
}

// Fresh refuses a timestamp that is more than past before now, or more than future after it.
func Fresh(t, now time.Time, past, future time.Duration) error {
	// Sub saturates, so a timestamp of another age of the world is as far away as can be.
	switch age := now.Sub(t); {
	case age > past:
		return Reject(TimestampSkew, "it was signed %s ago, and may be %s old", age, past)
	case age < -future: // not -age > future: the least duration has no opposite
		return Reject(TimestampSkew, "it was signed for later, and may be %s ahead", future)
	}
	return nil
}

// Keys refuses to verify with nothing: an HMAC with an empty key is one that anybody can make.
func Keys(secrets []string) error {
	if len(secrets) == 0 {
		return Reject(NotConfigured, "no secret is set")
	}
	for _, s := range secrets {
		if s == "" {
			return Reject(NotConfigured, "a secret is empty")
		}
	}
	return nil
}

// HexHMAC reports whether one of the signatures, in hexadecimal, is the HMAC-SHA256 of text with one of the keys.
func HexHMAC(keys []string, text []byte, signatures []string) bool {
	found := false
	for _, k := range keys {
		m := hmac.New(sha256.New, []byte(k))
		_, _ = m.Write(text)
		want := m.Sum(nil)
		for _, s := range signatures {
			got, err := hex.DecodeString(s)
			if err == nil && hmac.Equal(got, want) {
				found = true
			}
		}
	}
	return found
}
