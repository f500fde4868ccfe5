package ratelimit_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigra-auth/sigra/core/ratelimit"
)

func newPair(t testing.TB, cfg ratelimit.PairConfig) *ratelimit.Pair {
	t.Helper()
	l, err := ratelimit.NewPair(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPair_addressAndAccountTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newPair(t, ratelimit.PairConfig{Quota: ratelimit.Quota{Count: 3, Per: time.Minute}})
		home, work := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.7")
		for range 3 {
			if err := l.Allow(home, "ada@example.org").Err(); err != nil {
				t.Fatal(err)
			}
		}
		if d := retryAfter(t, l.Allow(netip.MustParseAddr("2001:db8::ffff"), "ada@example.org").Err()); d != 20*time.Second { // the same network
			t.Error(d)
		}
		if !l.Allow(home, "eve@example.org").Allowed || !l.Allow(work, "ada@example.org").Allowed {
			t.Error("the same address with another account, or the same account from elsewhere, is limited too")
		}
		if !l.Allow(netip.Addr{}, "ada@example.org").Allowed || l.Len() != 4 {
			t.Error("an unknown address is one of its own")
		}
		time.Sleep(20 * time.Second)
		if !l.Allow(home, "ada@example.org").Allowed {
			t.Error("not allowed when promised")
		}
	})
}

// A flood of made-up accounts from one address neither grows the memory nor washes out the one that is being guessed.
func TestPair_flood(t *testing.T) {
	t.Parallel()
	l := newPair(t, ratelimit.PairConfig{Quota: ratelimit.Quota{Count: 10, Per: time.Hour}, MaxKeys: 1600})
	for l.Allow(v4(1), "victim@example.org").Allowed {
	}
	for i := range 100_000 {
		l.Allow(v4(1), fmt.Sprint(i))
	}
	if n := l.Len(); n > 1600 || l.Allow(v4(1), "victim@example.org").Allowed {
		t.Errorf("%d pairs are kept", n)
	}
	if _, err := ratelimit.NewPair(ratelimit.PairConfig{Quota: ratelimit.Quota{Count: 1}}); err == nil {
		t.Error("a quota without a period")
	}
	if d := newPair(t, ratelimit.PairConfig{}).Allow(v4(1), "x"); d != (ratelimit.Decision{Allowed: true}) {
		t.Errorf("no limit: %+v", d)
	}
}

func BenchmarkPair_Allow(b *testing.B) {
	l := newPair(b, ratelimit.PairConfig{Quota: ratelimit.Quota{Count: 10, Per: time.Minute}})
	b.RunParallel(func(pb *testing.PB) {
		for i := uint32(0); pb.Next(); i++ {
			l.Allow(v4(i%100_000), "ada@example.org")
		}
	})
}
