package password_test

import (
	"cmp"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/fault"
)

const (
	horse   = "correct horse"
	bcrypt5 = `$2y$05$vviv2XAV6woftVp.i7pqJO0.jp0hgS/GyRMf01x2SFUcLaHifWhw.` // of horse, as all that follow
	md5Hash = `$raw-md5$3cb4e732631f47e6eb961f34554b7cde`
	argon2i = `$argon2i$v=19$m=256,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$pugtCg87mWUcNtaSdAVuZf7pe44CMcfenpx3g3bk7BM`
	// argon2id by the reference program, in the form of our own.
	argon2id = `$argon2id$v=19$m=256,t=3,p=2$c29tZXNhbHRzb21lc2FsdA$7spm2x4WHG8c8C+Y0OpAgx/lehOzaF6sfo6KPWr/D3Y`
	cut72    = `$2y$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i` // 72 times x and "tail"
)

func TestVerify_otherSystems(t *testing.T) {
	t.Parallel()
	s := newStore(t, password.Config{Params: cheap})
	long := strings.Repeat("x", 72)
	for _, c := range []struct {
		name, hash, typed string
		match, stale      bool
	}{
		{"bcrypt", bcrypt5, horse, true, true},
		{"bcrypt, wrong", bcrypt5, "battery staple", false, false},
		{"argon2i", argon2i, horse, true, true},
		{"argon2id with other costs", argon2id, horse, true, true},
		{"a bare digest", md5Hash, horse, true, true},
		{"a bare digest, wrong", md5Hash, horse + " ", false, false},
		{"django", `pbkdf2_sha256$1000$XLHFRo8i6z9rWNybrZc9n1$lN4QnSyJ5w+dKCYCpl5rgoO3YjrfLFbBVZ3dz7H3UuM=`, horse, true, true},
		{"bcrypt, all that counts", cut72, long, true, true},
		{"bcrypt, more than counts: not proved, so not to be kept", cut72, long + "tail", true, false},
		{"bcrypt, another tail", cut72, long + "liat", true, false},
		{"bcrypt, the 72nd byte", cut72, long[:71] + "y", false, false},
		// As it was typed: the other system knew no normalization. "é" in two characters, hashed by PHP's crypt.
		{"not normalized", "$1$abcdefgh$" + md5cryptOfDecomposed, "cafe\u0301", true, true},
		{"normalized", "$1$abcdefgh$" + md5cryptOfDecomposed, "caf\u00e9", false, false},
	} {
		match, stale, err := s.Verify(t.Context(), c.hash, c.typed)
		if err != nil || match != c.match || stale != c.stale {
			t.Errorf("%s: match %v, stale %v, %v", c.name, match, stale, err)
		}
		if err := s.Admit(c.hash); err != nil {
			t.Errorf("%s: not admitted: %v", c.name, err)
		}
	}
}

// php -r 'echo crypt("cafe\u{301}", "$1$abcdefgh$");'
const md5cryptOfDecomposed = "40yExLedMCLIt85NgtRrs/"

// What is in the database is held against the limits again, whoever put it there, and what goes beyond them never runs: the
// place is taken and a hash of the configured cost computed instead.
func TestVerify_neverBeyondTheLimits(t *testing.T) {
	t.Parallel()
	const tail = "$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, hash := range []string{
		"$argon2id$v=19$m=2147483647,t=1,p=1" + tail, "$argon2id$v=19$m=131072,t=2147483647,p=1" + tail, "$argon2i$v=19$p=1,m=2147483647,t=1" + tail,
		"$2y$31$" + bcrypt5[7:], "$scrypt$ln=30,r=1048575,p=1" + tail, "$scrypt$ln=1,r=1,p=1048576" + tail, "$pbkdf2-sha512$2147483647" + tail,
		"$6$rounds=999999999$abc$" + strings.Repeat("A", 86), "$P$S12345678" + strings.Repeat("A", 22), "U$S$S12345678" + strings.Repeat("A", 43),
		"bcrypt_sha256$$2b$31$" + bcrypt5[7:], "{CRYPT}$2b$31$" + bcrypt5[7:], "$wp$2y$31$" + bcrypt5[7:],
	} {
		hashed := 0
		s := newStore(t, password.Config{Params: cheap, Hooks: password.Hooks{Hashed: func(time.Duration) { hashed++ }}})
		if match, stale, err := s.Verify(t.Context(), hash, horse); match || stale || !errors.Is(err, password.ErrHash) || hashed != 1 {
			t.Errorf("%.24s: match %v, stale %v, %d hashes, %v", hash, match, stale, hashed, err)
		}
		if err := s.Admit(hash); !errors.Is(err, password.ErrHash) || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%.24s: admitted, or without a reason: %v", hash, err)
		}
	}
}

func TestLimits_areSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		limits password.Limits
		hash   string
		ok     bool
	}{
		{"default", password.Limits{}, "$2y$14$" + bcrypt5[7:], true},
		{"default", password.Limits{}, "$2y$15$" + bcrypt5[7:], false},
		{"more work", password.Limits{Work: 100, Memory: 1 << 20}, "$2y$15$" + bcrypt5[7:], true},
		{"less work", password.Limits{Work: 1, Memory: 1 << 20}, "$2y$10$" + bcrypt5[7:], false},
		{"less memory", password.Limits{Work: 50, Memory: 255 << 10}, argon2i, false},
		{"as much memory as that", password.Limits{Work: 50, Memory: 256 << 10}, argon2i, true},
		{"less memory, for argon2id too", password.Limits{Work: 50, Memory: 255 << 10}, argon2id, false},
	} {
		s := newStore(t, password.Config{Params: cheap, Limits: c.limits})
		if err := s.Admit(c.hash); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// One's own hashes are not imports: whatever is configured is admitted.
	s := newStore(t, password.Config{Params: password.Params{MemoryKiB: 2048, Time: 1, Parallelism: 1}, Limits: password.Limits{Work: 0.01, Memory: 1 << 20}})
	h, err := s.Hash(t.Context(), horse)
	if err != nil {
		t.Fatal(err)
	}
	if match, stale, err := s.Verify(t.Context(), h, horse); !match || stale || err != nil {
		t.Errorf("the configured cost: match %v, stale %v, %v", match, stale, err)
	}
}

// A hash of much memory takes as many places, and as long as it runs nobody else does whom the budget has no room for.
func TestVerify_takesPlacesByMemory(t *testing.T) {
	t.Parallel()
	// 256 KiB against 64: four places of eight, so two at once.
	s := newStore(t, password.Config{Params: password.Params{MemoryKiB: 64, Time: 1, Parallelism: 1}, Places: 8, QueueTimeout: time.Minute})
	var mu sync.Mutex
	most := 0
	stop := make(chan struct{})
	var watch, wg sync.WaitGroup
	watch.Go(func() {
		for {
			l := s.Load()
			mu.Lock()
			most = max(most, l.InUse)
			if l.InUse%4 != 0 || l.InUse > 8 {
				t.Errorf("%d places in use", l.InUse)
			}
			mu.Unlock()
			select {
			case <-stop:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	for range 200 {
		wg.Go(func() {
			if match, _, err := s.Verify(t.Context(), argon2i, horse); !match || err != nil {
				t.Errorf("match %v, %v", match, err)
			}
		})
	}
	wg.Wait()
	close(stop)
	watch.Wait()
	if most == 0 || s.Load().InUse != 0 {
		t.Errorf("at most %d in use, in the end %d", most, s.Load().InUse)
	}
}

// A cheap hash takes as long as nobody's password: what is compared is the processor's time in turns, by their medians.
func TestVerify_cheapHashesTakeAsLong(t *testing.T) {
	if testing.Short() {
		t.Skip("hashes for seconds")
	}
	s := newStore(t, password.Config{QueueTimeout: time.Minute})
	own, err := s.Hash(t.Context(), horse)
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]string{"nobody": "", "own": own, "digest": md5Hash, "bcrypt at cost 5": bcrypt5, "broken": "$x$"}
	took := map[string][]time.Duration{}
	for range 21 {
		for name, h := range hashes {
			start := time.Now()
			_, _, _ = s.Verify(t.Context(), h, "wrong")
			took[name] = append(took[name], time.Since(start))
		}
	}
	for name, d := range took {
		slices.SortFunc(d, cmp.Compare)
		ratio := float64(d[len(d)/2]) / float64(slices.Sorted(slices.Values(took["nobody"]))[10])
		t.Logf("%-16s %6.2f ms, %.2f of nobody's", name, float64(d[len(d)/2])/float64(time.Millisecond), ratio)
		if ratio < 0.4 || ratio > 2.5 { // loose: it is a net for a hash that answers at once, not a measurement
			t.Errorf("%s takes %.2f of the time of nobody's", name, ratio)
		}
	}
}

// breaches is a list in memory, or what can't be told.
type breaches struct {
	seen map[[sha1.Size]byte]int
	err  error
}

func (b breaches) Count(_ context.Context, sum [sha1.Size]byte) (int, error) {
	return b.seen[sum], b.err
}

func TestScreen(t *testing.T) {
	t.Parallel()
	list := breaches{seen: map[[sha1.Size]byte]int{sha1.Sum([]byte("correct horse battery staple")): 216, sha1.Sum([]byte("caf\u00e9 au lait")): 1}}
	for _, c := range []struct {
		name, pw string
		breaches password.Breaches
		want     password.Screening
		code     string
	}{
		{"off", "correct horse battery staple", nil, password.Screening{Outcome: password.Off}, ""},
		{"clean", "incorrect horse", list, password.Screening{Outcome: password.Clean}, ""},
		{"breached", "correct horse battery staple", list, password.Screening{Outcome: password.Breached, Count: 216}, "password_breached"},
		{"breached, as it is hashed", "cafe\u0301 au lait", list, password.Screening{Outcome: password.Breached, Count: 1}, "password_breached"},
		{"unavailable", "correct horse battery staple", breaches{err: errors.New("no route to host")}, password.Screening{Outcome: password.Unavailable}, ""},
		{"too long", strings.Repeat("x", 1025), list, password.Screening{}, "password_too_long"},
	} {
		var told []password.Outcome
		s := newStore(t, password.Config{Params: cheap, Breaches: c.breaches, Hooks: password.Hooks{Screened: func(o password.Outcome) { told = append(told, o) }}})
		got, err := s.Screen(t.Context(), c.pw)
		code := ""
		if err != nil {
			code = fault.From(err).Code
		}
		if got != c.want || code != c.code {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
		if err != nil && strings.Contains(fmt.Sprint(err), c.pw) {
			t.Errorf("%s: the error repeats the password", c.name)
		}
		if c.breaches != nil && c.code != "password_too_long" && !slices.Equal(told, []password.Outcome{c.want.Outcome}) {
			t.Errorf("%s: the metric was told %v", c.name, told)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := newStore(t, password.Config{Params: cheap, Breaches: breaches{err: context.Canceled}})
	if _, err := s.Screen(ctx, horse); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits, and yet: %v", err)
	}
}
