package administration

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/store"
)

// ResetFactors removes everything but the password, for somebody who has lost it all and whom an administrator
// knows. Sessions, sign-ins under way and trust in browsers end; mailed links stay, which are a first factor like the password. The person is told.
func (s *Service) ResetFactors(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.kit.Lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		f, err := s.factors.Of(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if err := s.kit.EraseFactors(ctx, tx, a.ID); err != nil {
			return err
		}
		if err := s.kit.Accounts.SetSecondFactor(ctx, tx, a.ID, false); err != nil {
			return err
		}
		e := audit.Entry{Actor: actor}
		n, err := s.kit.End(ctx, tx, a, flow.Sessions|flow.Waiting|flow.Trust, uuid.Nil, e, "factors_reset")
		if err != nil {
			return err
		}
		e.Action, e.Targets, e.Metadata = "admin.user.reset_factors", []audit.Ref{flow.User(a.ID)}, n.In(map[string]any{"methods": f.Second()})
		if err := s.kit.Record(ctx, tx, e); err != nil {
			return err
		}
		for _, m := range f.Second() {
			if m == factor.RecoveryCode {
				continue // they stand in for the others
			}
			if err := s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.MFARemoved, Method: m}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Unlock lifts the pauses that failures brought on an account.
func (s *Service) Unlock(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		a, err := s.kit.Lock(ctx, tx, userID)
		if err != nil {
			return err
		}
		if err := s.kit.ClearLimits(ctx, tx, a.Subject()); err != nil {
			return err
		}
		return s.kit.Record(ctx, tx, audit.Entry{Action: "admin.user.unlock", Actor: actor, Targets: []audit.Ref{flow.User(a.ID)}})
	})
}
