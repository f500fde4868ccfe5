package federation

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	keysFresh = time.Hour
	// keysStale is how long keys count while the provider doesn't answer.
	keysStale = 24 * time.Hour
	// Unknown key ids make Sigra ask again: this often in a minute, however many tokens with made-up ids there are.
	refetches   = 6
	refetchTime = time.Minute
	maxKeys     = 100
	minRSABits  = 2048 // NIST SP 800-131A Rev. 2 §3
)

var (
	errUnknownKey = errors.New("the token is signed with a key that the provider does not publish")
	errSignature  = errors.New("the signature is not right")
)

// keySet is a provider's public keys. It implements oidc.KeySet.
type keySet struct {
	url   string
	calls *caller
	now   func() time.Time
	turn  chan struct{}

	mu    sync.Mutex
	keys  []jose.JSONWebKey
	at    time.Time
	asked []time.Time // fetches of the last refetchTime
}

func newKeySet(url string, calls *caller, now func() time.Time) *keySet {
	return &keySet{url: url, calls: calls, now: now, turn: make(chan struct{}, 1)}
}

// VerifySignature implements oidc.KeySet. A token that names a key which is not known makes the set be read once more
// (OpenID Connect Core 1.0 §10.1.1), so that a provider may change its keys at any moment.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(jwt, signatureAlgorithms(algorithms))
	if err != nil {
		return nil, err
	}
	if len(jws.Signatures) != 1 {
		return nil, errors.New("the token has several signatures")
	}
	seen, ok := k.fresh()
	if !ok {
		if seen, err = k.fetch(ctx, time.Time{}); err != nil {
			return nil, err
		}
	}
	payload, err := verify(jws, seen.keys)
	if !errors.Is(err, errUnknownKey) {
		return payload, err
	}
	again, ferr := k.fetch(ctx, seen.at)
	if ferr != nil {
		return nil, ferr
	}
	return verify(jws, again.keys)
}

func signatureAlgorithms(names []string) []jose.SignatureAlgorithm {
	out := make([]jose.SignatureAlgorithm, len(names))
	for i, n := range names {
		out[i] = jose.SignatureAlgorithm(n)
	}
	return out
}

// verify tries the keys that may have signed: those with the token's key id, or all when it has none.
func verify(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) ([]byte, error) {
	head := jws.Signatures[0].Header
	err := errUnknownKey
	for i := range keys {
		key := &keys[i]
		if head.KeyID != "" && key.KeyID != head.KeyID || key.Algorithm != "" && key.Algorithm != head.Algorithm {
			continue
		}
		payload, verr := jws.Verify(key)
		if verr == nil {
			return payload, nil
		}
		if head.KeyID != "" {
			err = errSignature
		}
	}
	return nil, err
}

type keysAt struct {
	keys []jose.JSONWebKey
	at   time.Time
}

func (k *keySet) fresh() (keysAt, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return keysAt{k.keys, k.at}, k.keys != nil && k.now().Sub(k.at) < keysFresh
}

// fetch reads the keys, unless somebody has since after, or it was done too often. Then, and when the provider does not
// answer, those that are known have to do.
func (k *keySet) fetch(ctx context.Context, after time.Time) (keysAt, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return keysAt{}, ctx.Err()
	}
	have, usable, may := k.mayAsk(after)
	switch {
	case !may && usable:
		return have, nil
	case !may:
		return keysAt{}, &callError{"too_often", true, fmt.Errorf("the keys were asked for %d times within %s", refetches, refetchTime)}
	}
	keys, err := k.read(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return keysAt{}, ctx.Err()
		}
		if usable && after.IsZero() {
			return have, nil
		}
		return keysAt{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.at = keys, k.now()
	return keysAt{k.keys, k.at}, nil
}

// mayAsk counts a fetch, if one is needed and allowed, and gives what there is.
func (k *keySet) mayAsk(after time.Time) (have keysAt, usable, may bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	have = keysAt{k.keys, k.at}
	usable = k.keys != nil && now.Sub(k.at) < keysStale
	if k.keys != nil && k.at.After(after) && now.Sub(k.at) < keysFresh {
		return have, true, false // somebody else has asked meanwhile
	}
	k.asked = slices.DeleteFunc(k.asked, func(t time.Time) bool { return now.Sub(t) >= refetchTime })
	if len(k.asked) >= refetches {
		return have, usable, false
	}
	k.asked = append(k.asked, now)
	return have, usable, true
}

func (k *keySet) read(ctx context.Context) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequest(http.MethodGet, k.url, nil)
	if err != nil {
		return nil, &callError{"malformed", false, err}
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if cerr := k.calls.call(ctx, req, &set); cerr != nil {
		return nil, cerr
	}
	keys := parseKeys(set.Keys)
	if len(keys) == 0 {
		return nil, &callError{"no_keys", false, fmt.Errorf("GET %s: among %d keys there is none to verify signatures with", k.url, len(set.Keys))}
	}
	return keys, nil
}

// parseKeys takes the public keys that can verify. What is not understood is passed over (RFC 7517 §5).
func parseKeys(raw []json.RawMessage) []jose.JSONWebKey {
	out := []jose.JSONWebKey{}
	for _, r := range raw[:min(len(raw), maxKeys)] {
		var key jose.JSONWebKey
		if json.Unmarshal(r, &key) != nil || key.Use != "" && key.Use != "sig" || !key.Valid() {
			continue
		}
		switch pub := key.Key.(type) {
		case *rsa.PublicKey:
			if pub.N.BitLen() < minRSABits {
				continue
			}
		case *ecdsa.PublicKey, ed25519.PublicKey:
		default:
			continue // symmetric and private ones
		}
		out = append(out, key)
	}
	return out
}
