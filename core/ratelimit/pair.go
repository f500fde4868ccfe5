package ratelimit

import (
	"hash/maphash"
	"net/netip"
)

// PairConfig says what each address may do with each account.
type PairConfig struct {
	Quota Quota
	// MaxKeys bounds how many pairs are remembered; zero means 65536, about 7 MB.
	MaxKeys int
}

// Pair limits by client address and account together, in memory: one client that keeps trying one account is stopped before it
// has used up what others may do, with that account or from that network. Safe for concurrent use; it has no goroutines and
// needs no closing.
type Pair struct {
	*table[pair]
	accounts maphash.Seed
}

// pair holds no account, only its hash under a key of this process.
type pair struct {
	network netip.Addr
	account uint64
}

// NewPair makes a limiter.
func NewPair(cfg PairConfig) (*Pair, error) {
	t, err := newTable[pair](cfg.Quota, cfg.MaxKeys)
	if err != nil {
		return nil, err
	}
	return &Pair{table: t, accounts: maphash.MakeSeed()}, nil
}

// Allow counts one attempt from addr at an account, which is whatever the caller counts by: for sign-in the address as typed,
// known or not. Decision.Err makes the refusal of it.
func (l *Pair) Allow(addr netip.Addr, account string) Decision {
	return l.allow(pair{network(addr), maphash.String(l.accounts, account)})
}
