package saml_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

const (
	vectors   = "testdata/vectors"
	idpEntity = "https://idp.example/metadata"
	alice     = "alice@corp.example"
	request   = "_req-5f1c2d"
)

// clock is the time at which the vectors are judged.
var clock = time.Date(2027, 1, 15, 10, 0, 0, 0, time.UTC)

// honest are the people whom the identity provider of the vectors signs for.
var honest = map[string]bool{alice: true, "zoë.o&m@corp.example": true, "7f2b-q91x": true}

func connection(tb testing.TB) *saml.Connection {
	tb.Helper()
	return &saml.Connection{
		EntityID: "https://sp.example/saml/conn-1", ACS: "https://sp.example/saml/conn-1/acs", SLO: "https://sp.example/saml/conn-1/slo",
		Decryption: []*rsa.PrivateKey{decryptionKey(tb)},
		IdentityProvider: saml.IdentityProvider{
			EntityID:     idpEntity,
			Certificates: []*x509.Certificate{certificate(tb, "idp-rsa"), certificate(tb, "idp-ec")},
			SSO:          []saml.Endpoint{{Binding: saml.BindingRedirect, Location: "https://idp.example/sso"}},
		},
	}
}

func certificate(tb testing.TB, name string) *x509.Certificate {
	tb.Helper()
	cert, err := x509.ParseCertificate(block(tb, "trust/"+name+".crt"))
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

func decryptionKey(tb testing.TB) *rsa.PrivateKey {
	tb.Helper()
	der := block(tb, "trust/sp-enc.key")
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		tb.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

func block(tb testing.TB, name string) []byte {
	tb.Helper()
	b, _ := pem.Decode(file(tb, name))
	if b == nil {
		tb.Fatalf("%s: no PEM", name)
	}
	return b.Bytes
}

func file(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join(vectors, name))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func post(message []byte) string { return base64.StdEncoding.EncodeToString(message) }

func anyRequest(string) saml.RequestState { return saml.RequestOpen }

func nothingOpen(string) bool { return false }
