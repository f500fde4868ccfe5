package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/store"
)

// LinkWaiting says that a login elsewhere names the address of an account here: it is linked when that account's own
// credential is shown in a sign-in that carries Flow. Nobody is linked silently.
type LinkWaiting struct {
	Flow     string // secret
	Email    string
	Provider string
}

// linkable is a login elsewhere that waits to be linked.
type linkable struct {
	federation.Claims
	Mint uuid.UUID `json:"mint,omitzero"` // the plugin's sign-in that it came with
}

// holdLink keeps the claims until the account's own credential is shown.
func (s *federatedSignIns) holdLink(ctx context.Context, a account.Account, c linkable) (Federated, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return Federated{}, err
	}
	var held onetime.Issued
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if held, err = s.kit.Onetime.Issue(ctx, tx, onetime.Request{Purpose: flow.PendingLink, AccountID: a.ID, TTL: s.kit.Settings.LinkTTL, Flow: true, Payload: b}); err != nil {
			return err
		}
		if c.Mint != uuid.Nil {
			if err := s.kit.Mints.Wait(ctx, tx, c.Mint, held.ExpiresAt, mint.Outcome{UserID: a.ID}); err != nil {
				return err
			}
		}
		return s.kit.Record(ctx, tx, audit.Entry{
			Action: "oauth.link_request", Actor: flow.Anonymous, Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: "fed", Metadata: map[string]any{"provider": c.Provider},
		})
	})
	if err != nil {
		return Federated{}, err
	}
	return Federated{Link: &LinkWaiting{Flow: held.Flow, Email: a.Email, Provider: c.Provider}}, nil
}

// LookLink says what a flow waits to link; it changes nothing.
func (s *federatedSignIns) LookLink(ctx context.Context, flowToken string) (LinkWaiting, error) {
	g, c, err := s.waitingLink(ctx, s.kit.DB, flowToken)
	if err != nil {
		return LinkWaiting{}, err
	}
	a, err := s.kit.Accounts.Get(ctx, g.AccountID)
	return LinkWaiting{Flow: flowToken, Email: a.Email, Provider: c.Provider}, err
}

func (s *machine) waitingLink(ctx context.Context, q store.Querier, token string) (g onetime.Grant, c linkable, err error) {
	if g, err = s.kit.Onetime.LookFlow(ctx, q, flow.PendingLink, token); err != nil {
		return g, c, err
	}
	if err := json.Unmarshal(g.Payload, &c); err != nil {
		return g, c, fmt.Errorf("read login to link: %w", err)
	}
	return g, c, nil
}

// linkWaiting links what waits for this account's credential, in the transaction of the session that it was shown for.
// A flow that is over, or is another account's, is let go: the sign-in itself is good. It gives the plugin's sign-in that this ends.
func (s *machine) linkWaiting(ctx context.Context, tx *store.Tx, a account.Account, token string) (uuid.UUID, error) {
	if token == "" {
		return uuid.Nil, nil
	}
	g, c, err := s.waitingLink(ctx, tx, token)
	if errors.Is(err, onetime.ErrInvalid) || err == nil && g.AccountID != a.ID {
		return uuid.Nil, nil
	}
	if err != nil {
		return uuid.Nil, err
	}
	if err := s.kit.Onetime.Spend(ctx, tx, g); err != nil {
		return uuid.Nil, err
	}
	err = s.kit.Link(ctx, tx, a, c.Claims)
	if errors.Is(err, federation.ErrLinkedElsewhere) || errors.Is(err, federation.ErrTooMany) { // the sign-in is good all the same
		if err := s.kit.Mints.Settle(ctx, tx, c.Mint, mint.Outcome{Status: mint.Refused, Reason: fault.From(err).Code, UserID: a.ID}); err != nil {
			return uuid.Nil, err
		}
		return uuid.Nil, s.kit.Record(ctx, tx, audit.Entry{
			Action: "oauth.login.failure", Reason: fault.From(err).Code, Actor: flow.User(a.ID), Targets: []audit.Ref{flow.User(a.ID)}, AuthMethod: "fed",
			Metadata: map[string]any{"provider": c.Provider, "stage": "account"},
		})
	}
	return c.Mint, err
}
