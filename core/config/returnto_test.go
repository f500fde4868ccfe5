package config_test

import (
	"strings"
	"testing"
)

// Places to return to are origins, origins with one wildcard label, and applications' schemes; a domain for the cookie has base_url in it. What is
// neither is refused with what would do.
func TestReturnTo(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"https://app.example.com": "", "https://*.example.com": "", "https://*.example.com:8443": "", "http://localhost:3000": "", "http://127.0.0.1:3000": "", "myapp://": "", "com.example.app://": "",
		"app.example.com": `try "https://app.example.com"`, "https://app.example.com/x": `try "https://app.example.com"`, "http://app.example.com": `try "https://app.example.com"`,
		"https://*.com": "anybody can register", "https://*.co.uk": "anybody can register", "https://*.localhost": "anybody can register", "https://a.*.example.com": "not the whole first label", "https://*.*.example.com": "not the whole first label",
		"https://a*.example.com": "not the whole first label", "https://*.10.0.0.1": "before an IP address", "*.example.com": "without a scheme", "javascript://": "no application's", "data://": "no application's", "my_app://": "no application's",
		"myapp://callback": `try "myapp://"`, "https://": "has no host", "": "without a scheme", "https://user@app.example.com": "must not have a user",
	} {
		_, diags := parse(t, `sign_in { return_to = ["`+entry+`"] }`)
		got := diags.String()
		if want == "" && diags.HasErrors() || want != "" && !strings.Contains(strings.ReplaceAll(got, "try = ", "try "), strings.TrimPrefix(want, "try ")) {
			t.Errorf("%q: %s", entry, got)
		}
	}
	for text, want := range map[string]string{
		`session { cookie_domain = "example.com" }`: "", `session { cookie_domain = ".Example.com" }`: "", `session { cookie_domain = "id.example.com" }`: "",
		`session { cookie_domain = "other.com" }`: "neither id.example.com nor a domain above it", `session { cookie_domain = "com" }`: "anybody can register", `session { cookie_domain = "https://example.com" }`: "is no domain",
		`session { cookie_domain = "d.example.com" }`: "neither id.example.com",
	} {
		_, diags := parse(t, "server { base_url = \"https://id.example.com\" }\nmail { dev = true }\n"+text)
		if got := diags.String(); want == "" && diags.HasErrors() || want != "" && !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
		if want == "" && strings.HasPrefix(valid(t, "server { base_url = \"https://id.example.com\" }\nmail { dev = true }\n"+text).Session.CookieDomain, ".") {
			t.Errorf("%s keeps its dot", text)
		}
	}
	_, diags := parse(t, "server { base_url = \"https://id.example.com\" }\nmail { dev = true }\naccess \"app\" { hosts = [\"app.example.com\"] }")
	if !strings.Contains(diags.String(), `access "app" is for app.example.com, which sign_in.return_to leaves out`) || diags.HasErrors() {
		t.Error(diags.String())
	}
	_, diags = parse(t, "server { base_url = \"https://id.example.com\" }\nmail { dev = true }\nsign_in { return_to = [\"https://*.example.com\"] }\naccess \"app\" { hosts = [\"app.example.com\", \"id.example.com\", \"*.example.com\"] }")
	if strings.Contains(diags.String(), "leaves out") {
		t.Error(diags.String())
	}
}
