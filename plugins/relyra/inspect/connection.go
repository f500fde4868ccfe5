package inspect

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

// File is a connection as a file describes it.
type File struct {
	SkewSeconds int `json:"skew_seconds"`
	SP          struct {
		EntityID      string `json:"entity_id"`
		ACS           string `json:"acs_url"`
		SLO           string `json:"slo_url"`
		DecryptionKey string `json:"decryption_key"`
	} `json:"sp"`
	IdP struct {
		EntityID     string            `json:"entity_id"`
		SSO          string            `json:"sso_url"`
		Certificates map[string]string `json:"certificates"`
	} `json:"idp"`
	Connection State `json:"connection"`

	// Default is what Connection is called in the index of a set of vectors, which can be given as it is.
	Default *State `json:"default_connection"`

	folder string
}

// State is a connection's policy, and what would be remembered for it.
type State struct {
	IdPCerts               *[]string `json:"idp_certs"` // names among the certificates; absent: all of them
	AllowUnsolicited       bool      `json:"allow_idp_initiated"`
	RequireSignedResponse  bool      `json:"require_signed_response"`
	RequireSignedAssertion bool      `json:"require_signed_assertion"`
	IgnoreCertificateDates bool      `json:"ignore_cert_dates"`
	AllowCBCUntil          time.Time `json:"allow_cbc_until"`
	OpenRequests           []string  `json:"open_requests"`
	RequestBrowser         string    `json:"request_browser"` // other: the requests' cookies are another browser's
	OpenLogouts            []string  `json:"open_logouts"`
	Session                *struct {
		NameID       string `json:"name_id"`
		SessionIndex string `json:"session_index"`
	} `json:"session"`
	Pinned                string `json:"pinned"` // name of the certificate that has to sign metadata
	RequireSignedMetadata bool   `json:"require_signed_metadata"`
	Refresh               bool   `json:"refresh"` // metadata are held against what the file says of the identity provider
}

// Load reads a connection's file.
func Load(path string) (*File, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &File{folder: filepath.Dir(path)}
	if err := json.Unmarshal(raw, f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if f.Default != nil {
		f.Connection = *f.Default
	}
	for what, value := range map[string]string{"sp.entity_id": f.SP.EntityID, "sp.acs_url": f.SP.ACS, "idp.entity_id": f.IdP.EntityID} {
		if value == "" {
			return nil, fmt.Errorf("%s: %s is missing", path, what)
		}
	}
	return f, nil
}

// With returns the connection with other policy and memory.
func (f *File) With(state State) *File {
	other := *f
	other.Connection = state
	return &other
}

func (f *File) connection() (*saml.Connection, error) {
	c := &saml.Connection{
		EntityID: f.SP.EntityID, ACS: f.SP.ACS, SLO: f.SP.SLO,
		IdentityProvider:       saml.IdentityProvider{EntityID: f.IdP.EntityID},
		AllowUnsolicited:       f.Connection.AllowUnsolicited,
		RequireSignedResponse:  f.Connection.RequireSignedResponse,
		RequireSignedAssertion: f.Connection.RequireSignedAssertion,
		IgnoreCertificateDates: f.Connection.IgnoreCertificateDates,
		AllowCBCUntil:          f.Connection.AllowCBCUntil,
		Skew:                   time.Duration(f.SkewSeconds) * time.Second,
	}
	if f.IdP.SSO != "" {
		c.IdentityProvider.SSO = []saml.Endpoint{{Binding: saml.BindingRedirect, Location: f.IdP.SSO}}
	}
	for name := range f.IdP.Certificates {
		if f.Connection.IdPCerts != nil && !slices.Contains(*f.Connection.IdPCerts, name) {
			continue
		}
		cert, err := f.certificate(name)
		if err != nil {
			return nil, err
		}
		c.IdentityProvider.Certificates = append(c.IdentityProvider.Certificates, cert)
	}
	if f.SP.DecryptionKey != "" {
		key, err := f.key(f.SP.DecryptionKey)
		if err != nil {
			return nil, err
		}
		c.Decryption = []*rsa.PrivateKey{key}
	}
	return c, nil
}

func (f *File) certificate(name string) (*x509.Certificate, error) {
	block, err := f.pem(f.IdP.Certificates[name])
	if err != nil {
		return nil, fmt.Errorf("certificate %q: %w", name, err)
	}
	return x509.ParseCertificate(block)
}

func (f *File) key(value string) (*rsa.PrivateKey, error) {
	block, err := f.pem(value)
	if err != nil {
		return nil, fmt.Errorf("decryption key: %w", err)
	}
	if key, err := x509.ParsePKCS1PrivateKey(block); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block)
	if err != nil {
		return nil, fmt.Errorf("decryption key: %w", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("decryption key: not an RSA key")
	}
	return key, nil
}

// pem returns the first block of a file, or of the value itself.
func (f *File) pem(value string) ([]byte, error) {
	text := []byte(value)
	if !strings.Contains(value, "-----BEGIN") {
		if value == "" {
			return nil, fmt.Errorf("no file is named")
		}
		if !filepath.IsAbs(value) {
			value = filepath.Join(f.folder, value)
		}
		var err error
		if text, err = os.ReadFile(value); err != nil {
			return nil, err
		}
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("there is no PEM block")
	}
	return block.Bytes, nil
}
