package passkey_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
)

// patience is what the judgement of one answer, of at most 64 KiB, may take on a busy machine under the race detector.
const patience = 5 * time.Second

func fuzzJudge(f *testing.F) *passkey.Judge {
	f.Helper()
	j, err := passkey.NewJudge(settings())
	if err != nil {
		f.Fatal(err)
	}
	return j
}

// question makes options with a challenge known beforehand.
func question(f *testing.F, challenge, handle []byte) (create, get []byte) {
	f.Helper()
	c := b64.EncodeToString(challenge)
	marshal := func(v any) []byte {
		b, err := json.Marshal(map[string]any{"publicKey": v})
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	return marshal(map[string]any{"challenge": c, "rp": map[string]any{"id": rpID}, "user": map[string]any{"id": b64.EncodeToString(handle)}}),
		marshal(map[string]any{"challenge": c, "rpId": rpID})
}

// spoilt are the beginnings that a fuzzer would take long to find.
func spoilt(valid []byte) [][]byte {
	out := [][]byte{valid, nil, []byte("{}"), []byte("null"), valid[:len(valid)/2], append(bytes.Clone(valid), valid...), bytes.Repeat([]byte("["), 20000)}
	for _, r := range []struct{ from, to string }{
		{`"clientExtensionResults":{`, `"clientExtensionResults":{"appid":true,"largeBlob":{"blob":"AA"},"prf":null,`}, {`public-key`, `PUBLIC-KEY`},
		{`"rawId":"`, `"rawId":"A`}, {`"response":{`, `"response":{"transports":["usb","","` + strings.Repeat("x", 500) + `"],`}, {`"userHandle":"`, `"userHandle":"\u0041`},
	} {
		out = append(out, bytes.Replace(valid, []byte(r.from), []byte(r.to), 1))
	}
	return out
}

// judged holds what must be so of every refusal.
func judged(t *testing.T, began time.Time, err error) {
	t.Helper()
	if d := time.Since(began); d > patience {
		t.Errorf("it took %s", d)
	}
	if err != nil && (!errors.Is(err, passkey.ErrRefused) || passkey.ReasonOf(err) == "") {
		t.Errorf("an error that is no refusal: %v", err)
	}
}

func FuzzRegistrationAnswer(f *testing.F) {
	challenge, handle := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 64)
	create, _ := question(f, challenge, handle)
	for _, alg := range []int64{es256, eddsa, rs256} {
		for _, attest := range []string{"none", "packed"} {
			d := newDevice(f)
			d.Alg, d.Attest = alg, attest
			valid, err := d.Create(create)
			if err != nil {
				f.Fatal(err)
			}
			for _, b := range spoilt(valid) {
				f.Add(b, false)
			}
			f.Add(valid, true)
		}
	}
	j := fuzzJudge(f)
	f.Fuzz(func(t *testing.T, answer []byte, conditional bool) {
		began := time.Now()
		reg, err := j.Registration(challenge, handle, answer, conditional)
		judged(t, began, err)
		if err != nil {
			return
		}
		if n := len(reg.CredentialID); n < 1 || n > 1023 {
			t.Errorf("a credential id of %d bytes", n)
		}
		if len(reg.Transports) > 8 || len(strings.Join(reg.Transports, " ")) > 300 {
			t.Errorf("transports %q", reg.Transports)
		}
		if reg.BackedUp && !reg.BackupEligible {
			t.Error("backed up, and not eligible")
		}
		if a := reg.Attachment; a != "" && a != "platform" && a != "cross-platform" {
			t.Errorf("attached %q", a)
		}
	})
}

// What is accepted has the key's signature over what was judged, by another way of checking than the one under test.
func FuzzLoginAnswer(f *testing.F) {
	challenge, handle := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 64)
	create, get := question(f, challenge, handle)
	j := fuzzJudge(f)
	var devices []*device
	var regs []passkey.Registration
	for _, alg := range []int64{es256, eddsa, rs256} {
		d := newDevice(f)
		d.Alg = alg
		answer, err := d.Create(create)
		if err != nil {
			f.Fatal(err)
		}
		reg, err := j.Registration(challenge, handle, answer, false)
		if err != nil {
			f.Fatal(err)
		}
		devices, regs = append(devices, d), append(regs, reg)
		for _, b := range spoilt(d.Get(get)) {
			f.Add(b, byte(len(regs)-1), true)
			f.Add(b, byte(len(regs)-1), false)
		}
	}
	f.Fuzz(func(t *testing.T, answer []byte, which byte, discoverable bool) {
		i := int(which) % len(devices)
		began := time.Now()
		a, err := j.Login(challenge, handle, answer, regs[i], discoverable)
		judged(t, began, err)
		if err != nil {
			return
		}
		if a.AccountID != regs[i].AccountID || !bytes.Equal(a.CredentialID, regs[i].CredentialID) {
			t.Errorf("accepted for %+v", a)
		}
		var r struct {
			Response struct{ ClientDataJSON, AuthenticatorData, Signature string }
		}
		if err := json.Unmarshal(answer, &r); err != nil {
			t.Fatalf("accepted, and no JSON: %v", err)
		}
		raw := func(s string) []byte {
			b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		client := sha256.Sum256(raw(r.Response.ClientDataJSON))
		signed := append(raw(r.Response.AuthenticatorData), client[:]...)
		digest := sha256.Sum256(signed)
		good := false
		switch pub := devices[i].Keys[0].Signer.Public().(type) {
		case *ecdsa.PublicKey:
			good = ecdsa.VerifyASN1(pub, digest[:], raw(r.Response.Signature))
		case ed25519.PublicKey:
			good = ed25519.Verify(pub, signed, raw(r.Response.Signature))
		case *rsa.PublicKey:
			good = rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], raw(r.Response.Signature)) == nil
		}
		if !good {
			t.Error("accepted without a signature")
		}
	})
}

// The layers below the JSON, by themselves: an attestation object from an authenticator that may say anything.
func FuzzAttestationObject(f *testing.F) {
	challenge, handle := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 64)
	create, _ := question(f, challenge, handle)
	var client []byte
	for _, alg := range []int64{es256, eddsa, rs256} {
		for _, attest := range []string{"none", "packed"} {
			d := newDevice(f)
			d.Alg, d.Attest = alg, attest
			d.SpoilObject = func(b []byte) []byte {
				f.Add(b)
				f.Add(b[:len(b)/2])
				return b
			}
			d.SpoilResponse = func(r map[string]any) {
				client, _ = b64.DecodeString(r["response"].(map[string]any)["clientDataJSON"].(string))
			}
			if _, err := d.Create(create); err != nil {
				f.Fatal(err)
			}
		}
	}
	for _, format := range []string{"tpm", "android-key", "android-safetynet", "apple", "fido-u2f", "compound"} {
		d := newDevice(f)
		d.Attest = format
		d.SpoilObject = func(b []byte) []byte { f.Add(b); return b }
		if _, err := d.Create(create); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(bytes.Repeat([]byte{0x81}, 20000))
	f.Add([]byte{0xa1, 0x68, 'a', 'u', 't', 'h', 'D', 'a', 't', 'a', 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	j := fuzzJudge(f)
	rp := sha256.Sum256([]byte(rpID))
	f.Fuzz(func(t *testing.T, object []byte) {
		// The id outside must be the one inside, which is looked for where it has to be.
		id := []byte("?")
		if i := bytes.Index(object, rp[:]); i >= 0 && len(object) > i+55 {
			if n := int(object[i+53])<<8 | int(object[i+54]); len(object) >= i+55+n && n > 0 {
				id = object[i+55 : i+55+n]
			}
		}
		text := b64.EncodeToString(id)
		answer, err := json.Marshal(map[string]any{"id": text, "rawId": text, "type": "public-key", "response": map[string]any{
			"clientDataJSON": b64.EncodeToString(client), "attestationObject": b64.EncodeToString(object)}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		reg, err := j.Registration(challenge, handle, answer, false)
		judged(t, began, err)
		if err == nil && (!bytes.Equal(reg.CredentialID, id) || !bytes.Contains(object, rp[:])) {
			t.Errorf("accepted %x for %x", reg.CredentialID, id)
		}
	})
}

// Authenticator data that was really signed, whatever it says.
func FuzzAuthenticatorData(f *testing.F) {
	challenge, handle := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 64)
	create, get := question(f, challenge, handle)
	j := fuzzJudge(f)
	d := newDevice(f)
	made, err := d.Create(create)
	if err != nil {
		f.Fatal(err)
	}
	reg, err := j.Registration(challenge, handle, made, false)
	if err != nil {
		f.Fatal(err)
	}
	d.SpoilData = func(b []byte) []byte {
		f.Add(b)
		f.Add(b[:36])
		f.Add(append(bytes.Clone(b), 0xa0))
		extended := append(bytes.Clone(b), passkeytest.Map(passkeytest.Text("credProtect"), passkeytest.Int(2))...)
		extended[32] |= 0x80
		f.Add(extended)
		f.Add(d.AttestedAgain(b))
		return b
	}
	d.Get(get)
	rp := sha256.Sum256([]byte(rpID))
	f.Fuzz(func(t *testing.T, data []byte) {
		signer := *d
		signer.TB, signer.SpoilData = t, func([]byte) []byte { return data }
		began := time.Now()
		a, err := j.Login(challenge, handle, signer.Get(get), reg, true)
		judged(t, began, err)
		if err != nil {
			return
		}
		flags := data[32]
		if !bytes.Equal(data[:32], rp[:]) || flags&0x01 == 0 || flags&0x08 == 0 || a.UserVerified != (flags&0x04 != 0) || a.BackedUp != (flags&0x10 != 0) {
			t.Errorf("accepted %x as %+v", data, a)
		}
	})
}
