package federation

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
)

// skew is how far a provider's clock may be off.
const skew = 2 * time.Minute

const maxToken = 64 << 10

// remember is a key set that keeps its own error, which go-oidc turns into text.
type remember struct {
	*keySet
	err error
}

func (r *remember) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := r.keySet.VerifySignature(ctx, jwt)
	r.err = err
	return payload, err
}

// idToken judges the ID token of an exchange (OpenID Connect Core 1.0 §3.1.3.7) and gives what it says.
func (p *provider) idToken(ctx context.Context, m metadata, tok *oauth2.Token, f flow) (answer, string, error) {
	bad := func(reason string, err error) (answer, string, error) {
		return nil, "", p.invalid(StageIDToken, reason, err)
	}
	raw, _ := tok.Extra("id_token").(string)
	if raw == "" {
		return bad("missing", nil)
	}
	if len(raw) > maxToken {
		return bad("too_large", nil)
	}
	if _, err := jose.ParseSignedCompact(raw, signatureAlgorithms(m.Algorithms)); err != nil {
		var alg *jose.ErrUnexpectedSignatureAlgorithm
		if errors.As(err, &alg) {
			return bad("algorithm", err)
		}
		return bad("malformed", err)
	}
	keys := &remember{keySet: p.keysOf(m.JWKSURL)}
	// Issuer and audience are judged below: the library knows neither tenants nor azp.
	t, err := oidc.NewVerifier(m.Issuer, keys, &oidc.Config{
		SkipClientIDCheck: true, SkipIssuerCheck: true, SupportedSigningAlgs: m.Algorithms, Now: func() time.Time { return p.now().Add(-skew) },
	}).Verify(ctx, raw)
	if err != nil {
		var ce *callError
		var late *oidc.TokenExpiredError
		switch {
		case ctx.Err() != nil:
			return nil, "", ctx.Err()
		case errors.As(keys.err, &ce) && ce.down:
			return nil, "", p.unavailable(StageKeys, ce.reason, keys.err)
		case errors.As(keys.err, &ce):
			return nil, "", p.invalid(StageKeys, ce.reason, keys.err)
		case errors.Is(keys.err, errUnknownKey):
			return bad("unknown_key", keys.err)
		case keys.err != nil:
			return bad("signature", keys.err)
		case errors.As(err, &late):
			return bad("expired", err)
		}
		return bad("malformed", err)
	}
	var all answer
	if err := unmarshalClaims(t, &all); err != nil {
		return bad("malformed", err)
	}
	if reason := p.judge(m, t, all, f); reason != "" {
		return bad(reason, nil)
	}
	if t.AccessTokenHash != "" { // §3.1.3.8
		if err := t.VerifyAccessToken(tok.AccessToken); err != nil {
			return bad("at_hash", err)
		}
	}
	return all, t.Issuer, nil
}

func unmarshalClaims(t *oidc.IDToken, dst *answer) error {
	var raw rawJSON
	if err := t.Claims(&raw); err != nil {
		return err
	}
	return decode(raw, dst)
}

// rawJSON takes JSON as it is, so that decode can keep its numbers.
type rawJSON []byte

func (r *rawJSON) UnmarshalJSON(b []byte) error { *r = slices.Clone(b); return nil }

// judge gives the reason why a token with a good signature is not to be believed; empty when it is.
func (p *provider) judge(m metadata, t *oidc.IDToken, all answer, f flow) string {
	azp, hasAzp := all["azp"]
	switch {
	case !p.is.issued(m.Issuer, t.Issuer, all.text("tid")):
		return "issuer"
	case !slices.Contains(t.Audience, p.clientID):
		return "audience"
	case len(t.Audience) > 1 && !hasAzp, hasAzp && azp != any(p.clientID):
		return "azp"
	case t.IssuedAt.IsZero():
		return "issued_at"
	case t.IssuedAt.After(p.now().Add(skew)):
		return "future"
	case subtle.ConstantTimeCompare([]byte(t.Nonce), []byte(f.Nonce)) != 1: // the nonce is never empty
		return "nonce"
	case strings.TrimSpace(t.Subject) == "" || len(t.Subject) > maxSubject:
		return "subject"
	}
	// Who asked for a fresh sign-in must be told when it was (§3.1.2.1).
	if f.Fresh && authTime(all).Before(f.Begun.Add(-skew)) {
		return "auth_time"
	}
	return ""
}

func authTime(a answer) time.Time {
	n, ok := a.find("auth_time").(interface{ Int64() (int64, error) })
	if !ok {
		return time.Time{}
	}
	s, err := n.Int64()
	if err != nil || s <= 0 || s > 1<<40 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}
