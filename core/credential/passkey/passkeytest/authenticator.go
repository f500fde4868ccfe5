package passkeytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/uuid"
)

// Authenticator is a browser together with an authenticator. Its fields may be changed between ceremonies, and what it
// sends can be spoilt at every layer. Copy it to spoil a copy: the keys are shared.
type Authenticator struct {
	TB     testing.TB
	Origin string // of the page that asks
	Alg    int64  // of the next key: ES256, EdDSA or RS256
	AAGUID uuid.UUID
	Attest string // none or packed

	UV, UP bool  // user verified, user present
	BE, BS bool  // backup eligible, backed up
	RK     *bool // what the browser says of credProps; nil: nothing
	Attach string
	Ways   []string // transports

	Count  uint32 // the sign counter
	PerUse uint32 // added to Count before each use
	Keys   []*Key

	NoOwner       bool                     // leaves the user handle out
	SpoilClient   func(map[string]any)     // the client data before it is hashed
	SpoilData     func([]byte) []byte      // the authenticator data before it is signed
	SpoilObject   func([]byte) []byte      // the attestation object
	SpoilResponse func(map[string]any)     // the answer
	SpoilCOSE     func(cose []byte) []byte // the public key that is registered
	SpoilSig      func([]byte) []byte      // the signature
	Pick          func([]*Key) *Key        // which key to use; nil: the first that fits
	Answer        func(json []byte) []byte // the last word
	CredentialID  func() []byte            // nil: 32 random bytes
}

// New makes what is in most pockets: a phone or a laptop that verifies its user and keeps its passkeys in a synced store.
func New(t testing.TB, origin string) *Authenticator {
	yes := true
	return &Authenticator{
		TB: t, Origin: origin, Alg: ES256, Attest: "none", UV: true, UP: true, BE: true, BS: true, RK: &yes, Attach: "platform", Ways: []string{"internal", "hybrid"},
	}
}

// SecurityKey makes the other common sort: bound to itself, counting, found by its credential id only, without a PIN.
func SecurityKey(t testing.TB, origin string) *Authenticator {
	d, no := New(t, origin), false
	d.UV, d.BE, d.BS, d.RK, d.Attach, d.Ways, d.Count, d.PerUse = false, false, false, &no, "cross-platform", []string{"usb", "nfc"}, 7, 1
	return d
}

// ErrExcluded is what a browser says of a registration that the authenticator has a key of already.
var ErrExcluded = errors.New("InvalidStateError")

type descriptor struct {
	ID         string   `json:"id"`
	Type       string   `json:"type"`
	Transports []string `json:"transports"`
}

// Asked is what the options of a ceremony say, read strictly enough that a member of another name is noticed.
type Asked struct {
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

// Read reads the options of a ceremony.
func Read(t testing.TB, options []byte) Asked {
	t.Helper()
	var a Asked
	if err := json.Unmarshal(options, &a); err != nil {
		t.Fatalf("options %s: %v", options, err)
	}
	return a
}

func (d *Authenticator) clientData(kind, challenge string) []byte {
	c := map[string]any{"type": kind, "challenge": challenge, "origin": d.Origin, "crossOrigin": false}
	if d.SpoilClient != nil {
		d.SpoilClient(c)
	}
	b, err := json.Marshal(c)
	if err != nil {
		d.TB.Fatal(err)
	}
	return b
}

func (d *Authenticator) authData(rpID string, attested []byte) []byte {
	flags := byte(0)
	for bit, on := range map[byte]bool{0x01: d.UP, 0x04: d.UV, 0x08: d.BE, 0x10: d.BS, 0x40: attested != nil} {
		if on {
			flags |= bit
		}
	}
	hash := sha256.Sum256([]byte(rpID))
	data := append(hash[:], flags)
	data = binary.BigEndian.AppendUint32(data, d.Count)
	data = append(data, attested...)
	if d.SpoilData != nil {
		data = d.SpoilData(data)
	}
	return data
}

func (d *Authenticator) finish(r map[string]any) []byte {
	if d.SpoilResponse != nil {
		d.SpoilResponse(r)
	}
	b, err := json.Marshal(r)
	if err != nil {
		d.TB.Fatal(err)
	}
	if d.Answer != nil {
		b = d.Answer(b)
	}
	return b
}

// Create answers a registration: navigator.credentials.create. It keeps the key, whatever becomes of it.
func (d *Authenticator) Create(options []byte) ([]byte, error) {
	d.TB.Helper()
	a := Read(d.TB, options)
	for _, e := range a.PublicKey.ExcludeCredentials {
		for _, k := range d.Keys {
			if Encoding.EncodeToString(k.ID) == e.ID && k.RPID == a.PublicKey.RP.ID {
				return nil, ErrExcluded
			}
		}
	}
	k := d.NewKey()
	k.RPID, k.Handle = a.PublicKey.RP.ID, Decode(d.TB, a.PublicKey.User.ID)
	d.Keys = append(d.Keys, k)

	attested := append(d.AAGUID[:], byte(len(k.ID)>>8), byte(len(k.ID)))
	attested = append(append(attested, k.ID...), k.COSE...)
	data := d.authData(k.RPID, attested)
	client := d.clientData("webauthn.create", a.PublicKey.Challenge)
	statement := Map()
	if d.Attest == "packed" { // by the key itself
		hash := sha256.Sum256(client)
		sig := k.sign(d.TB, append(append([]byte{}, data...), hash[:]...))
		if d.SpoilSig != nil {
			sig = d.SpoilSig(sig)
		}
		statement = Map(Text("alg"), Int(d.Alg), Text("sig"), Bytes(sig))
	}
	object := Map(Text("fmt"), Text(d.Attest), Text("attStmt"), statement, Text("authData"), Bytes(data))
	if d.SpoilObject != nil {
		object = d.SpoilObject(object)
	}
	results := map[string]any{}
	if d.RK != nil {
		results["credProps"] = map[string]any{"rk": *d.RK}
	}
	id := Encoding.EncodeToString(k.ID)
	return d.finish(map[string]any{
		"id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": d.Attach, "clientExtensionResults": results,
		"response": map[string]any{"clientDataJSON": Encoding.EncodeToString(client), "attestationObject": Encoding.EncodeToString(object), "transports": d.Ways},
	}), nil
}

// Get answers a login: navigator.credentials.get.
func (d *Authenticator) Get(options []byte) []byte {
	d.TB.Helper()
	a := Read(d.TB, options)
	var fit []*Key
	for _, k := range d.Keys {
		ok := len(a.PublicKey.AllowCredentials) == 0
		for _, c := range a.PublicKey.AllowCredentials {
			ok = ok || c.ID == Encoding.EncodeToString(k.ID)
		}
		if ok && k.RPID == a.PublicKey.RPID {
			fit = append(fit, k)
		}
	}
	pick := func(keys []*Key) *Key { return keys[0] }
	if d.Pick != nil {
		pick, fit = d.Pick, d.Keys
	}
	if len(fit) == 0 {
		d.TB.Fatal("the authenticator has no passkey that fits")
	}
	k := pick(fit)
	d.Count += d.PerUse
	data := d.authData(k.RPID, nil)
	client := d.clientData("webauthn.get", a.PublicKey.Challenge)
	hash := sha256.Sum256(client)
	sig := k.sign(d.TB, append(append([]byte{}, data...), hash[:]...))
	if d.SpoilSig != nil {
		sig = d.SpoilSig(sig)
	}
	response := map[string]any{
		"clientDataJSON": Encoding.EncodeToString(client), "authenticatorData": Encoding.EncodeToString(data), "signature": Encoding.EncodeToString(sig),
	}
	if !d.NoOwner {
		response["userHandle"] = Encoding.EncodeToString(k.Handle)
	}
	id := Encoding.EncodeToString(k.ID)
	return d.finish(map[string]any{
		"id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": d.Attach, "clientExtensionResults": map[string]any{}, "response": response,
	})
}

// AttestedAgain puts attested credential data where a login has none: a way to spoil authenticator data.
func (d *Authenticator) AttestedAgain(data []byte) []byte {
	k := d.Keys[0]
	data = append(append(bytes.Clone(data), d.AAGUID[:]...), byte(len(k.ID)>>8), byte(len(k.ID)))
	data[32] |= 0x40
	return append(append(data, k.ID...), k.COSE...)
}
