package pluginsdk

import (
	"context"
	"errors"
	"time"

	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Lease makes one runner across nodes.
type Lease struct{ h *Host }

// ErrLeaseLost is the cause of the context given to Hold's function when another node has the lease.
var ErrLeaseLost = errors.New("the lease is lost")

// Acquire takes or renews a lease for ttl (2 s to 5 min). token grows with every change of holder: write it along with
// what the runner does, and refuse smaller ones.
func (l Lease) Acquire(ctx context.Context, name string, ttl time.Duration) (held bool, token int64, err error) {
	resp, err := call(ctx, l.h, LeaseHold, "acquire lease", hostv1.NewLeaseClient, hostv1.LeaseClient.Acquire,
		&hostv1.AcquireRequest{Name: name, Ttl: durationpb.New(ttl)})
	return resp.GetHeld(), resp.GetToken(), err
}

// Release gives a lease up before its time.
func (l Lease) Release(ctx context.Context, name string) error {
	_, err := call(ctx, l.h, LeaseHold, "release lease", hostv1.NewLeaseClient, hostv1.LeaseClient.Release,
		&hostv1.ReleaseRequest{Name: name})
	return err
}

// Hold runs f while this node has the lease, renewing it three times per ttl, and releases it afterwards. ran is false
// when another node has it. f's context ends, with ErrLeaseLost as its cause, when the lease can't be kept.
func (l Lease) Hold(ctx context.Context, name string, ttl time.Duration, f func(ctx context.Context, token int64) error) (ran bool, err error) {
	held, token, err := l.Acquire(ctx, name, ttl)
	if err != nil || !held {
		return false, err
	}
	inner, cancel := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		l.renew(inner, cancel, name, ttl, token)
	}()
	// Also when f panics: a lease that is renewed for ever would lock every node out.
	defer func() {
		cancel(nil)
		<-renewed
		release, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		_ = l.Release(release, name) // it runs out by itself otherwise
	}()
	return true, f(inner, token)
}

func (l Lease) renew(ctx context.Context, lost context.CancelCauseFunc, name string, ttl time.Duration, token int64) {
	tick := time.NewTicker(ttl / 3)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		at := time.Now()
		try, cancel := context.WithTimeout(ctx, ttl/3)
		held, now, err := l.Acquire(try, name, ttl)
		cancel()
		switch {
		case err == nil && held && now == token:
			last = at
		case err == nil, time.Since(last) >= ttl*2/3:
			lost(ErrLeaseLost)
			return
		}
	}
}
