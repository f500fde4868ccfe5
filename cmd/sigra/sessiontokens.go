package main

import (
	"context"

	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/sessionjwt"
)

// sessionTokens puts the claims of plugins into the tokens of sessions.
type sessionTokens struct {
	issuer *sessionjwt.Issuer
	host   func() *pluginhost.Host // set when the server is put together; nil: no plugins run
}

// IssueToken implements httpapi.SessionTokens.
func (t sessionTokens) IssueToken(ctx context.Context, who principal.Principal) (sessionjwt.Token, error) {
	var c pluginhost.Claims
	if t.host != nil && who.SignedIn() {
		c = t.host().Claims(ctx, pluginhost.ClaimsQuery{Who: who, Audience: "session_jwt"})
	}
	return t.issuer.Issue(who, c.Values, c.Stale)
}

// TokenKeys implements httpapi.SessionTokens.
func (t sessionTokens) TokenKeys() []byte { return t.issuer.Set() }
