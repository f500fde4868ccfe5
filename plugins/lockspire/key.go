package lockspire

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// A signing key lives so:
//
//	made ──keyLead──▶ active ──rotated──▶ still published ──keyOverlap──▶ retired: private part gone, public part kept for hints
//
// The first key of an algorithm is active at once, as nobody can have cached a set without it.
const (
	// keyLead is how long a key is published before it signs: longer than jwksMaxAge.
	keyLead = time.Hour
	// keyOverlap is how long a key is published after its successor signs: as long as a token lives at most, and an hour.
	keyOverlap = 25 * time.Hour
	// jwksMaxAge is how long clients may cache the key set.
	jwksMaxAge = 15 * time.Minute
	// keysAge is how long this process goes by what it has read of the keys.
	keysAge = 10 * time.Second
	// keyPurpose binds what is sealed to what it is for.
	keyPurpose = "signing_key"
)

// algorithms are those there is a key for.
var algorithms = []string{rs256, es256}

// signingKey is one key. Private is nil once it has retired.
type signingKey struct {
	KID       string          `json:"kid"`
	Alg       string          `json:"alg"`
	Public    jose.JSONWebKey `json:"-"`
	ActiveAt  time.Time       `json:"active_at"`
	RetiredAt *time.Time      `json:"retired_at,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
	sealed    []byte
}

func (k signingKey) retired(now time.Time) bool {
	return k.RetiredAt != nil && !now.Before(*k.RetiredAt)
}

// keyring has the signing keys.
type keyring struct {
	db   *sql.DB
	seal pluginsdk.Seal
	now  func() time.Time

	making  sync.Mutex // held while keys that are missing are made
	mu      sync.Mutex
	read    []signingKey
	readAt  time.Time
	private map[string]crypto.Signer // opened
}

// all are the keys, retired ones too, the newest first.
func (r *keyring) all(ctx context.Context) ([]signingKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.now(); r.read == nil || now.Sub(r.readAt) >= keysAge || now.Before(r.readAt) {
		keys, err := readKeys(ctx, r.db)
		if err != nil {
			return nil, err
		}
		r.read, r.readAt = keys, now
	}
	return r.read, nil
}

func (r *keyring) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = nil
}

func readKeys(ctx context.Context, q querier) ([]signingKey, error) {
	rows, err := q.QueryContext(ctx, `SELECT kid, alg, public, sealed, active_at, retired_at, created_at FROM lockspire_key ORDER BY active_at DESC, kid`)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer func() { _ = rows.Close() }()
	out := []signingKey{}
	for rows.Next() {
		var k signingKey
		var public []byte
		if err := rows.Scan(&k.KID, &k.Alg, &public, &k.sealed, &k.ActiveAt, &k.RetiredAt, &k.CreatedAt); err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		if err := json.Unmarshal(public, &k.Public); err != nil {
			return nil, fmt.Errorf("read key %s: %w", k.KID, err)
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

// ensure makes the keys that are missing. Two nodes that start at once may make two of a kind: both are published, and all sign with the same.
func (r *keyring) ensure(ctx context.Context) error {
	missing, err := r.missing(ctx)
	if err != nil || len(missing) == 0 {
		return err
	}
	r.making.Lock()
	defer r.making.Unlock()
	r.forget()
	if missing, err = r.missing(ctx); err != nil {
		return err
	}
	for _, alg := range missing {
		if err := r.add(ctx, alg, r.now()); err != nil {
			return err
		}
	}
	return nil
}

// missing are the algorithms that nothing signs by.
func (r *keyring) missing(ctx context.Context) (out []string, err error) {
	keys, err := r.all(ctx)
	for _, alg := range algorithms {
		if _, ok := active(keys, alg, r.now()); !ok {
			out = append(out, alg)
		}
	}
	return out, err
}

// active is the key that signs: the one that became active last.
func active(keys []signingKey, alg string, now time.Time) (signingKey, bool) {
	for _, k := range keys {
		if k.Alg == alg && !k.ActiveAt.After(now) && !k.retired(now) && k.sealed != nil {
			return k, true
		}
	}
	return signingKey{}, false
}

// add makes a key that signs from a time on.
func (r *keyring) add(ctx context.Context, alg string, from time.Time) error {
	now := r.now().Truncate(time.Microsecond)
	var private crypto.Signer
	var err error
	if alg == es256 {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		private, err = rsa.GenerateKey(rand.Reader, 2048) // RFC 7518 §3.3
	}
	if err != nil {
		return err
	}
	public := jose.JSONWebKey{Key: private.Public(), Algorithm: alg, Use: "sig"}
	thumb, err := public.Thumbprint(crypto.SHA256) // RFC 7638
	if err != nil {
		return err
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(thumb)
	text, err := json.Marshal(public)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	sealed, err := r.seal.Seal(ctx, pkcs8, keyPurpose)
	if err != nil {
		return fmt.Errorf("seal key: %w", err)
	}
	err = storage.Tx(ctx, r.db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO lockspire_key (kid, alg, public, sealed, active_at, retired_at, created_at) VALUES ($1, $2, $3, $4, $5, NULL, $6)`,
			public.KeyID, alg, json.RawMessage(text), sealed, from.Truncate(time.Microsecond), now)
		if err != nil {
			return err
		}
		// Those before it go on being published until nothing they signed is valid.
		_, err = tx.ExecContext(ctx, `UPDATE lockspire_key SET retired_at = $3 WHERE alg = $1 AND kid <> $2 AND retired_at IS NULL AND active_at < $4`,
			alg, public.KeyID, from.Add(keyOverlap).Truncate(time.Microsecond), from.Truncate(time.Microsecond))
		return err
	})
	r.forget()
	return err
}

// rotateDue makes the successors of keys that have become old, and the keys that are missing.
func (r *keyring) rotateDue(ctx context.Context, after time.Duration) error {
	if err := r.ensure(ctx); err != nil {
		return err
	}
	keys, err := r.all(ctx)
	if err != nil {
		return err
	}
	for _, alg := range algorithms {
		newest := time.Time{}
		for _, k := range keys {
			if k.Alg == alg && k.ActiveAt.After(newest) {
				newest = k.ActiveAt
			}
		}
		if r.now().Sub(newest) >= after {
			if err := r.add(ctx, alg, r.now().Add(keyLead)); err != nil {
				return err
			}
		}
	}
	return nil
}

// published are the keys of the key set.
func (r *keyring) published(ctx context.Context) ([]jose.JSONWebKey, error) {
	if err := r.ensure(ctx); err != nil {
		return nil, err
	}
	keys, err := r.all(ctx)
	out := []jose.JSONWebKey{}
	for _, k := range keys {
		if !k.retired(r.now()) {
			out = append(out, k.Public)
		}
	}
	return out, err
}

// find is the key of an ID. retired allows one that is published no more: for hints, which grant nothing.
func (r *keyring) find(ctx context.Context, kid, alg string, retired bool) (signingKey, bool, error) {
	keys, err := r.all(ctx)
	if err != nil {
		return signingKey{}, false, err
	}
	for _, k := range keys {
		if k.KID == kid && k.Alg == alg && (retired || !k.retired(r.now())) {
			return k, true, nil
		}
	}
	return signingKey{}, false, nil
}

// signer signs with the active key of an algorithm, as a JWT of a type.
func (r *keyring) signer(ctx context.Context, alg, typ string) (jose.Signer, error) {
	if err := r.ensure(ctx); err != nil {
		return nil, err
	}
	keys, err := r.all(ctx)
	if err != nil {
		return nil, err
	}
	k, ok := active(keys, alg, r.now())
	if !ok {
		return nil, errors.New("there is no key that signs by " + alg)
	}
	private, err := r.open(ctx, k)
	if err != nil {
		return nil, err
	}
	return jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: jose.JSONWebKey{Key: private, KeyID: k.KID}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
}

func (r *keyring) open(ctx context.Context, k signingKey) (crypto.Signer, error) {
	r.mu.Lock()
	private := r.private[k.KID]
	r.mu.Unlock()
	if private != nil {
		return private, nil
	}
	pkcs8, stale, err := r.seal.Open(ctx, k.sealed, keyPurpose)
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", k.KID, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("open key %s: it can't sign", k.KID)
	}
	if stale { // Sigra's own key has been rotated
		sealed, err := r.seal.Seal(ctx, pkcs8, keyPurpose)
		if err != nil {
			return nil, fmt.Errorf("seal key again: %w", err)
		}
		if _, err := r.db.ExecContext(ctx, `UPDATE lockspire_key SET sealed = $2 WHERE kid = $1 AND sealed IS NOT NULL`, k.KID, sealed); err != nil {
			return nil, fmt.Errorf("seal key again: %w", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.private == nil {
		r.private = map[string]crypto.Signer{}
	}
	r.private[k.KID] = private
	return private, nil
}
