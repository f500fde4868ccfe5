package administration

import (
	"context"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

var (
	// ErrRequired says that somebody does not administer Sigra.
	ErrRequired  = fault.New(fault.Denied, "administrator_required", "Only an administrator may do this.")
	errOneFactor = fault.New(fault.Denied, "administrator_second_factor", "Administrators need a second factor for this. Add one to your account first.")
)

// Check says whether who asks may administer: nil, or a fault of kind Denied or Unauthenticated. What is sensitive touches
// credentials, factors, accounts' status, keys or plugins; for that, both factors were shown a moment ago (ASVS 5.0 7.5.1, 8.4.2).
// Operators and applications have shown no factors and are judged by the way they came.
func (s *Service) Check(ctx context.Context, p principal.Principal, sensitive bool) error {
	return s.check(ctx, s.kit.DB, p, sensitive)
}

// Guard gives the context for a change that an administrator asked for: every transaction in it begins with Check, so that nothing
// an administrator has under way outlives the session, the right or the proof that it rests on.
func (s *Service) Guard(ctx context.Context, p principal.Principal, sensitive bool) context.Context {
	if p.Kind != principal.User {
		return ctx
	}
	return store.Require(ctx, func(ctx context.Context, tx *store.Tx) error { return s.check(ctx, tx, p, sensitive) })
}

func (s *Service) check(ctx context.Context, q store.Querier, p principal.Principal, sensitive bool) error {
	if p.Kind != principal.User {
		return nil
	}
	now, err := s.kit.Standing(ctx, q, p)
	switch {
	case err != nil:
		return err
	case !now.Administrator && !now.AdministratorWithheld:
		return ErrRequired
	case now.Administrator && !sensitive:
		return nil
	case now.AAL != principal.AAL2:
		a, err := s.kit.Accounts.GetIn(ctx, q, now.UserID)
		if err == nil && !a.SecondFactor {
			err = errOneFactor
		}
		if err != nil {
			return err
		}
		return flow.ErrStepUpRequired
	case s.kit.Now().Sub(now.AuthTime) > s.kit.Settings.StepUpWindow:
		return flow.ErrStepUpRequired
	}
	return nil
}
