package federation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	discoveryFresh = time.Hour
	// discoveryStale is how long a provider's last word counts while it doesn't answer.
	discoveryStale = 24 * time.Hour
	// discoveryPause is how long nobody asks again after a failure, so that a provider that is down costs one wait and not one per person.
	discoveryPause = 10 * time.Second
)

// algorithms are those with a private key on one side only. "none" and the HS family, whose key would be the
// client secret, are never taken, whatever a provider offers (RFC 8725 §3.1, §3.2).
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

// metadata is what a provider says of itself (OpenID Connect Discovery 1.0 §3, RFC 9207 §3, RFC 8414 §2).
type metadata struct {
	Issuer        string   `json:"issuer"`
	AuthorizeURL  string   `json:"authorization_endpoint"`
	TokenURL      string   `json:"token_endpoint"`
	UserinfoURL   string   `json:"userinfo_endpoint"`
	JWKSURL       string   `json:"jwks_uri"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	ResponseTypes []string `json:"response_types_supported"`
	ResponseModes []string `json:"response_modes_supported"`
	Scopes        []string `json:"scopes_supported"`
	IssParameter  bool     `json:"authorization_response_iss_parameter_supported"`
}

// discoveryError says what is wrong with a document, for whoever set the provider up.
type discoveryError struct {
	reason string
	text   string
}

func (e *discoveryError) Error() string { return e.text }

func wrong(reason, format string, args ...any) error {
	return &discoveryError{reason, fmt.Sprintf(format, args...)}
}

// parseMetadata reads and judges a discovery document.
func parseMetadata(body []byte, is issuer) (metadata, error) {
	var m metadata
	if err := decode(body, &m); err != nil {
		return metadata{}, wrong("malformed", "the discovery document is not what it should be: %v", err)
	}
	if err := m.check(is); err != nil {
		return metadata{}, err
	}
	return m, nil
}

func (m *metadata) check(is issuer) error {
	if !is.mayBe(m.Issuer) {
		return wrong("issuer_mismatch", "the discovery document is of the issuer %q, and the configuration says %q; they must be equal to the letter, a slash at the end included", m.Issuer, is.name())
	}
	for _, e := range []struct {
		name, value string
		needed      bool
	}{
		{"authorization_endpoint", m.AuthorizeURL, true}, {"token_endpoint", m.TokenURL, true}, {"jwks_uri", m.JWKSURL, true}, {"userinfo_endpoint", m.UserinfoURL, false},
	} {
		if e.value == "" {
			if e.needed {
				return wrong("incomplete", "the discovery document has no %s", e.name)
			}
			continue
		}
		if err := checkEndpoint(is.name(), e.value); err != nil {
			return wrong("insecure_endpoint", "the discovery document's %s is %q: %v", e.name, e.value, err)
		}
	}
	if len(m.ResponseTypes) > 0 && !slices.Contains(m.ResponseTypes, "code") {
		return wrong("incomplete", "the provider does not support response_type code, only %s", strings.Join(m.ResponseTypes, ", "))
	}
	offered := m.Algorithms
	if len(offered) == 0 {
		offered = []string{oidc.RS256} // what everybody must support (OpenID Connect Core 1.0 §15.1)
	}
	m.Algorithms = slices.DeleteFunc(slices.Clone(offered), func(a string) bool { return !slices.Contains(algorithms, a) })
	if len(m.Algorithms) == 0 {
		return wrong("algorithms", "the provider signs ID tokens with %s only; Sigra takes %s", strings.Join(offered, ", "), strings.Join(algorithms, ", "))
	}
	return nil
}

// checkEndpoint holds that what a document names is reached as safely as the document itself. A provider elsewhere must not send
// Sigra to plain http, nor to services of Sigra's own machine.
func checkEndpoint(issuer, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return errors.New("it is no URL")
	}
	own := false
	if i, err := url.Parse(issuer); err == nil {
		own = isLoopback(i.Hostname())
	}
	switch {
	case u.User != nil, u.Fragment != "":
		return errors.New("it has a user or a fragment")
	case isLoopback(u.Hostname()) && !own:
		return errors.New("it is on this machine, and the issuer is not")
	case u.Scheme == "https", u.Scheme == "http" && own && isLoopback(u.Hostname()):
		return nil
	}
	return errInsecure
}

// discovery is what is known of one provider, asked for when first needed and again every hour.
type discovery struct {
	is    issuer
	calls *caller
	now   func() time.Time
	turn  chan struct{} // one asks, the others wait for it

	mu     sync.Mutex
	meta   *metadata
	at     time.Time // of meta
	failed time.Time
	err    error // of failed
}

func newDiscovery(is issuer, calls *caller, now func() time.Time) *discovery {
	return &discovery{is: is, calls: calls, now: now, turn: make(chan struct{}, 1)}
}

// known gives what is fresh, or what has to do after a recent failure; ok is false when the provider must be asked.
func (d *discovery) known() (m metadata, err error, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	age := now.Sub(d.at)
	paused := !d.failed.IsZero() && now.Sub(d.failed) < discoveryPause
	switch {
	case d.meta != nil && (age < discoveryFresh || paused && age < discoveryStale):
		return *d.meta, nil, true
	case paused:
		return metadata{}, d.err, true
	}
	return metadata{}, nil, false
}

// get gives the provider's metadata.
func (d *discovery) get(ctx context.Context) (metadata, error) {
	if m, err, ok := d.known(); ok {
		return m, err
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return metadata{}, ctx.Err()
	}
	if m, err, ok := d.known(); ok { // somebody else has asked meanwhile
		return m, err
	}
	m, err := d.fetch(ctx)
	if err != nil && ctx.Err() != nil {
		return metadata{}, ctx.Err() // the person went away; that says nothing about the provider
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.meta, d.at, d.failed, d.err = &m, d.now(), time.Time{}, nil
		return m, nil
	}
	d.failed, d.err = d.now(), err
	var ce *callError
	if d.meta != nil && d.now().Sub(d.at) < discoveryStale && errors.As(err, &ce) && ce.down {
		return *d.meta, nil
	}
	return metadata{}, err
}

func (d *discovery) fetch(ctx context.Context) (metadata, error) {
	req, err := http.NewRequest(http.MethodGet, d.is.document(), nil)
	if err != nil {
		return metadata{}, wrong("malformed", "the issuer is no URL: %v", err)
	}
	var m metadata
	if cerr := d.calls.call(ctx, req, &m); cerr != nil {
		return metadata{}, cerr
	}
	if err := m.check(d.is); err != nil {
		return metadata{}, err
	}
	return m, nil
}

// metadata is get with the faults of the provider.
func (p *provider) metadata(ctx context.Context) (metadata, error) {
	m, err := p.discovery.get(ctx)
	if err == nil {
		return m, nil
	}
	var ce *callError
	var de *discoveryError
	switch {
	case errors.As(err, &ce) && ce.down:
		return metadata{}, p.unavailable(StageDiscovery, ce.reason, err)
	case errors.As(err, &ce):
		return metadata{}, p.invalid(StageDiscovery, ce.reason, err)
	case errors.As(err, &de):
		return metadata{}, p.invalid(StageDiscovery, de.reason, err)
	}
	return metadata{}, err
}
