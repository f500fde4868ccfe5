package main

import (
	"net/http"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/web"
)

// callers tells the plugin host who sends a request, by the same rules as the API.
type callers struct {
	sessions *session.Store
	pages    *web.Pages
}

// Caller implements pluginhost.Callers.
func (c callers) Caller(r *http.Request) (principal.Principal, bool, error) {
	if op := request.From(r.Context()).Operator; op != "" {
		return principal.Principal{Kind: principal.Operator, Display: op, Administrator: true}, false, nil
	}
	// A plugin may have credentials of its own in this header (an OAuth access token): only what Sigra knows as a
	// session is Sigra's, and is taken away.
	bearer := r.Header.Get("Authorization") != ""
	p, err := httpapi.Authenticate(c.sessions, r)
	switch {
	case err == nil:
		return p, bearer, nil
	case fault.KindOf(err) == fault.Unauthenticated:
		return principal.Principal{}, false, nil
	}
	return principal.Principal{}, false, err
}

// SignIn implements pluginhost.Callers.
func (c callers) SignIn(r *http.Request) string {
	return c.pages.SignIn(r.URL.RequestURI(), 0, "", false)
}
