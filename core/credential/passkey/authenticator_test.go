package passkey_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// The algorithms, by their COSE numbers.
const (
	es256 = -7
	eddsa = -8
	rs256 = -257
)

// device is a browser together with an authenticator, in software. Its fields may be changed between ceremonies, and what it
// sends can be spoilt at every layer.
type device struct {
	t       testing.TB
	origin  string
	alg     int64
	aaguid  uuid.UUID
	attest  string // none or packed
	uv, up  bool
	be, bs  bool
	rk      *bool // what the browser says of credProps; nil: nothing
	attach  string
	ways    []string
	count   uint32
	perUse  uint32 // added to count before each use
	keys    []*key
	noOwner bool // leaves the user handle out

	spoilClient   func(map[string]any)     // the client data before it is hashed
	spoilData     func([]byte) []byte      // the authenticator data before it is signed
	spoilObject   func([]byte) []byte      // the attestation object
	spoilResponse func(map[string]any)     // the answer
	spoilCOSE     func(cose []byte) []byte // the public key that is registered
	spoilSig      func([]byte) []byte      // the signature
	pick          func([]*key) *key        // which key to use; nil: the first that fits
	answer        func(json []byte) []byte // the last word
	credentialID  func() []byte            // nil: 32 random bytes
}

type key struct {
	id, handle []byte
	rpID       string
	signer     crypto.Signer
	cose       []byte
}

func newDevice(t testing.TB) *device {
	yes := true
	return &device{
		t: t, origin: origin, alg: es256, attest: "none", uv: true, up: true, be: true, bs: true, rk: &yes, attach: "platform", ways: []string{"internal", "hybrid"},
	}
}

// securityKey is the other common sort: bound to itself, counting, found by its credential id only.
func securityKey(t testing.TB) *device {
	d := newDevice(t)
	no := false
	d.uv, d.be, d.bs, d.rk, d.attach, d.ways, d.count, d.perUse = false, false, false, &no, "cross-platform", []string{"usb", "nfc"}, 7, 1
	return d
}

var errExcluded = errors.New("InvalidStateError")

// rsaKey is made once: it takes a while.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func (d *device) newKey() *key {
	k := &key{id: make([]byte, 32)}
	_, _ = rand.Read(k.id)
	if d.credentialID != nil {
		k.id = d.credentialID()
	}
	switch d.alg {
	case eddsa:
		pub, priv, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			d.t.Fatal(err)
		}
		k.signer, k.cose = priv, cborMap(cborInt(1), cborInt(1), cborInt(3), cborInt(eddsa), cborInt(-1), cborInt(6), cborInt(-2), cborBytes(pub))
	case rs256:
		priv := rsaKey()
		e := binary.BigEndian.AppendUint32(nil, uint32(priv.E))[1:]
		k.signer, k.cose = priv, cborMap(cborInt(1), cborInt(3), cborInt(3), cborInt(rs256), cborInt(-1), cborBytes(priv.N.Bytes()), cborInt(-2), cborBytes(e))
	default:
		priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			d.t.Fatal(err)
		}
		point, err := priv.PublicKey.Bytes()
		if err != nil {
			d.t.Fatal(err)
		}
		k.signer = priv
		k.cose = cborMap(cborInt(1), cborInt(2), cborInt(3), cborInt(d.alg), cborInt(-1), cborInt(1), cborInt(-2), cborBytes(point[1:33]), cborInt(-3), cborBytes(point[33:]))
	}
	if d.spoilCOSE != nil {
		k.cose = d.spoilCOSE(k.cose)
	}
	return k
}

func (k *key) sign(t testing.TB, msg []byte) []byte {
	opts := crypto.SignerOpts(crypto.SHA256)
	digest := sha256.Sum256(msg)
	in := digest[:]
	if _, ok := k.signer.(ed25519.PrivateKey); ok {
		opts, in = crypto.Hash(0), msg
	}
	sig, err := k.signer.Sign(rand.Reader, in, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

var b64 = base64.RawURLEncoding

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := b64.DecodeString(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}

type descriptor struct {
	ID         string   `json:"id"`
	Type       string   `json:"type"`
	Transports []string `json:"transports"`
}

// asked is what the options of a ceremony say, read strictly enough that a member of another name is noticed.
type asked struct {
	Mediation string `json:"mediation"`
	PublicKey struct {
		Challenge string `json:"challenge"`
		Timeout   int    `json:"timeout"`
		RP        struct {
			ID, Name string
		} `json:"rp"`
		RPID string `json:"rpId"`
		User struct {
			ID, Name, DisplayName string
		} `json:"user"`
		PubKeyCredParams []struct {
			Type string
			Alg  int
		} `json:"pubKeyCredParams"`
		ExcludeCredentials     []descriptor `json:"excludeCredentials"`
		AllowCredentials       []descriptor `json:"allowCredentials"`
		UserVerification       string       `json:"userVerification"`
		Attestation            string       `json:"attestation"`
		AuthenticatorSelection struct {
			ResidentKey             string `json:"residentKey"`
			RequireResidentKey      bool   `json:"requireResidentKey"`
			UserVerification        string `json:"userVerification"`
			AuthenticatorAttachment string `json:"authenticatorAttachment"`
		} `json:"authenticatorSelection"`
		Extensions map[string]any `json:"extensions"`
	} `json:"publicKey"`
}

func read(t testing.TB, options []byte) asked {
	t.Helper()
	var a asked
	if err := json.Unmarshal(options, &a); err != nil {
		t.Fatalf("options %s: %v", options, err)
	}
	return a
}

func (d *device) clientData(kind, challenge string) []byte {
	c := map[string]any{"type": kind, "challenge": challenge, "origin": d.origin, "crossOrigin": false}
	if d.spoilClient != nil {
		d.spoilClient(c)
	}
	b, err := json.Marshal(c)
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

func (d *device) authData(rpID string, attested []byte) []byte {
	flags := byte(0)
	for bit, on := range map[byte]bool{0x01: d.up, 0x04: d.uv, 0x08: d.be, 0x10: d.bs, 0x40: attested != nil} {
		if on {
			flags |= bit
		}
	}
	hash := sha256.Sum256([]byte(rpID))
	data := append(hash[:], flags)
	data = binary.BigEndian.AppendUint32(data, d.count)
	data = append(data, attested...)
	if d.spoilData != nil {
		data = d.spoilData(data)
	}
	return data
}

func (d *device) finish(r map[string]any) []byte {
	if d.spoilResponse != nil {
		d.spoilResponse(r)
	}
	b, err := json.Marshal(r)
	if err != nil {
		d.t.Fatal(err)
	}
	if d.answer != nil {
		b = d.answer(b)
	}
	return b
}

// create answers a registration. It keeps the key, whatever becomes of it.
func (d *device) create(options []byte) ([]byte, error) {
	d.t.Helper()
	a := read(d.t, options)
	for _, e := range a.PublicKey.ExcludeCredentials {
		for _, k := range d.keys {
			if b64.EncodeToString(k.id) == e.ID && k.rpID == a.PublicKey.RP.ID {
				return nil, errExcluded
			}
		}
	}
	k := d.newKey()
	k.rpID, k.handle = a.PublicKey.RP.ID, unb64(d.t, a.PublicKey.User.ID)
	d.keys = append(d.keys, k)

	attested := append(d.aaguid[:], byte(len(k.id)>>8), byte(len(k.id)))
	attested = append(append(attested, k.id...), k.cose...)
	data := d.authData(k.rpID, attested)
	client := d.clientData("webauthn.create", a.PublicKey.Challenge)
	statement := cborMap()
	if d.attest == "packed" { // by the key itself
		hash := sha256.Sum256(client)
		sig := k.sign(d.t, append(append([]byte{}, data...), hash[:]...))
		if d.spoilSig != nil {
			sig = d.spoilSig(sig)
		}
		statement = cborMap(cborText("alg"), cborInt(d.alg), cborText("sig"), cborBytes(sig))
	}
	object := cborMap(cborText("fmt"), cborText(d.attest), cborText("attStmt"), statement, cborText("authData"), cborBytes(data))
	if d.spoilObject != nil {
		object = d.spoilObject(object)
	}
	results := map[string]any{}
	if d.rk != nil {
		results["credProps"] = map[string]any{"rk": *d.rk}
	}
	id := b64.EncodeToString(k.id)
	return d.finish(map[string]any{
		"id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": d.attach, "clientExtensionResults": results,
		"response": map[string]any{"clientDataJSON": b64.EncodeToString(client), "attestationObject": b64.EncodeToString(object), "transports": d.ways},
	}), nil
}

// get answers a login.
func (d *device) get(options []byte) []byte {
	d.t.Helper()
	a := read(d.t, options)
	var fit []*key
	for _, k := range d.keys {
		ok := len(a.PublicKey.AllowCredentials) == 0
		for _, c := range a.PublicKey.AllowCredentials {
			ok = ok || c.ID == b64.EncodeToString(k.id)
		}
		if ok && k.rpID == a.PublicKey.RPID {
			fit = append(fit, k)
		}
	}
	pick := func(keys []*key) *key { return keys[0] }
	if d.pick != nil {
		pick, fit = d.pick, d.keys
	}
	if len(fit) == 0 {
		d.t.Fatal("the device has no passkey that fits")
	}
	k := pick(fit)
	d.count += d.perUse
	data := d.authData(k.rpID, nil)
	client := d.clientData("webauthn.get", a.PublicKey.Challenge)
	hash := sha256.Sum256(client)
	sig := k.sign(d.t, append(append([]byte{}, data...), hash[:]...))
	if d.spoilSig != nil {
		sig = d.spoilSig(sig)
	}
	response := map[string]any{
		"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data), "signature": b64.EncodeToString(sig),
	}
	if !d.noOwner {
		response["userHandle"] = b64.EncodeToString(k.handle)
	}
	id := b64.EncodeToString(k.id)
	return d.finish(map[string]any{
		"id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": d.attach, "clientExtensionResults": map[string]any{}, "response": response,
	})
}

// A little CBOR (RFC 8949), so that right and wrong encodings can be made by hand.

func cborHead(major byte, n uint64) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 1<<8:
		return []byte{major<<5 | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
	}
	return binary.BigEndian.AppendUint32([]byte{major<<5 | 26}, uint32(n))
}

func cborInt(n int64) []byte {
	if n < 0 {
		return cborHead(1, uint64(-1-n))
	}
	return cborHead(0, uint64(n))
}

func cborBytes(b []byte) []byte { return append(cborHead(2, uint64(len(b))), b...) }
func cborText(s string) []byte  { return append(cborHead(3, uint64(len(s))), s...) }

// cborMap takes keys and values in turn, encoded already, in the order they are to have.
func cborMap(pairs ...[]byte) []byte {
	out := cborHead(5, uint64(len(pairs)/2))
	for _, p := range pairs {
		out = append(out, p...)
	}
	return out
}

// attestedAgain puts attested credential data where a login has none.
func (d *device) attestedAgain(data []byte) []byte {
	k := d.keys[0]
	data = append(append(bytes.Clone(data), d.aaguid[:]...), byte(len(k.id)>>8), byte(len(k.id)))
	data[32] |= 0x40
	return append(append(data, k.id...), k.cose...)
}
