package password

import (
	"context"
	"crypto/subtle"
	"math"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/sigra-auth/sigra/core/credential/password/foreign"
	"github.com/sigra-auth/sigra/core/fault"
)

// Limits bound what verifying one stored hash may take; hashes that other systems made come with costs of their own.
type Limits = foreign.Limits

// DefaultLimits admit bcrypt at cost 14, scrypt at N=2^16 and r=8, and argon2id with 128 MiB in one pass.
var DefaultLimits = Limits{Work: 50, Memory: 128 << 20}

// admitLength is the length of password that Admit reckons with, where the cost depends on that. Whoever has a longer one
// may be told, with a hash at the very limit, that it is wrong.
const admitLength = 64

// check is a stored hash on its way to being verified.
type check struct {
	cost  foreign.Cost
	match func(password string) bool // runs it
	// stale is whether a match calls for a new hash.
	stale func(password string) bool
}

// Admit reports, as ErrHash with the reason, whether a hash can't be kept: it has no form that is known, or verifying it would take
// more than the limits allow. An import asks before it writes anything, and Set asks again.
func (s *Store) Admit(hash string) error {
	_, err := s.read(hash)
	return err
}

// read makes of a stored text what verifies it. Nothing is computed yet.
func (s *Store) read(text string) (check, error) {
	if h, err := Parse(text); err == nil {
		// Also one that another system made with argon2id. Hashes of the configured cost are admitted in any case.
		c := s.own(h)
		if h.Params == s.params {
			return c, nil
		}
		return c, s.limits.Check(c.cost)
	}
	h, err := foreign.Parse(text)
	if err != nil {
		return check{}, err
	}
	if err := s.limits.Check(h.Cost(admitLength)); err != nil {
		return check{}, err
	}
	return s.foreign(h), nil
}

func (s *Store) own(h Hash) check {
	return check{
		cost:  h.cost(),
		match: func(password string) bool { return subtle.ConstantTimeCompare(s.derive(h, password), h.tag) == 1 },
		stale: func(string) bool { return h.Params != s.params || len(h.salt) < saltSize || len(h.tag) != tagSize },
	}
}

// foreign verifies with the bytes as they were typed, as the other system did, and takes about as long as nobody's
// password where the hash alone would be quicker: a cheap hash must not tell that there is an account, nor that its hash is a
// bad one.
func (s *Store) foreign(h foreign.Hash) check {
	cost := h.Cost(0)
	return check{
		cost: cost,
		match: func(password string) bool {
			if s.limits.Check(h.Cost(len(password))) != nil {
				s.derive(s.dummy, password)
				return false // so long that the hash would cost more than it may
			}
			match := h.Verify([]byte(password))
			if rest := 1 - h.Cost(len(password)).Work/s.cost.Work; rest > 0 {
				// argon2id's time goes with its memory.
				d := s.dummy
				d.MemoryKiB = max(uint32(rest*float64(d.MemoryKiB)), 8*uint32(d.Parallelism))
				s.derive(d, password)
			}
			return match
		},
		stale: func(password string) bool { return h.Covers([]byte(password)) },
	}
}

// Verify compares a password with a hash of any form that Admit takes. An empty hash stands for a user that does not exist: it
// costs the same as one of the configured cost and never matches. stale reports a match whose hash was made in another way or with
// other costs than the configured ones, and that a new one may be made of this password.
//
// It fails when no place was to be had (fault.Unavailable), when the context ended, or when the hash can't be verified within
// the limits (ErrHash); before the last it hashes all the same.
func (s *Store) Verify(ctx context.Context, hash, password string) (match, stale bool, err error) {
	if err := s.Fits(password); err != nil {
		return false, false, err // whoever it is: the answer depends on what was sent only
	}
	c, bad := s.own(s.dummy), error(nil)
	if hash != "" {
		if found, err := s.read(hash); err != nil {
			bad = err
		} else {
			c = found
		}
	}
	err = s.run(ctx, c.cost, func() { match = c.match(password) })
	if err != nil {
		return false, false, err
	}
	match = match && hash != "" && bad == nil
	return match, match && c.stale(password), bad
}

// derive runs argon2id. The caller holds the places for it.
func (s *Store) derive(h Hash, password string) []byte {
	pw := []byte(norm.NFC.String(password)) // RFC 8265 §4.2.2
	defer clear(pw)
	return s.memory.Key(pw, h.salt, h.Time, h.MemoryKiB, h.Parallelism, len(h.tag))
}

// run computes a hash in its turn, with as many places as its memory takes.
func (s *Store) run(ctx context.Context, cost foreign.Cost, compute func()) error {
	queued := time.Now()
	release, err := s.admission.acquire(ctx, demand{
		places: int(math.Ceil(cost.Memory / s.cost.Memory)),
		work:   max(1, cost.Work/s.cost.Work),
	})
	if err != nil {
		if fault.KindOf(err) == fault.Unavailable {
			s.refused()
		}
		return err
	}
	defer release()
	start := time.Now()
	if s.hooks.Waited != nil {
		s.hooks.Waited(start.Sub(queued))
	}
	if cost.Memory > s.cost.Memory {
		s.memory.Release() // its places are those of several others, whose memory it may not have beside its own
	}
	compute()
	if s.hooks.Hashed != nil {
		s.hooks.Hashed(time.Since(start))
	}
	return nil
}
