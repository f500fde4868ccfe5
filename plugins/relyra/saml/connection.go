package saml

import (
	"crypto/rsa"
	"crypto/x509"
	"time"
)

// DefaultSkew is how far two clocks may differ.
const DefaultSkew = 120 * time.Second

// A Connection is what one service provider and one identity provider have agreed on. The zero values of the policy are the strict
// ones.
type Connection struct {
	// Ours.
	EntityID   string
	ACS        string            // where responses are posted
	SLO        string            // where logout messages come; empty: none are taken
	Decryption []*rsa.PrivateKey // in use first, retiring ones after it
	Signer     *Signer           // nil: requests go out unsigned

	// Theirs.
	IdentityProvider IdentityProvider

	// Policy.
	AllowUnsolicited        bool          // sign-in begun at the identity provider
	RequireSignedResponse   bool          // one of the two signatures is always required
	RequireSignedAssertion  bool          //
	IgnoreCertificateDates  bool          // the key is trusted past its certificate's end
	AllowCBCUntil           time.Time     // a dated exception for encryption that is malleable
	Skew                    time.Duration // 0: DefaultSkew
	NameIDFormat            string        // asked for in requests; empty: whatever the identity provider likes
	AuthnContexts           []string      // asked for in requests; empty, as it should be: passkeys at Entra ID fail with any
	AuthnContextsComparison string        // exact if empty
}

// IdentityProvider is what metadata say about one.
type IdentityProvider struct {
	EntityID     string
	Certificates []*x509.Certificate // for signatures; keys for encryption are never among them
	SSO          []Endpoint
	SLO          []Endpoint
}

// An Endpoint is where messages of one binding go.
type Endpoint struct {
	Binding  string
	Location string
	Response string // where answers go, if not to Location
}

// RequestState is what the caller knows about a request that a response names.
type RequestState int

// The states of a request.
const (
	RequestUnknown      RequestState = iota // never made, answered already, or too old
	RequestOtherBrowser                     // made, in a browser that does not show this request's cookie
	RequestOpen
)

func (c *Connection) skew() time.Duration {
	if c.Skew == 0 {
		return DefaultSkew
	}
	return c.Skew
}

func (c *Connection) keys(now time.Time) keys {
	return keys{certificates: c.IdentityProvider.Certificates, ignoreDates: c.IgnoreCertificateDates, now: now}
}
