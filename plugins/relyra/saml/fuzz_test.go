package saml_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

// FuzzResponse: whatever is posted, nobody is signed in whom the identity provider did not sign for, and nothing panics.
func FuzzResponse(f *testing.F) {
	seed(f, "accept/ok-*.xml", "reject/xsw*.xml", "reject/enc-*.xml", "reject/ns-*.xml")
	c := connection(f)
	f.Fuzz(func(t *testing.T, message []byte) {
		a, err := c.VerifyResponse(clock, base64.StdEncoding.EncodeToString(message), anyRequest)
		if err == nil && !honest[a.NameID.Value] {
			t.Fatalf("signed in %q", a.NameID.Value)
		}
		refused(t, err)
	})
}

// FuzzMetadata: metadata never panic, and with a pinned key nothing is believed that this key did not sign.
func FuzzMetadata(f *testing.F) {
	seed(f, "accept/md-*.xml", "reject/md-*.xml", "products/*-metadata.xml")
	pin := saml.Fingerprint(certificate(f, "idp-rsa"))
	f.Fuzz(func(t *testing.T, message []byte) {
		_, err := saml.ReadMetadata(clock, message, saml.Trust{})
		refused(t, err)
		m, err := saml.ReadMetadata(clock, message, saml.Trust{Pins: []string{pin}})
		if err == nil && m.EntityID != idpEntity && m.SignedBy == nil {
			t.Fatalf("believed %q", m.EntityID)
		}
		refused(t, err)
	})
}

// FuzzLogoutPost: no posted message ends a session of anybody but whom the identity provider named.
func FuzzLogoutPost(f *testing.F) {
	seed(f, "accept/slo-*.xml", "reject/slo-*.xml")
	c := connection(f)
	f.Fuzz(func(t *testing.T, message []byte) {
		for _, parameter := range []string{"SAMLRequest", "SAMLResponse"} {
			l, err := c.VerifyLogoutPost(clock, parameter, base64.StdEncoding.EncodeToString(message), "", nothingOpen)
			if err == nil && l.NameID.Value != alice {
				t.Fatalf("ends the session of %q", l.NameID.Value)
			}
			refused(t, err)
		}
	})
}

// FuzzLogoutRedirect: the same for queries, which are inflated.
func FuzzLogoutRedirect(f *testing.F) {
	seed(f, "accept/slo-*.txt", "reject/slo-*.txt", "reject/redir-*.txt")
	c := connection(f)
	f.Fuzz(func(t *testing.T, query []byte) {
		l, err := c.VerifyLogoutRedirect(clock, string(query), nothingOpen)
		if err == nil && l.NameID.Value != alice {
			t.Fatalf("ends the session of %q", l.NameID.Value)
		}
		refused(t, err)
	})
}

// refused sees to it that every refusal is one: an untyped error would reach a person as "something went wrong".
func refused(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if r, ok := saml.AsRefusal(err); !ok || r.Gate == "" || r.Detail == "" {
		t.Fatalf("not a refusal: %v", err)
	}
}

func seed(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join(vectors, pattern))
		if err != nil || len(names) == 0 {
			f.Fatalf("%s: no seeds, %v", pattern, err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			if len(raw) < 32<<10 {
				f.Add(raw)
			}
		}
	}
}
