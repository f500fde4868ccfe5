package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// mintPurpose is what onetime keeps a sign-in as that a plugin has verified, until the browser comes to go on.
const mintPurpose onetime.Purpose = "minted"

// mintTTL is how long the browser may take to follow one redirect.
const mintTTL = 2 * time.Minute

var errMint = fault.New(fault.Unauthenticated, "sign_in_expired", "This sign-in took too long, was used already or was begun elsewhere. Please start again.")

// Minted is a sign-in that a plugin has verified with a provider of its own, such as SAML.
type Minted struct {
	Plugin        string    `json:"plugin"`
	Provider      string    `json:"provider"` // below the plugin's name
	Subject       string    `json:"subject"`
	UserID        uuid.UUID `json:"user_id,omitzero"` // when the plugin knows the account
	Email         string    `json:"email,omitempty"`
	EmailVerified bool      `json:"email_verified,omitempty"`
	Index         string    `json:"index,omitempty"` // the provider's handle of the session, for single logout
	ReturnTo      string    `json:"return_to,omitempty"`

	// Who asked: the browser that goes on must be the same.
	IP    string `json:"ip,omitempty"`
	Agent string `json:"agent,omitempty"`
}

// claims are what the plugin says of somebody, as any other provider's.
func (m Minted) claims() federation.Claims {
	c := federation.Claims{Provider: m.Plugin + "/" + m.Provider, Issuer: "plugin:" + m.Plugin, Subject: m.Subject, EmailVerified: m.EmailVerified}
	if e, err := account.ParseEmail(m.Email); err == nil {
		c.Email = e
	}
	return c
}

// federatedIndex names the sessions of one login at one provider of one plugin.
func federatedIndex(plugin, index string) string {
	if index == "" {
		return ""
	}
	return plugin + "/" + index
}

// HoldMinted keeps a verified sign-in and gives the secret with which the browser goes on, once, within two minutes and
// from the same address with the same user agent: a link that somebody else is made to follow signs them in to nothing.
func (s *Service) HoldMinted(ctx context.Context, m Minted) (flow string, err error) {
	info := request.From(ctx)
	m.IP, m.Agent = info.IPString(), info.UserAgent
	b, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		out, err := s.onetime.Issue(ctx, tx, onetime.Request{Purpose: mintPurpose, TTL: mintTTL, Flow: true, Payload: b})
		flow = out.Flow
		return err
	})
	return flow, err
}

// SignInMinted goes on with what HoldMinted kept: through the same linking rules, gates and second factor as any other
// provider's word. returnTo is where the plugin wants the browser to go.
func (s *Service) SignInMinted(ctx context.Context, flow, device string) (out Federated, returnTo string, err error) {
	var m Minted
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		g, err := s.onetime.LookFlow(ctx, tx, mintPurpose, flow)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(g.Payload, &m); err != nil {
			return fmt.Errorf("read minted sign-in: %w", err)
		}
		return s.onetime.Spend(ctx, tx, g)
	})
	if errors.Is(err, onetime.ErrInvalid) {
		err = errMint
	}
	if err != nil {
		return Federated{}, "", err
	}
	c := m.claims()
	if info := request.From(ctx); info.IPString() != m.IP || info.UserAgent != m.Agent {
		return Federated{}, "", s.FederatedFailed(ctx, c.Provider, "state", "other_browser", errMint)
	}
	out, err = s.signInVouched(ctx, vouch{Claims: c, signUp: true, userID: m.UserID, index: federatedIndex(m.Plugin, m.Index)}, device)
	return out, m.ReturnTo, err
}

// RevokeFederated ends the sessions that a login at a plugin's provider began, because it ended there.
func (s *Service) RevokeFederated(ctx context.Context, plugin, index, reason string) (n int, err error) {
	if index == "" {
		return 0, nil
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ended, err := s.sessions.RevokeFederatedIn(ctx, tx, federatedIndex(plugin, index))
		if err != nil {
			return err
		}
		n = len(ended)
		for _, p := range ended {
			if err := s.record(ctx, tx, audit.Entry{
				Action: "session.revoke", Reason: reason, Actor: audit.Ref{Type: "plugin", ID: plugin},
				Targets:  []audit.Ref{{Type: "session", ID: p.SessionID.String()}, user(p.UserID)},
				Metadata: map[string]any{"cause": "federated_logout", "plugin": plugin},
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
