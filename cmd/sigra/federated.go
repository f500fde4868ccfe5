package main

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/mint"
	"github.com/sigra-auth/sigra/core/pluginhost"
)

// federated lets plugins complete sign-ins that they have verified, through the one machine of core/auth.
type federated struct {
	auth *auth.Service
	base string // URL
}

// Begin keeps a state until the provider answers.
func (f federated) Begin(ctx context.Context, b pluginhost.Begin) (pluginhost.Begun, error) {
	ttl := b.ValidFor
	if ttl <= 0 {
		ttl = auth.DefaultPluginState
	}
	ttl = min(ttl, auth.MaxPluginState)
	st, err := f.auth.BeginPluginSignIn(ctx, auth.PluginBegun{
		Plugin: b.Plugin, Provider: b.Provider, OrganizationID: b.OrganizationID, ReturnTo: b.ReturnTo, Purpose: auth.Purpose(b.Purpose), MaxAge: b.MaxAge,
		RequiredAAL: b.RequiredAAL, SessionID: b.SessionID,
	}, ttl)
	return pluginhost.Begun{State: st.State, Cookie: st.Cookie, Key: st.Key}, err
}

// Mint keeps the sign-in until the browser goes on.
func (f federated) Mint(ctx context.Context, m pluginhost.Mint) (pluginhost.Minted, error) {
	var entry membership.Entry
	if m.OrganizationID != uuid.Nil && m.Membership != pluginhost.NoMembership {
		entry = membership.Entry{OrganizationID: m.OrganizationID, Join: m.Membership == pluginhost.JustInTimeMembership, Role: m.Role, Plugin: m.Plugin}
	}
	flow, id, err := f.auth.HoldPluginSignIn(ctx, auth.VerifiedByPlugin{
		Plugin: m.Plugin, Provider: m.Provider, Subject: m.Subject, UserID: m.UserID, Email: m.Email, EmailVerified: m.EmailVerified,
		Index: m.FederatedIndex, ReturnTo: m.ReturnTo, OrganizationID: m.OrganizationID, Entry: entry, SignUp: m.SignUp, DomainVerified: m.DomainVerified,
		State: m.State, Key: m.StateKey, Purpose: auth.Purpose(m.Purpose), AMR: m.AMR, ACR: m.ACR, AuthTime: m.AuthTime, NotAfter: m.NotAfter,
		Display: m.Display, Attributes: m.Attributes, Assures: m.Assures, Administrators: m.Administrators,
	})
	if err != nil {
		return pluginhost.Minted{}, err
	}
	return pluginhost.Minted{ContinueURL: f.base + "/login/continue?flow=" + flow, ID: id}, nil
}

// Outcome tells what became of it.
func (f federated) Outcome(ctx context.Context, plugin string, id uuid.UUID) (mint.Outcome, error) {
	return f.auth.OutcomeOfPlugin(ctx, plugin, id)
}

// RevokeFederated ends the sessions that a login at a plugin's provider began.
func (f federated) RevokeFederated(ctx context.Context, plugin, index, reason string) ([]uuid.UUID, error) {
	return f.auth.RevokeFederated(ctx, plugin, index, reason)
}
