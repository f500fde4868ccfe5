package sigra

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	keepKeys    = 15 * time.Minute // as long as Sigra allows
	askAgain    = time.Minute      // at most so often for a key that is not known
	leeway      = 30 * time.Second // for clocks that differ
	maxTokenLen = 16 << 10
)

// keySet are Sigra's public keys, as they were last fetched.
type keySet struct {
	mu      sync.Mutex
	keys    map[string]*ecdsa.PublicKey
	fetched time.Time
	tried   time.Time
}

// Verify says whose a token of GET /v1/session/token is. Whatever is wrong with the token is ErrNobody; any other error says that Sigra's keys could not
// be had.
func (c *Client) Verify(ctx context.Context, token string) (*Session, error) {
	head, rest, ok := strings.Cut(token, ".")
	payload, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || len(token) > maxTokenLen {
		return nil, ErrNobody
	}
	var h struct{ Alg, Kid string }
	if decode(head, &h) != nil || h.Alg != "ES256" { // no other, whatever the token says of itself (RFC 8725 §3.1)
		return nil, ErrNobody
	}
	key, err := c.key(ctx, h.Kid)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(sig)
	if err != nil || len(signature) != 64 { // R and S (RFC 7518 §3.4)
		return nil, ErrNobody
	}
	sum := sha256.Sum256([]byte(head + "." + payload))
	if !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return nil, ErrNobody
	}
	return c.session(payload)
}

// own are the claims that Sigra makes; every other one is a plugin's.
type own struct {
	Issuer         string   `json:"iss"`
	Audience       audience `json:"aud"`
	Subject        string   `json:"sub"`
	Expiry         int64    `json:"exp"`
	NotBefore      int64    `json:"nbf"`
	IssuedAt       int64    `json:"iat"`
	ID             string   `json:"jti"`
	SessionID      string   `json:"sid"`
	AAL            string   `json:"aal"`
	AMR            []string `json:"amr"`
	AuthTime       int64    `json:"auth_time"`
	Email          string   `json:"email"`
	Name           string   `json:"name"`
	OrganizationID string   `json:"organization_id"`
	Role           string   `json:"organization_role"`
	ImpersonatorID string   `json:"impersonator_id"`
	Stale          []string `json:"stale"`
}

// audience is one name, or several (RFC 7519 §4.1.3).
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

func (a audience) has(name string) bool {
	for _, x := range a {
		if x == name {
			return true
		}
	}
	return false
}

// session reads what was signed.
func (c *Client) session(payload string) (*Session, error) {
	var o own
	all := map[string]any{}
	if decode(payload, &o) != nil || decode(payload, &all) != nil {
		return nil, ErrNobody
	}
	now := c.now()
	if o.Issuer != c.url || !o.Audience.has(c.audience) || o.Subject == "" || o.SessionID == "" ||
		!now.Before(time.Unix(o.Expiry, 0).Add(leeway)) || now.Before(time.Unix(o.NotBefore, 0).Add(-leeway)) {
		return nil, ErrNobody
	}
	for _, name := range []string{
		"iss", "aud", "sub", "exp", "nbf", "iat", "jti", "sid", "aal", "amr", "auth_time", "email", "name", "organization_id", "organization_role", "impersonator_id", "stale",
	} {
		delete(all, name)
	}
	return &Session{
		UserID: o.Subject, SessionID: o.SessionID, Email: o.Email, Name: o.Name, AAL: o.AAL, AMR: o.AMR, AuthTime: time.Unix(o.AuthTime, 0), ExpiresAt: time.Unix(o.Expiry, 0),
		OrganizationID: o.OrganizationID, Role: o.Role, ImpersonatorID: o.ImpersonatorID, Claims: all,
	}, nil
}

// key finds a key by its id. It fetches them where they are old, or where the key is not known and nobody has asked for a while.
func (c *Client) key(ctx context.Context, id string) (*ecdsa.PublicKey, error) {
	s := &c.keys
	s.mu.Lock()
	defer s.mu.Unlock()
	now := c.now()
	key, known := s.keys[id]
	stale := now.Sub(s.fetched) >= keepKeys
	if known && !stale {
		return key, nil
	}
	if s.tried.IsZero() || stale || now.Sub(s.tried) >= askAgain {
		s.tried = now
		keys, err := c.fetchKeys(ctx)
		if err == nil {
			s.keys, s.fetched = keys, now
		} else if !known { // one that was good a quarter of an hour ago still is, while Sigra can't be reached
			return nil, err
		}
	}
	if key = s.keys[id]; key == nil {
		return nil, ErrNobody
	}
	return key, nil
}

func (c *Client) fetchKeys(ctx context.Context) (map[string]*ecdsa.PublicKey, error) {
	var set struct {
		Keys []struct{ Kty, Crv, Kid, Use, Alg, X, Y string }
	}
	status, err := c.get(ctx, "/.well-known/jwks.json", &set)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("sigra: the keys answered %d", status)
	}
	out := map[string]*ecdsa.PublicKey{}
	for _, k := range set.Keys {
		if k.Kty != "EC" || k.Crv != "P-256" || k.Use != "sig" || k.Kid == "" {
			continue
		}
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
			return nil, fmt.Errorf("sigra: key %s can't be read", k.Kid)
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		if err != nil {
			return nil, fmt.Errorf("sigra: key %s: %w", k.Kid, err)
		}
		out[k.Kid] = key
	}
	if len(out) == 0 {
		return nil, errors.New("sigra: there are no keys")
	}
	return out, nil
}

// decode reads a part of a token.
func decode(part string, into any) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
