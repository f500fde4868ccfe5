package federation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/federation/preset"
)

// DirectoryConfig says who can be signed in with.
type DirectoryConfig struct {
	BaseURL   string // where browsers come back to: BaseURL/login/callback/NAME
	Providers []config.Provider
	// Transport is how providers are reached; nil means directly, or through the proxy that the environment names. Around it stand the rules
	// of this package: https, bounded answers, no redirects elsewhere.
	Transport http.RoundTripper
	Timeout   time.Duration    // of one call to a provider; 0 means ten seconds
	Now       func() time.Time // nil means the clock
}

// Directory is the providers of one configuration, with what is known of them. Safe for concurrent use.
type Directory struct {
	list []*provider
	idle func()
}

// NewDirectory makes a Directory. It asks nobody.
func NewDirectory(cfg DirectoryConfig) (*Directory, error) {
	u, err := url.Parse(cfg.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("federation: redirects need a base url such as https://id.example.com, not %q", cfg.BaseURL)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Directory{idle: func() {}}
	if cfg.Transport == nil {
		t := newTransport()
		cfg.Transport, d.idle = t, t.CloseIdleConnections
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	calls := newCaller(cfg.Transport, cfg.Timeout)
	for _, c := range cfg.Providers {
		p, err := newProvider(c, strings.TrimRight(cfg.BaseURL, "/"), calls, cfg.Now)
		if err != nil {
			return nil, err
		}
		if d.find(p.name) != nil {
			return nil, fmt.Errorf("federation: there are two providers %s", p.name)
		}
		d.list = append(d.list, p)
	}
	return d, nil
}

// Close lets connections go that wait for the next call.
func (d *Directory) Close() { d.idle() }

func (d *Directory) find(name string) *provider {
	i := slices.IndexFunc(d.list, func(p *provider) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return d.list[i]
}

func (d *Directory) enabled(name string) (*provider, error) {
	if p := d.find(name); p != nil && p.enabled {
		return p, nil
	}
	return nil, ErrUnknown
}

// Provider is one that people are offered.
type Provider struct {
	Name   string `json:"name"`
	Title  string `json:"title"`
	SignUp bool   `json:"sign_up"` // it may make accounts
	// FormPost: the answer comes by a form that is posted from the provider's site, without SameSite cookies.
	FormPost bool `json:"form_post"`
}

// Providers lists those that are enabled, in the order of the configuration.
func (d *Directory) Providers() []Provider {
	out := []Provider{}
	for _, p := range d.list {
		if p.enabled {
			out = append(out, Provider{Name: p.name, Title: p.title, SignUp: p.signUp, FormPost: p.formPost()})
		}
	}
	return out
}

// Title is what people call a provider, also one that is not enabled any more; the name itself when there is none.
func (d *Directory) Title(name string) string {
	if p := d.find(name); p != nil {
		return p.title
	}
	return name
}

// Info is what an operator wants to know of a provider.
type Info struct {
	Name        string   `json:"name"`
	Title       string   `json:"title"`
	Preset      string   `json:"preset,omitempty"`
	Kind        string   `json:"kind"` // "oidc" or "oauth2"
	Issuer      string   `json:"issuer"`
	RedirectURI string   `json:"redirect_uri"` // what to register there
	ClientID    string   `json:"client_id"`
	Scopes      []string `json:"scopes"`
	Enabled     bool     `json:"enabled"`
	SignUp      bool     `json:"sign_up"`
	TrustEmail  bool     `json:"trust_email"`
	Console     string   `json:"console,omitempty"` // where clients are registered
}

func (p *provider) info() Info {
	in := Info{
		Name: p.name, Title: p.title, Preset: p.preset.Name, Kind: string(p.kind), Issuer: p.realm, RedirectURI: p.redirectURI, ClientID: p.clientID,
		Scopes: append([]string{}, p.scopes...), Enabled: p.enabled, SignUp: p.signUp, TrustEmail: p.trustEmail, Console: p.preset.Console,
	}
	if p.kind == preset.OIDC {
		in.Issuer = p.is.name()
	}
	return in
}

// List tells of all providers, enabled or not.
func (d *Directory) List() []Info {
	out := []Info{}
	for _, p := range d.list {
		out = append(out, p.info())
	}
	return out
}

// Found is what a provider said of itself.
type Found struct {
	Info
	AuthorizeURL string   `json:"authorize_url"`
	TokenURL     string   `json:"token_url"`
	UserinfoURL  string   `json:"userinfo_url,omitempty"`
	JWKSURL      string   `json:"jwks_url,omitempty"`
	Algorithms   []string `json:"algorithms,omitempty"` // of ID tokens, as far as Sigra takes them
	Keys         int      `json:"keys,omitempty"`       // that signatures can be verified with
	TokenAuth    string   `json:"token_auth"`
	IssParameter bool     `json:"iss_parameter"` // it says who it is in its answers (RFC 9207)
	Warnings     []string `json:"warnings"`
}

// ErrNoSuchProvider says that the configuration has no provider of that name.
var ErrNoSuchProvider = errors.New("there is no such provider in the configuration")

// Check asks a provider for what it says of itself and reads its keys. The error is for the operator: it says what is wrong.
func (d *Directory) Check(ctx context.Context, name string) (Found, error) {
	p := d.find(name)
	if p == nil {
		return Found{}, ErrNoSuchProvider
	}
	f := Found{Info: p.info(), Warnings: []string{}}
	var m metadata
	var err error
	if p.kind == preset.OIDC {
		if m, err = p.discovery.fetch(ctx); err != nil {
			if de := (*discoveryError)(nil); errors.As(err, &de) { // others say already where it was
				err = fmt.Errorf("%s: %w", p.is.document(), err)
			}
			return f, err
		}
		keys, err := p.keysOf(m.JWKSURL).read(ctx)
		if err != nil {
			return f, err
		}
		f.JWKSURL, f.Algorithms, f.Keys, f.IssParameter = m.JWKSURL, m.Algorithms, len(keys), m.IssParameter
		f.Warnings = p.doubts(m)
	}
	f.AuthorizeURL, f.TokenURL, f.UserinfoURL = p.endpoints(m)
	_, f.TokenAuth = p.authStyle(m)
	if p.apple != nil {
		f.TokenAuth = "signed by " + p.apple.team
		if _, err := p.apple.secret(p.is.name(), p.now()); err != nil {
			return f, err
		}
	}
	return f, nil
}

// doubts says what in a sound document may yet not work.
func (p *provider) doubts(m metadata) []string {
	out := []string{}
	if len(m.Challenges) > 0 && !slices.Contains(m.Challenges, "S256") {
		out = append(out, "It does not list S256 among its code_challenge_methods: it will not check PKCE.")
	}
	var missing []string
	for _, s := range p.scopes {
		if len(m.Scopes) > 0 && !slices.Contains(m.Scopes, s) {
			missing = append(missing, s)
		}
	}
	if len(missing) > 0 {
		out = append(out, "It does not list these scopes: "+strings.Join(missing, ", ")+".")
	}
	_, how := p.authStyle(m)
	if want := map[string]string{config.TokenAuthBasic: "client_secret_basic", config.TokenAuthPost: "client_secret_post", config.TokenAuthNone: "none"}[how]; p.apple == nil &&
		len(m.AuthMethods) > 0 && !slices.Contains(m.AuthMethods, want) {
		out = append(out, "It does not list "+want+" among its token_endpoint_auth_methods: "+strings.Join(m.AuthMethods, ", ")+". Perhaps token_auth helps.")
	}
	return out
}
