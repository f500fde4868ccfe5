package breach

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// How long the API is left alone after a failure: it doubles from one failed probe to the next.
const (
	firstPause = 30 * time.Second
	mostPause  = 10 * time.Minute
)

// breaker keeps people from waiting for what does not answer. Closed, it lets everybody ask. A failure opens it: whoever is
// asking is let go, and nobody asks until a probe, which no one waits for, was answered.
type breaker struct {
	now   func() time.Time
	probe func(ctx context.Context, digits string) (pause time.Duration, err error)
	log   hclog.Logger
	wg    sync.WaitGroup

	mu      sync.Mutex
	closed  bool // by close, for good
	open    bool
	until   time.Time // when open: the next probe
	pause   time.Duration
	probing bool
	// life ends with close, asking when the breaker opens. They are what requests in flight are tied to, not anybody's request.
	life, asking context.Context
	end, release context.CancelFunc
}

func newBreaker(now func() time.Time, probe func(context.Context, string) (time.Duration, error), log hclog.Logger) *breaker {
	b := &breaker{now: now, probe: probe, log: log}
	b.life, b.end = context.WithCancel(context.Background())
	b.asking, b.release = context.WithCancel(b.life)
	return b
}

func (b *breaker) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.end()
	b.wg.Wait()
}

// enter lets a request ask: its context ends with ctx, and as soon as the breaker opens. done must be called at the end.
func (b *breaker) enter(ctx context.Context) (asking context.Context, done func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, nil, ErrUnavailable
	case b.open:
		b.startProbe()
		return nil, nil, ErrUnavailable
	}
	asking, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(b.asking, cancel)
	return asking, func() { stop(); cancel() }, nil
}

// trip opens the breaker.
func (b *breaker) trip(cause error, pause time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open || b.closed {
		return
	}
	b.open = true
	b.release()
	b.pause = firstPause
	b.wait(pause)
	b.log.Warn("passwords can't be checked for breaches and are accepted unchecked", "error", cause, "next_try", b.until)
}

// wait sets the time of the next probe; called with the lock held. asked is what the API asked for, if it did.
func (b *breaker) wait(asked time.Duration) {
	pause := min(max(b.pause, asked), mostPause)
	b.until = b.now().Add(pause + mathrand.N(pause/5)) // nodes that failed together don't come back together
}

// startProbe asks again, if it is time and nobody else does; called with the lock held.
func (b *breaker) startProbe() {
	if b.probing || b.now().Before(b.until) {
		return
	}
	b.probing = true
	b.wg.Go(func() {
		asked, err := b.probe(b.life, anyDigits())
		b.mu.Lock()
		defer b.mu.Unlock()
		b.probing = false
		switch {
		case b.closed:
		case err != nil:
			b.pause = min(2*b.pause, mostPause)
			b.wait(asked)
			b.log.Debug("passwords still can't be checked for breaches", "error", err, "next_try", b.until)
		default:
			b.open = false
			b.asking, b.release = context.WithCancel(b.life)
			b.log.Info("passwords are checked for breaches again")
		}
	})
}

// anyDigits is the SHA-1 of nothing at all.
func anyDigits() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b)
	return strings.ToUpper(hex.EncodeToString(b))
}
