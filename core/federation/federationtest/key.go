package federationtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// Key signs ID tokens.
type Key struct {
	ID      string
	alg     jose.SignatureAlgorithm
	private crypto.Signer
}

// Making an RSA key takes a while, the more so under the race detector.
var sharedRSA = sync.OnceValue(func() *rsa.PrivateKey { return makeRSA(2048) })
var otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return makeRSA(2048) })

func makeRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

// RSAKey is a key for RS256, the same in the whole process whatever its id.
func RSAKey(id string) Key { return Key{id, jose.RS256, sharedRSA()} }

// OtherRSAKey is another one.
func OtherRSAKey(id string) Key { return Key{id, jose.RS256, otherRSA()} }

// ECKey is a new key for ES256.
func ECKey(id string) Key {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return Key{id, jose.ES256, k}
}

// EdKey is a new key for EdDSA.
func EdKey(id string) Key {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return Key{id, jose.EdDSA, k}
}

func (k Key) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.ID, Algorithm: string(k.alg), Use: "sig"}
}

// Public is the public half.
func (k Key) Public() crypto.PublicKey { return k.private.Public() }

// Sign makes a JWT.
func (k Key) Sign(claims map[string]any) string {
	opts := &jose.SignerOptions{}
	if k.ID != "" {
		opts = opts.WithHeader("kid", k.ID)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: k.alg, Key: k.private}, opts)
	if err != nil {
		panic(err)
	}
	return sign(s, claims)
}

// HMAC makes a JWT with HS256: what nobody should believe.
func HMAC(secret []byte, claims map[string]any) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, nil)
	if err != nil {
		panic(err)
	}
	return sign(s, claims)
}

// Unsigned makes a JWT with the algorithm none.
func Unsigned(claims map[string]any) string {
	b, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(`{"alg":"none"}`)) + "." + enc.EncodeToString(b) + "."
}

func sign(s jose.Signer, claims map[string]any) string {
	b, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	jws, err := s.Sign(b)
	if err != nil {
		panic(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return out
}

// hash is at_hash (OpenID Connect Core 1.0 §3.1.3.6).
func (k Key) hash(access string) string {
	if k.alg == jose.EdDSA {
		sum := sha512.Sum512([]byte(access))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
