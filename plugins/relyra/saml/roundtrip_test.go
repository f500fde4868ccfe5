package saml_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

// signer makes a throw-away key with a certificate.
func signer(tb testing.TB) *saml.Signer {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: clock.Add(-time.Hour), NotAfter: clock.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return &saml.Signer{Key: key, Certificate: cert}
}

// mirrored returns two connections that are each other's peer: what one sends, the other judges.
func mirrored(t *testing.T) (sp, peer *saml.Connection) {
	t.Helper()
	ours, theirs := signer(t), signer(t)
	endpoints := func(base string) []saml.Endpoint {
		return []saml.Endpoint{{Binding: saml.BindingRedirect, Location: base}, {Binding: saml.BindingPOST, Location: base}}
	}
	sp = &saml.Connection{
		EntityID: "urn:sp", ACS: "https://sp.example/acs", SLO: "https://sp.example/slo", Signer: ours,
		IdentityProvider: saml.IdentityProvider{
			EntityID: "urn:idp", Certificates: []*x509.Certificate{theirs.Certificate},
			SSO: endpoints("https://idp.example/sso?tenant=1"), SLO: endpoints("https://idp.example/slo"),
		},
	}
	peer = &saml.Connection{
		EntityID: "urn:idp", SLO: "https://idp.example/slo", Signer: theirs,
		IdentityProvider: saml.IdentityProvider{EntityID: "urn:sp", Certificates: []*x509.Certificate{ours.Certificate}, SLO: endpoints("https://sp.example/slo")},
	}
	return sp, peer
}

func TestAuthnRequest(t *testing.T) {
	t.Parallel()
	sp, _ := mirrored(t)
	for _, binding := range []string{saml.BindingRedirect, saml.BindingPOST} {
		out, err := sp.AuthnRequest(clock, saml.Ask{ID: "_r1", RelayState: "rs_1", ForceAuthn: true, Binding: binding})
		if err != nil {
			t.Fatal(err)
		}
		if binding == saml.BindingPOST {
			raw, err := base64.StdEncoding.DecodeString(out.Form["SAMLRequest"])
			if err != nil || out.Form["RelayState"] != "rs_1" {
				t.Fatalf("%+v %v", out, err)
			}
			for _, want := range []string{`ForceAuthn="true"`, `ID="_r1"`, `<ds:Signature `, `Destination="https://idp.example/sso?tenant=1"`} {
				if !strings.Contains(string(raw), want) {
					t.Errorf("%s is missing: %s", want, raw)
				}
			}
			if strings.Contains(string(raw), "RequestedAuthnContext") {
				t.Error("an authentication context is asked for, which nobody set")
			}
			continue
		}
		u, err := url.Parse(out.URL)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"tenant", "SAMLRequest", "RelayState", "SigAlg", "Signature"} {
			if u.Query().Get(name) == "" {
				t.Errorf("%s is missing in %s", name, out.URL)
			}
		}
	}
}

// TestLogout_roundTrip: what we write, by either binding, a careful reader verifies; changed by a byte it does not.
func TestLogout_roundTrip(t *testing.T) {
	t.Parallel()
	sp, peer := mirrored(t)
	name := saml.NameID{Value: "zoë & co", Format: saml.FormatPersistent, NameQualifier: "urn:idp", SPNameQualifier: "urn:sp"}
	out, err := sp.LogoutRequest(clock, "_lo1", name, "s-7", "rs_2")
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(out.URL, "?")
	got, err := peer.VerifyLogoutRedirect(clock, query, nothingOpen)
	if err != nil {
		t.Fatal(err)
	}
	if got.NameID != name || len(got.SessionIndexes) != 1 || got.SessionIndexes[0] != "s-7" || got.RelayState != "rs_2" {
		t.Errorf("read as %+v", got)
	}
	if _, err := peer.VerifyLogoutRedirect(clock, strings.Replace(query, "rs_2", "rs_3", 1), nothingOpen); err == nil {
		t.Error("a changed RelayState passes")
	}

	answer, err := peer.LogoutResponse(clock, "_lo2", "_lo1", "Success", "rs_2")
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ = strings.Cut(answer.URL, "?")
	back, err := sp.VerifyLogoutRedirect(clock, query, func(id string) bool { return id == "_lo1" })
	if err != nil || !back.Success {
		t.Fatalf("%+v %v", back, err)
	}

	sp.IdentityProvider.SLO = sp.IdentityProvider.SLO[1:] // POST only
	posted, err := sp.LogoutRequest(clock, "_lo3", name, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err = peer.VerifyLogoutPost(clock, "SAMLRequest", posted.Form["SAMLRequest"], "", nothingOpen); err != nil || got.NameID != name {
		t.Fatalf("%+v %v", got, err)
	}
	sp.Signer = nil
	if _, err := sp.LogoutRequest(clock, "_lo4", name, "", ""); err == nil {
		t.Error("a logout message goes out unsigned")
	}
}

// TestMetadata_roundTrip: our own metadata are signed as we ask others to sign theirs.
func TestMetadata_roundTrip(t *testing.T) {
	t.Parallel()
	sp, _ := mirrored(t)
	raw, err := sp.Metadata(saml.Descriptor{ID: "_m1", Signing: []*x509.Certificate{sp.Signer.Certificate}, Encryption: []*x509.Certificate{sp.Signer.Certificate}, Sign: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`use="signing"`, `use="encryption"`, `Location="https://sp.example/acs"`, `SingleLogoutService`, `aes256-gcm`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s is missing: %s", want, raw)
		}
	}
	_, err = saml.ReadMetadata(clock, raw, saml.Trust{Pins: []string{saml.Fingerprint(sp.Signer.Certificate)}})
	if r, ok := saml.AsRefusal(err); !ok || r.Gate != saml.GateMetadataRole { // the signature held, and it is not an identity provider
		t.Errorf("%v, want %s", err, saml.GateMetadataRole)
	}
}

// TestCBC: the exception is dated, and holds only for what the identity provider signed.
func TestCBC(t *testing.T) {
	t.Parallel()
	c := connection(t)
	message := post(file(t, "reject/enc-cbc.xml"))
	for _, until := range []time.Time{{}, clock.Add(-time.Second)} {
		c.AllowCBCUntil = until
		_, err := c.VerifyResponse(clock, message, anyRequest)
		if r, ok := saml.AsRefusal(err); !ok || r.Gate != saml.GateAlgorithm {
			t.Errorf("until %s: %v", until, err)
		}
	}
	c.AllowCBCUntil = clock.Add(time.Hour)
	a, err := c.VerifyResponse(clock, message, anyRequest)
	if err != nil || a.NameID.Value != alice || !a.Encrypted {
		t.Errorf("%+v %v", a, err)
	}
}

// TestBombs: what is refused for its size costs next to nothing.
func TestBombs(t *testing.T) {
	c := connection(t)
	for _, name := range []string{"reject/size-deep.xml", "reject/size-namespaces.xml", "reject/size-transforms.xml", "reject/dtd-billion-laughs.xml", "reject/enc-many-keys.xml"} {
		message := post(file(t, name))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := c.VerifyResponse(clock, message, anyRequest); err == nil {
			t.Errorf("%s is accepted", name)
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
			t.Errorf("%s allocates %d bytes", name, grown)
		}
	}
	query := string(file(t, "reject/redir-deflate-bomb.txt"))
	if n := testing.AllocsPerRun(1, func() { _, _ = c.VerifyLogoutRedirect(clock, query, nothingOpen) }); n > 1000 {
		t.Errorf("the bomb takes %v allocations", n)
	}
}

func BenchmarkVerifyResponse(b *testing.B) {
	c := connection(b)
	message := post(file(b, "accept/ok-rsa-sha256-assertion.xml"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.VerifyResponse(clock, message, anyRequest); err != nil {
			b.Fatal(err)
		}
	}
}
