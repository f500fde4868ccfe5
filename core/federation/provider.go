package federation

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/federation/preset"
	"github.com/sigra-auth/sigra/core/secret"
)

// provider is one block of the configuration with its preset filled in.
type provider struct {
	name, title string
	enabled     bool
	signUp      bool
	kind        preset.Kind
	preset      preset.Preset // its name is empty for a provider of the operator's own

	clientID    string
	secret      secret.Text
	tokenAuth   string
	apple       *appleKey // makes the client secret; nil for all others
	redirectURI string

	scopes     []string
	trustEmail bool
	claims     preset.Claims
	params     map[string]string // for the authorization endpoint
	forceLogin map[string]string
	realm      string // of an OAuth 2.0 provider: what its subjects are unique within

	is        issuer
	discovery *discovery // nil for OAuth 2.0
	calls     *caller
	now       func() time.Time

	mu   sync.Mutex
	keys *keySet // of the jwks_uri last seen
}

// newProvider fills in the preset. The configuration was checked where it was read; what would be unsafe is checked again.
func newProvider(c config.Provider, baseURL string, calls *caller, now func() time.Time) (*provider, error) {
	p := &provider{
		name: c.Name, title: c.Title, enabled: c.Enabled, signUp: c.SignUp, clientID: c.ClientID, secret: c.ClientSecret, tokenAuth: c.TokenAuth,
		redirectURI: baseURL + "/login/callback/" + c.Name, scopes: c.Scopes, calls: calls, now: now,
		params: map[string]string{}, forceLogin: map[string]string{},
	}
	if c.Preset != "" {
		var ok bool
		if p.preset, ok = preset.Find(c.Preset); !ok {
			return nil, fmt.Errorf("federation: provider %s: there is no preset %q", c.Name, c.Preset)
		}
	} else {
		p.preset = custom(c)
	}
	if c.Name == "" || c.ClientID == "" {
		return nil, fmt.Errorf("federation: provider %q needs a name and a client id", c.Name)
	}
	k := p.preset
	p.kind, p.realm = k.Kind, k.Realm
	if p.title == "" {
		p.title = k.Title
	}
	if p.tokenAuth == "" {
		p.tokenAuth = k.TokenAuth
	}
	if p.scopes == nil {
		p.scopes = k.Scopes
	}
	// A preset's trust is in one issuer; in another that the operator named, the operator decides.
	p.trustEmail = k.TrustEmail && (c.Issuer == "" || c.Issuer == k.Issuer)
	if c.TrustEmail != nil {
		p.trustEmail = *c.TrustEmail
	}
	p.claims = merge(k)
	maps.Copy(p.params, k.AuthorizeParams)
	maps.Copy(p.params, c.AuthorizeParams)
	if c.Prompt != "" {
		p.params["prompt"] = c.Prompt
	}
	maps.Copy(p.forceLogin, k.ForceLogin)
	var err error
	if k.Has(preset.AppleSecret) {
		if p.apple, err = newAppleKey(c); err != nil {
			return nil, fmt.Errorf("federation: provider %s: %w", c.Name, err)
		}
	}
	if p.kind == preset.OIDC {
		p.is = issuer{base: k.Issuer}
		if c.Issuer != "" {
			p.is.base = c.Issuer
		}
		if k.Has(preset.MicrosoftTenant) {
			p.is.tenant = c.Tenant
			if p.is.tenant == "" {
				p.is.tenant = "common"
			}
			// Whoever administers any tenant writes any address into it.
			p.trustEmail = p.trustEmail && !p.is.shared() && p.is.tenant != "consumers"
		}
		if p.is.base == "" {
			return nil, fmt.Errorf("federation: provider %s needs an issuer", c.Name)
		}
		p.discovery = newDiscovery(p.is, calls, now)
	}
	return p, nil
}

// custom makes a preset of a provider that has none.
func custom(c config.Provider) preset.Preset {
	k := preset.Preset{Title: c.Name, Kind: preset.OIDC, Issuer: c.Issuer, Scopes: []string{"openid", "email", "profile"},
		ForceLogin: map[string]string{"prompt": "login", "max_age": "0"}} // OpenID Connect Core 1.0 §3.1.2.1
	if c.Issuer == "" {
		k = preset.Preset{Title: c.Name, Kind: preset.OAuth2, AuthorizeURL: c.AuthorizeURL, TokenURL: c.TokenURL, UserinfoURL: c.UserinfoURL, TokenAuth: config.TokenAuthBasic}
		if u, err := url.Parse(c.UserinfoURL); err == nil {
			k.Realm = u.Scheme + "://" + u.Host
		}
	}
	k.Claims = preset.Claims{Email: c.Claims.Email, Locale: c.Claims.Locale}
	for _, v := range []struct {
		dst  *[]string
		name string
	}{{&k.Claims.Subject, c.Claims.Subject}, {&k.Claims.EmailVerified, c.Claims.EmailVerified}, {&k.Claims.Name, c.Claims.Name}, {&k.Claims.Picture, c.Claims.Picture}} {
		if v.name != "" {
			*v.dst = []string{v.name}
		}
	}
	if k.Kind == preset.OIDC {
		k.Claims.Subject = nil // sub, whatever was asked for (OpenID Connect Core 1.0 §5.7)
	}
	return k
}

// merge fills in the standard's names. A preset of an OAuth 2.0 provider says itself where things stand.
func merge(k preset.Preset) preset.Claims {
	c, std := k.Claims, preset.Standard()
	if k.Name != "" && k.Kind == preset.OAuth2 {
		return c
	}
	if len(c.Subject) == 0 && k.Kind == preset.OIDC {
		c.Subject = std.Subject
	}
	if c.Email == "" {
		c.Email = std.Email
	}
	if len(c.EmailVerified) == 0 {
		c.EmailVerified = std.EmailVerified
	}
	if len(c.Name) == 0 {
		c.Name = std.Name
	}
	if len(c.Picture) == 0 {
		c.Picture = std.Picture
	}
	if c.Locale == "" {
		c.Locale = std.Locale
	}
	return c
}

// endpoints are the provider's addresses, from its preset or its discovery document.
func (p *provider) endpoints(m metadata) (authorize, token, userinfo string) {
	if p.kind == preset.OIDC {
		return m.AuthorizeURL, m.TokenURL, m.UserinfoURL
	}
	return p.preset.AuthorizeURL, p.preset.TokenURL, p.preset.UserinfoURL
}

// place is what the provider's subjects are unique within, or for Microsoft's shared tenants the template of it.
func (p *provider) place(m metadata) string {
	if p.kind == preset.OIDC {
		return m.Issuer
	}
	return p.realm
}

// authStyle is how the client secret goes to the token endpoint. It is never found out by trying, as that would spend the code.
func (p *provider) authStyle(m metadata) (oauth2.AuthStyle, string) {
	how := p.tokenAuth
	if how == "" {
		how = config.TokenAuthBasic // the default of OpenID Connect Discovery 1.0 §3
		if len(m.AuthMethods) > 0 && !slices.Contains(m.AuthMethods, "client_secret_basic") && slices.Contains(m.AuthMethods, "client_secret_post") {
			how = config.TokenAuthPost
		}
	}
	if how == config.TokenAuthBasic {
		return oauth2.AuthStyleInHeader, how
	}
	return oauth2.AuthStyleInParams, how // without a secret: the client id alone
}

// keysOf gives the key set of a jwks_uri. Another address than before makes another set.
func (p *provider) keysOf(jwksURL string) *keySet {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil || p.keys.url != jwksURL {
		p.keys = newKeySet(jwksURL, p.calls, p.now)
	}
	return p.keys
}

// formPost reports whether the provider's answer comes as a form that it has the browser post.
func (p *provider) formPost() bool { return p.params["response_mode"] == "form_post" }
