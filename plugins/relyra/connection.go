package relyra

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

// Status says what a connection is good for.
type Status string

// The statuses.
const (
	Draft    Status = "draft"
	Enabled  Status = "enabled"
	Disabled Status = "disabled"
)

// Connection is what an organization has agreed on with its identity provider.
type Connection struct {
	ID             uuid.UUID
	OrganizationID string
	Name           string // what the button says: "Acme Okta"
	Status         Status
	Config         Config
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Config is the agreement, and the organization's policy.
type Config struct {
	EntityID     string          `json:"idp_entity_id"`
	Certificates [][]byte        `json:"certificates"` // DER; for signatures
	SSO          []saml.Endpoint `json:"sso"`
	SLO          []saml.Endpoint `json:"slo,omitempty"`

	SignRequests           bool       `json:"sign_requests"`
	RequireSignedResponse  bool       `json:"require_signed_response"`
	RequireSignedAssertion bool       `json:"require_signed_assertion"`
	IgnoreCertificateDates bool       `json:"ignore_certificate_dates"`
	AllowUnsolicited       bool       `json:"allow_unsolicited"` // sign-in may begin at the identity provider
	JustInTime             bool       `json:"just_in_time"`      // people without an account or a membership get them
	Exclusive              bool       `json:"exclusive"`         // people of these domains are offered no other way to sign in
	EmailAttribute         string     `json:"email_attribute,omitempty"`
	SubjectAttribute       string     `json:"subject_attribute,omitempty"` // identifies the person in place of the NameID
	AllowCBCUntil          *time.Time `json:"allow_cbc_until,omitempty"`
}

// Errors that an administrator is shown.
var (
	errName         = errors.New("a connection needs a name of 1 to 80 printable characters")
	errOrganization = errors.New("there is no such organization")
	errNoConnection = errors.New("there is no such connection")
	errDeleteFirst  = errors.New("disable the connection before you delete it")
)

const maxName = 80

func checkName(s string) error {
	if n := utf8.RuneCountInString(s); n == 0 || n > maxName || !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return errName
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return errName
	}
	return nil
}

// take puts what metadata say into the agreement.
func (c *Config) take(m *saml.Metadata) {
	c.EntityID, c.SSO, c.SLO, c.Certificates = m.EntityID, m.SSO, m.SLO, nil
	for _, cert := range m.Certificates {
		c.Certificates = append(c.Certificates, cert.Raw)
	}
	c.SignRequests = c.SignRequests || m.WantsSignedRequests
}

// addresses are where a connection is reached.
type addresses struct{ entity, login, acs, metadata string }

func (c *Connection) addresses(base string) addresses {
	entity := base + "/relyra/saml/" + c.ID.String()
	return addresses{entity: entity, login: entity + "/login", acs: entity + "/acs", metadata: entity + "/metadata"}
}

// party is the connection as the package saml takes it. keys are ours.
func (c *Connection) party(base string, keys []key) (*saml.Connection, error) {
	at := c.addresses(base)
	out := &saml.Connection{
		EntityID: at.entity, ACS: at.acs,
		IdentityProvider:       saml.IdentityProvider{EntityID: c.Config.EntityID, SSO: c.Config.SSO, SLO: c.Config.SLO},
		AllowUnsolicited:       c.Config.AllowUnsolicited,
		RequireSignedResponse:  c.Config.RequireSignedResponse,
		RequireSignedAssertion: c.Config.RequireSignedAssertion,
		IgnoreCertificateDates: c.Config.IgnoreCertificateDates,
	}
	if c.Config.AllowCBCUntil != nil {
		out.AllowCBCUntil = *c.Config.AllowCBCUntil
	}
	for _, der := range c.Config.Certificates {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate of connection %s: %w", c.ID, err)
		}
		out.IdentityProvider.Certificates = append(out.IdentityProvider.Certificates, cert)
	}
	for _, k := range keys {
		out.Decryption = append(out.Decryption, k.private)
		if c.Config.SignRequests && out.Signer == nil {
			out.Signer = &saml.Signer{Key: k.private, Certificate: k.certificate}
		}
	}
	return out, nil
}

// key is one of ours.
type key struct {
	certificate *x509.Certificate
	private     *rsa.PrivateKey
}

// cannotEnable is what is missing before people may sign in.
type cannotEnable struct{ why string }

func (e *cannotEnable) Error() string { return e.why }

// checkEnable says what is missing before people may sign in.
func (c *Connection) checkEnable(now time.Time) error {
	if c.Config.EntityID == "" || len(c.Config.SSO) == 0 {
		return &cannotEnable{"the identity provider's metadata are missing"}
	}
	live := slices.ContainsFunc(c.Config.Certificates, func(der []byte) bool {
		cert, err := x509.ParseCertificate(der)
		return err == nil && saml.CheckCertificate(cert) == nil && (c.Config.IgnoreCertificateDates || now.After(cert.NotBefore) && now.Before(cert.NotAfter))
	})
	if !live { // without one nothing could be verified (CVE-2026-28323: verified only if a certificate was set)
		return &cannotEnable{"the identity provider has no certificate that is valid now"}
	}
	return nil
}

// canUseCookies says whether a browser keeps the cookie that binds a sign-in to it: it is SameSite=None, and so only on https, or on this
// very machine.
func canUseCookies(base string) bool {
	u, err := url.Parse(base)
	if err != nil {
		return false
	}
	host := u.Hostname()
	return u.Scheme == "https" || host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "::1"
}
