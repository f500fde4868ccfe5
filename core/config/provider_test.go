package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/federation/preset"
	"github.com/sigra-auth/sigra/core/secret"
)

func p8(t testing.TB, curve elliptic.Curve) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestProvider_everySetting(t *testing.T) {
	t.Parallel()
	c := valid(t, `
provider "google" {
  client_id     = "id"
  client_secret = env("WORD")
}
provider "work" {
  title            = "Example Inc."
  issuer           = "https://id.example.com/realms/work/"
  client_id        = "sigra"
  token_auth       = "none"
  scopes           = ["openid", "email"]
  trust_email      = true
  sign_up          = false
  enabled          = false
  prompt           = "login consent"
  authorize_params = { hd = "example.com" }
  claims {
    email          = "mail"
    email_verified = "mail_ok"
    name           = "cn"
    picture        = "photo"
    locale         = "lang"
  }
}
provider "ms" {
  preset        = "microsoft"
  tenant        = "Contoso.onmicrosoft.com"
  client_id     = "id"
  client_secret = "s"
  trust_email   = true
}
provider "hand" {
  authorize_url = "https://id.example.com/authorize?audience=x"
  token_url     = "http://127.0.0.1:9/token"
  userinfo_url  = "https://id.example.com/me"
  client_id     = "id"
  client_secret = "s"
  claims {
    subject = "id"
  }
}
provider "github" {
  preset        = null
  issuer        = "https://github.example.com"
  client_id     = "id"
  client_secret = "s"
  scopes        = null
}
`, "WORD=hush")
	yes := true
	want := []config.Provider{
		{Name: "google", Preset: "google", Enabled: true, SignUp: true, ClientID: "id", ClientSecret: secret.New("hush")},
		{Name: "work", Title: "Example Inc.", Issuer: "https://id.example.com/realms/work/", ClientID: "sigra", TokenAuth: "none", Scopes: []string{"openid", "email"},
			TrustEmail: &yes, Prompt: "login consent", AuthorizeParams: map[string]string{"hd": "example.com"},
			Claims: config.ProviderClaims{Email: "mail", EmailVerified: "mail_ok", Name: "cn", Picture: "photo", Locale: "lang"}},
		{Name: "ms", Preset: "microsoft", Enabled: true, SignUp: true, Tenant: "contoso.onmicrosoft.com", ClientID: "id", ClientSecret: secret.New("s"), TrustEmail: &yes},
		{Name: "hand", Enabled: true, SignUp: true, AuthorizeURL: "https://id.example.com/authorize?audience=x", TokenURL: "http://127.0.0.1:9/token",
			UserinfoURL: "https://id.example.com/me", ClientID: "id", ClientSecret: secret.New("s"), Claims: config.ProviderClaims{Subject: "id"}},
		{Name: "github", Enabled: true, SignUp: true, Issuer: "https://github.example.com", ClientID: "id", ClientSecret: secret.New("s")},
	}
	if d := cmp.Diff(want, c.Providers, ignore, cmp.Comparer(secret.Text.Equal)); d != "" {
		t.Error(d)
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if s := fmt.Sprintf(verb, c.Providers); strings.Contains(s, "hush") {
			t.Errorf("%s shows a secret", verb)
		}
	}
}

// Every preset works with what its diagnostics ask for, and nothing else.
func TestProvider_everyPreset(t *testing.T) {
	t.Parallel()
	key := p8(t, elliptic.P256())
	for _, p := range preset.All() {
		src := fmt.Sprintf("provider %q {\n client_id = \"id\"\n", p.Name)
		if p.NeedsIssuer() {
			src += " issuer = \"https://id.example.com\"\n"
		}
		if p.Has(preset.AppleSecret) {
			src += " team_id = \"A1B2C3D4E5\"\n key_id = \"F6G7H8I9J0\"\n private_key = <<EOT\n" + key + "\nEOT\n"
		} else {
			src += " client_secret = \"s\"\n"
		}
		c, ds := parse(t, src+"}\n")
		if len(ds) != 0 || len(c.Providers) != 1 || c.Providers[0].Preset != p.Name || c.Providers[0].TrustEmail != nil {
			t.Errorf("%s: %s", p.Name, ds)
		}
		if p.Has(preset.MicrosoftTenant) && c.Providers[0].Tenant != "common" {
			t.Errorf("tenant %q", c.Providers[0].Tenant)
		}
	}
}

func TestProvider_appleKey(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{
		"must not be told":        "0-no-key-at-all-0",
		"is no key on the curve":  p8(t, elliptic.P384()),
		"is no private key in PK": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("junk")})),
	} {
		_, ds := parse(t, fmt.Sprintf("provider \"apple\" {\n client_id = \"id\"\n team_id = \"A1B2C3D4E5\"\n key_id = \"A1B2C3D4E5\"\n private_key = %q\n}\n", key))
		if len(ds) != 1 || !ds.HasErrors() || ds[0].Setting != "provider.private_key" || strings.Contains(ds.String(), key) || name != "must not be told" && !strings.Contains(ds.String(), name) {
			t.Errorf("%s: %s", name, ds)
		}
	}
}

// Each limit of a provider's settings from both sides.
func TestProvider_limits(t *testing.T) {
	t.Parallel()
	block := func(extra string) string {
		return "provider \"acme\" {\n client_id = \"id\"\n client_secret = \"s\"\n issuer = \"https://id.example.com\"\n " + extra + "\n}\n"
	}
	q := func(s string, n int) string { return fmt.Sprintf("%q", strings.Repeat(s, n)) }
	for _, l := range []struct{ good, bad string }{
		{"title = " + q("t", 64), "title = " + q("t", 65)},
		{"title = \"T\"", "title = \"\""},
		{"scopes = [\"openid\", " + q("s", 200) + "]", "scopes = [\"openid\", " + q("s", 201) + "]"},
		{"authorize_params = { a = " + q("v", 2000) + " }", "authorize_params = { a = " + q("v", 2001) + " }"},
		{"authorize_params = { " + strings.Repeat("n", 64) + " = \"v\" }", "authorize_params = { " + strings.Repeat("n", 65) + " = \"v\" }"},
		{"claims {\n email = " + q("c", 200) + "\n}", "claims {\n email = " + q("c", 201) + "\n}"},
	} {
		if _, ds := parse(t, block(l.good)); len(ds) != 0 {
			t.Errorf("%.40s should be taken:\n%s", l.good, ds)
		}
		if _, ds := parse(t, block(l.bad)); len(ds) != 1 || !ds.HasErrors() {
			t.Errorf("%.40s should be one error:\n%s", l.bad, ds)
		}
	}
	for name, ok := range map[string]bool{strings.Repeat("n", 32): true, strings.Repeat("n", 33): false, "n": true, "1n": false, "n-_9": true} {
		if _, ds := parse(t, strings.Replace(block(""), "acme", name, 1)); ds.HasErrors() == ok {
			t.Errorf("label %s: %s", name, ds)
		}
	}
	for name, n := range map[string]int{"client_id": 500, "client_secret": 2000} {
		for length, ok := range map[int]bool{n: true, n + 1: false} {
			src := strings.Replace(block(""), name+" = ", name+" = "+q("x", length)+" # ", 1)
			if _, ds := parse(t, src); ds.HasErrors() == ok {
				t.Errorf("%s of %d bytes: %s", name, length, ds)
			}
		}
	}
	for issuer, ok := range map[string]bool{
		"https://id.example.com": true, "https://id.example.com/": true, "https://id.example.com:8443/a/b": true, "http://localhost:8080/x": true, "http://[::1]:8080": true, "http://127.0.0.1": true,
		"http://10.0.0.1": false, "https://id.example.com?x": false, "https://id.example.com#": false, "https://u:p@id.example.com": false, "ftp://id.example.com": false,
		"https://": false, "id.example.com": false, "": false, "https://exa mple.com": false,
	} {
		if _, ds := parse(t, strings.Replace(block(""), "https://id.example.com", issuer, 1)); ds.HasErrors() == ok {
			t.Errorf("issuer %q: %s", issuer, ds)
		}
	}
}
