package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/forwardauth"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/server"
)

func TestForwardAuth(t *testing.T) {
	t.Parallel()
	ada := principal.Principal{Kind: principal.User, UserID: uuid.New(), SessionID: uuid.New(), Email: "ada@example.com", AAL: principal.AAL1, AuthTime: time.Now()}
	asked := 0
	s := setup(t, server.Config{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
		ForwardAuth: &server.ForwardAuth{
			Rules: func() forwardauth.Rules {
				return forwardauth.Rules{
					{Name: "static", Paths: []string{"/static/*"}, Access: forwardauth.Public},
					{Name: "admin", Paths: []string{"/admin/*"}, Access: forwardauth.SignedIn, AAL: principal.AAL2},
					{Name: "reports", Paths: []string{"/reports"}, Access: forwardauth.SignedIn, AskPlugins: true},
				}
			},
			Caller: func(r *http.Request) (principal.Principal, bool, error) {
				if r.Header.Get("Authorization") == "" {
					return principal.Principal{}, false, nil
				}
				return ada, true, nil
			},
			SignIn: func(returnTo string, _ time.Duration, aal string) string {
				return "/login?return_to=" + returnTo + "&aal=" + aal
			},
			Ask: func(_ context.Context, a gate.Ask) (gate.Answer, error) {
				asked++
				if a.Context["path"] == "/watermarked" {
					return gate.Answer{Revision: "7", Obligations: []gate.Obligation{{Name: "watermark", Parameters: map[string]any{"text": "für Ada"}}}}, nil
				}
				if a.Context["path"] == "/overloaded" {
					return gate.Answer{Obligations: []gate.Obligation{{Name: strings.Repeat("x", 5000)}}}, nil
				}
				if a.Context["path"] != "/reports" || a.Context["rule"] != "reports" || a.Principal.UserID != ada.UserID {
					return gate.Answer{}, nil
				}
				return gate.Answer{Decision: gate.Deny, Reason: "closed_today"}, nil
			},
		},
	}, nil)
	for _, c := range []struct {
		what, from string
		header     []string
		status     int
		has        string // in a header, "Name: value"
	}{
		{"everybody's page", "192.0.2.1", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /static/a.css"}, 200, "Sigra-User-Id: "},
		{"nobody, a browser", "192.0.2.1", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /orders/7?x=1", "Accept: text/html"}, 302, "Location: http://localhost:8484/login?return_to=/orders/7?x=1&aal="},
		{"nobody, a browser that posts", "192.0.2.1", []string{"X-Forwarded-Method: POST", "X-Forwarded-Uri: /orders", "Accept: text/html"}, 401, ""},
		{"nobody, behind nginx", "192.0.2.1", []string{"X-Original-Method: GET", "X-Original-Uri: /orders", "Accept: text/html"}, 401, "Sigra-Sign-In: http://localhost:8484/login?return_to=/orders&aal="},
		{"somebody", "192.0.2.1", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /orders", "Authorization: Bearer x"}, 200, "Sigra-User-Email: ada@example.com"},
		{"somebody with one factor", "192.0.2.1", []string{"X-Original-Method: GET", "X-Original-Uri: /admin/x", "Authorization: Bearer x"}, 403, "Sigra-Sign-In: http://localhost:8484/login?return_to=/admin/x&aal=aal2"},
		{"a plugin refuses", "192.0.2.1", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /reports", "Authorization: Bearer x"}, 403, "Sigra-Reason: closed_today"},
		{"a plugin wants something done", "192.0.2.1", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /watermarked", "Authorization: Bearer x"}, 200, `Sigra-Obligations: [{"name":"watermark","parameters":{"text":"f\u00fcr Ada"}}]`},
		{"by which rules", "192.0.2.1", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /watermarked", "Authorization: Bearer x"}, 200, "Sigra-Rules-Revision: 7"},
		{"nothing is wanted", "192.0.2.1", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /orders", "Authorization: Bearer x"}, 200, "Sigra-Obligations: "},
		{"a plugin wants more than can be told", "192.0.2.1", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /overloaded", "Authorization: Bearer x"}, 403, ""},
		{"the client's own beside the proxy's", "192.0.2.1", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /admin/x", "X-Original-Method: GET", "X-Original-Uri: /static/x"}, 403, ""},
		{"the other way round", "192.0.2.1", []string{"X-Original-Method: GET", "X-Original-Uri: /admin/x", "X-Forwarded-Uri: /static/x", "X-Forwarded-Method: GET"}, 403, ""},
		{"one half of it", "192.0.2.1", []string{"X-Original-Method: GET", "X-Original-Uri: /admin/x", "X-Forwarded-Method: GET"}, 403, ""},
		{"said twice", "192.0.2.1", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /admin/x", "X-Forwarded-Uri: /static/x"}, 422, ""},
		{"for an application on a host of its own", "192.0.2.1", []string{"X-Forwarded-Host: app.example.com:8443", "X-Forwarded-Proto: https", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /orders", "Accept: text/html"}, 302, "Location: http://localhost:8484/login?return_to=https://app.example.com:8443/orders&aal="},
		{"at the scheme's own port", "192.0.2.1", []string{"X-Forwarded-Host: app.example.com:443", "X-Forwarded-Proto: https", "X-Original-Method: GET", "X-Original-Uri: /orders"}, 401, "Sigra-Sign-In: http://localhost:8484/login?return_to=https://app.example.com/orders&aal="},
		{"another port of this host", "192.0.2.1", []string{"X-Forwarded-Host: localhost:3000", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /orders", "Accept: text/html"}, 302, "Location: http://localhost:8484/login?return_to=http://localhost:3000/orders&aal="},
		{"not a proxy, for another host", "198.51.100.7", []string{"Host: app.example.com", "X-Forwarded-Method: GET", "X-Forwarded-Uri: /static/x"}, 421, ""},
		{"an ambiguous path", "192.0.2.1", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /static/..%2fadmin"}, 403, ""},
		{"no request named", "192.0.2.1", nil, 422, ""},
		{"not a proxy", "198.51.100.7", []string{"X-Forwarded-Method: GET", "X-Forwarded-Uri: /static/x"}, 403, ""},
	} {
		r := httptest.NewRequest("GET", "http://localhost:8484/auth/verify", nil)
		r.RemoteAddr = c.from + ":1234"
		for _, h := range c.header {
			name, value, _ := strings.Cut(h, ": ")
			if name == "Host" {
				r.Host = value
			}
			r.Header.Add(name, value)
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		name, value, _ := strings.Cut(c.has, ": ")
		if w.Code != c.status || c.has != "" && w.Header().Get(name) != value {
			t.Errorf("%s: %d %v %s", c.what, w.Code, w.Header(), w.Body)
		}
	}
	if asked != 6 { // for what no rule names, and for the rule that says so
		t.Errorf("plugins were asked %d times", asked)
	}
}
