package preset_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/federation/preset"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every entry is complete and holds together.
func TestAll_entriesHoldTogether(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[a-z][a-z0-9]{0,31}$`)
	seen := map[string]bool{}
	for _, p := range preset.All() {
		say := func(format string, args ...any) {
			t.Helper()
			t.Errorf(p.Name+": "+format, args...)
		}
		https := func(what, s string) {
			t.Helper()
			if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" && what != "console" {
				say("%s is no https URL: %q", what, s)
			}
		}
		if !name.MatchString(p.Name) || seen[p.Name] || p.Title == "" || len(p.Title) > 64 {
			say("named badly or twice")
		}
		seen[p.Name] = true
		https("console", p.Console)
		switch p.Kind {
		case preset.OIDC:
			if p.AuthorizeURL != "" || p.TokenURL != "" || p.UserinfoURL != "" || p.Realm != "" {
				say("endpoints are found by discovery")
			}
			if p.Issuer != "" {
				https("issuer", strings.Replace(p.Issuer, "{tenant}", "common", 1))
			} else if p.TrustEmail {
				say("who runs it is not known, and its word is believed")
			}
			if !slices.Contains(p.Scopes, "openid") {
				say("no scope openid")
			}
			if got, _ := preset.Find(p.Name); got.NeedsIssuer() != (p.Issuer == "") {
				say("NeedsIssuer = %v", got.NeedsIssuer())
			}
		case preset.OAuth2:
			https("authorize_url", p.AuthorizeURL)
			https("token_url", p.TokenURL)
			https("userinfo_url", p.UserinfoURL)
			https("realm", p.Realm)
			if p.Issuer != "" || p.OwnIssuer || len(p.Claims.Subject) == 0 || p.TokenAuth == "" {
				say("an issuer, or no subject, or no token_auth")
			}
			emails := p.Has(preset.EmailsGitHub) || p.Has(preset.EmailsBitbucket)
			if emails != (p.EmailsURL != "") {
				say("emails_url and its quirk come together")
			}
			// Its word counts only where it says something about the address.
			if p.TrustEmail && !emails && !p.Has(preset.EmailProved) && len(p.Claims.EmailVerified) == 0 {
				say("trusted without any word about the address")
			}
		default:
			say("kind %q", p.Kind)
		}
		if !slices.Contains([]string{"", "basic", "post"}, p.TokenAuth) {
			say("token_auth %q", p.TokenAuth)
		}
		for _, own := range []string{"client_id", "redirect_uri", "response_type", "state", "nonce", "code_challenge", "code_challenge_method", "scope"} {
			if p.AuthorizeParams[own] != "" || p.ForceLogin[own] != "" {
				say("sets %s", own)
			}
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d presets", len(seen))
	}
	for _, want := range []string{"google", "github", "apple", "microsoft", "facebook", "gitlab", "discord", "slack", "linkedin", "x"} {
		if !seen[want] {
			t.Errorf("no preset %s", want)
		}
	}
}

// Where a stranger can set the address, the provider's word does not count.
func TestTrust_neverWhereTenantsSetAddresses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"microsoft", "slack", "salesforce", "facebook", "atlassian", "zoom", "okta", "auth0", "keycloak"} {
		if p, ok := preset.Find(name); !ok || p.TrustEmail {
			t.Errorf("%s: found %v, trusted %v", name, ok, p.TrustEmail)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	if _, ok := preset.Find("nobody"); ok {
		t.Error("found what is not there")
	}
	names := preset.Names()
	if !slices.IsSorted(names) || len(names) != len(preset.All()) {
		t.Errorf("%v", names)
	}
	all := preset.All()
	all[0].Name = "changed"
	if _, ok := preset.Find("google"); !ok {
		t.Error("a caller could change the presets")
	}
}
