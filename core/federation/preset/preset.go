package preset

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
)

// Kind is the protocol that a provider speaks.
type Kind string

// The kinds.
const (
	OIDC   Kind = "oidc"   // OpenID Connect, by discovery
	OAuth2 Kind = "oauth2" // OAuth 2.0 with an API that tells who a token is of
)

// Quirk is a way in which a provider leaves the standard.
type Quirk string

// The quirks. Each is implemented in core/federation under the same name.
const (
	AppleSecret     Quirk = "apple_secret"     // the client secret is a JWT that the client signs
	AppleUser       Quirk = "apple_user"       // the name comes once, in the callback, as JSON
	MicrosoftTenant Quirk = "microsoft_tenant" // one discovery document for many issuers, one per tenant
	EmailsGitHub    Quirk = "emails_github"    // addresses and whether they are verified come from an API of their own
	EmailsBitbucket Quirk = "emails_bitbucket"
	EmailProved     Quirk = "email_proved"   // the API gives addresses only that were confirmed, and says nothing more
	UserinfoPost    Quirk = "userinfo_post"  // who it is is asked by POST
	FacebookProof   Quirk = "facebook_proof" // API calls carry an HMAC of the token by the client secret
)

// Claims says where in a provider's answer things stand.
type Claims struct {
	Subject       []string `json:"subject,omitempty"`        // joined by a colon
	Email         string   `json:"email,omitempty"`          //
	EmailVerified []string `json:"email_verified,omitempty"` // all must be true
	Name          []string `json:"name,omitempty"`           // the first that is there
	Picture       []string `json:"picture,omitempty"`
	Locale        string   `json:"locale,omitempty"`
}

// Preset is what is known of one provider.
type Preset struct {
	Name            string            `json:"name"`
	Title           string            `json:"title"`
	Kind            Kind              `json:"kind"`
	Issuer          string            `json:"issuer,omitempty"`
	OwnIssuer       bool              `json:"own_issuer,omitempty"`
	Realm           string            `json:"realm,omitempty"`
	AuthorizeURL    string            `json:"authorize_url,omitempty"`
	TokenURL        string            `json:"token_url,omitempty"`
	UserinfoURL     string            `json:"userinfo_url,omitempty"`
	EmailsURL       string            `json:"emails_url,omitempty"`
	TokenAuth       string            `json:"token_auth,omitempty"` // "basic" or "post"; empty: what discovery says
	Scopes          []string          `json:"scopes"`
	Claims          Claims            `json:"claims"`
	TrustEmail      bool              `json:"trust_email,omitempty"`
	AuthorizeParams map[string]string `json:"authorize_params,omitempty"`
	ForceLogin      map[string]string `json:"force_login,omitempty"`
	Quirks          []Quirk           `json:"quirks,omitempty"`
	Console         string            `json:"console"`
}

// Has reports whether the provider has a quirk.
func (p Preset) Has(q Quirk) bool { return slices.Contains(p.Quirks, q) }

// NeedsIssuer reports whether configuration must name the issuer.
func (p Preset) NeedsIssuer() bool { return p.Kind == OIDC && p.Issuer == "" }

// TakesIssuer reports whether configuration may name an issuer.
func (p Preset) TakesIssuer() bool { return p.OwnIssuer || p.NeedsIssuer() }

//go:embed presets.json
var data []byte

var parsed = sync.OnceValues(func() ([]Preset, error) {
	var out []Preset
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		return nil, fmt.Errorf("presets.json: %w", err)
	}
	return out, nil
})

// All lists the presets, the best known first. It panics when the embedded file is broken, which a test rules out.
func All() []Preset {
	out, err := parsed()
	if err != nil {
		panic(err)
	}
	return slices.Clone(out)
}

// Find gives the preset of a name.
func Find(name string) (Preset, bool) {
	all := All()
	i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return all[i], true
}

// Names lists the names of all presets, sorted.
func Names() []string {
	var out []string
	for _, p := range All() {
		out = append(out, p.Name)
	}
	slices.Sort(out)
	return out
}

// Standard are the claims of OpenID Connect Core 1.0 §5.1.
func Standard() Claims {
	return Claims{
		Subject: []string{"sub"}, Email: "email", EmailVerified: []string{"email_verified"},
		Name: []string{"name", "preferred_username"}, Picture: []string{"picture"}, Locale: "locale",
	}
}
