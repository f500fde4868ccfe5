package web

import (
	"net/url"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// maxRefusedReturns bounds how many refused places are remembered, and so how many are written down.
const maxRefusedReturns = 64

// refusedReturns writes down the places that people wanted to go on to and that sign_in.return_to leaves out, each once: a forgotten entry is
// seen, and nobody fills the log.
type refusedReturns struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (s *refusedReturns) say(log hclog.Logger, address string) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || len(u.Host) > 253 {
		return // no place that could be allowed
	}
	place := u.Scheme + "://" + u.Host
	s.mu.Lock()
	known := s.seen[place] || len(s.seen) == maxRefusedReturns
	if !known {
		if s.seen == nil {
			s.seen = map[string]bool{}
		}
		s.seen[place] = true
	}
	s.mu.Unlock()
	if !known {
		log.Warn("an address to return to is not allowed: people go to their account instead. If it is an application of yours, add it to sign_in.return_to", "address", place)
	}
}
