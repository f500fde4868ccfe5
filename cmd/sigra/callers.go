package main

import (
	"context"
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/web"
)

// callers tells the plugin host who sends a request, by the same rules as the API.
type callers struct {
	chain *principal.Chain
	pages *web.Pages
}

// newCallers is the ways to tell who sends a request. A session's token is any bearer token that nothing before it knows.
func newCallers(sessions principal.Sessions, cookie cookie.SessionCookie, applications principal.Applications) *principal.Chain {
	return principal.NewChain(cookie.Token,
		principal.ControlSocket, principal.ApplicationKey(applications), principal.BearerSession(sessions), principal.CookieSession(sessions))
}

// knowsApplication reports whether a key is that of an application. Where that can't be found out, it is not.
func (p *parts) knowsApplication(ctx context.Context, key string) bool {
	_, _, known, err := p.applications.Application(ctx, key)
	return known && err == nil
}

// sessionCookie is the cookie that sessions are in.
func sessionCookie(cfg *config.Config) cookie.SessionCookie {
	return cookie.SessionCookie{Domain: cfg.Session.CookieDomain}
}

// Caller implements pluginhost.Callers.
func (c callers) Caller(r *http.Request) (principal.Principal, bool, error) {
	// A plugin may have credentials of its own in this header (an OAuth access token): only what Sigra knows
	// is Sigra's, and is taken away.
	shown, err := c.chain.Credential(r)
	var p principal.Principal
	if err == nil {
		p, err = c.chain.ResolveCredential(r.Context(), shown)
	}
	switch {
	case err == nil:
		return p, shown.Bearer != "", nil
	case fault.KindOf(err) == fault.Unauthenticated:
		return principal.Principal{}, false, nil
	}
	return principal.Principal{}, false, err
}

// SignIn implements pluginhost.Callers.
func (c callers) SignIn(r *http.Request, maxAge time.Duration, aal string) string {
	return c.pages.SignIn(r.URL.RequestURI(), maxAge, aal, false)
}
