package auth

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/store"
)

// noted writes a refusal down and gives what the person is told of it, as a refusalNoted; other errors stay.
func (m *machine) noted(ctx context.Context, p proof, err error) error {
	var r flow.Refusal
	if !errors.As(err, &r) {
		return err
	}
	note := p.refused
	if note == nil || r.ByGate() {
		note = func(ctx context.Context, r flow.Refusal) error {
			return m.loginRefused(ctx, p.account, p.method, p.amr[0], r)
		}
	}
	if err := note(ctx, r); err != nil {
		return err
	}
	if p.Mint != uuid.Nil {
		if err := m.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return m.kit.Mints.Settle(ctx, tx, p.Mint, mint.Outcome{Status: mint.Refused, Reason: fault.From(r.Err).Code, UserID: p.account.ID, AccountCreated: p.Created})
		}); err != nil {
			return err
		}
	}
	return refusalNoted{r.Err}
}

// refusalNoted marks an error whose audit row is written.
type refusalNoted struct{ error }

func (r refusalNoted) Unwrap() error { return r.error }

// loginRefused writes down that the factor was right and the sign-in refused all the same. It is no failed guess, so it
// is not counted.
func (m *machine) loginRefused(ctx context.Context, a account.Account, method, amr string, r flow.Refusal) error {
	meta := map[string]any{"method": method}
	for k, v := range r.Meta {
		meta[k] = v
	}
	return m.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return m.kit.Record(ctx, tx, audit.Entry{
			Action: "auth.login.failure", Reason: r.Reason, Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: amr, Metadata: meta, CorrelationID: r.Attempt,
		})
	})
}
