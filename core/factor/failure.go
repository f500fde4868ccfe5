package factor

import (
	"context"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/store"
)

// Failed counts a factor that proved nothing, by key (flow.Kit.FactorKey), and writes it down.
func (s *Service) Failed(ctx context.Context, tx *store.Tx, a account.Account, sh Verified, key, reason string) error {
	if err := s.CountFailure(ctx, tx, a, key); err != nil {
		return err
	}
	return s.kit.Record(ctx, tx, audit.Entry{
		Action: "mfa.challenge.failure", Reason: reason, Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: sh.AMR[0],
		Metadata: map[string]any{"method": sh.Method},
	})
}

// CountFailure counts, and says in the log and to the person when that was the one after which there is a pause.
func (s *Service) CountFailure(ctx context.Context, tx *store.Tx, a account.Account, key string) error {
	if err := s.kit.Factors.Fail(ctx, tx, key); err != nil {
		return err
	}
	full := s.kit.Factors.Check(ctx, tx, key)
	if full == nil || fault.KindOf(full) != fault.RateLimited {
		return full
	}
	if err := s.kit.Record(ctx, tx, audit.Entry{
		Action: "security.lockout", Reason: "too_many_failures", Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)},
		Metadata: map[string]any{"scope": "second_factor", "seconds": int(fault.From(full).RetryAfter.Seconds())},
	}); err != nil {
		return err
	}
	return s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.Lockout})
}
