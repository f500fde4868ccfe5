package factor

import (
	"context"
	"slices"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Raise renews the session after a factor proved right. The audit row has the correlation id of the attempt at the gates, if they were asked.
func (s *Service) Raise(ctx context.Context, tx *store.Tx, p principal.Principal, a account.Account, sh Verified, correlation string) (session.Issued, error) {
	if err := s.kit.Factors.Reset(ctx, tx, flow.SessionKey(p)); err != nil {
		return session.Issued{}, err
	}
	p.AuthTime, p.AMR = s.kit.Now(), With(p.AMR, sh.AMR...)
	// Assurance follows from what was shown and from nothing else: a password or a mailed code is no second factor, whatever the account has.
	if RaisesTo2(a, sh) {
		p.AAL, p.AMR = principal.AAL2, With(p.AMR, "mfa")
	}
	out, err := s.kit.Sessions.Rotate(ctx, tx, p)
	if err != nil {
		return session.Issued{}, err
	}
	e := flow.By(p)
	e.Action, e.Targets, e.AuthMethod = "auth.step_up.success", []audit.Ref{flow.User(a.ID)}, sh.AMR[0]
	e.Metadata, e.CorrelationID = map[string]any{"method": sh.Method, "aal": p.AAL}, correlation
	return out, s.kit.Record(ctx, tx, e)
}

// RaisesTo2 reports whether what was shown makes a session one of two factors.
func RaisesTo2(a account.Account, sh Verified) bool {
	return sh.TwoFactors || a.SecondFactor && sh.Method != Password && sh.Method != Mail && sh.Method != SSO
}

// SSO is a step-up at another provider, whose word says what was shown.
const SSO = "sso"

// Beside leaves out of an account's second factors what is none beside the first: having a passkey is one factor, however
// often it is shown and whichever of the account's passkeys it is (NIST SP 800-63B-4 §2.2.1).
func Beside(methods, amr []string) []string {
	if !slices.Contains(amr, "hwk") && !slices.Contains(amr, "swk") || len(amr) > 1 {
		return methods
	}
	return slices.DeleteFunc(methods, func(m string) bool { return m == Passkey })
}

// With adds methods to an amr, each once (RFC 8176).
func With(amr []string, more ...string) []string {
	out := slices.Clone(amr)
	for _, m := range more {
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out
}
