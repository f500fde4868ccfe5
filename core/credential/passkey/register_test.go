package passkey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

func TestRegister_everyAlgorithmAndAttestation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, alg := range []int64{es256, eddsa, rs256} {
			for _, attest := range []string{"none", "packed"} {
				d := newDevice(t)
				d.Alg, d.Attest, d.AAGUID = alg, attest, uuid.MustParse("fbfc3007-154e-4ecc-8c0b-6e020557d7bd")
				k := w.register(w.ada, d)
				if !bytes.Equal(k.CredentialID, d.Keys[0].ID) || k.AccountID != w.ada.ID || k.AAGUID != d.AAGUID || !k.Discoverable || !k.VerificationTrusted ||
					!k.BackupEligible || !k.BackedUp || k.SignCount != 0 || !slices.Equal(k.Transports, d.Ways) || k.Attachment != "platform" || !k.LastUsedAt.IsZero() || k.CreatedAt.IsZero() {
					t.Errorf("%d, %s: %+v", alg, attest, k)
				}
				if got := w.get(w.ada.ID, k.ID); got.Name != k.Name || !got.CreatedAt.Equal(k.CreatedAt) || !slices.Equal(got.Transports, k.Transports) {
					t.Errorf("read back as %+v, was %+v", got, k)
				}
				a, used, err := w.login(d, usernameless)
				if err != nil || a.AccountID != w.ada.ID || a.PasskeyID != k.ID || !a.TwoFactors || used.Regressed {
					t.Errorf("%d, %s: %+v, %+v, %v (%s)", alg, attest, a, used, err, passkey.ReasonOf(err))
				}
			}
		}
	})
}

func TestRegister_options(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.register(w.ada, newDevice(t))
		c := w.mustBeginRegistration(w.ada)
		a := passkeytest.Read(t, c.Options)
		handle, err := w.UserHandle(t.Context(), w.db, w.ada.ID)
		if err != nil || len(handle) != 64 || a.PublicKey.User.ID != b64.EncodeToString(handle) {
			t.Errorf("user handle %q, stored are %d bytes, %v", a.PublicKey.User.ID, len(handle), err)
		}
		if a.PublicKey.RP.ID != rpID || a.PublicKey.RP.Name != "Example" || a.PublicKey.User.Name != w.ada.Name || a.PublicKey.User.DisplayName != w.ada.DisplayName {
			t.Errorf("whose and whom: %+v", a)
		}
		var algs []int
		for _, p := range a.PublicKey.PubKeyCredParams {
			algs = append(algs, p.Alg)
		}
		if !slices.Equal(algs, []int{eddsa, es256, rs256}) || a.PublicKey.Attestation != "none" || a.Mediation != "" || a.PublicKey.Timeout != 290_000 {
			t.Errorf("algorithms %v, %+v", algs, a)
		}
		if s := a.PublicKey.AuthenticatorSelection; s.ResidentKey != "preferred" || s.RequireResidentKey || s.UserVerification != "preferred" || s.AuthenticatorAttachment != "" {
			t.Errorf("selection %+v", s)
		}
		if e := a.PublicKey.ExcludeCredentials; len(e) != 1 || e[0].ID != b64.EncodeToString(first.CredentialID) || !slices.Equal(e[0].Transports, first.Transports) {
			t.Errorf("excluded %+v", e)
		}
		if len(passkeytest.Decode(t, a.PublicKey.Challenge)) != 32 || a.PublicKey.Challenge == passkeytest.Read(t, w.mustBeginRegistration(w.ada).Options).PublicKey.Challenge {
			t.Errorf("challenge %q", a.PublicKey.Challenge)
		}
		if bob := passkeytest.Read(t, w.mustBeginRegistration(w.bob).Options); bob.PublicKey.User.ID == a.PublicKey.User.ID || len(bob.PublicKey.ExcludeCredentials) != 0 {
			t.Errorf("Bob's: %+v", bob)
		}
		w.configure(func(s *passkey.Settings) { s.RequireUV = true; s.AllowedAAGUIDs = []uuid.UUID{uuid.New()} })
		strict := passkeytest.Read(t, w.mustBeginRegistration(w.ada).Options)
		if strict.PublicKey.AuthenticatorSelection.UserVerification != "required" || strict.PublicKey.Attestation != "direct" {
			t.Errorf("strict: %+v", strict)
		}
	})
}

// Made without a dialog after a password sign-in: nobody need have touched anything, and what the authenticator says of
// verification later is no factor until another one was proved beside it.
func TestRegister_conditional(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.configure(func(s *passkey.Settings) { s.RequireUV = true }) // can't be had here, and is not asked
		d := newDevice(t)
		d.UV, d.UP = false, false
		c, err := w.beginRegistration(w.ada, passkey.RegistrationOptions{Conditional: true})
		if err != nil {
			t.Fatal(err)
		}
		if a := passkeytest.Read(t, c.Options); a.Mediation != "conditional" || a.PublicKey.AuthenticatorSelection.ResidentKey != "required" || !a.PublicKey.AuthenticatorSelection.RequireResidentKey ||
			a.PublicKey.AuthenticatorSelection.UserVerification != "preferred" {
			t.Errorf("%+v", a)
		}
		answer, err := d.Create(c.Options)
		if err != nil {
			t.Fatal(err)
		}
		reg, err := w.VerifyRegistration(t.Context(), w.ada.ID, c.Token, answer)
		if err != nil || !reg.Conditional || reg.UserVerified {
			t.Fatalf("%+v, %v", reg, err)
		}
		if _, err := w.add(reg, ""); err != nil {
			t.Fatal(err)
		}
		w.configure(func(*passkey.Settings) {})

		d.UV, d.UP = true, true
		a, _, err := w.login(d, usernameless)
		if err != nil || !a.UserVerified || a.TwoFactors {
			t.Fatalf("the first time: %+v, %v", a, err)
		}
		if a, _, _ = w.login(d, usernameless); a.TwoFactors {
			t.Error("using it alone made it trusted")
		}
		asSecond := second(w.ada)
		asSecond.TrustUV = true
		d.UV = false
		if _, _, err := w.login(d, asSecond); err != nil {
			t.Fatal(err)
		}
		d.UV = true
		if a, _, _ = w.login(d, usernameless); a.TwoFactors {
			t.Error("trusted without having verified anybody")
		}
		if _, _, err := w.login(d, asSecond); err != nil {
			t.Fatal(err)
		}
		if a, _, _ = w.login(d, usernameless); !a.TwoFactors {
			t.Error("verified beside another factor, and still not trusted")
		}
		for _, d.UV = range []bool{false, true} { // nor does it ever lose that
			if a, _, _ = w.login(d, usernameless); a.TwoFactors != d.UV {
				t.Errorf("used once more: %+v", a)
			}
		}
	})
}

func TestTrustVerification(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := newDevice(t)
		d.UV = false
		w.register(w.ada, d)
		trust := func(a passkey.Assertion) {
			w.tx(func(ctx context.Context, tx *store.Tx) error { return w.TrustVerification(ctx, tx, a) })
		}
		a, _, err := w.login(d, usernameless)
		if err != nil {
			t.Fatal(err)
		}
		trust(a) // it verified nobody
		d.UV = true
		if a, _, _ = w.login(d, usernameless); a.TwoFactors || !a.UserVerified {
			t.Fatalf("%+v", a)
		}
		trust(a)
		if a, _, _ = w.login(d, usernameless); !a.TwoFactors {
			t.Fatalf("%+v", a)
		}
	})
}

// member changes one member of the answer's response.
func member(name string, change func([]byte) []byte) func(*device) {
	return func(d *device) {
		d.SpoilResponse = func(r map[string]any) {
			m := r["response"].(map[string]any)
			old, _ := m[name].(string)
			b, _ := b64.DecodeString(old)
			m[name] = b64.EncodeToString(change(b))
		}
	}
}

func client(name string, value any) func(*device) {
	return func(d *device) {
		d.SpoilClient = func(c map[string]any) {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		}
	}
}

func flipped(b []byte) []byte {
	b = slices.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

func TestRegister_refused(t *testing.T) {
	top := func(name string, value any) func(*device) {
		return func(d *device) { d.SpoilResponse = func(r map[string]any) { r[name] = value } }
	}
	cases := []struct {
		name  string
		spoil func(*device)
		want  passkey.Reason
	}{
		{"another origin", func(d *device) { d.Origin = "https://id.example.org.evil.example" }, passkey.ReasonOrigin},
		{"a sibling", func(d *device) { d.Origin = "https://www.example.org" }, passkey.ReasonOrigin},
		{"plain http", func(d *device) { d.Origin = "http://id.example.org" }, passkey.ReasonOrigin},
		{"another port", func(d *device) { d.Origin = "https://id.example.org:8443" }, passkey.ReasonOrigin},
		{"an origin with a path", func(d *device) { d.Origin = origin + "/" }, passkey.ReasonOrigin},
		{"an origin in capitals", func(d *device) { d.Origin = strings.ToUpper(origin) }, passkey.ReasonOrigin},
		{"an origin with a user", func(d *device) { d.Origin = "https://x@id.example.org" }, passkey.ReasonOrigin},
		{"no origin", client("origin", ""), passkey.ReasonOrigin},
		{"framed", client("crossOrigin", true), passkey.ReasonCrossOrigin},
		{"framed by", client("topOrigin", origin), passkey.ReasonCrossOrigin},
		{"another challenge", client("challenge", b64.EncodeToString(make([]byte, 32))), passkey.ReasonChallenge},
		{"no challenge", client("challenge", nil), passkey.ReasonChallenge},
		{"an assertion", client("type", "webauthn.get"), passkey.ReasonType},
		{"another type", client("type", "payment.get"), passkey.ReasonType},
		{"another RP", func(d *device) {
			d.SpoilData = func(b []byte) []byte { b = slices.Clone(b); b[0] ^= 1; return b }
		}, passkey.ReasonRPID},
		{"nobody present", func(d *device) { d.UP = false }, passkey.ReasonUserPresence},
		{"backed up, but not eligible", func(d *device) { d.BE = false }, passkey.ReasonBackupFlags},
		{"truncated attestation object", func(d *device) { d.SpoilObject = func(b []byte) []byte { return b[:len(b)-20] } }, passkey.ReasonMalformed},
		{"bytes behind the attestation object", func(d *device) { d.SpoilObject = func(b []byte) []byte { return append(b, 0) } }, passkey.ReasonMalformed},
		{"empty attestation object", func(d *device) { d.SpoilObject = func([]byte) []byte { return nil } }, passkey.ReasonMalformed},
		{"indefinite length", func(d *device) {
			d.SpoilObject = func(b []byte) []byte { return append(append([]byte{0xbf}, b[1:]...), 0xff) }
		}, passkey.ReasonMalformed},
		{"deeply nested", func(d *device) { d.SpoilObject = func([]byte) []byte { return bytes.Repeat([]byte{0x81}, 60000) } }, passkey.ReasonTooLarge},
		{"nested", func(d *device) { d.SpoilObject = func([]byte) []byte { return bytes.Repeat([]byte{0x81}, 30000) } }, passkey.ReasonMalformed},
		{"a huge length", func(d *device) {
			d.SpoilObject = func([]byte) []byte { return []byte{0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }
		}, passkey.ReasonMalformed},
		{"truncated authenticator data", func(d *device) { d.SpoilData = func(b []byte) []byte { return b[:40] } }, passkey.ReasonMalformed},
		{"bytes behind the authenticator data", func(d *device) { d.SpoilData = func(b []byte) []byte { return append(slices.Clone(b), 1, 2, 3) } }, passkey.ReasonMalformed},
		{"no attested data", func(d *device) {
			d.SpoilData = func(b []byte) []byte { b = slices.Clone(b[:37]); b[32] &^= 0x40; return b }
		}, passkey.ReasonMalformed},
		{"an unknown format", func(d *device) { d.Attest = "sigra" }, passkey.ReasonAttestation},
		{"packed, signed by another", func(d *device) { d.Attest, d.SpoilSig = "packed", flipped }, passkey.ReasonAttestation},
		{"a credential id of 1024 bytes", func(d *device) { d.CredentialID = func() []byte { return make([]byte, 1024) } }, passkey.ReasonMalformed},
		{"another id outside", func(d *device) {
			d.SpoilResponse = func(r map[string]any) { r["id"], r["rawId"] = "AAAA", "AAAA" }
		}, passkey.ReasonAttestation},
		{"ids that differ", top("id", "AAAA"), passkey.ReasonMalformed},
		{"another credential type", top("type", "password"), passkey.ReasonMalformed},
		{"no response", top("response", nil), passkey.ReasonMalformed},
		{"client data that is no JSON", member("clientDataJSON", func([]byte) []byte { return []byte("{") }), passkey.ReasonMalformed},
		{"ES384", func(d *device) { d.Alg = -35 }, passkey.ReasonKey},
		{"SHA-1", func(d *device) { d.Alg = -65535 }, passkey.ReasonKey},
		{"a point not on the curve", func(d *device) { d.SpoilCOSE = flipped }, passkey.ReasonKey},
		{"a key that is no map", func(d *device) { d.SpoilCOSE = func([]byte) []byte { return passkeytest.Bytes([]byte("key")) } }, passkey.ReasonKey},
		{"a truncated key", func(d *device) { d.SpoilCOSE = func(b []byte) []byte { return b[:len(b)-4] } }, passkey.ReasonMalformed},
		{"RSA of 1024 bits", rsaOf(128), passkey.ReasonKey},
		{"RSA of 8192 bits", rsaOf(1024), passkey.ReasonKey},
		{"RSA of 160000 bits", rsaOf(20000), passkey.ReasonKey},
		{"no JSON", func(d *device) { d.Answer = func([]byte) []byte { return []byte("nonsense") } }, passkey.ReasonMalformed},
		{"nothing", func(d *device) { d.Answer = func([]byte) []byte { return nil } }, passkey.ReasonMalformed},
		{"a list", func(d *device) {
			d.Answer = func(b []byte) []byte { return slices.Concat([]byte("["), b, []byte("]")) }
		}, passkey.ReasonMalformed},
		{"something behind the JSON", func(d *device) { d.Answer = func(b []byte) []byte { return append(b, "{}"...) } }, passkey.ReasonMalformed},
		{"a byte too many", func(d *device) {
			d.Answer = func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), 64<<10-len(b)+1)...) }
		}, passkey.ReasonTooLarge},
	}
	each(t, func(t *testing.T, w *world) {
		for _, c := range cases {
			d := newDevice(t)
			c.spoil(d)
			reg, err := w.verify(w.ada, d, passkey.RegistrationOptions{})
			refused(t, c.name, err, c.want)
			if len(reg.CredentialID) > 0 {
				t.Errorf("%s: refused and given out: %+v", c.name, reg)
			}
		}
		w.configure(func(s *passkey.Settings) { s.RequireUV = true })
		d := newDevice(t)
		d.UV = false
		_, err := w.verify(w.ada, d, passkey.RegistrationOptions{})
		refused(t, "not verified", err, passkey.ReasonUserVerification)
	})
}

// rsaOf makes keys with a modulus of so many bytes, which nothing could sign with.
func rsaOf(n int) func(*device) {
	return func(d *device) {
		d.Alg = rs256
		d.SpoilCOSE = func([]byte) []byte {
			return passkeytest.Map(passkeytest.Int(1), passkeytest.Int(3), passkeytest.Int(3), passkeytest.Int(rs256), passkeytest.Int(-1), passkeytest.Bytes(bytes.Repeat([]byte{0xff}, n)), passkeytest.Int(-2), passkeytest.Bytes([]byte{1, 0, 1}))
		}
	}
}

func TestRegister_accepted(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for name, change := range map[string]func(*device){
			"a related origin": func(d *device) { d.Origin = related },
			"an answer of exactly 64 KiB": func(d *device) {
				d.Answer = func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), 64<<10-len(b))...) }
			},
			"a credential id of 1023 bytes": func(d *device) { d.CredentialID = func() []byte { return bytes.Repeat([]byte{1}, 1023) } },
			"a credential id of one byte":   func(d *device) { d.CredentialID = func() []byte { return []byte{7} } },
			"members of the client data that nobody knows": func(d *device) {
				d.SpoilClient = func(c map[string]any) {
					c["new_keys_may_be_added_here"] = "do not compare clientDataJSON against a template"
				}
			},
			"extensions that nobody asked for": func(d *device) {
				d.SpoilResponse = func(r map[string]any) {
					r["clientExtensionResults"] = map[string]any{"prf": map[string]any{"enabled": true}, "minted": 1}
				}
			},
			"a key that is not backed up": func(d *device) { d.BE, d.BS = false, false },
		} {
			d := newDevice(t)
			change(d)
			reg, err := w.verify(w.ada, d, passkey.RegistrationOptions{})
			if err != nil {
				t.Errorf("%s: %v (%s)", name, err, passkey.ReasonOf(err))
				continue
			}
			if _, err := w.add(reg, ""); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestRegister_discoverable(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		yes, no := true, false
		for _, c := range []struct {
			name   string
			rk     *bool
			attach string
			be     bool
			want   bool
		}{
			{"the browser says so", &yes, "cross-platform", false, true},
			{"the browser says not", &no, "platform", true, false},
			{"on a device, not said", nil, "platform", false, true},
			{"synced, not said", nil, "", true, true},
			{"a key, not said", nil, "cross-platform", false, false},
		} {
			d := newDevice(t)
			d.RK, d.Attach, d.BE, d.BS = c.rk, c.attach, c.be, false
			if k := w.register(w.ada, d); k.Discoverable != c.want {
				t.Errorf("%s: %v", c.name, k.Discoverable)
			}
		}
		all, discoverable, err := w.Count(t.Context(), w.db, w.ada.ID)
		if all != 5 || discoverable != 3 || err != nil {
			t.Errorf("%d of %d, %v", discoverable, all, err)
		}
		// One that signs in without a name has shown that it can.
		d := newDevice(t)
		d.RK = &no
		k := w.register(w.ada, d)
		if _, _, err := w.login(d, second(w.ada)); err != nil || w.get(w.ada.ID, k.ID).Discoverable {
			t.Errorf("as a second factor: %v", err)
		}
		if _, _, err := w.login(d, usernameless); err != nil || !w.get(w.ada.ID, k.ID).Discoverable {
			t.Errorf("without a name: %v", err)
		}
	})
}

func TestRegister_excluded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := newDevice(t)
		w.register(w.ada, d)
		if _, err := w.verify(w.ada, d, passkey.RegistrationOptions{}); !errors.Is(err, passkeytest.ErrExcluded) {
			t.Errorf("the device made a second one: %v", err)
		}
		// A device that ignores the list and gives out the same credential again, to the same account and to another.
		for _, u := range []passkey.User{w.ada, w.bob} {
			again := newDevice(t)
			again.CredentialID = func() []byte { return d.Keys[0].ID }
			reg, err := w.verify(u, again, passkey.RegistrationOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.add(reg, ""); !errors.Is(err, passkey.ErrExists) || passkey.ReasonOf(err) != passkey.ReasonExists {
				t.Errorf("the same credential for %s: %v", u.Name, err)
			} else if s, ok := w.UnknownCredential(err); ok {
				t.Errorf("the device is told to drop a good passkey: %+v", s)
			}
		}
		if _, _, err := w.login(d, usernameless); err != nil {
			t.Errorf("the first one is disturbed: %v", err)
		}
	})
}

func TestRegister_models(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		allowed := uuid.New()
		w.configure(func(s *passkey.Settings) { s.AllowedAAGUIDs = []uuid.UUID{allowed} })
		for _, id := range []uuid.UUID{uuid.Nil, uuid.New()} {
			d := newDevice(t)
			d.AAGUID = id
			if _, err := w.verify(w.ada, d, passkey.RegistrationOptions{}); !errors.Is(err, passkey.ErrNotAllowed) || passkey.ReasonOf(err) != passkey.ReasonModel {
				t.Errorf("%s: %v", id, err)
			} else if s, ok := w.UnknownCredential(err); !ok || !bytes.Equal(s.Unknown.CredentialID, d.Keys[0].ID) {
				t.Errorf("%s: the device is not told to drop it: %+v", id, s)
			}
		}
		d := newDevice(t)
		d.AAGUID = allowed
		w.register(w.ada, d)
	})
}

func TestLimit_atTheEdge(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var waiting []passkey.Registration
		for range 2 {
			reg, err := w.verify(w.ada, newDevice(t), passkey.RegistrationOptions{})
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, reg)
		}
		for range passkey.DefaultMaxPerAccount - 1 {
			w.register(w.ada, newDevice(t))
		}
		if _, err := w.add(waiting[0], ""); err != nil {
			t.Fatalf("the 20th: %v", err)
		}
		if _, err := w.add(waiting[1], ""); fault.From(err).Code != "passkey_limit" || passkey.ReasonOf(err) != passkey.ReasonLimit {
			t.Fatalf("the 21st: %v", err)
		} else if s, ok := w.UnknownCredential(err); !ok || !bytes.Equal(s.Unknown.CredentialID, waiting[1].CredentialID) {
			t.Fatalf("the device is not told to drop the 21st: %+v", s)
		}
		if _, err := w.beginRegistration(w.ada, passkey.RegistrationOptions{}); fault.From(err).Code != "passkey_limit" {
			t.Fatalf("asked for a 21st: %v", err)
		}
		w.register(w.bob, newDevice(t))
		all, err := w.List(t.Context(), w.db, w.ada.ID)
		if len(all) != 20 || err != nil {
			t.Fatalf("%d, %v", len(all), err)
		}
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			_, err := w.Delete(ctx, tx, w.ada.ID, all[3].ID)
			return err
		})
		w.register(w.ada, newDevice(t))
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			aaguid, attach string
			ways           []string
			want           string
		}{
			{"bada5566-a7aa-401f-bd96-45619a55120d", "", nil, "1Password"},
			{"bada5566-a7aa-401f-bd96-45619a55120d", "", nil, "1Password 2"},
			{"bada5566-a7aa-401f-bd96-45619a55120d", "", nil, "1Password 3"},
			{"", "platform", []string{"internal"}, "Passkey on a device"},
			{"", "cross-platform", []string{"hybrid"}, "Phone or tablet"},
			{"", "cross-platform", []string{"cable"}, "Phone or tablet 2"}, // its former name
			{"", "cross-platform", []string{"usb", "nfc"}, "Security key"},
			{"", "cross-platform", nil, "Passkey"},
			{"", "", []string{"Quantum!", "telepathy"}, "Passkey 2"},
		} {
			d := newDevice(t)
			d.Attach, d.Ways = c.attach, c.ways
			if c.aaguid != "" {
				d.AAGUID = uuid.MustParse(c.aaguid)
			}
			if k := w.register(w.ada, d); k.Name != c.want {
				t.Errorf("%+v is called %q", c, k.Name)
			} else if slices.Contains(k.Transports, "Quantum!") {
				t.Errorf("kept %q", k.Transports)
			}
		}
		k := w.register(w.bob, newDevice(t))
		rename := func(name string) (passkey.Passkey, error) {
			var got passkey.Passkey
			err := w.try(func(ctx context.Context, tx *store.Tx) (err error) {
				got, err = w.Rename(ctx, tx, w.bob.ID, k.ID, name)
				return err
			})
			return got, err
		}
		for in, want := range map[string]string{
			"Phone": "Phone", "  my \t\n phone  ": "my phone", "caf\u00e9": "café", "cafe\u0301": "café", "a\x00b\u202ec\u200fd": "abcd",
			strings.Repeat("é", 64): strings.Repeat("é", 64), "鍵": "鍵", "🔑 <b>": "🔑 <b>", "1": "1",
		} {
			if got, err := rename(in); err != nil || got.Name != want || w.get(w.bob.ID, k.ID).Name != want {
				t.Errorf("%q became %q, %v; want %q", in, got.Name, err, want)
			}
		}
		for _, in := range []string{"", " ", "\u202e\x00", "\u200b", strings.Repeat("é", 65), "a\xffb", strings.Repeat(" ", 2000) + "x"} {
			if _, err := rename(in); fault.From(err).Code != "passkey_name" || fault.From(err).Field != "name" {
				t.Errorf("%.20q: %v", in, err)
			}
		}
		reg, err := w.verify(w.bob, newDevice(t), passkey.RegistrationOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.add(reg, strings.Repeat("x", 65)); fault.From(err).Code != "passkey_name" {
			t.Errorf("too long: %v", err)
		}
		if k, err := w.add(reg, " Work "); err != nil || k.Name != "Work" {
			t.Errorf("the ceremony was spent for a bad name: %v", err)
		}
	})
}

func TestModelName_tableIsClean(t *testing.T) {
	t.Parallel()
	if n := passkey.ModelName(uuid.MustParse("ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4")); n != "Google Password Manager" {
		t.Errorf("%q", n)
	}
	if n := passkey.ModelName(uuid.Nil); n != "" {
		t.Errorf("all zeros is %q", n)
	}
	for id, name := range passkey.Models() {
		if id == uuid.Nil || len(name) < 2 || len(name) > 40 || strings.TrimSpace(name) != name {
			t.Errorf("%s %q", id, name)
		}
	}
	if len(passkey.Models()) < 40 {
		t.Errorf("only %d models", len(passkey.Models()))
	}
}

func TestAnswer_neverLeaksIntoJSON(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, err := w.verify(w.ada, func() *device { d := newDevice(t); d.Origin = "https://evil.example"; return d }(), passkey.RegistrationOptions{})
		f := fault.From(err)
		b, jerr := json.Marshal(f)
		if jerr != nil || bytes.Contains(b, []byte("origin")) || bytes.Contains(b, []byte("evil")) || f.Message != passkey.ErrRefused.Message {
			t.Errorf("%s, %v", b, jerr)
		}
		if !strings.Contains(err.Error(), "origin") {
			t.Errorf("the log does not learn why: %v", err)
		}
	})
}

func TestRegister_expiry(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		begin := func() (passkey.Ceremony, []byte) {
			c := w.mustBeginRegistration(w.ada)
			answer, err := newDevice(t).Create(c.Options)
			if err != nil {
				t.Fatal(err)
			}
			return c, answer
		}
		c, answer := begin()
		if d := time.Until(c.ExpiresAt); d > passkey.DefaultCeremonyTTL || d < passkey.DefaultCeremonyTTL-time.Minute {
			t.Errorf("ends in %s", d)
		}
		w.advance(passkey.DefaultCeremonyTTL + time.Second)
		_, err := w.VerifyRegistration(t.Context(), w.ada.ID, c.Token, answer)
		refused(t, "too late", err, passkey.ReasonCeremonyExpired)

		c, answer = begin()
		reg, err := w.VerifyRegistration(t.Context(), w.ada.ID, c.Token, answer)
		if err != nil {
			t.Fatal(err)
		}
		w.advance(passkey.DefaultCeremonyTTL + time.Second)
		_, err = w.add(reg, "")
		refused(t, "too late after it was verified", err, passkey.ReasonCeremonySpent)
	})
}
