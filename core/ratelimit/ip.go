package ratelimit

import "net/netip"

// IPConfig says what each address may do.
type IPConfig struct {
	Quota Quota
	// MaxKeys bounds how many addresses are remembered; zero means 65536, about 6 MB.
	MaxKeys int
}

// IP limits by client address, in memory. Safe for concurrent use; it has no goroutines and needs no closing.
type IP struct{ *table[netip.Addr] }

// NewIP makes a limiter.
func NewIP(cfg IPConfig) (*IP, error) {
	t, err := newTable[netip.Addr](cfg.Quota, cfg.MaxKeys)
	if err != nil {
		return nil, err
	}
	return &IP{t}, nil
}

// Allow counts one attempt by addr. All invalid addresses are one.
func (l *IP) Allow(addr netip.Addr) Decision { return l.allow(network(addr)) }

// Return gives back what Allow has counted for addr.
func (l *IP) Return(addr netip.Addr) { l.giveBack(network(addr)) }

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
