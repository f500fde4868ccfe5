package main

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/pluginhost"
)

// federated lets plugins complete sign-ins that they have verified, through the one machine of core/auth.
type federated struct {
	auth *auth.Service
	base string // URL
}

// Mint keeps the sign-in until the browser goes on.
func (f federated) Mint(ctx context.Context, m pluginhost.Mint) (continueURL string, err error) {
	if m.OrganizationID != uuid.Nil {
		return "", fault.New(fault.NotFound, "organization_not_found", "There is no such organization.").At("organization_id")
	}
	flow, err := f.auth.HoldPluginSignIn(ctx, auth.VerifiedByPlugin{
		Plugin: m.Plugin, Provider: m.Provider, Subject: m.Subject, UserID: m.UserID, Email: m.Email, EmailVerified: m.EmailVerified,
		Index: m.FederatedIndex, ReturnTo: m.ReturnTo,
	})
	if err != nil {
		return "", err
	}
	return f.base + "/login/continue?flow=" + flow, nil
}

// RevokeFederated ends the sessions that a login at a plugin's provider began.
func (f federated) RevokeFederated(ctx context.Context, plugin, index, reason string) (int, error) {
	return f.auth.RevokeFederated(ctx, plugin, index, reason)
}
