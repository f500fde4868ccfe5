package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sigra-auth/sigra/core/federation/preset"
	"github.com/sigra-auth/sigra/core/secret"
)

var (
	providerName  = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	scopeToken    = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]{1,200}$`) // RFC 6749 §3.3
	tenantGUID    = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	appleID       = regexp.MustCompile(`^[A-Z0-9]{10}$`)
	paramName     = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	promptWords   = []string{"login", "consent", "select_account", "create"} // OpenID Connect Core 1.0 §3.1.2.1
	sharedTenants = []string{"common", "organizations", "consumers"}
	// Sigra makes these itself, and a flow is only as safe as they are.
	ownParams = []string{"client_id", "client_secret", "code_challenge", "code_challenge_method", "id_token_hint", "login_hint", "nonce", "prompt", "redirect_uri",
		"request", "request_uri", "response_mode", "response_type", "scope", "state"}
)

func checkProviderName(s string) *problem {
	if providerName.MatchString(s) {
		return nil
	}
	p := &problem{is: "this is no name for a provider", want: "A lower-case letter, then lower-case letters, digits, dashes and underscores, 32 at most. It becomes part of an address."}
	if like := strings.NewReplacer(" ", "-", ".", "-").Replace(strings.ToLower(s)); providerName.MatchString(like) {
		p.try = like
	}
	return p
}

// providerReader reads one block.
type providerReader struct {
	*block
	p     Provider
	known preset.Preset
	at    map[string]hcl.Range // of the settings that stand in the block
	first int                  // diagnostics from here on are this block's
}

func readProvider(b *block, label string) Provider {
	r := &providerReader{block: b, p: Provider{Name: label, Enabled: true, SignUp: true}, at: map[string]hcl.Range{}, first: len(b.d.diags)}
	for name, a := range b.body.Attributes {
		if lit, ok := a.Expr.(*hclsyntax.LiteralValueExpr); !ok || !lit.Val.IsNull() { // null counts as left out
			r.at[name] = a.SrcRange
		}
	}
	for _, hb := range b.body.Blocks {
		r.at[hb.Type] = hb.DefRange()
	}
	r.which()
	p := &r.p
	b.text("title", &p.Title, "Example", oneLine(64, "People see it on a button."))
	b.boolean("enabled", &p.Enabled)
	b.boolean("sign_up", &p.SignUp)
	b.text("client_id", &p.ClientID, "1234567890.apps.example.com", oneLine(500, "The provider gave it when the client was registered."))
	b.secret("client_secret", &p.ClientSecret, func(s string) *problem {
		if len(s) > 2000 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return &problem{is: "must be at most 2000 bytes long, on one line"}
		}
		return nil
	})
	b.choice("token_auth", &p.TokenAuth, TokenAuthBasic, TokenAuthPost, TokenAuthNone)
	b.text("issuer", &p.Issuer, "https://id.example.com", issuerURL)
	b.text("authorize_url", &p.AuthorizeURL, "https://id.example.com/authorize", providerURL)
	b.text("token_url", &p.TokenURL, "https://id.example.com/token", providerURL)
	b.text("userinfo_url", &p.UserinfoURL, "https://id.example.com/userinfo", providerURL)
	b.nested("claims", func(b *block) {
		for _, c := range []struct {
			name string
			dst  *string
		}{{"subject", &p.Claims.Subject}, {"email", &p.Claims.Email}, {"email_verified", &p.Claims.EmailVerified},
			{"name", &p.Claims.Name}, {"picture", &p.Claims.Picture}, {"locale", &p.Claims.Locale}} {
			b.text(c.name, c.dst, "sub", oneLine(200, "Where it stands in the provider's answer, such as \"email\" or \"data.email\"."))
		}
	})
	if scopes := b.texts("scopes", "openid", func(s string) (string, *problem) {
		if strings.ContainsRune(s, ' ') && len(strings.Fields(s)) > 0 {
			return "", &problem{is: "has several scopes in one text", want: "Each is an entry of its own.", try: `["` + strings.Join(strings.Fields(s), `", "`) + `"]`}
		}
		if !scopeToken.MatchString(s) {
			return "", &problem{is: "has an entry that is no scope", want: `Such as "openid" or "email".`}
		}
		return s, nil
	}); r.has("scopes") {
		p.Scopes = append([]string{}, scopes...)
	}
	trust := false
	b.boolean("trust_email", &trust)
	if r.has("trust_email") {
		p.TrustEmail = &trust
	}
	b.text("prompt", &p.Prompt, "select_account", func(s string) (string, *problem) {
		for w := range strings.SplitSeq(s, " ") {
			if !slices.Contains(promptWords, w) {
				return "", &problem{is: "must be of the words " + strings.Join(promptWords, ", "), want: "Several are separated by a space.", try: Suggest(s, promptWords)}
			}
		}
		return s, nil
	})
	p.AuthorizeParams = b.textMap("authorize_params", `hd = "example.com"`, func(key, value string) *problem {
		switch {
		case !paramName.MatchString(key):
			return &problem{is: fmt.Sprintf("has a name that no parameter should have: %q", key)}
		case slices.Contains(ownParams, key):
			return &problem{is: "has " + key + ", which Sigra sets itself", want: "scopes, prompt and client_id are settings of their own; the others must not change."}
		case len(value) > 2000:
			return &problem{is: "has a value for " + key + " that is longer than 2000 bytes"}
		}
		return nil
	})
	b.text("tenant", &p.Tenant, "common", microsoftTenant)
	b.text("team_id", &p.TeamID, "A1B2C3D4E5", appleName)
	b.text("key_id", &p.KeyID, "A1B2C3D4E5", appleName)
	b.pem("private_key", &p.PrivateKey, applePrivateKey)
	if b.d.probe == nil && label != "" {
		r.check()
	}
	return r.p
}

func (r *providerReader) has(setting string) bool { _, ok := r.at[setting]; return ok }

// faulty reports whether an error about a setting of this block was given already.
func (r *providerReader) faulty(setting string) bool {
	return slices.ContainsFunc(r.d.diags[r.first:], func(m Diagnostic) bool { return m.Setting == r.join(setting) && m.Severity == Error })
}

// say reports at a setting, or at the block's header when it isn't there.
func (r *providerReader) say(setting string, p problem) {
	at, ok := r.at[setting]
	if !ok {
		at = r.header
	}
	r.report(setting, at, p)
}

// which finds the preset: the one that is named, or the one that the label names.
func (r *providerReader) which() {
	names := preset.Names()
	r.text("preset", &r.p.Preset, "google", func(s string) (string, *problem) {
		if slices.Contains(names, s) {
			return s, nil
		}
		return "", &problem{is: "must be one that Sigra knows", want: "The presets: " + strings.Join(names, ", ") + ".", try: Suggest(strings.ToLower(s), names)}
	})
	if _, there := r.body.Attributes["preset"]; !there && slices.Contains(names, r.p.Name) { // preset = null says that it is none
		r.p.Preset = r.p.Name
	}
	r.known, _ = preset.Find(r.p.Preset)
}

// check looks for what is missing and for settings that contradict each other. Nothing is said of a setting that was
// reported already.
func (r *providerReader) check() {
	p, known := &r.p, r.known
	if r.faulty("preset") || r.d.broken {
		return
	}
	if !r.has("client_id") {
		r.say("", problem{is: fmt.Sprintf("provider %s lacks client_id", p.Name), want: "The provider gives it when Sigra is registered there" + console(known) + "."})
	}
	r.checkEndpoints()
	r.checkSecret()
	openID := p.Preset == "" && p.Issuer != "" || known.Kind == preset.OIDC
	if openID && p.Scopes != nil && !slices.Contains(p.Scopes, "openid") && !r.faulty("scopes") {
		r.say("scopes", problem{is: "scopes lacks openid", want: "Without it the provider does not say who signs in."})
	}
	if p.Preset == "" && p.Issuer != "" && p.Claims.Subject != "" {
		r.say("claims", problem{is: "the subject of an OpenID Connect provider is always sub", want: "Remove subject: nothing else is unique and stays."})
	}
	if p.Preset != "" && r.has("claims") {
		r.say("claims", problem{is: "claims belongs to a provider without a preset", want: fmt.Sprintf("The preset %s knows where things stand.", p.Preset)})
	}
	r.checkMicrosoft()
}

func console(known preset.Preset) string {
	if known.Console == "" {
		return ""
	}
	return " (" + known.Console + ")"
}

// checkEndpoints finds out where the provider is: by its preset, by discovery, or by hand.
func (r *providerReader) checkEndpoints() {
	p, known := &r.p, r.known
	hand := []string{"authorize_url", "token_url", "userinfo_url"}
	var given, missing []string
	for _, name := range hand {
		if r.has(name) {
			given = append(given, name)
		} else {
			missing = append(missing, name)
		}
	}
	switch {
	case p.Preset != "" && len(given) > 0:
		r.say(given[0], problem{is: fmt.Sprintf("the preset %s knows its addresses", p.Preset), want: "Remove " + given[0] + ", or leave the preset out (preset = null) and give all addresses."})
	case known.NeedsIssuer() && !r.has("issuer"):
		r.say("", problem{is: fmt.Sprintf("provider %s lacks issuer", p.Name), want: fmt.Sprintf("Everybody's %s has an address of its own: issuer = \"https://…\", as its discovery document says.", known.Title)})
	case p.Preset != "" && r.has("issuer") && !known.TakesIssuer():
		r.say("issuer", problem{is: fmt.Sprintf("the preset %s has one issuer only", p.Preset), want: "Remove the line."})
	case p.Preset == "" && r.has("issuer") && len(given) > 0:
		r.say(given[0], problem{is: "a provider is found by issuer or by addresses, not both", want: "With issuer, " + given[0] + " comes from its discovery document."})
	case p.Preset == "" && !r.has("issuer") && len(given) == 0:
		pr := problem{is: fmt.Sprintf("nothing says what provider %s is", p.Name),
			want: "Name a preset, or the issuer of an OpenID Connect provider, or authorize_url, token_url and userinfo_url.\nThe presets: " + strings.Join(preset.Names(), ", ") + "."}
		if like := Suggest(p.Name, preset.Names()); like != "" {
			pr.try = fmt.Sprintf("preset = %q", like)
		}
		r.say("", pr)
	case p.Preset == "" && !r.has("issuer") && len(missing) > 0:
		r.say(given[0], problem{is: fmt.Sprintf("provider %s lacks %s", p.Name, strings.Join(missing, " and ")), want: "OAuth 2.0 by hand needs all three addresses."})
	case p.Preset == "" && len(given) == len(hand) && p.Claims.Subject == "" && !r.faulty("claims.subject"):
		r.say("claims", problem{is: fmt.Sprintf("provider %s lacks claims.subject", p.Name), want: "What in the answer of userinfo_url identifies a person for ever? Often: claims { subject = \"id\" }."})
	}
}

// checkSecret holds that there is what the client proves itself with, and no more.
func (r *providerReader) checkSecret() {
	p := &r.p
	if r.known.Has(preset.AppleSecret) {
		for _, name := range []string{"team_id", "key_id", "private_key"} {
			if !r.has(name) {
				r.say("", problem{is: fmt.Sprintf("provider %s lacks %s", p.Name, name), want: "Apple takes a client secret that is signed with a key of yours: team_id, key_id and private_key = file(\"AuthKey_….p8\")."})
			}
		}
		for _, name := range []string{"client_secret", "token_auth"} {
			if r.has(name) {
				r.say(name, problem{is: "Apple has no " + name, want: "Sigra makes the client secret of team_id, key_id and private_key. Remove the line."})
			}
		}
		return
	}
	for _, name := range []string{"team_id", "key_id", "private_key"} {
		if r.has(name) {
			r.say(name, problem{is: name + " is for Apple only", want: "Remove the line."})
		}
	}
	switch none := p.TokenAuth == TokenAuthNone; {
	case none && p.Preset != "" && !r.known.NeedsIssuer():
		r.say("token_auth", problem{is: r.known.Title + " wants a client secret", want: "Remove the line, and set client_secret."})
	case none && r.has("client_secret"):
		r.say("client_secret", problem{is: "there is a client_secret, and token_auth = \"none\"", want: "Remove one of the two."})
	case !none && !r.has("client_secret"):
		r.say("", problem{is: fmt.Sprintf("provider %s lacks client_secret", p.Name), want: "Take it from the environment or a file: client_secret = env(\"…\"). A client without one says token_auth = \"none\"."})
	}
}

func (r *providerReader) checkMicrosoft() {
	p := &r.p
	if !r.known.Has(preset.MicrosoftTenant) {
		if r.has("tenant") {
			r.say("tenant", problem{is: "tenant is for Microsoft only", want: "Remove the line."})
		}
		return
	}
	if p.Tenant == "" && !r.faulty("tenant") {
		p.Tenant = "common"
	}
	// Whoever runs a tenant writes any address into it: "nOAuth" (Microsoft, "Migrate away from using email claims for user identification").
	if p.TrustEmail != nil && *p.TrustEmail && slices.Contains(sharedTenants, p.Tenant) {
		r.say("trust_email", problem{is: fmt.Sprintf("addresses from the tenant %s can't be trusted", p.Tenant),
			want: "Any administrator of any tenant can write any address there. Name your own tenant, or remove trust_email."})
	}
}

func microsoftTenant(s string) (string, *problem) {
	s = strings.ToLower(s)
	if slices.Contains(sharedTenants, s) || tenantGUID.MatchString(s) || strings.Contains(s, ".") && hostName.MatchString(s) {
		return s, nil
	}
	return "", &problem{is: "is no tenant", want: `The tenant's id, its domain, or one of "common", "organizations" and "consumers".`, try: Suggest(s, sharedTenants)}
}

func appleName(s string) (string, *problem) {
	if appleID.MatchString(s) {
		return s, nil
	}
	return "", &problem{is: "must be ten capital letters and digits", want: "Apple's developer pages show it.", try: upperApple(s)}
}

func upperApple(s string) string {
	if up := strings.ToUpper(strings.TrimSpace(s)); appleID.MatchString(up) {
		return up
	}
	return ""
}

// applePrivateKey checks that a key can sign client secrets: ES256, as Apple asks.
func applePrivateKey(s string) *problem {
	const want = `The text of the file that Apple gives: private_key = file("AuthKey_….p8").`
	b, _ := pem.Decode([]byte(s))
	if b == nil {
		return &problem{is: "is no PEM text", want: want}
	}
	key, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		return &problem{is: "is no private key in PKCS #8", want: want}
	}
	if ec, ok := key.(*ecdsa.PrivateKey); !ok || ec.Curve != elliptic.P256() {
		return &problem{is: "is no key on the curve P-256", want: want}
	}
	return nil
}

// oneLine checks a text that people or protocols take as it is.
func oneLine(most int, want string) func(string) (string, *problem) {
	return func(s string) (string, *problem) {
		switch {
		case strings.TrimSpace(s) == "" || strings.TrimSpace(s) != s:
			return "", &problem{is: "must be a text without white space around it", want: want}
		case len(s) > most || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return "", &problem{is: fmt.Sprintf("must be at most %d bytes long, on one line", most), want: want}
		}
		return s, nil
	}
}

// providerURL checks an address of a provider. Plain http is for providers on this machine only.
func providerURL(s string) (string, *problem) {
	const want = `An address such as "https://id.example.com/authorize".`
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "" || u.Opaque != "" || u.Host == "" || !validHost(u.Hostname()) || len(s) > 2000:
		p := &problem{is: "is no URL", want: want}
		if err == nil && !strings.Contains(s, "://") && strings.Contains(s, ".") && validHostPort(strings.SplitN(s, "/", 2)[0]) {
			p.is, p.try = "has no scheme", "https://"+s
		}
		return "", p
	case u.Scheme == "http" && loopback(u.Hostname()):
	case u.Scheme == "http":
		return "", &problem{is: "must be https", want: "Over plain http anybody in between can sign in as anybody. It is taken for providers on this machine only.", try: "https" + strings.TrimPrefix(s, "http")}
	case u.Scheme != "https":
		return "", &problem{is: "must be an https URL", want: want}
	}
	switch {
	case u.User != nil:
		return "", &problem{is: "must not have a user or password in it", want: want}
	case u.Fragment != "" || strings.HasSuffix(s, "#"):
		return "", &problem{is: "must not have a #fragment", want: want}
	}
	return s, nil
}

const wellKnown = "/.well-known/openid-configuration"

// issuerURL checks an issuer. It is compared letter by letter, so nothing is normalised (OpenID Connect Discovery 1.0 §4.3).
func issuerURL(s string) (string, *problem) {
	s, p := providerURL(s)
	switch {
	case p != nil:
		return "", p
	case strings.HasSuffix(s, wellKnown):
		return "", &problem{is: "is the address of a discovery document", want: "The issuer is what stands before.", try: strings.TrimSuffix(s, wellKnown)}
	case strings.ContainsRune(s, '?'):
		return "", &problem{is: "must not have a query", want: "An issuer is what its discovery document says it is."}
	}
	return s, nil
}

// pem reads a key in PEM, around which white space means nothing: a text over several lines ends with a newline.
func (b *block) pem(name string, dst *secret.Text, check func(string) *problem) {
	v, at, ok := b.value(name, "secret")
	if !ok {
		return
	}
	x := b.expr(name)
	s, ok := b.str(name, x, v, at, "")
	if !ok {
		return
	}
	s = strings.TrimSpace(s)
	if p := checkSecret(s, check); p != nil {
		b.wrong(name, x, at, *p)
		return
	}
	*dst = secret.New(s)
}

// textMap reads an object of texts.
func (b *block) textMap(name, example string, check func(key, value string) *problem) map[string]string {
	secrets := b.secretMap(name, example, check)
	if secrets == nil {
		return nil
	}
	out := make(map[string]string, len(secrets))
	for _, k := range slices.Sorted(maps.Keys(secrets)) {
		out[k] = secrets[k].Reveal()
	}
	return out
}
