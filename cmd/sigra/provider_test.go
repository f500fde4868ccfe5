package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/federation/federationtest"
	"github.com/sigra-auth/sigra/core/federation/preset"
)

// TestProviderCheck asks a provider that answers, and one that answers wrongly.
func TestProviderCheck(t *testing.T) {
	t.Parallel()
	p := federationtest.New(t)
	file := filepath.Join(t.TempDir(), "sigra.hcl")
	src := fmt.Sprintf("provider \"work\" {\n  issuer = %q\n  client_id = \"sigra\"\n  client_secret = \"hush\"\n}\n", p.URL)
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(args ...string) (int, string, string) {
		var out, errOut bytes.Buffer
		status := run(t.Context(), append([]string{"provider", "check", "work", "--config", file}, args...), stdio{strings.NewReader(""), &out, &errOut})
		return status, out.String(), errOut.String()
	}
	status, out, errOut := check()
	for _, want := range []string{p.URL, "http://localhost:8484/login/callback/work", "RS256 ES256 EdDSA", "1 key at " + p.URL + "/keys", "sent as basic authentication", "It answers as it should."} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if status != 0 || errOut != "" || strings.Contains(out, "hush") || strings.Contains(out, "warning") {
		t.Errorf("%d\n%s\n%s", status, out, errOut)
	}
	status, out, _ = check("--json")
	var f federation.Found
	if err := json.Unmarshal([]byte(out), &f); err != nil || status != 0 || f.Keys != 1 || f.JWKSURL != p.URL+"/keys" || f.RedirectURI != "http://localhost:8484/login/callback/work" || !f.IssParameter {
		t.Errorf("%+v %v", f, err)
	}
	p.Set(federationtest.Hooks{Document: func(d map[string]any) { d["scopes_supported"] = []string{"openid\x1b[31m"} }})
	if status, out, _ = check(); status != 0 || !strings.Contains(out, "warning: It does not list these scopes") || strings.Contains(out, "\x1b") {
		t.Errorf("%d\n%s", status, out)
	}
	p.Set(federationtest.Hooks{Document: func(d map[string]any) { d["issuer"] = p.URL + "/\x1b[31m" }})
	if status, out, errOut = check(); status != 1 || !strings.Contains(errOut, "they must be equal to the letter") || strings.Contains(errOut, "\x1b") || out != "" {
		t.Errorf("%d\n%s\n%s", status, out, errOut)
	}
}

// The recipe's table of presets is the presets.
func TestDocs_presets(t *testing.T) {
	t.Parallel()
	page := pages(t)["docs/recipes/social.md"]
	for _, p := range preset.All() {
		trust, issuer := "no", ""
		if p.TrustEmail {
			trust = "yes"
		}
		switch {
		case p.NeedsIssuer():
			issuer = "needed"
		case p.OwnIssuer:
			issuer = "possible"
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s | [register](%s) |", p.Name, p.Title, trust, issuer, p.Console)
		if !strings.Contains(page, row) {
			t.Errorf("docs/recipes/social.md lacks\n%s", row)
		}
	}
	if n := strings.Count(page, "| [register]("); n != len(preset.All()) {
		t.Errorf("docs/recipes/social.md has %d presets, there are %d", n, len(preset.All()))
	}
}
