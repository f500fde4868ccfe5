package passkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"testing"
)

// The algorithms, by their COSE numbers.
const (
	ES256 = -7
	EdDSA = -8
	RS256 = -257
)

// Key is a passkey as its authenticator holds it.
type Key struct {
	ID, Handle []byte
	RPID       string
	Signer     crypto.Signer
	COSE       []byte // the public key
}

// rsaKey is made once: it takes a while.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// NewKey makes a key of the authenticator's algorithm, and leaves it to the caller.
func (d *Authenticator) NewKey() *Key {
	k := &Key{ID: make([]byte, 32)}
	_, _ = rand.Read(k.ID)
	if d.CredentialID != nil {
		k.ID = d.CredentialID()
	}
	switch d.Alg {
	case EdDSA:
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			d.TB.Fatal(err)
		}
		k.Signer, k.COSE = priv, Map(Int(1), Int(1), Int(3), Int(EdDSA), Int(-1), Int(6), Int(-2), Bytes(pub))
	case RS256:
		priv := rsaKey()
		e := binary.BigEndian.AppendUint32(nil, uint32(priv.E))[1:]
		k.Signer, k.COSE = priv, Map(Int(1), Int(3), Int(3), Int(RS256), Int(-1), Bytes(priv.N.Bytes()), Int(-2), Bytes(e))
	default:
		priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			d.TB.Fatal(err)
		}
		point, err := priv.PublicKey.Bytes()
		if err != nil {
			d.TB.Fatal(err)
		}
		k.Signer = priv
		k.COSE = Map(Int(1), Int(2), Int(3), Int(d.Alg), Int(-1), Int(1), Int(-2), Bytes(point[1:33]), Int(-3), Bytes(point[33:]))
	}
	if d.SpoilCOSE != nil {
		k.COSE = d.SpoilCOSE(k.COSE)
	}
	return k
}

func (k *Key) sign(t testing.TB, msg []byte) []byte {
	opts := crypto.SignerOpts(crypto.SHA256)
	digest := sha256.Sum256(msg)
	in := digest[:]
	if _, ok := k.Signer.(ed25519.PrivateKey); ok {
		opts, in = crypto.Hash(0), msg
	}
	sig, err := k.Signer.Sign(rand.Reader, in, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// Encoding is how WebAuthn writes bytes in JSON.
var Encoding = base64.RawURLEncoding

// Decode reads bytes from JSON.
func Decode(t testing.TB, s string) []byte {
	t.Helper()
	b, err := Encoding.DecodeString(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}
