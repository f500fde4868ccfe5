package lockspire

import (
	"regexp"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// settings is the config block.
type settings struct {
	IssuerPath           string        `sigra:"issuer_path,optional,default=/lockspire" doc:"what follows Sigra's own address in the issuer; another path is another issuer"`
	CodeTTL              time.Duration `sigra:"code_ttl,optional,default=60s" doc:"how long a code can be exchanged, 10s to 10m"`
	AccessTokenTTL       time.Duration `sigra:"access_token_ttl,optional,default=10m" doc:"how long an access token is valid, 1m to 24h"`
	IDTokenTTL           time.Duration `sigra:"id_token_ttl,optional,default=10m" doc:"how long an ID token is valid, 1m to 24h"`
	RefreshTokenTTL      time.Duration `sigra:"refresh_token_ttl,optional,default=720h" doc:"how long a refresh token may lie unused, 1h to 8760h"`
	GrantTTL             time.Duration `sigra:"grant_ttl,optional,default=8760h" doc:"how long an authorization lasts, however often it is refreshed, 1h to 43800h"`
	InteractionTTL       time.Duration `sigra:"interaction_ttl,optional,default=15m" doc:"how long a person may take to sign in and to consent, 1m to 24h"`
	KeyRotation          time.Duration `sigra:"key_rotation,optional,default=2160h" doc:"how old a signing key becomes, 24h to 17520h"`
	AccessTokenAlgorithm string        `sigra:"access_token_algorithm,optional,default=ES256" doc:"what access tokens are signed with: ES256 or RS256"`
}

var issuerPath = regexp.MustCompile(`^(/[A-Za-z0-9][A-Za-z0-9._~-]*){0,4}$`)

// check finds what no schema can: values out of range.
func (s settings) check() error {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name             string
		value, least, to time.Duration
	}{
		{"code_ttl", s.CodeTTL, 10 * time.Second, 10 * time.Minute}, // RFC 6749 §4.1.2: ten minutes at most
		{"access_token_ttl", s.AccessTokenTTL, time.Minute, day},
		{"id_token_ttl", s.IDTokenTTL, time.Minute, day},
		{"refresh_token_ttl", s.RefreshTokenTTL, time.Hour, 365 * day},
		{"grant_ttl", s.GrantTTL, time.Hour, 5 * 365 * day},
		{"interaction_ttl", s.InteractionTTL, time.Minute, day},
		{"key_rotation", s.KeyRotation, day, 2 * 365 * day},
	} {
		if c.value < c.least || c.value > c.to {
			return pluginsdk.Diagnostic(c.name, "Duration out of range", "Use "+c.least.String()+" to "+c.to.String()+".")
		}
	}
	if !issuerPath.MatchString(s.IssuerPath) {
		return pluginsdk.Diagnostic("issuer_path", "Not a path", `Use a path such as "/oauth", without a slash at its end, or "".`)
	}
	for _, own := range []string{applicationsPath, adminPath} {
		if s.IssuerPath == own || strings.HasPrefix(s.IssuerPath, own+"/") {
			return pluginsdk.Diagnostic("issuer_path", "Path taken", "Lockspire's own pages are at "+own+".")
		}
	}
	if s.AccessTokenAlgorithm != es256 && s.AccessTokenAlgorithm != rs256 {
		return pluginsdk.Diagnostic("access_token_algorithm", "Unknown algorithm", "Use ES256 or RS256.")
	}
	return nil
}
