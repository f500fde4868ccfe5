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
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/onetime"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// pluginSignInTTL is how long the browser may take to follow one redirect.
const pluginSignInTTL = 2 * time.Minute

var errPluginSignIn = fault.New(fault.Unauthenticated, "sign_in_expired", "This sign-in took too long, was used already or was begun elsewhere. Please start again.")

// VerifiedByPlugin is a sign-in that a plugin has verified with a provider of its own, such as SAML.
type VerifiedByPlugin struct {
	Plugin        string           `json:"plugin"`
	Provider      string           `json:"provider"` // below the plugin's name
	Subject       string           `json:"subject"`
	UserID        uuid.UUID        `json:"user_id,omitzero"` // when the plugin knows the account
	Email         string           `json:"email,omitempty"`
	EmailVerified bool             `json:"email_verified,omitempty"`
	Index         string           `json:"index,omitempty"` // the provider's handle of the session, for single logout
	ReturnTo      string           `json:"return_to,omitempty"`
	Entry         membership.Entry `json:"entry,omitzero"` // the organization whose provider it is

	// Who asked: the browser that goes on must be the same.
	IP    string `json:"ip,omitempty"`
	Agent string `json:"agent,omitempty"`
}

// pluginSignIns signs in on the word of a plugin.
type pluginSignIns struct {
	*machine
	federated *federatedSignIns
}

// claims are what the plugin says of somebody, as any other provider's.
func (m VerifiedByPlugin) claims() federation.Claims {
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

// HoldPluginSignIn keeps a verified sign-in and gives the secret with which the browser goes on, once, within two minutes and
// from the same address with the same user agent: a link that somebody else is made to follow signs them in to nothing.
func (s *pluginSignIns) HoldPluginSignIn(ctx context.Context, m VerifiedByPlugin) (flowToken string, err error) {
	info := request.From(ctx)
	m.IP, m.Agent = info.IPString(), info.UserAgent
	b, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		out, err := s.kit.Onetime.Issue(ctx, tx, onetime.Request{Purpose: flow.PluginSignIn, TTL: pluginSignInTTL, Flow: true, Payload: b})
		flowToken = out.Flow
		return err
	})
	return flowToken, err
}

// SignInPlugin goes on with what HoldPluginSignIn kept: through the same linking rules, gates and second factor as any other
// provider's word. returnTo is where the plugin wants the browser to go.
func (s *pluginSignIns) SignInPlugin(ctx context.Context, flowToken, device string) (out Federated, returnTo string, err error) {
	var m VerifiedByPlugin
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		g, err := s.kit.Onetime.LookFlow(ctx, tx, flow.PluginSignIn, flowToken)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(g.Payload, &m); err != nil {
			return fmt.Errorf("read sign-in of a plugin: %w", err)
		}
		return s.kit.Onetime.Spend(ctx, tx, g)
	})
	if errors.Is(err, onetime.ErrInvalid) {
		err = errPluginSignIn
	}
	if err != nil {
		return Federated{}, "", err
	}
	c := m.claims()
	if info := request.From(ctx); info.IPString() != m.IP || info.UserAgent != m.Agent {
		return Federated{}, "", s.federated.FederatedFailed(ctx, c.Provider, "state", "other_browser", errPluginSignIn)
	}
	out, err = s.federated.signInVouched(ctx, vouch{Claims: c, signUp: true, userID: m.UserID, index: federatedIndex(m.Plugin, m.Index), entry: m.Entry}, device)
	return out, m.ReturnTo, err
}

// RevokeFederated ends the sessions that a login at a plugin's provider began, because it ended there.
func (s *pluginSignIns) RevokeFederated(ctx context.Context, plugin, index, reason string) (n int, err error) {
	if index == "" {
		return 0, nil
	}
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		ended, err := s.kit.Sessions.RevokeFederatedIn(ctx, tx, federatedIndex(plugin, index))
		if err != nil {
			return err
		}
		n = len(ended)
		for _, p := range ended {
			if err := s.kit.Record(ctx, tx, audit.Entry{
				Action: "session.revoke", Reason: reason, Actor: audit.Ref{Type: "plugin", ID: plugin},
				Targets:  []audit.Ref{{Type: "session", ID: p.SessionID.String()}, flow.User(p.UserID)},
				Metadata: map[string]any{"cause": "federated_logout", "plugin": plugin},
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
