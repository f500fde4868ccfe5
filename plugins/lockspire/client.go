package lockspire

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Kind is what sort of application a client is. It decides what may be registered for it.
type Kind string

// The kinds.
const (
	Web     Kind = "web"     // runs on a server, has a secret
	Browser Kind = "browser" // a single-page application: no secret, PKCE alone
	Native  Kind = "native"  // on a phone or desktop: no secret, loopback and private-use redirect URIs
	Service Kind = "service" // no person at all: client credentials
)

// The names of grants, client authentication methods and algorithms, as on the wire.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	grantClient  = "client_credentials"

	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authNone  = "none"

	es256 = "ES256"
	rs256 = "RS256"
)

// Client is an application that gets tokens.
type Client struct {
	ID        string
	Name      string
	Kind      Kind
	Disabled  bool
	Config    ClientConfig
	CreatedAt time.Time
	UpdatedAt time.Time
}

// ClientConfig is what was agreed with a client.
type ClientConfig struct {
	AuthMethod      string   `json:"auth_method"`
	RedirectURIs    []string `json:"redirect_uris,omitempty"`
	Grants          []string `json:"grants"`
	Scopes          []string `json:"scopes"`                       // that it may ask for
	Audiences       []string `json:"audiences,omitempty"`          // resources that it may name (RFC 8707)
	Serves          []string `json:"serves,omitempty"`             // resources that it is itself: it may introspect tokens for them
	IDTokenAlg      string   `json:"id_token_alg"`                 // RS256 or ES256
	Trusted         bool     `json:"trusted,omitempty"`            // of the same house: nobody is asked for consent
	Fragment        bool     `json:"fragment,omitempty"`           // response_mode=fragment is allowed
	ClaimsInIDToken bool     `json:"claims_in_id_token,omitempty"` // what userinfo says is in the ID token too
	Development     bool     `json:"development,omitempty"`        // http on this machine may be registered
}

// Native says whether the rules of RFC 8252 apply.
func (c *Client) Native() bool { return c.Kind == Native }

// may says whether the client may use a grant.
func (c *Client) may(grant string) bool { return slices.Contains(c.Config.Grants, grant) }

// redirects says whether a redirect URI is one of the client's.
func (c *Client) redirects(asked string) bool {
	return slices.ContainsFunc(c.Config.RedirectURIs, func(registered string) bool { return matchRedirect(registered, asked, c.Native()) })
}

var (
	errNoClient   = errors.New("there is no such client")
	errClientName = errors.New("a client has a name of 1 to 80 characters, without control characters")

	// scopePattern: RFC 6749 §3.3, but for the characters that would need quoting somewhere.
	scopePattern = regexp.MustCompile(`^[A-Za-z0-9._:/~-]{1,128}$`)
)

// check says why a client can't be registered so.
func (c *Client) check() error {
	if n := utf8.RuneCountInString(c.Name); n == 0 || n > 80 || strings.ContainsFunc(c.Name, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) {
		return errClientName
	}
	confidential := c.Config.AuthMethod == authBasic || c.Config.AuthMethod == authPost
	switch c.Kind {
	case Web:
		if !confidential {
			return errors.New("a web application authenticates by client_secret_basic or client_secret_post; make one without a server a browser or native client")
		}
	case Service:
		if !confidential || len(c.Config.RedirectURIs) > 0 || !slices.Equal(c.Config.Grants, []string{grantClient}) {
			return errors.New("a service authenticates by a secret and uses client_credentials alone, without redirect URIs")
		}
	case Browser, Native:
		// RFC 8252 §8.5, RFC 9700 §2.5: what everybody can read is no secret.
		if c.Config.AuthMethod != authNone {
			return errors.New("a browser or native client can't keep a secret; its authentication method is none")
		}
		if c.may(grantClient) {
			return errors.New("client_credentials is for clients that can keep a secret") // RFC 6749 §4.4
		}
	default:
		return fmt.Errorf("there is no kind of client %q; use web, browser, native or service", c.Kind)
	}
	for _, g := range c.Config.Grants {
		if g != grantCode && g != grantRefresh && g != grantClient {
			return fmt.Errorf("grant %q is not supported", g)
		}
	}
	if c.may(grantCode) && len(c.Config.RedirectURIs) == 0 {
		return errNoRedirect
	}
	for _, u := range c.Config.RedirectURIs {
		if err := checkRedirect(u, c.Native(), c.Config.Development); err != nil {
			return err
		}
	}
	for _, s := range c.Config.Scopes {
		if !scopePattern.MatchString(s) {
			return fmt.Errorf("scope %q: use letters, digits and . _ : / ~ -", s)
		}
	}
	for _, a := range slices.Concat(c.Config.Audiences, c.Config.Serves) {
		if err := checkResource(a); err != nil {
			return err
		}
	}
	if c.Config.IDTokenAlg != rs256 && c.Config.IDTokenAlg != es256 {
		return fmt.Errorf("ID tokens are signed by RS256 or ES256, not %q", c.Config.IDTokenAlg)
	}
	return nil
}

// checkResource: RFC 8707 §2, an absolute URI without a fragment.
func checkResource(uri string) error {
	u, err := url.Parse(uri)
	if err != nil || !u.IsAbs() || strings.Contains(uri, "#") || len(uri) > maxURI || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > 0x7e }) {
		return fmt.Errorf("audience %q is not an absolute URI without a fragment", uri)
	}
	return nil
}
