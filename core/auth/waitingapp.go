package auth

import (
	"context"

	"github.com/sigra-auth/sigra/core/credential/totp"
)

// WaitingTOTP gives the secret of the authenticator app that is being added in the middle of a sign-in, as PendingTOTP made
// it, so that a page can be shown again; it changes nothing.
func (s *Service) WaitingTOTP(ctx context.Context, flow string) (e totp.Enrollment, waits bool, err error) {
	g, w, err := s.pending(ctx, flow)
	if err != nil || !w.Enroll {
		return e, false, err
	}
	a, err := s.accounts.Get(ctx, g.AccountID)
	if err != nil {
		return e, false, err
	}
	return s.totp.Pending(ctx, s.db, a.ID, a.Email, s.set.ServiceName)
}
