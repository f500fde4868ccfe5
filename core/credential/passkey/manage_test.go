package passkey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/passkey/passkeytest"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestManage_onlyOnesOwn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		adas, bobs := w.register(w.ada, newDevice(t)), w.register(w.bob, newDevice(t))
		if _, err := w.Get(t.Context(), w.db, w.ada.ID, bobs.ID); !errors.Is(err, passkey.ErrNotFound) {
			t.Errorf("Get: %v", err)
		}
		for name, f := range map[string]func(ctx context.Context, tx *store.Tx, owner, id uuid.UUID) error{
			"rename": func(ctx context.Context, tx *store.Tx, owner, id uuid.UUID) error {
				_, err := w.Rename(ctx, tx, owner, id, "mine")
				return err
			},
			"delete": func(ctx context.Context, tx *store.Tx, owner, id uuid.UUID) error {
				_, err := w.Delete(ctx, tx, owner, id)
				return err
			},
		} {
			for _, id := range []uuid.UUID{bobs.ID, uuid.New(), uuid.Nil} {
				if err := w.try(func(ctx context.Context, tx *store.Tx) error { return f(ctx, tx, w.ada.ID, id) }); !errors.Is(err, passkey.ErrNotFound) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if k := w.get(w.bob.ID, bobs.ID); k.Name != bobs.Name {
			t.Errorf("Bob's is called %q", k.Name)
		}
		if all, discoverable, err := w.Count(t.Context(), w.db, w.ada.ID); all != 1 || discoverable != 1 || err != nil {
			t.Errorf("%d, %d, %v", all, discoverable, err)
		}
		if all, _, err := w.Count(t.Context(), w.db, uuid.New()); all != 0 || err != nil {
			t.Errorf("nobody's: %d, %v", all, err)
		}
		if list, err := w.List(t.Context(), w.db, w.ada.ID); len(list) != 1 || list[0].ID != adas.ID || err != nil {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestHandle_staysTheSame(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		k := w.register(w.ada, newDevice(t))
		before, err := w.UserHandle(t.Context(), w.db, w.ada.ID)
		if err != nil {
			t.Fatal(err)
		}
		w.tx(func(ctx context.Context, tx *store.Tx) error { _, err := w.Delete(ctx, tx, w.ada.ID, k.ID); return err })
		w.register(w.ada, newDevice(t))
		if after, _ := w.UserHandle(t.Context(), w.db, w.ada.ID); !bytes.Equal(before, after) {
			t.Error("the last passkey took the handle with it: devices would show the account twice")
		}
	})
}

func TestSignals(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		text := func() string {
			s, err := w.Accepted(t.Context(), w.db, w.ada)
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		if s := text(); s != "{}" {
			t.Errorf("before there is anything: %s", s)
		}
		k, l := w.register(w.ada, newDevice(t)), w.register(w.ada, newDevice(t))
		w.register(w.bob, newDevice(t))
		handle, err := w.UserHandle(t.Context(), w.db, w.ada.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := func(ids string) string {
			return fmt.Sprintf(`{"allAcceptedCredentials":{"allAcceptedCredentialIds":[%s],"rpId":"example.org","userId":"%s"},`+
				`"currentUserDetails":{"displayName":"ada@example.org","name":"ada@example.org","rpId":"example.org","userId":"%[2]s"}}`, ids, b64.EncodeToString(handle))
		}
		if s, want := text(), want(`"`+b64.EncodeToString(k.CredentialID)+`","`+b64.EncodeToString(l.CredentialID)+`"`); s != want {
			t.Errorf("%s\nwant %s", s, want)
		}
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			for _, k := range []passkey.Passkey{k, l} {
				if _, err := w.Delete(ctx, tx, w.ada.ID, k.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if s := text(); s != want("") {
			t.Errorf("all deleted: %s", s)
		}
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	open := func(set passkey.Settings) (*passkey.Store, error) {
		return passkey.New(passkey.Config{DB: db, Settings: set})
	}
	for name, set := range map[string]passkey.Settings{
		"an RP id of somebody else":    {RPID: "example.com", Origin: "https://id.example.org"},
		"half a label":                 {RPID: "ple.org", Origin: "https://id.example.org"},
		"a child of the host":          {RPID: "a.id.example.org", Origin: "https://id.example.org"},
		"an address":                   {RPID: "127.0.0.1", Origin: "http://127.0.0.1:8484"},
		"an RP id with a port":         {RPID: "example.org:443", Origin: "https://example.org"},
		"no origin":                    {RPID: "example.org"},
		"a related one that is none":   {RPID: "example.org", Origin: "https://example.org", RelatedOrigins: []string{"example.com"}},
		"a related one that is an app": {RPID: "example.org", Origin: "https://example.org", RelatedOrigins: []string{"android:apk-key-hash:x"}},
	} {
		if _, err := open(set); err == nil || !strings.HasPrefix(err.Error(), "passkey: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := passkey.New(passkey.Config{}); err == nil {
		t.Error("without a database")
	}
	s, err := open(passkey.Settings{RPID: "localhost", Origin: "http://localhost:8484"})
	if err != nil {
		t.Fatal(err)
	}
	if doc, ok := s.RelatedOrigins(); ok || doc != nil || !s.Enabled() {
		t.Errorf("related origins %s", doc)
	}
	set := settings()
	set.RelatedOrigins = []string{"https://EXAMPLE.com:443/", "https://example.de:8443"}
	if err := s.Configure(set); err != nil {
		t.Fatal(err)
	}
	if doc, ok := s.RelatedOrigins(); !ok || string(doc) != `{"origins":["https://example.com","https://example.de:8443"]}` {
		t.Errorf("related origins %s", doc)
	}
	if err := s.Configure(passkey.Settings{RPID: "x"}); err == nil || !s.Enabled() {
		t.Errorf("bad settings took effect: %v", err)
	}

	// Off: no ceremonies, and what there is can still be shown and erased.
	if err := s.Configure(passkey.Settings{}); err != nil || s.Enabled() {
		t.Fatal(err)
	}
	err = db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := s.BeginLogin(ctx, tx, usernameless)
		return err
	})
	if !errors.Is(err, passkey.ErrOff) || fault.KindOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
	if _, err := s.VerifyLogin(t.Context(), passkey.PurposeLogin, uuid.Nil, "", nil); !errors.Is(err, passkey.ErrOff) {
		t.Errorf("%v", err)
	}
	if _, err := s.VerifyRegistration(t.Context(), uuid.New(), "", nil); !errors.Is(err, passkey.ErrOff) {
		t.Errorf("%v", err)
	}
	if list, err := s.List(t.Context(), db, uuid.New()); len(list) != 0 || err != nil {
		t.Error(err)
	}
}

func TestClean(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.tx(func(ctx context.Context, tx *store.Tx) error {
			for range 700 {
				if _, err := w.BeginLogin(ctx, tx, usernameless); err != nil {
					return err
				}
			}
			return nil
		})
		if n, err := w.Clean(t.Context()); n != 0 || err != nil {
			t.Errorf("%d open ones were cleaned, %v", n, err)
		}
		w.advance(2 * passkey.DefaultCeremonyTTL)
		c, err := w.beginLogin(usernameless)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := w.Clean(t.Context()); n != 700 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		d := newDevice(t)
		w.register(w.ada, d)
		if _, err := w.VerifyLogin(t.Context(), passkey.PurposeLogin, uuid.Nil, c.Token, d.Get(c.Options)); err != nil {
			t.Errorf("an open one went too: %v", err)
		}
	})
}

// What lies in the table of ceremonies can't be put to anybody.
func TestCeremony_tableHoldsNoSecret(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c, err := w.beginLogin(usernameless)
		if err != nil {
			t.Fatal(err)
		}
		var hash []byte
		if err := w.db.QueryRow(t.Context(), `SELECT token_hash FROM credential_passkey_ceremony`).Scan(&hash); err != nil {
			t.Fatal(err)
		}
		for name, secret := range map[string]string{"token": c.Token, "challenge": passkeytest.Read(t, c.Options).PublicKey.Challenge} {
			if raw := passkeytest.Decode(t, secret); len(raw) != 32 || bytes.Equal(raw, hash) || bytes.Contains(hash, []byte(secret)) {
				t.Errorf("the %s lies in the table", name)
			}
		}
	})
}

// race runs f a hundred times at once and counts how it ends.
func race(t *testing.T, n int, f func(i int) error) (won int64, lost map[passkey.Reason]int64) {
	t.Helper()
	var wins atomic.Int64
	var mu sync.Mutex
	lost = map[passkey.Reason]int64{}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			err := f(i)
			if err == nil {
				wins.Add(1)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			reason := passkey.ReasonOf(err)
			if reason == "" {
				t.Error(err)
			}
			lost[reason]++
		})
	}
	wg.Wait()
	return wins.Load(), lost
}

func TestRace_aLoginIsSpentOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := newDevice(t)
		w.register(w.ada, d)
		c, err := w.beginLogin(usernameless)
		if err != nil {
			t.Fatal(err)
		}
		answer := d.Get(c.Options)
		won, lost := race(t, 100, func(int) error {
			a, err := w.VerifyLogin(context.Background(), passkey.PurposeLogin, uuid.Nil, c.Token, answer)
			if err == nil {
				_, err = w.use(a)
			}
			return err
		})
		if won != 1 || lost[passkey.ReasonCeremonySpent] != 99 {
			t.Fatalf("%d won, lost: %v", won, lost)
		}
	})
}

func TestRace_aRegistrationIsSpentOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.mustBeginRegistration(w.ada)
		answer, err := newDevice(t).Create(c.Options)
		if err != nil {
			t.Fatal(err)
		}
		won, lost := race(t, 100, func(int) error {
			reg, err := w.VerifyRegistration(context.Background(), w.ada.ID, c.Token, answer)
			if err == nil {
				_, err = w.add(reg, "")
			}
			return err
		})
		if won != 1 || lost[passkey.ReasonCeremonySpent] != 99 {
			t.Fatalf("%d won, lost: %v", won, lost)
		}
		if all, _, err := w.Count(t.Context(), w.db, w.ada.ID); all != 1 || err != nil {
			t.Fatalf("%d, %v", all, err)
		}
	})
}

func TestRace_theLimitHolds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.configure(func(s *passkey.Settings) { s.MaxPerAccount = 3 })
		var regs []passkey.Registration
		for range 12 {
			reg, err := w.verify(w.ada, newDevice(t), passkey.RegistrationOptions{})
			if err != nil {
				t.Fatal(err)
			}
			regs = append(regs, reg)
		}
		won, lost := race(t, len(regs), func(i int) error { _, err := w.add(regs[i], ""); return err })
		if all, _, _ := w.Count(t.Context(), w.db, w.ada.ID); won != 3 || lost[passkey.ReasonLimit] != 9 || all != 3 {
			t.Fatalf("%d won, %d are there, lost: %v", won, all, lost)
		}
		names := map[string]bool{}
		all, _ := w.List(t.Context(), w.db, w.ada.ID)
		for _, k := range all {
			names[k.Name] = true
		}
		if len(names) != 3 {
			t.Errorf("names %v", names)
		}
	})
}

// One key in two devices, both used at once, each with its own ceremony: the one whose count is not above the other's
// is found out, in whatever order they come.
func TestRace_clones(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := securityKey(t)
		w.register(w.ada, d)
		d.PerUse, d.Count = 0, 8
		var as []passkey.Assertion
		for range 20 {
			a, err := w.assert(d, second(w.ada))
			if err != nil {
				t.Fatal(err)
			}
			as = append(as, a)
		}
		var alarms atomic.Int64
		won, lost := race(t, len(as), func(i int) error {
			u, err := w.use(as[i])
			if u.Regressed {
				alarms.Add(1)
			}
			return err
		})
		if won != 20 || alarms.Load() != 19 {
			t.Fatalf("%d won, %d alarms, lost: %v", won, alarms.Load(), lost)
		}
	})
}
