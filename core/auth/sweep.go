package auth

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/store"
)

const (
	sweepEvery = 10 * time.Minute
	sweepBatch = 200
	// sweepGrace is how long after its links have expired a sign-up that nobody confirmed is kept.
	sweepGrace = 24 * time.Hour
)

// sweeper tidies up behind the flows.
type sweeper struct{ *machine }

// Run tidies up in the background until ctx ends: expired one-time secrets, enrolments and ceremonies, browsers not seen for long, and sign-ups that nobody ever confirmed, which
// are somebody's address without their consent. Any number of nodes may run it.
func (s *sweeper) Run(ctx context.Context) error {
	for {
		t := time.NewTimer(sweepEvery/2 + rand.N(sweepEvery))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.kit.Log.Warn("expired sign-ups not cleaned up, will try again", "error", err)
		}
	}
}

// Sweep does once what Run does again and again, and returns how many accounts it erased.
func (s *sweeper) Sweep(ctx context.Context) (erased int, err error) {
	for _, clean := range []func(context.Context) (int64, error){s.kit.Onetime.Clean, s.kit.TOTP.Clean, s.kit.Passkeys.Clean, s.kit.Devices.Clean} {
		if _, err := clean(ctx); err != nil {
			return 0, err
		}
	}
	before := s.kit.Now().Add(-max(s.kit.Settings.ConfirmationTTL, s.kit.Settings.PasswordLinkTTL) - sweepGrace)
	after := uuid.Nil
	for {
		ids, err := s.kit.Accounts.Stale(ctx, before, after, sweepBatch)
		if err != nil || len(ids) == 0 {
			return erased, err
		}
		for _, id := range ids {
			ok, err := s.sweep(ctx, id, before)
			if err != nil {
				return erased, err
			}
			if ok {
				erased++
			}
		}
		after = ids[len(ids)-1]
	}
}

func (s *sweeper) sweep(ctx context.Context, id uuid.UUID, before time.Time) (done bool, err error) {
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		done = false
		a, err := s.kit.Accounts.Lock(ctx, tx, id)
		if err != nil {
			return err
		}
		if a.Status != account.Unconfirmed || a.Administrator || !a.UpdatedAt.Before(before) {
			return nil
		}
		if hash, err := s.kit.Passwords.Find(ctx, tx, id); err != nil || hash != "" {
			return err // deferred confirmation: somebody uses it
		}
		done = true
		return s.kit.Erase(ctx, tx, audit.Entry{Actor: flow.System, Reason: "never_confirmed"}, id, false)
	})
	return done, err
}
