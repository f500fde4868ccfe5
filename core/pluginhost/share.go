package pluginhost

import (
	"context"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// What one plugin may take of the host by its questions, on each node. A question that comes too fast waits, so that a plugin in a hurry is
// slowed down and not refused; only what can't wait any longer is.
const (
	callsPerSecond = 1000
	callsAtOnce    = 2000     // that were saved up
	bytesPerSecond = 4 << 20  // of questions and answers
	bytesAtOnce    = 32 << 20 // that were saved up
	waitingBytes   = 16 << 20 // of questions that wait

	// Most questions end in the database, where Sigra's own have to come first: of the pool's connections and of the one writer of SQLite
	// plugins get a small part, and one plugin not all of it.
	databaseShare = 8 // of all plugins together
	pluginShare   = 4
)

// shares are what the plugins of a host may take, by the labels of their blocks: a new process has what the old one left.
type shares struct {
	all chan struct{}

	mu      sync.Mutex
	plugins map[string]*share
}

func newShares() *shares {
	return &shares{all: make(chan struct{}, databaseShare), plugins: map[string]*share{}}
}

func (s *shares) of(plugin string) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.plugins[plugin]
	if sh == nil {
		sh = &share{all: s.all, own: make(chan struct{}, pluginShare), calls: newBucket(callsPerSecond, callsAtOnce), bytes: newBucket(bytesPerSecond, bytesAtOnce)}
		s.plugins[plugin] = sh
	}
	return sh
}

// share is one plugin's.
type share struct {
	all, own     chan struct{}
	calls, bytes *bucket

	mu      sync.Mutex
	waiting int // bytes
}

// asksOthers are the questions for whose answer the host may ask plugins, which ask the host in turn. They take no place in the database's
// share: a circle of them would wait for itself.
var asksOthers = map[string]bool{
	hostv1.Gates_Ask_FullMethodName: true, hostv1.Claims_Collect_FullMethodName: true, hostv1.Sessions_Mint_FullMethodName: true,
	hostv1.Members_Suspend_FullMethodName: true, hostv1.Members_Resume_FullMethodName: true, hostv1.Members_Remove_FullMethodName: true,
}

// enter waits for the turn of a question. done must be called with its answer, which is nil where there is none.
func (s *share) enter(ctx context.Context, method string, question any) (done func(answer any), err error) {
	size := sizeOfAny(question)
	s.mu.Lock()
	full := s.waiting > 0 && s.waiting+size > waitingBytes
	if !full {
		s.waiting += size
	}
	s.mu.Unlock()
	if full {
		return nil, tooFast("more than %d MB of its questions wait", waitingBytes>>20)
	}
	defer func() {
		s.mu.Lock()
		s.waiting -= size
		s.mu.Unlock()
	}()
	if err := s.calls.take(ctx, 1); err != nil {
		return nil, err
	}
	if err := s.bytes.take(ctx, size); err != nil {
		return nil, err
	}
	if asksOthers[method] || strings.HasPrefix(method, "/"+hostv1.Directory_ServiceDesc.ServiceName+"/") {
		return func(answer any) { s.bytes.owe(sizeOfAny(answer)) }, nil
	}
	for _, c := range []chan struct{}{s.own, s.all} {
		select {
		case c <- struct{}{}:
		case <-ctx.Done():
			if c == s.all {
				<-s.own
			}
			return nil, tooFast("%d of its questions are being answered already", pluginShare)
		}
	}
	return func(answer any) {
		<-s.all
		<-s.own
		s.bytes.owe(sizeOfAny(answer))
	}, nil
}

func sizeOfAny(m any) int {
	if p, ok := m.(proto.Message); ok && p != nil {
		return proto.Size(p)
	}
	return 0
}

func tooFast(format string, args ...any) error {
	st := status.Newf(codes.ResourceExhausted, "this plugin asks too much of the host: "+format, args...)
	if with, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}); err == nil {
		st = with
	}
	return st.Err()
}

// bucket fills at a steady rate, and may be owed to.
type bucket struct {
	rate, most float64

	mu   sync.Mutex
	left float64
	at   time.Time
}

func newBucket(rate, most float64) *bucket { return &bucket{rate: rate, most: most, left: most} }

// owe takes n out, below nothing if need be, and says how long it takes until that is made up for. Time is the machine's own: what is measured
// is how long somebody waits.
func (b *bucket) owe(n int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if !b.at.IsZero() {
		b.left = min(b.most, b.left+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
	b.left -= float64(n)
	if b.left >= 0 {
		return 0
	}
	return time.Duration(-b.left / b.rate * float64(time.Second))
}

// take waits for n. What could not be waited for is given back.
func (b *bucket) take(ctx context.Context, n int) error {
	wait := b.owe(n)
	if wait == 0 {
		return nil
	}
	if until, ok := ctx.Deadline(); !ok || time.Until(until) > wait {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
		}
	}
	b.owe(-n)
	return tooFast("its share of the next seconds is used up")
}
