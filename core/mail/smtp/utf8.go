package smtp

import (
	"context"
	"time"

	"github.com/sigra-auth/sigra/core/mail"
)

// offer is what the server said of SMTPUTF8 (RFC 6531), and when.
type offer struct {
	utf8 bool
	at   time.Time
}

// offerFor is how long it counts while no mail goes out.
const offerFor = 10 * time.Minute

// askFor is how long somebody waits who wants to know.
const askFor = 5 * time.Second

var _ mail.Lettered = (*Sender)(nil)

func (s *Sender) learn(utf8 bool) { s.learned.Store(&offer{utf8, time.Now()}) }

// TakesUTF8 implements mail.Lettered. A server that has not been spoken to lately is asked; one that can't be asked is taken to
// do what it can.
func (s *Sender) TakesUTF8(ctx context.Context, from string) bool {
	if o := s.learned.Load(); o != nil && time.Since(o.at) < offerFor {
		return o.utf8
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return true
	}
	if o := s.learned.Load(); o != nil && time.Since(o.at) < offerFor { // whoever was before us asked the same
		return o.utf8
	}
	_, domain, _ := cutLast(mail.ASCIIDomain(from))
	c, f := s.dial(ctx, ourName(domain))
	if f != nil {
		return true
	}
	s.keep(c)
	o := s.learned.Load()
	return o == nil || o.utf8
}
