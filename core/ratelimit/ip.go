package ratelimit

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"time"
)

// IPConfig says what each address may do.
type IPConfig struct {
	Quota Quota
	// MaxKeys bounds how many addresses are remembered; zero means 65536, about 6 MB.
	MaxKeys int
}

// IP limits by client address, in memory. Safe for concurrent use; it has no goroutines and needs no closing.
type IP struct {
	quota  Quota
	start  time.Time // times are kept as durations since then, by the monotonic clock
	seed   maphash.Seed
	shards [ipShards]ipShard
	max    int // per shard
}

const (
	ipShards   = 16 // few locks are fought over at once
	ipDefault  = 1 << 16
	ipSampling = 8 // how many are looked at to find one to forget
)

type ipShard struct {
	mu      sync.Mutex
	emptyAt map[netip.Addr]time.Duration
}

// NewIP makes a limiter.
func NewIP(cfg IPConfig) (*IP, error) {
	if err := cfg.Quota.check(); err != nil {
		return nil, err
	}
	if cfg.MaxKeys <= 0 {
		cfg.MaxKeys = ipDefault
	}
	l := &IP{quota: cfg.Quota, start: time.Now(), seed: maphash.MakeSeed(), max: max(1, (cfg.MaxKeys+ipShards-1)/ipShards)}
	for i := range l.shards {
		l.shards[i].emptyAt = map[netip.Addr]time.Duration{}
	}
	return l, nil
}

// Allow counts one attempt by addr. All invalid addresses are one.
func (l *IP) Allow(addr netip.Addr) Decision {
	if l.quota.Count == 0 {
		return Decision{Allowed: true}
	}
	key := network(addr)
	shard := &l.shards[maphash.Comparable(l.seed, key)%ipShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	now := time.Since(l.start)
	emptyAt, known := shard.emptyAt[key]
	d, backlog := l.quota.decide(emptyAt - now)
	if !known && len(shard.emptyAt) >= l.max {
		shard.forget(now)
	}
	shard.emptyAt[key] = now + backlog
	return d
}

// Len is how many addresses are remembered.
func (l *IP) Len() int {
	n := 0
	for i := range l.shards {
		l.shards[i].mu.Lock()
		n += len(l.shards[i].emptyAt)
		l.shards[i].mu.Unlock()
	}
	return n
}

// forget makes room for one. Keys whose bucket is empty are forgotten without loss; of the others a few are looked at
// and the least loaded goes: whoever floods with ever new addresses pushes out those, not the one that guesses passwords.
func (s *ipShard) forget(now time.Duration) {
	var least netip.Addr
	lowest, seen, freed := time.Duration(math.MaxInt64), 0, false
	for key, emptyAt := range s.emptyAt { // begins anywhere
		if emptyAt <= now {
			delete(s.emptyAt, key)
			freed = true
		} else if emptyAt < lowest {
			least, lowest = key, emptyAt
		}
		if seen++; seen == ipSampling {
			break
		}
	}
	if !freed {
		delete(s.emptyAt, least)
	}
}

// network is what counts as one client: an IPv4 address, or the /64 that one IPv6 host is given at least.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}
