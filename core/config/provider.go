package config

import "github.com/sigra-auth/sigra/core/secret"

// Provider is one provider block: another service that people can sign in with. What is left out is the preset's.
type Provider struct {
	Name   string // the label, and the end of its redirect address
	Preset string // empty: a provider of the operator's own
	Title  string // empty: the preset's, or the label
	// Enabled is whether it is offered. The logins that people linked stay either way.
	Enabled bool
	SignUp  bool // may make accounts

	ClientID     string
	ClientSecret secret.Text
	TokenAuth    string // TokenAuthBasic, …Post, …None; empty: the preset's, or what discovery says

	Issuer                              string // OpenID Connect by discovery
	AuthorizeURL, TokenURL, UserinfoURL string // OAuth 2.0 by hand
	Claims                              ProviderClaims

	Scopes          []string // nil: the preset's, or openid email profile
	TrustEmail      *bool    // nil: the preset's, or false
	Prompt          string
	AuthorizeParams map[string]string

	Tenant        string // Microsoft's
	TeamID, KeyID string // Apple's
	PrivateKey    secret.Text
}

// ProviderClaims says where things stand in an answer. Empty ones are the standard's.
type ProviderClaims struct{ Subject, Email, EmailVerified, Name, Picture, Locale string }

// The values of Provider.TokenAuth.
const (
	TokenAuthBasic = "basic" // the client secret as HTTP basic authentication
	TokenAuthPost  = "post"  // the client secret in the body
	TokenAuthNone  = "none"  // no client secret
)
