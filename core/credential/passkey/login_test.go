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

func TestLogin_usernameless(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := newDevice(t)
		adas, bobs := w.register(w.ada, d), w.register(w.bob, d)
		for _, k := range []passkey.Passkey{adas, bobs} {
			d.Pick = func(keys []*key) *key {
				return keys[slices.IndexFunc(keys, func(x *key) bool { return bytes.Equal(x.ID, k.CredentialID) })]
			}
			o := usernameless
			o.RequireUV = true
			a, used, err := w.login(d, o)
			if err != nil || a.AccountID != k.AccountID || a.PasskeyID != k.ID || !a.UserVerified || !a.TwoFactors || a.Purpose != passkey.PurposeLogin || used != (passkey.Used{}) {
				t.Errorf("%+v, %+v, %v", a, used, err)
			}
			if got := w.get(k.AccountID, k.ID); got.LastUsedAt.IsZero() || time.Since(got.LastUsedAt) > time.Minute {
				t.Errorf("last used %v", got.LastUsedAt)
			}
		}
	})
}

// The options of a sign-in say nothing of anybody: they have the same members, and the same values but for the challenge.
func TestLogin_optionsAreTheSameForEverybody(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		shape := func() string {
			c, err := w.beginLogin(passkey.LoginOptions{Purpose: passkey.PurposeLogin, RequireUV: true})
			if err != nil {
				t.Fatal(err)
			}
			challenge := passkeytest.Read(t, c.Options).PublicKey.Challenge
			return strings.ReplaceAll(string(c.Options), challenge, "CHALLENGE")
		}
		before := shape()
		w.register(w.ada, newDevice(t))
		if after := shape(); after != before || before != `{"publicKey":{"challenge":"CHALLENGE","timeout":290000,"rpId":"example.org","userVerification":"required"}}` {
			t.Errorf("%s\n%s", before, after)
		}
	})
}

func TestLogin_optionsOfAnAccount(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if _, err := w.beginLogin(second(w.ada)); !errors.Is(err, passkey.ErrNone) {
			t.Errorf("without a passkey: %v", err)
		}
		k, other := w.register(w.ada, securityKey(t)), w.register(w.bob, newDevice(t))
		c, err := w.beginLogin(second(w.ada))
		if err != nil {
			t.Fatal(err)
		}
		a := passkeytest.Read(t, c.Options).PublicKey
		if len(a.AllowCredentials) != 1 || a.AllowCredentials[0].ID != b64.EncodeToString(k.CredentialID) || a.AllowCredentials[0].ID == b64.EncodeToString(other.CredentialID) ||
			a.AllowCredentials[0].Type != "public-key" || !slices.Equal(a.AllowCredentials[0].Transports, []string{"usb", "nfc"}) || a.UserVerification != "preferred" {
			t.Errorf("%+v", a)
		}
		w.configure(func(s *passkey.Settings) { s.RequireUV = true })
		if c, err = w.beginLogin(second(w.ada)); err != nil || passkeytest.Read(t, c.Options).PublicKey.UserVerification != "required" {
			t.Errorf("the settings require verification: %s, %v", c.Options, err)
		}
		for _, o := range []passkey.LoginOptions{{Purpose: passkey.PurposeSecondFactor}, {Purpose: passkey.PurposeStepUp}, {Purpose: passkey.PurposeRegister, AccountID: w.ada.ID}, {}} {
			if _, err := w.beginLogin(o); err == nil {
				t.Errorf("%+v was begun", o)
			}
		}
	})
}

func TestLogin_refused(t *testing.T) {
	cases := []struct {
		name  string
		spoil func(*device)
		want  passkey.Reason
	}{
		{"another origin", func(d *device) { d.Origin = "https://evil.example" }, passkey.ReasonOrigin},
		{"a sibling", func(d *device) { d.Origin = "https://example.org" }, passkey.ReasonOrigin},
		{"framed", client("crossOrigin", true), passkey.ReasonCrossOrigin},
		{"framed by a related origin", client("topOrigin", related), passkey.ReasonCrossOrigin},
		{"another challenge", client("challenge", b64.EncodeToString(make([]byte, 32))), passkey.ReasonChallenge},
		{"a registration", client("type", "webauthn.create"), passkey.ReasonType},
		{"another RP", func(d *device) { d.SpoilData = func(b []byte) []byte { b = slices.Clone(b); b[31] ^= 1; return b } }, passkey.ReasonRPID},
		{"nobody present", func(d *device) { d.UP = false }, passkey.ReasonUserPresence},
		{"nobody verified", func(d *device) { d.UV = false }, passkey.ReasonUserVerification},
		{"no longer eligible, by somebody without the key", func(d *device) { d.BE, d.BS, d.SpoilSig = false, false, flipped }, passkey.ReasonSignature},
		{"backed up, not eligible", func(d *device) { d.BE = false }, passkey.ReasonBackupFlags},
		{"another signature", func(d *device) { d.SpoilSig = flipped }, passkey.ReasonSignature},
		{"no signature", func(d *device) { d.SpoilSig = func([]byte) []byte { return nil } }, passkey.ReasonSignature},
		{"bytes behind the signature", func(d *device) { d.SpoilSig = func(b []byte) []byte { return append(b, 0) } }, passkey.ReasonSignature},
		{"a huge signature", func(d *device) { d.SpoilSig = func([]byte) []byte { return make([]byte, 40000) } }, passkey.ReasonSignature},
		{"a counter changed on the way", member("authenticatorData", func(b []byte) []byte { return flipped(b) }), passkey.ReasonSignature},
		{"verification claimed on the way", func(d *device) {
			d.UV = false
			member("authenticatorData", func(b []byte) []byte { b[32] |= 4; return b })(d)
		}, passkey.ReasonSignature},
		{"truncated authenticator data", member("authenticatorData", func(b []byte) []byte { return b[:36] }), passkey.ReasonMalformed},
		{"bytes behind the authenticator data", member("authenticatorData", func(b []byte) []byte { return append(b, 0) }), passkey.ReasonMalformed},
		{"extensions promised", func(d *device) { d.SpoilData = func(b []byte) []byte { b = slices.Clone(b); b[32] |= 0x80; return b } }, passkey.ReasonMalformed},
		{"extensions that are no CBOR", func(d *device) {
			d.SpoilData = func(b []byte) []byte { b = append(slices.Clone(b), 0xff); b[32] |= 0x80; return b }
		}, passkey.ReasonMalformed},
		{"another user handle", member("userHandle", flipped), passkey.ReasonUserHandle},
		{"no user handle", func(d *device) { d.NoOwner = true }, passkey.ReasonUserHandle},
		{"a long user handle", member("userHandle", func([]byte) []byte { return make([]byte, 10000) }), passkey.ReasonUserHandle},
		{"an unknown credential", func(d *device) { d.Pick = func([]*key) *key { k := d.NewKey(); k.RPID = rpID; return k } }, passkey.ReasonCredentialUnknown},
		{"a long credential id", func(d *device) {
			d.Pick = func(keys []*key) *key { k := *keys[0]; k.ID = make([]byte, 20000); return &k }
		}, passkey.ReasonCredentialUnknown},
		{"client data that is no JSON", member("clientDataJSON", func([]byte) []byte { return []byte("[]") }), passkey.ReasonMalformed},
		{"no JSON", func(d *device) { d.Answer = func([]byte) []byte { return []byte{0xff} } }, passkey.ReasonMalformed},
		{"null", func(d *device) { d.Answer = func([]byte) []byte { return []byte("null") } }, passkey.ReasonMalformed},
		{"something behind the JSON", func(d *device) { d.Answer = func(b []byte) []byte { return append(b, '1') } }, passkey.ReasonMalformed},
		{"megabytes", func(d *device) { d.Answer = func([]byte) []byte { return bytes.Repeat([]byte("["), 4<<20) } }, passkey.ReasonTooLarge},
		{"deeply nested", func(d *device) { d.Answer = func([]byte) []byte { return bytes.Repeat([]byte("["), 60000) } }, passkey.ReasonMalformed},
	}
	each(t, func(t *testing.T, w *world) {
		d := newDevice(t)
		w.register(w.ada, d)
		for _, c := range cases {
			spoilt := *d
			c.spoil(&spoilt)
			a, err := w.assert(&spoilt, passkey.LoginOptions{Purpose: passkey.PurposeLogin, RequireUV: true})
			refused(t, c.name, err, c.want)
			if a.AccountID != uuid.Nil {
				t.Errorf("%s: refused and given out: %+v", c.name, a)
			}
		}
		if all, _ := w.List(t.Context(), w.db, w.ada.ID); !all[0].LastUsedAt.IsZero() {
			t.Error("a refused one counts as used")
		}
		changed := *d
		changed.BE, changed.BS = false, false
		if _, err := w.assert(&changed, usernameless); passkey.ReasonOf(err) != passkey.ReasonBackupChanged || fault.From(err).Code != "passkey_changed" {
			t.Errorf("no longer eligible: %v", err)
		}
		d.Origin = related
		if _, _, err := w.login(d, usernameless); err != nil {
			t.Errorf("a related origin: %v", err)
		}
	})
}

func TestLogin_otherKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		adas, bobs := newDevice(t), newDevice(t)
		w.register(w.ada, adas)
		w.register(w.bob, bobs)
		forged := func(change func(k *key)) *device {
			d := newDevice(t)
			k := *bobs.Keys[0]
			change(&k)
			d.Keys = []*key{&k}
			d.Pick = func(keys []*key) *key { return keys[0] }
			return d
		}
		_, err := w.assert(forged(func(*key) {}), second(w.ada))
		refused(t, "Bob's passkey for Ada's sign-in", err, passkey.ReasonCredentialOther)
		_, err = w.assert(forged(func(k *key) { k.ID = adas.Keys[0].ID }), second(w.ada))
		refused(t, "Ada's id, Bob's handle", err, passkey.ReasonUserHandle)
		_, err = w.assert(forged(func(k *key) { k.ID, k.Handle = adas.Keys[0].ID, adas.Keys[0].Handle }), second(w.ada))
		refused(t, "Ada's id, Bob's key", err, passkey.ReasonSignature)
		_, err = w.assert(forged(func(k *key) { k.Handle = adas.Keys[0].Handle }), usernameless)
		refused(t, "Bob's passkey, Ada's handle", err, passkey.ReasonUserHandle)
		_, err = w.assert(forged(func(k *key) { k.Signer = adas.Keys[0].Signer }), usernameless)
		refused(t, "Bob's passkey, Ada's key", err, passkey.ReasonSignature)

		// A key that knows no user handle is fine where the account is known.
		adas.NoOwner = true
		if a, _, err := w.login(adas, second(w.ada)); err != nil || a.AccountID != w.ada.ID {
			t.Errorf("without a user handle: %+v, %v", a, err)
		}
	})
}

func TestCeremony_boundToPurposeAndAccount(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := newDevice(t)
		w.register(w.ada, d)
		verify := func(o passkey.LoginOptions, p passkey.Purpose, account uuid.UUID) error {
			c, err := w.beginLogin(o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.VerifyLogin(t.Context(), p, account, c.Token, d.Get(c.Options))
			return err
		}
		stepUp := passkey.LoginOptions{Purpose: passkey.PurposeStepUp, AccountID: w.ada.ID}
		named := passkey.LoginOptions{Purpose: passkey.PurposeLogin, AccountID: w.ada.ID}
		for _, c := range []struct {
			name    string
			begun   passkey.LoginOptions
			purpose passkey.Purpose
			account uuid.UUID
			want    passkey.Reason
		}{
			{"as begun", stepUp, passkey.PurposeStepUp, w.ada.ID, ""},
			{"as begun, with a name", named, passkey.PurposeLogin, w.ada.ID, ""},
			{"a second factor for a step-up", second(w.ada), passkey.PurposeStepUp, w.ada.ID, passkey.ReasonCeremonyPurpose},
			{"a step-up for a login", stepUp, passkey.PurposeLogin, w.ada.ID, passkey.ReasonCeremonyPurpose},
			{"a login for a step-up", usernameless, passkey.PurposeStepUp, w.ada.ID, passkey.ReasonCeremonyPurpose},
			{"nobody's for Ada's", usernameless, passkey.PurposeLogin, w.ada.ID, passkey.ReasonCeremonyPurpose},
			{"Ada's for nobody's", named, passkey.PurposeLogin, uuid.Nil, passkey.ReasonCeremonyPurpose},
			{"Ada's for Bob's", second(w.ada), passkey.PurposeSecondFactor, w.bob.ID, passkey.ReasonCeremonyPurpose},
			{"a login for a registration", named, passkey.PurposeRegister, w.ada.ID, passkey.ReasonCeremonyPurpose},
		} {
			if err := verify(c.begun, c.purpose, c.account); c.want == "" && err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else if c.want != "" {
				refused(t, c.name, err, c.want)
			}
		}
		login, err := w.beginLogin(second(w.ada))
		if err != nil {
			t.Fatal(err)
		}
		register := w.mustBeginRegistration(w.ada)
		answer, err := newDevice(t).Create(register.Options)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.VerifyRegistration(t.Context(), w.ada.ID, login.Token, answer)
		refused(t, "a login's token for a registration", err, passkey.ReasonCeremonyPurpose)
		_, err = w.VerifyRegistration(t.Context(), w.bob.ID, register.Token, answer)
		refused(t, "Ada's registration for Bob", err, passkey.ReasonCeremonyPurpose)
		_, err = w.VerifyLogin(t.Context(), passkey.PurposeRegister, w.ada.ID, register.Token, d.Get(login.Options))
		refused(t, "a registration's token for a login", err, passkey.ReasonCeremonyPurpose)

		for name, token := range map[string]string{
			"empty": "", "short": login.Token[1:], "long": login.Token + "A", "padded": login.Token + "=", "other alphabet": strings.Repeat("/", 43),
			"made up": strings.Repeat("A", 43), "newline": login.Token[:42] + "\n", "huge": strings.Repeat("A", 1<<20), "the challenge": passkeytest.Read(t, login.Options).PublicKey.Challenge,
		} {
			_, err := w.VerifyLogin(t.Context(), passkey.PurposeSecondFactor, w.ada.ID, token, d.Get(login.Options))
			refused(t, name, err, passkey.ReasonCeremonyUnknown)
		}
		// None of that has spent it.
		if _, err := w.VerifyLogin(t.Context(), passkey.PurposeSecondFactor, w.ada.ID, login.Token, d.Get(login.Options)); err != nil {
			t.Error(err)
		}
	})
}

func TestCeremony_spentAndExpired(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := newDevice(t)
		w.register(w.ada, d)
		c, err := w.beginLogin(usernameless)
		if err != nil {
			t.Fatal(err)
		}
		answer := d.Get(c.Options)
		verify := func() (passkey.Assertion, error) {
			return w.VerifyLogin(t.Context(), passkey.PurposeLogin, uuid.Nil, c.Token, answer)
		}
		a, err := verify()
		if err != nil {
			t.Fatal(err)
		}
		again, err := verify()
		if err != nil {
			t.Fatalf("verifying spends nothing: %v", err)
		}
		if _, err := w.use(a); err != nil {
			t.Fatal(err)
		}
		_, err = w.use(a)
		refused(t, "used twice", err, passkey.ReasonCeremonySpent)
		_, err = w.use(again)
		refused(t, "verified twice, used twice", err, passkey.ReasonCeremonySpent)
		_, err = verify()
		refused(t, "replayed", err, passkey.ReasonCeremonySpent)

		if c, err = w.beginLogin(usernameless); err != nil {
			t.Fatal(err)
		}
		answer = d.Get(c.Options)
		if a, err = verify(); err != nil {
			t.Fatal(err)
		}
		w.advance(passkey.DefaultCeremonyTTL + time.Second)
		_, err = verify()
		refused(t, "too late", err, passkey.ReasonCeremonyExpired)
		_, err = w.use(a)
		refused(t, "too late after it was verified", err, passkey.ReasonCeremonySpent)

		// Rolled back, it is as if nothing had been.
		if c, err = w.beginLogin(usernameless); err != nil {
			t.Fatal(err)
		}
		answer = d.Get(c.Options)
		if a, err = verify(); err != nil {
			t.Fatal(err)
		}
		undo := errors.New("the gate said no")
		if err := w.try(func(ctx context.Context, tx *store.Tx) error {
			if _, err := w.Use(ctx, tx, a); err != nil {
				return err
			}
			return undo
		}); !errors.Is(err, undo) {
			t.Fatal(err)
		}
		if _, err := w.use(a); err != nil {
			t.Errorf("after a rollback: %v", err)
		}
	})
}

func TestCounter(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := securityKey(t)
		k := w.register(w.ada, d) // at 7
		at := func(count uint32) passkey.Used {
			t.Helper()
			d.PerUse, d.Count = 0, count
			_, used, err := w.login(d, second(w.ada))
			if err != nil {
				t.Fatal(err)
			}
			return used
		}
		for _, c := range []struct {
			name      string
			presented uint32
			regressed bool
			stored    uint32 // afterwards
		}{
			{"rising", 8, false, 8},
			{"leaping", 4_000_000_000, false, 4_000_000_000},
			{"equal", 4_000_000_000, true, 4_000_000_000},
			{"falling", 12, true, 4_000_000_000},
			{"falling still", 13, true, 4_000_000_000},
			{"zero", 0, true, 4_000_000_000},
			{"the last there is", 1<<32 - 1, false, 1<<32 - 1},
		} {
			before := w.get(w.ada.ID, k.ID)
			used := at(c.presented)
			if used.Regressed != c.regressed || c.regressed && (used.Stored != before.SignCount || used.Presented != c.presented) {
				t.Errorf("%s: %+v", c.name, used)
			}
			if after := w.get(w.ada.ID, k.ID); after.SignCount != c.stored || !after.LastUsedAt.After(before.LastUsedAt) {
				t.Errorf("%s: %+v", c.name, after)
			}
		}
		never := newDevice(t)
		w.register(w.bob, never)
		for range 2 {
			if _, used, err := w.login(never, usernameless); err != nil || used.Regressed {
				t.Errorf("one that does not count: %+v, %v", used, err)
			}
		}
	})
}

func TestCounter_blocked(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.configure(func(s *passkey.Settings) { s.BlockOnRegression = true })
		d := securityKey(t)
		k := w.register(w.ada, d)
		d.PerUse, d.Count = 0, 7
		a, err := w.assert(d, second(w.ada))
		if err != nil {
			t.Fatal(err)
		}
		// The flow keeps the refusal, and commits what it has to say about it.
		var used passkey.Used
		var refusal error
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			if used, refusal = w.Use(ctx, tx, a); passkey.ReasonOf(refusal) == passkey.ReasonSignCount {
				return nil
			}
			return refusal
		})
		refused(t, "equal", refusal, passkey.ReasonSignCount)
		if used != (passkey.Used{Regressed: true, Stored: 7, Presented: 7}) {
			t.Errorf("%+v", used)
		}
		if got := w.get(w.ada.ID, k.ID); !got.LastUsedAt.IsZero() || got.SignCount != 7 {
			t.Errorf("%+v", got)
		}
		_, err = w.use(a)
		refused(t, "again", err, passkey.ReasonCeremonySpent)
		d.Count = 8
		if _, used, err := w.login(d, second(w.ada)); err != nil || used.Regressed {
			t.Errorf("the one that is ahead: %+v, %v", used, err)
		}
	})
}

func TestBackupState(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := newDevice(t)
		d.BS = false
		k := w.register(w.ada, d)
		for _, on := range []bool{true, false} {
			d.BS = on
			a, _, err := w.login(d, usernameless)
			if got := w.get(w.ada.ID, k.ID); err != nil || a.BackedUp != on || got.BackedUp != on || !got.BackupEligible {
				t.Errorf("%v: %+v, %v", on, got, err)
			}
		}
	})
}

func TestDeletedBetweenVerifyAndUse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := newDevice(t)
		k := w.register(w.ada, d)
		w.register(w.ada, newDevice(t))
		a, err := w.assert(d, usernameless)
		if err != nil {
			t.Fatal(err)
		}
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			gone, err := w.Delete(ctx, tx, w.ada.ID, k.ID)
			if gone.ID != k.ID || !bytes.Equal(gone.CredentialID, k.CredentialID) {
				t.Errorf("deleted %+v", gone)
			}
			return err
		})
		_, err = w.use(a)
		refused(t, "deleted meanwhile", err, passkey.ReasonCredentialUnknown)
		_, err = w.assert(d, usernameless)
		refused(t, "deleted before", err, passkey.ReasonCredentialUnknown)
		signal, ok := w.UnknownCredential(err)
		b, jerr := json.Marshal(signal)
		if want := `{"unknownCredential":{"credentialId":"` + b64.EncodeToString(k.CredentialID) + `","rpId":"example.org"}}`; !ok || jerr != nil || string(b) != want {
			t.Errorf("%s, want %s", b, want)
		}
		if _, ok := w.UnknownCredential(passkey.ErrRefused); ok {
			t.Error("every refusal gives a signal")
		}

		// An account that was erased, at the same two moments.
		bobs := newDevice(t)
		w.register(w.bob, bobs)
		if a, err = w.assert(bobs, second(w.bob)); err != nil {
			t.Fatal(err)
		}
		reg, err := w.verify(w.bob, newDevice(t), passkey.RegistrationOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.tx(func(ctx context.Context, tx *store.Tx) error { return w.Erase(ctx, tx, w.bob.ID) })
		_, err = w.use(a)
		refused(t, "erased meanwhile", err, passkey.ReasonCeremonySpent)
		_, err = w.add(reg, "")
		refused(t, "added to an erased account", err, passkey.ReasonCeremonySpent)
		if h, err := w.UserHandle(t.Context(), w.db, w.bob.ID); h != nil || err != nil {
			t.Errorf("the handle is left: %v", err)
		}
		if all, err := w.List(t.Context(), w.db, w.ada.ID); len(all) != 1 || err != nil {
			t.Errorf("somebody else's went too: %v", err)
		}
	})
}
