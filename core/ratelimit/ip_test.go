package ratelimit_test

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/sigra-auth/sigra/core/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newIP(t testing.TB, cfg ratelimit.IPConfig) *ratelimit.IP {
	t.Helper()
	l, err := ratelimit.NewIP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func v4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

func TestIP_burstThenSteady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newIP(t, ratelimit.IPConfig{Quota: ratelimit.Quota{Count: 5, Per: 10 * time.Second}})
		a, b := v4(1), v4(2)
		for i := range 5 {
			want := ratelimit.Decision{Allowed: true, Limit: 5, Window: 10 * time.Second, Remaining: 4 - i, Next: 2 * time.Second, Reset: time.Duration(i+1) * 2 * time.Second}
			if d := l.Allow(a); d != want {
				t.Fatalf("attempt %d: %+v, want %+v", i, d, want)
			}
		}
		want := ratelimit.Decision{Limit: 5, Window: 10 * time.Second, Next: 2 * time.Second, Reset: 10 * time.Second, RetryAfter: 2 * time.Second}
		for range 3 { // being refused costs nothing more
			if d := l.Allow(a); d != want {
				t.Fatalf("%+v, want %+v", d, want)
			}
		}
		if !l.Allow(b).Allowed {
			t.Fatal("another address is limited too")
		}
		time.Sleep(2*time.Second - 1)
		if l.Allow(a).Allowed {
			t.Fatal("allowed a nanosecond before its time")
		}
		time.Sleep(time.Nanosecond)
		if d := l.Allow(a); !d.Allowed || d.Remaining != 0 {
			t.Fatalf("not allowed when promised: %+v", d)
		}
		time.Sleep(time.Hour)
		if d := l.Allow(a); !d.Allowed || d.Remaining != 4 {
			t.Fatalf("rest gathers more than a full bucket, or less: %+v", d)
		}
	})
}

func TestIP_whatIsOneClient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"::1", "0.0.0.0", false},
	} {
		l := newIP(t, ratelimit.IPConfig{Quota: ratelimit.Quota{Count: 1, Per: time.Hour}})
		l.Allow(netip.MustParseAddr(c.a))
		if same := !l.Allow(netip.MustParseAddr(c.b)).Allowed; same != c.same {
			t.Errorf("%s and %s: same client %t, want %t", c.a, c.b, same, c.same)
		}
	}
	l := newIP(t, ratelimit.IPConfig{Quota: ratelimit.Quota{Count: 1, Per: time.Hour}})
	l.Allow(netip.Addr{})
	if l.Allow(netip.Addr{}).Allowed {
		t.Error("unknown addresses are not limited")
	}
}

func TestIP_noLimitAndNonsense(t *testing.T) {
	t.Parallel()
	l := newIP(t, ratelimit.IPConfig{})
	for range 1000 {
		if d := l.Allow(v4(1)); d != (ratelimit.Decision{Allowed: true}) {
			t.Fatalf("%+v", d)
		}
	}
	for _, q := range []ratelimit.Quota{{-1, time.Second}, {1, 0}, {1, -time.Second}, {10_000_001, time.Second}} {
		if _, err := ratelimit.NewIP(ratelimit.IPConfig{Quota: q}); err == nil {
			t.Errorf("%+v was taken", q)
		}
	}
}

// bucket is what GCRA is meant to equal: a bucket that holds attempts and leaks steadily.
type bucket struct {
	level float64 // attempts in it
	at    time.Time
}

func TestIP_equalsALeakyBucket(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		q := ratelimit.Quota{Count: rapid.IntRange(1, 20).Draw(rt, "count"), Per: time.Duration(rapid.IntRange(1, 100).Draw(rt, "per")) * time.Second}
		q.Per = q.Per / time.Duration(q.Count) * time.Duration(q.Count) // no rounding, so that the model is exact
		waits := rapid.SliceOfN(rapid.IntRange(0, 3000), 1, 60).Draw(rt, "waits")
		who := rapid.SliceOfN(rapid.Uint32Range(0, 2), len(waits), len(waits)).Draw(rt, "who")
		synctest.Test(t, func(t *testing.T) {
			l := newIP(t, ratelimit.IPConfig{Quota: q})
			model := map[uint32]*bucket{}
			for i, w := range waits {
				time.Sleep(time.Duration(w) * q.Per / time.Duration(q.Count) / 1000)
				b := model[who[i]]
				if b == nil {
					b = &bucket{at: time.Now()}
					model[who[i]] = b
				}
				b.level = max(0, b.level-float64(time.Since(b.at))*float64(q.Count)/float64(q.Per))
				b.at = time.Now()
				const blur = 1e-6 // floats
				d := l.Allow(v4(who[i]))
				switch {
				case b.level+1 <= float64(q.Count)-blur && !d.Allowed:
					t.Fatalf("refused at level %f of %d", b.level, q.Count)
				case b.level+1 >= float64(q.Count)+blur && d.Allowed:
					t.Fatalf("allowed at level %f of %d", b.level, q.Count)
				}
				if d.Allowed {
					b.level++
				}
				if left := float64(q.Count) - b.level; float64(d.Remaining) > left+blur || float64(d.Remaining) < left-1-blur {
					t.Fatalf("remaining %d, model has %f left", d.Remaining, left)
				}
				if d.Allowed != (d.RetryAfter == 0) || d.RetryAfter < 0 || d.Reset < 0 || d.Reset > q.Per {
					t.Fatalf("%+v", d)
				}
				if d.Next <= 0 || !d.Allowed && d.Next != d.RetryAfter {
					t.Fatalf("%+v", d)
				}
				if !d.Allowed { // what it promises is kept, to the nanosecond
					time.Sleep(d.RetryAfter)
					if !l.Allow(v4(who[i])).Allowed {
						t.Fatal("still refused after RetryAfter")
					}
					b.level = float64(q.Count)
					b.at = time.Now()
				}
			}
		})
	})
}

func TestIP_neverMoreThanTheQuotaInParallel(t *testing.T) {
	t.Parallel()
	l := newIP(t, ratelimit.IPConfig{Quota: ratelimit.Quota{Count: 50, Per: 24 * time.Hour}})
	var allowed atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				if l.Allow(v4(7)).Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 50 {
		t.Errorf("%d allowed", allowed.Load())
	}
}

// A flood of ever new addresses neither grows the memory nor washes out the one that is being limited.
func TestIP_flood(t *testing.T) {
	t.Parallel()
	const keys = 1600
	l := newIP(t, ratelimit.IPConfig{Quota: ratelimit.Quota{Count: 30, Per: time.Hour}, MaxKeys: keys})
	var guessers []netip.Addr
	for i := range 20 {
		a := v4(1<<30 + uint32(i))
		guessers = append(guessers, a)
		for l.Allow(a).Allowed {
		}
	}
	for i := range uint32(200_000) {
		l.Allow(v4(i))
	}
	if n := l.Len(); n > keys {
		t.Errorf("%d addresses are kept, at most %d were asked for", n, keys)
	}
	for _, a := range guessers {
		if l.Allow(a).Allowed {
			t.Errorf("%s was forgotten", a)
		}
	}
}

func TestIP_emptyBucketsMakeRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newIP(t, ratelimit.IPConfig{Quota: ratelimit.Quota{Count: 10, Per: time.Minute}, MaxKeys: 160})
		for i := range uint32(1000) {
			l.Allow(v4(i))
		}
		time.Sleep(time.Hour)
		for i := range uint32(10_000) {
			l.Allow(v4(1<<20 + i))
			time.Sleep(10 * time.Second) // each is empty before the next comes: only leftovers may go
		}
		if n := l.Len(); n > 160 {
			t.Error(n)
		}
	})
}

func BenchmarkIP_Allow(b *testing.B) {
	l := newIP(b, ratelimit.IPConfig{Quota: ratelimit.Quota{Count: 100, Per: time.Minute}})
	b.RunParallel(func(pb *testing.PB) {
		for i := uint32(0); pb.Next(); i++ {
			l.Allow(v4(i % 100_000))
		}
	})
}
