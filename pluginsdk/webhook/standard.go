package webhook

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The bounds of an HMAC secret, and what keys begin with (Standard Webhooks, "Signature scheme").
const (
	minSecret     = 24
	maxSecret     = 64
	secretPrefix  = "whsec_"
	publicPrefix  = "whpk_"
	privatePrefix = "whsk_"
)

// maxID bounds the id of a message, which is kept to know it again.
const maxID = 255

// Standard verifies Standard Webhooks: v1 (HMAC-SHA256) with the secrets it holds, v1a (Ed25519) with the public keys.
type Standard struct {
	secrets   [][]byte
	publics   []ed25519.PublicKey
	tolerance time.Duration
	prefixes  []string
}

// NewStandard takes the receiver's keys: secrets as "whsec_" and base64, or base64 alone; public keys as "whpk_" and base64. Headers
// are called webhook-id and so on; further prefixes, such as "svix-", are understood besides.
func NewStandard(keys []string, tolerance time.Duration, prefixes ...string) (*Standard, error) {
	if err := Keys(keys); err != nil {
		return nil, err
	}
	s := &Standard{tolerance: tolerance, prefixes: append(prefixes, "webhook-")}
	for _, k := range keys {
		if text, ok := strings.CutPrefix(k, publicPrefix); ok {
			b, err := decode64(text)
			if err != nil || len(b) != ed25519.PublicKeySize {
				return nil, Reject(MalformedKey, "a public key is %s and 32 bytes in base64", publicPrefix)
			}
			s.publics = append(s.publics, ed25519.PublicKey(b))
			continue
		}
		b, err := decode64(strings.TrimPrefix(k, secretPrefix))
		if err != nil || len(b) < minSecret || len(b) > maxSecret {
			return nil, Reject(MalformedKey, "a secret is %s and %d to %d bytes in base64", secretPrefix, minSecret, maxSecret)
		}
		s.secrets = append(s.secrets, b)
	}
	return s, nil
}

func decode64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // the decoder would skip them
		return nil, base64.CorruptInputError(0)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil && !strings.Contains(s, "=") {
		b, err = base64.RawStdEncoding.Strict().DecodeString(s)
	}
	return b, err
}

// Verify gives the id of a message that is genuine at now, by which to know it again.
func (s *Standard) Verify(r Request, now time.Time) (string, error) {
	id, timestamp, signatures, err := s.headers(r.Header)
	if err != nil {
		return "", err
	}
	// An id with a full stop could take over the timestamp that was signed, and an old message be sent as a new one.
	if len(id) > maxID || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' || c == '.' }) {
		return "", Reject(MalformedHeader, "the id has a full stop, or what is not printable, or is longer than %d", maxID)
	}
	at, err := Timestamp(timestamp)
	if err != nil {
		return "", err
	}
	if err := s.signed(signedText(id, timestamp, r.Body), signatures); err != nil {
		return "", err
	}
	return id, Fresh(at, now, s.tolerance, s.tolerance)
}

// headers reads the three headers under the one prefix that is there.
func (s *Standard) headers(h http.Header) (id, timestamp, signatures string, err error) {
	prefix := ""
	for _, p := range s.prefixes {
		if len(h.Values(p+"id")) == 0 && len(h.Values(p+"timestamp")) == 0 && len(h.Values(p+"signature")) == 0 {
			continue
		}
		if prefix != "" { // one would be verified, and another may be what tells messages apart
			for _, name := range []string{"id", "timestamp", "signature"} {
				if h.Get(prefix+name) != h.Get(p+name) {
					return "", "", "", Reject(MalformedHeader, "%s%s and %s%s differ", prefix, name, p, name)
				}
			}
			continue
		}
		prefix = p
	}
	if prefix == "" {
		prefix = s.prefixes[0]
	}
	for _, x := range []struct {
		name string
		to   *string
	}{{"id", &id}, {"timestamp", &timestamp}, {"signature", &signatures}} {
		if *x.to, err = One(h, prefix+x.name); err != nil {
			return "", "", "", err
		}
	}
	return id, timestamp, signatures, nil
}

// signed looks for one signature that is right.
func (s *Standard) signed(text []byte, signatures string) error {
	versioned, ours, hmacs := false, false, false
	for part := range strings.SplitSeq(signatures, " ") {
		version, encoded, ok := strings.Cut(part, ",")
		if !ok {
			continue
		}
		versioned = true
		hmacs = hmacs || version == "v1"
		sig, err := decode64(encoded)
		if err != nil || len(sig) == 0 {
			continue
		}
		switch version {
		case "v1":
			for _, k := range s.secrets {
				ours = hmac.Equal(sig, mac(k, text)) || ours
			}
		case "v1a":
			for _, k := range s.publics {
				ours = ed25519.Verify(k, text, sig) || ours
			}
		}
	}
	switch {
	case ours:
		return nil
	case !versioned:
		return Reject(MalformedHeader, "the signature has no version")
	case hmacs && len(s.secrets) == 0:
		// A public key is no secret: what was signed with it as one proves nothing.
		return Reject(WrongAlgorithm, "it is signed with HMAC, and only public keys are set")
	}
	return Reject(BadSignature, "no signature fits a key that is set")
}

func signedText(id, timestamp string, body []byte) []byte {
	return bytes.Join([][]byte{[]byte(id), []byte(timestamp), body}, []byte("."))
}

func mac(key, text []byte) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write(text)
	return m.Sum(nil)
}

// Signer signs Standard Webhooks with every key it holds, in their order: while one replaces another, receivers know either.
type Signer struct{ keys []func(text []byte) string }

// NewSigner takes secrets ("whsec_…") and private keys ("whsk_" and 64 bytes, or the seed of 32, in base64).
func NewSigner(keys ...string) (*Signer, error) {
	if err := Keys(keys); err != nil {
		return nil, err
	}
	s := &Signer{}
	for _, k := range keys {
		if text, ok := strings.CutPrefix(k, privatePrefix); ok {
			private, err := privateKey(text)
			if err != nil {
				return nil, err
			}
			s.keys = append(s.keys, func(text []byte) string {
				return "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(private, text))
			})
			continue
		}
		b, err := decode64(strings.TrimPrefix(k, secretPrefix))
		if err != nil || len(b) < minSecret || len(b) > maxSecret {
			return nil, Reject(MalformedKey, "a secret is %s and %d to %d bytes in base64", secretPrefix, minSecret, maxSecret)
		}
		s.keys = append(s.keys, func(text []byte) string { return "v1," + base64.StdEncoding.EncodeToString(mac(b, text)) })
	}
	return s, nil
}

func privateKey(text string) (ed25519.PrivateKey, error) {
	b, err := decode64(text)
	switch {
	case err == nil && len(b) == ed25519.SeedSize:
		return ed25519.NewKeyFromSeed(b), nil
	case err == nil && len(b) == ed25519.PrivateKeySize:
		if k := ed25519.NewKeyFromSeed(b[:ed25519.SeedSize]); bytes.Equal(k, b) {
			return k, nil
		}
		return nil, Reject(MalformedKey, "the public half of a private key is another's")
	}
	return nil, Reject(MalformedKey, "a private key is %s and 32 or 64 bytes in base64", privatePrefix)
}

// Sign gives the headers of a message. Sent again, it keeps its id and has a new time.
func (s *Signer) Sign(id string, at time.Time, body []byte) (http.Header, error) {
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' || c == '.' }) {
		return nil, fmt.Errorf("a message's id is 1 to %d printable characters without a full stop", maxID)
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	var signatures []string
	for _, k := range s.keys {
		signatures = append(signatures, k(signedText(id, timestamp, body)))
	}
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", timestamp)
	h.Set("webhook-signature", strings.Join(signatures, " "))
	return h, nil
}
