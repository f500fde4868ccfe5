package ratelimit

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// table keeps the buckets of many keys in memory and bounds how many.
type table[K comparable] struct {
	quota  Quota
	start  time.Time // times are kept as durations since then, by the monotonic clock
	seed   maphash.Seed
	shards [tableShards]shard[K]
	max    int // per shard
}

const (
	tableShards   = 16 // few locks are fought over at once
	tableDefault  = 1 << 16
	tableSampling = 8 // how many are looked at to find one to forget
)

type shard[K comparable] struct {
	mu      sync.Mutex
	emptyAt map[K]time.Duration
}

// newTable makes a table for at most maxKeys; zero means 65536.
func newTable[K comparable](q Quota, maxKeys int) (*table[K], error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	if maxKeys <= 0 {
		maxKeys = tableDefault
	}
	l := &table[K]{quota: q, start: time.Now(), seed: maphash.MakeSeed(), max: max(1, (maxKeys+tableShards-1)/tableShards)}
	for i := range l.shards {
		l.shards[i].emptyAt = map[K]time.Duration{}
	}
	return l, nil
}

// allow counts one attempt.
func (l *table[K]) allow(key K) Decision {
	if l.quota.Count == 0 {
		return Decision{Allowed: true}
	}
	s := &l.shards[maphash.Comparable(l.seed, key)%tableShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(l.start)
	emptyAt, known := s.emptyAt[key]
	d, backlog := l.quota.decide(emptyAt - now)
	if !known && len(s.emptyAt) >= l.max {
		s.forget(now)
	}
	s.emptyAt[key] = now + backlog
	return d
}

// giveBack takes one attempt back that allow has counted.
func (l *table[K]) giveBack(key K) {
	if l.quota.Count == 0 {
		return
	}
	s := &l.shards[maphash.Comparable(l.seed, key)%tableShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if emptyAt, known := s.emptyAt[key]; known {
		s.emptyAt[key] = emptyAt - l.quota.step()
	}
}

// Len is how many keys are remembered.
func (l *table[K]) Len() int {
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
func (s *shard[K]) forget(now time.Duration) {
	var least K
	lowest, seen, freed := time.Duration(math.MaxInt64), 0, false
	for key, emptyAt := range s.emptyAt { // begins anywhere
		if emptyAt <= now {
			delete(s.emptyAt, key)
			freed = true
		} else if emptyAt < lowest {
			least, lowest = key, emptyAt
		}
		if seen++; seen == tableSampling {
			break
		}
	}
	if !freed {
		delete(s.emptyAt, least)
	}
}
