// Package sigra lets a Go application ask Sigra who is signed in. It needs nothing but the standard library.
//
//	auth, err := sigra.New(sigra.Config{URL: "https://id.example.com"})
//	…
//	http.Handle("/orders/", auth.Require(orders))
//
//	func orders(w http.ResponseWriter, r *http.Request) {
//		who := sigra.From(r.Context())
//		fmt.Fprintf(w, "Hello, %s", who.Email)
//	}
//
// There are two ways to know, by what a request carries:
//
//   - a session's cookie or bearer token: Sigra is asked each time, so that a session that has ended is refused by the very next request;
//   - a token of GET /v1/session/token: it is verified here, with keys that are fetched every quarter of an hour. It is good for five minutes, whatever becomes
//     of the session.
package sigra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config of a Client.
type Config struct {
	// URL is Sigra's base_url. Needed.
	URL string
	// Internal is where this application reaches Sigra, where that is another address; empty: URL.
	Internal string
	// Cookie is the session cookie's name: "__Secure-sigra_session" where session.cookie_domain is set. Empty: "__Host-sigra_session".
	Cookie string
	// ApplicationKey is this application's (sigra application create). With it no limit of its address stands in the way, and Internal may be one of Sigra's
	// server.internal_hosts. Empty: none.
	ApplicationKey string
	// Audience is what a token must be for (session.token_audience); empty: URL.
	Audience string
	// HTTP sends the requests; nil: a client of its own, with a timeout of ten seconds.
	HTTP *http.Client
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Client asks Sigra. Safe for concurrent use.
type Client struct {
	url, internal, cookie, audience, appKey string
	http                                    *http.Client
	now                                     func() time.Time
	keys                                    keySet
}

// New makes a Client. It sends nothing.
func New(c Config) (*Client, error) {
	base, err := origin(c.URL)
	if err != nil {
		return nil, fmt.Errorf("sigra: URL: %w", err)
	}
	k := &Client{url: base, internal: base, appKey: c.ApplicationKey, cookie: c.Cookie, audience: c.Audience, http: c.HTTP, now: c.Now}
	if c.Internal != "" {
		if k.internal, err = origin(c.Internal); err != nil {
			return nil, fmt.Errorf("sigra: Internal: %w", err)
		}
	}
	if k.cookie == "" {
		k.cookie = "__Host-sigra_session"
	}
	if k.audience == "" {
		k.audience = base
	}
	if k.http == nil {
		k.http = &http.Client{Timeout: 10 * time.Second}
	}
	if k.now == nil {
		k.now = time.Now
	}
	return k, nil
}

func origin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", fmt.Errorf("%q is no http or https address", s)
	}
	return strings.TrimRight(u.Scheme+"://"+u.Host+u.Path, "/"), nil
}

// Session is who is signed in.
type Session struct {
	UserID         string
	SessionID      string
	Email          string
	Name           string
	AAL            string   // "aal1" or "aal2"
	AMR            []string // RFC 8176
	AuthTime       time.Time
	ExpiresAt      time.Time // of the session; of a token that was verified here, its own end
	OrganizationID string    // the active one; empty: none
	Role           string    // in that organization
	ImpersonatorID string    // the administrator who acts in the person's name; empty: nobody
	// Claims are those of plugins, by the plugin's name. Only a verified token has them.
	Claims map[string]any
}

// ErrNobody says that nobody is signed in, or that the session is over.
var ErrNobody = errors.New("sigra: nobody is signed in")

type contextKey struct{}

// From gives who is signed in, behind Require or Allow; behind Allow it is nil for a request of nobody.
func From(ctx context.Context) *Session {
	s, _ := ctx.Value(contextKey{}).(*Session)
	return s
}
