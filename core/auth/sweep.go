package auth

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/store"
)

var errDisabled = fault.New(fault.Conflict, "account_disabled", "The account is disabled.")

// unrefuse gives what the person is told of a refusal; other errors stay.
func unrefuse(err error) error {
	var r refusal
	if errors.As(err, &r) {
		return r.err
	}
	return err
}

const (
	sweepEvery = 10 * time.Minute
	sweepBatch = 200
	// sweepGrace is how long after its links have expired a sign-up that nobody confirmed is kept.
	sweepGrace = 24 * time.Hour
)

// Run tidies up in the background until ctx ends: expired one-time secrets, enrolments and ceremonies, browsers not seen for long, and sign-ups that nobody ever confirmed, which
// are somebody's address without their consent. Any number of nodes may run it.
func (s *Service) Run(ctx context.Context) error {
	for {
		t := time.NewTimer(sweepEvery/2 + rand.N(sweepEvery))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("expired sign-ups not cleaned up, will try again", "error", err)
		}
	}
}

// Sweep does once what Run does again and again, and returns how many accounts it erased.
func (s *Service) Sweep(ctx context.Context) (erased int, err error) {
	for _, clean := range []func(context.Context) (int64, error){s.onetime.Clean, s.totp.Clean, s.passkeys.Clean, s.devices.Clean} {
		if _, err := clean(ctx); err != nil {
			return 0, err
		}
	}
	before := s.now().Add(-max(s.set.ConfirmationTTL, s.set.PasswordLinkTTL) - sweepGrace)
	after := uuid.Nil
	for {
		ids, err := s.accounts.Stale(ctx, before, after, sweepBatch)
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

func (s *Service) sweep(ctx context.Context, id uuid.UUID, before time.Time) (done bool, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		done = false
		a, err := s.accounts.Lock(ctx, tx, id)
		if err != nil {
			return err
		}
		if a.Status != account.Unconfirmed || a.Administrator || !a.UpdatedAt.Before(before) {
			return nil
		}
		if hash, err := s.passwords.Find(ctx, tx, id); err != nil || hash != "" {
			return err // deferred confirmation: somebody uses it
		}
		done = true
		return s.erase(ctx, tx, system, id, "never_confirmed", false)
	})
	return done, err
}
