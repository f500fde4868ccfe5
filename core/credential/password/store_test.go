package password_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cheap is the least argon2id there is: these tests are not about its cost.
var cheap = password.Params{MemoryKiB: 8, Time: 1, Parallelism: 1}

func newStore(t testing.TB, cfg password.Config) *password.Store {
	t.Helper()
	s, err := password.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestVerify(t *testing.T) {
	t.Parallel()
	s := newStore(t, password.Config{Params: cheap})
	long := strings.Repeat("x", 1024)
	hash := func(pw string) string {
		h, err := s.Hash(t.Context(), pw)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for _, c := range []struct {
		name, chosen, typed string
		match               bool
	}{
		{"same", "correct horse", "correct horse", true},
		{"other", "correct horse", "correct horse ", false},
		{"spaces count", " correct horse ", " correct horse ", true},
		{"case counts", "Correct horse", "correct horse", false},
		{"decomposed and composed", "cafe\u0301 au lait", "café au lait", true},
		{"compatible is not the same", "horse²battery", "horse2battery", false},
		{"the 73rd byte counts", long[:72] + "a", long[:72] + "b", false},
		{"the 1024th byte counts", long[:1023] + "a", long[:1023] + "b", false},
		{"a NUL ends nothing", "correct\x00horse", "correct\x00battery", false},
		{"empty", "correct horse", "", false},
		{"invalid UTF-8", "correct horse", "correct horse\xff", false},
	} {
		match, stale, err := s.Verify(t.Context(), hash(c.chosen), c.typed)
		if err != nil || match != c.match || stale {
			t.Errorf("%s: match %v, stale %v, %v", c.name, match, stale, err)
		}
	}
	if match, _, err := s.Verify(t.Context(), "", ""); match || err != nil {
		t.Errorf("nobody's password matched: %v", err)
	}
	if match, _, err := s.Verify(t.Context(), "$2b$10$x", "x"); match || !errors.Is(err, password.ErrHash) {
		t.Errorf("what is no hash: %v, %v", match, err)
	}
	for _, h := range []string{"", hash("correct horse")} {
		if _, _, err := s.Verify(t.Context(), h, long+"x"); fault.From(err).Code != "password_too_long" {
			t.Errorf("too long: %v; known and unknown must be told alike", err)
		}
	}
}

func TestVerify_stale(t *testing.T) {
	t.Parallel()
	old := newStore(t, password.Config{Params: cheap})
	now := newStore(t, password.Config{Params: password.Params{MemoryKiB: 16, Time: 1, Parallelism: 1}})
	h, err := old.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if match, stale, err := now.Verify(t.Context(), h, "correct horse"); !match || !stale || err != nil {
		t.Errorf("match %v, stale %v, %v", match, stale, err)
	}
	if match, stale, err := now.Verify(t.Context(), h, "wrong"); match || stale || err != nil {
		t.Errorf("match %v, stale %v, %v: nobody may be told to rehash what did not match", match, stale, err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	s := newStore(t, password.Config{Params: cheap, ServiceName: "Example Works"})
	for _, c := range []struct{ name, pw, code string }{
		{"long enough", "8 sheep.", ""},
		{"no composition rules", "aaaaaaaaaaaa", ""},
		{"1024 bytes", strings.Repeat("x", 1024), ""},
		{"1025 bytes", strings.Repeat("x", 1025), "password_too_long"},
		{"a megabyte", strings.Repeat("x", 1<<20), "password_too_long"},
		{"grows past the limit in NFC", strings.Repeat("\U0001D15E", 256), "password_too_long"},
		{"7 characters", "1234567", "password_too_short"},
		{"7 characters of many bytes", "ééééééé", "password_too_short"},
		{"two emoji are two characters", "🐎🔋", "password_too_short"},
		{"8 emoji", "🐎🔋🐎🔋🐎🔋🐎🔋", ""},
		{"spaces are characters", "        ", ""},
		{"empty", "", "password_too_short"},
		{"NUL", "12345678\x00", "password_not_text"},
		{"invalid UTF-8", "12345678\xff", "password_not_text"},
		{"common", "12345678", "password_common"},
		{"common, the first of the list", "!qaz2wsx", "password_common"},
		{"common, the last of the list", "zzzzzzz1", "password_common"},
		{"common in other letters", "TrustNo1", "password_common"},
		{"common in wide letters", "ｐａｓｓｗｏｒｄ", "password_common"},
		{"common and more", "trustno1 nor him", ""},
		{"the local part", "my-LoveLace-1815", "password_contains_name"},
		{"the local part without its detail", "my-LoveLace-1815", "password_contains_name"},
		{"the address", "lovelace+news@example.org", "password_contains_name"},
		{"the service", "i like EXAMPLE works", "password_contains_name"},
		{"the domain", "engine.org rocks", "password_contains_name"},
		{"the name in the domain", "my old EnGine 1843", "password_contains_name"},
		{"the last part of the domain is no secret word", "organs and keys", ""},
		{"the username", "babbage & CountessAda", "password_contains_name"},
		{"another word, in capital sigmas", "ΟΔΥΣΣΕΎΣ 1922", "password_contains_name"},
	} {
		err := s.Check(c.pw, "lovelace+news@engine.org", "countessada", "οδυσσεύς", "")
		code, field := "", ""
		if f := fault.From(err); f != nil {
			code, field = f.Code, f.Field
		}
		if code != c.code || code != "" && field != "password" {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
	}
	if err := s.Check("balance of alps", "al@example.org"); err != nil {
		t.Errorf("a two-letter name is no context word: %v", err)
	}
	if err := s.Check("a web of lies", "a@web.de"); err != nil {
		t.Errorf("three letters of a domain are no context word: %v", err)
	}
	if err := s.Check("nowhere at all", ""); err != nil {
		t.Errorf("without an address: %v", err)
	}
}

func TestStore_keepsHashes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, []store.Source{account.Migrations, password.Migrations}, func(t *testing.T, db *store.DB) {
		s := newStore(t, password.Config{Params: cheap})
		accounts, err := account.New(account.Config{DB: db})
		if err != nil {
			t.Fatal(err)
		}
		h1, _ := s.Hash(t.Context(), "correct horse")
		h2, _ := s.Hash(t.Context(), "battery staple")
		var id uuid.UUID
		find := func(want string) {
			t.Helper()
			if got, err := s.Find(t.Context(), db, id); err != nil || got != want {
				t.Fatalf("Find = %q, %v; want %q", got, err, want)
			}
		}
		do := func(f func(ctx context.Context, tx *store.Tx) error) {
			t.Helper()
			if err := db.Tx(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		do(func(ctx context.Context, tx *store.Tx) error {
			a, _, err := accounts.Create(ctx, tx, account.NewAccount{Email: "ada@example.org", Status: account.Active})
			id = a.ID
			return err
		})
		find("")
		do(func(ctx context.Context, tx *store.Tx) error { return s.Set(ctx, tx, id, h1) })
		find(h1)
		do(func(ctx context.Context, tx *store.Tx) error { return s.Upgrade(ctx, tx, id, h2, h2) }) // not the one that is there
		find(h1)
		do(func(ctx context.Context, tx *store.Tx) error { return s.Upgrade(ctx, tx, id, h1, h2) })
		find(h2)
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return s.Set(ctx, tx, id, "plain text") }); !errors.Is(err, password.ErrHash) {
			t.Fatalf("stored what is no hash: %v", err)
		}
		// An import's hash, until its owner signs in.
		const imported = `$2y$05$vviv2XAV6woftVp.i7pqJO0.jp0hgS/GyRMf01x2SFUcLaHifWhw.`
		do(func(ctx context.Context, tx *store.Tx) error { return s.Set(ctx, tx, id, imported) })
		find(imported)
		do(func(ctx context.Context, tx *store.Tx) error { return s.Upgrade(ctx, tx, id, imported, h1) })
		find(h1)
		if err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return s.Set(ctx, tx, id, "$2y$31"+imported[6:])
		}); !errors.Is(err, password.ErrHash) {
			t.Fatalf("stored what may not be run: %v", err)
		}
		do(func(ctx context.Context, tx *store.Tx) error { return s.Erase(ctx, tx, id) })
		find("")
	})
}

// A flood of fifty times what can be served: memory stays bounded, the rest is refused with a Retry-After, and whoever is
// served is served right.
func TestFlood(t *testing.T) {
	const places = 2
	var refused atomic.Int64
	s := newStore(t, password.Config{Places: places, QueueTimeout: 500 * time.Millisecond, Hooks: password.Hooks{Refused: func() { refused.Add(1) }}})
	hash, err := s.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	before := resident(t)
	var peak, served, wrong atomic.Int64
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			peak.Store(max(peak.Load(), resident(t)))
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	var wg sync.WaitGroup
	for range 50 * places * 25 { // 25 rounds of 20 ms fit into the timeout
		wg.Go(func() {
			match, _, err := s.Verify(t.Context(), hash, "correct horse")
			switch f := fault.From(err); {
			case err == nil && match:
				served.Add(1)
			case err == nil || f.Kind != fault.Unavailable || f.RetryAfter < time.Second:
				wrong.Add(1)
			}
		})
	}
	wg.Wait()
	close(stop)
	watch.Wait()
	budget := int64(places) * int64(password.DefaultParams.MemoryKiB) << 10
	used := peak.Load() - before
	t.Logf("%d served, %d refused; memory at most %d MiB above the start, the budget of hashing is %d MiB", served.Load(), refused.Load(), used>>20, budget>>20)
	if wrong.Load() > 0 || served.Load() == 0 || refused.Load() == 0 || served.Load()+refused.Load() != 50*places*25 {
		t.Errorf("%d served, %d refused, %d wrongly answered", served.Load(), refused.Load(), wrong.Load())
	}
	if used > budget+(64<<20) { // and the goroutines of the flood, also with the race detector's shadow of them
		t.Errorf("it took %d MiB", used>>20)
	}
}

// resident is the memory of this process, in bytes.
func resident(t *testing.T) int64 {
	text, err := os.ReadFile("/proc/self/statm")
	var size, pages int64
	if err == nil {
		_, err = fmt.Sscan(string(text), &size, &pages)
	}
	if err != nil {
		t.Error(err)
	}
	return pages * int64(os.Getpagesize())
}

// What a hash costs with everything that is around it.
func BenchmarkHash(b *testing.B) {
	s := newStore(b, password.Config{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Hash(b.Context(), "correct horse battery staple"); err != nil {
			b.Fatal(err)
		}
	}
}

// Who is turned away is counted, also before anything is read.
func TestAnnounce_countsWhoIsTurnedAway(t *testing.T) {
	t.Parallel()
	refused := 0
	s := newStore(t, password.Config{Params: cheap, Places: 1, QueueTimeout: 1, Hooks: password.Hooks{Refused: func() { refused++ }}})
	leave, err := s.Announce()
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	if _, err := s.Announce(); fault.KindOf(err) != fault.Unavailable || refused != 1 {
		t.Errorf("%v, %d counted", err, refused)
	}
}
