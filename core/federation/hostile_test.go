package federation_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/federation/federationtest"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// path makes a TakeOver of one path.
func path(at string, f func(w http.ResponseWriter, r *http.Request)) federationtest.Hooks {
	return federationtest.Hooks{TakeOver: func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != at {
			return false
		}
		f(w, r)
		return true
	}}
}

func claims(f func(c map[string]any)) federationtest.Hooks { return federationtest.Hooks{Claims: f} }

func set(name string, v any) federationtest.Hooks {
	return claims(func(c map[string]any) { c[name] = v })
}

func document(name string, v any) federationtest.Hooks {
	return federationtest.Hooks{Document: func(d map[string]any) { d[name] = v }}
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func huge(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"x":"`))
	for range 40 {
		if _, err := w.Write([]byte(strings.Repeat("x", 64<<10))); err != nil {
			return
		}
	}
	_, _ = w.Write([]byte(`"}`))
}

// junk answers with bytes that are no JSON.
func junk(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte("<html>the provider says hello"))
}

// TestHostile_refused: every way in which a provider, or somebody between, can answer wrongly, and what is made of it.
func TestHostile_refused(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	ring := newRing(t, db)
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	const bad, down = "provider_answer_invalid", "provider_unavailable"
	for _, c := range []struct {
		name, code, stage, reason string
		hooks                     federationtest.Hooks
		more                      func(p *federationtest.Provider) // more to arrange
	}{
		// Discovery.
		{"another issuer in the document", bad, "discovery", "issuer_mismatch", document("issuer", "https://evil.example"), nil},
		{"an issuer with a slash more", bad, "discovery", "issuer_mismatch", federationtest.Hooks{Document: func(d map[string]any) { d["issuer"] = d["issuer"].(string) + "/" }}, nil},
		{"no issuer in the document", bad, "discovery", "issuer_mismatch", document("issuer", nil), nil},
		{"a token endpoint on plain http", bad, "discovery", "insecure_endpoint", document("token_endpoint", "http://203.0.113.7/token"), nil},
		{"keys on plain http", bad, "discovery", "insecure_endpoint", document("jwks_uri", "http://203.0.113.7/keys"), nil},
		{"an authorization endpoint that is a script", bad, "discovery", "insecure_endpoint", document("authorization_endpoint", "javascript:alert(1)"), nil},
		{"no token endpoint", bad, "discovery", "incomplete", document("token_endpoint", nil), nil},
		{"no keys", bad, "discovery", "incomplete", document("jwks_uri", ""), nil},
		{"no code flow", bad, "discovery", "incomplete", document("response_types_supported", []string{"id_token"}), nil},
		{"symmetric algorithms only", bad, "discovery", "algorithms", document("id_token_signing_alg_values_supported", []string{"HS256", "none"}), nil},
		{"a document that is none", bad, "discovery", "malformed", path("/.well-known/openid-configuration", junk), nil},
		{"a document of the wrong types", bad, "discovery", "malformed", document("issuer", 7), nil},
		{"a huge document", bad, "discovery", "too_large", path("/.well-known/openid-configuration", huge), nil},
		{"no document", bad, "discovery", "status", path("/.well-known/openid-configuration", status(404)), nil},
		{"a failing provider", down, "discovery", "status", path("/.well-known/openid-configuration", status(503)), nil},
		{"a document elsewhere", bad, "discovery", "redirected", path("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:1/elsewhere", http.StatusFound)
		}), nil},
		{"a document that goes round in circles", bad, "discovery", "redirected", path("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}), nil},

		// The callback.
		{"cancelled", "provider_denied", "authorize", "access_denied", federationtest.Hooks{Answer: func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("error_description", "the provider says no")
		}}, nil},
		{"the provider is busy", down, "authorize", "temporarily_unavailable", federationtest.Hooks{Answer: func(q url.Values) { q.Set("error", "temporarily_unavailable") }}, nil},
		{"a scope it does not know", bad, "authorize", "invalid_scope", federationtest.Hooks{Answer: func(q url.Values) { q.Set("error", "invalid_scope") }}, nil},
		{"an error that is none", bad, "authorize", "error", federationtest.Hooks{Answer: func(q url.Values) { q.Set("error", "<b>the provider says\x00") }}, nil},
		{"no code", bad, "authorize", "code_missing", federationtest.Hooks{Answer: func(q url.Values) { q.Del("code") }}, nil},
		{"a code longer than any", bad, "authorize", "code_missing", federationtest.Hooks{Answer: func(q url.Values) { q.Set("code", strings.Repeat("c", 9<<10)) }}, nil},
		{"mix-up: iss of another provider", bad, "authorize", "iss_mismatch", federationtest.Hooks{Answer: func(q url.Values) { q.Set("iss", "https://evil.example") }}, nil},
		{"mix-up: an error with the iss of another provider", bad, "authorize", "iss_mismatch", federationtest.Hooks{Answer: func(q url.Values) { q.Set("error", "access_denied"); q.Set("iss", "https://evil.example") }}, nil},
		{"mix-up: iss was promised and is missing", bad, "authorize", "iss_missing", federationtest.Hooks{Answer: func(q url.Values) { q.Del("iss") }}, nil},
		{"mix-up: iss was not promised and is wrong", bad, "authorize", "iss_mismatch", federationtest.Hooks{
			Document: func(d map[string]any) { delete(d, "authorization_response_iss_parameter_supported") }, Answer: func(q url.Values) { q.Set("iss", q.Get("iss")+"/") }}, nil},

		// The exchange.
		{"a code of somebody else", bad, "token", "invalid_grant", federationtest.Hooks{Answer: func(q url.Values) { q.Set("code", "stolen") }}, nil},
		{"a code that was bound to another verifier", bad, "token", "invalid_grant", federationtest.Hooks{TokenForm: func(f url.Values) { f.Set("code_verifier", strings.Repeat("v", 43)) }}, nil},
		{"a verifier that was lost", bad, "token", "invalid_grant", federationtest.Hooks{TokenForm: func(f url.Values) { f.Del("code_verifier") }}, nil},
		{"a client that is not known", bad, "token", "invalid_client", federationtest.Hooks{}, func(p *federationtest.Provider) { p.ClientSecret = "changed meanwhile" }},
		{"an error with status 200", bad, "token", "bad_verification_code", path("/token", func(w http.ResponseWriter, _ *http.Request) {
			federationtest.JSON(w, 200, map[string]string{"error": "bad_verification_code"})
		}), nil},
		{"a token endpoint that fails", down, "token", "status", path("/token", status(500)), nil},
		{"a token endpoint that has had enough", down, "token", "status", path("/token", status(429)), nil},
		{"a token endpoint that is gone", bad, "token", "status", path("/token", status(404)), nil},
		{"a token endpoint that hangs up", down, "token", "unreachable", path("/token", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), nil},
		{"a huge token", bad, "token", "too_large", path("/token", huge), nil},
		{"a token that is none", bad, "token", "malformed", path("/token", junk), nil},
		{"a token endpoint that sends elsewhere", bad, "token", "redirected", path("/token", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:1/token", http.StatusTemporaryRedirect)
		}), nil},
		{"a token endpoint that sends to itself", bad, "token", "redirected", path("/token", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/token", http.StatusTemporaryRedirect)
		}), nil},
		{"no access token", bad, "token", "malformed", federationtest.Hooks{Tokens: func(b map[string]any) { delete(b, "access_token") }}, nil},
		{"a token of another kind", bad, "token", "token_type", federationtest.Hooks{Tokens: func(b map[string]any) { b["token_type"] = "DPoP" }}, nil},

		// The ID token.
		{"none", bad, "id_token", "missing", federationtest.Hooks{Tokens: func(b map[string]any) { delete(b, "id_token") }}, nil},
		{"no text", bad, "id_token", "missing", federationtest.Hooks{Tokens: func(b map[string]any) { b["id_token"] = 7 }}, nil},
		{"not a JWT", bad, "id_token", "malformed", federationtest.Hooks{Tokens: func(b map[string]any) { b["id_token"] = "a.b.c" }}, nil},
		{"a huge one", bad, "id_token", "too_large", set("x", strings.Repeat("x", 64<<10)), nil},
		{"another issuer", bad, "id_token", "issuer", set("iss", "https://evil.example"), nil},
		{"no issuer", bad, "id_token", "issuer", set("iss", nil), nil},
		{"another audience", bad, "id_token", "audience", set("aud", "another-client"), nil},
		{"no audience", bad, "id_token", "audience", set("aud", nil), nil},
		{"audiences without ours", bad, "id_token", "audience", set("aud", []string{"one", "two"}), nil},
		{"several audiences and no azp", bad, "id_token", "azp", set("aud", []string{"sigra-client", "another-client"}), nil},
		{"several audiences and another's azp", bad, "id_token", "azp", claims(func(c map[string]any) { c["aud"], c["azp"] = []string{"sigra-client", "b"}, "b" }), nil},
		{"another's azp", bad, "id_token", "azp", set("azp", "another-client"), nil},
		{"an azp that is no text", bad, "id_token", "azp", set("azp", nil), nil},
		{"another nonce", bad, "id_token", "nonce", set("nonce", "another"), nil},
		{"no nonce", bad, "id_token", "nonce", claims(func(c map[string]any) { delete(c, "nonce") }), nil},
		{"expired", bad, "id_token", "expired", claims(func(c map[string]any) { c["exp"] = ago(3 * time.Minute) }), nil},
		{"never expires", bad, "id_token", "expired", claims(func(c map[string]any) { delete(c, "exp") }), nil},
		{"issued in the future", bad, "id_token", "future", claims(func(c map[string]any) { c["iat"] = ago(-3 * time.Minute) }), nil},
		{"issued nobody knows when", bad, "id_token", "issued_at", claims(func(c map[string]any) { delete(c, "iat") }), nil},
		{"not valid yet", bad, "id_token", "malformed", claims(func(c map[string]any) { c["nbf"] = ago(-10 * time.Minute) }), nil},
		{"no subject", bad, "id_token", "subject", set("sub", nil), nil},
		{"an empty subject", bad, "id_token", "subject", set("sub", ""), nil},
		{"a subject of spaces", bad, "id_token", "subject", set("sub", "   "), nil},
		{"a huge subject", bad, "id_token", "subject", set("sub", strings.Repeat("s", 256)), nil},
		{"a subject with a NUL", bad, "claims", "subject", set("sub", "a\x00b"), nil},
		{"a subject that looks like another", bad, "claims", "subject", set("sub", "аdа"), nil},
		{"a subject that is no text", bad, "id_token", "malformed", set("sub", map[string]any{}), nil},
		{"at_hash of another token", bad, "id_token", "at_hash", set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), nil},
		{"alg none", bad, "id_token", "algorithm", federationtest.Hooks{Sign: federationtest.Unsigned}, nil},
		{"a signature that was cut off", bad, "id_token", "signature", federationtest.Hooks{Sign: func(c map[string]any) string {
			s := federationtest.RSAKey("rsa-1").Sign(c)
			return s[:strings.LastIndexByte(s, '.')+1]
		}}, nil},
		{"claims that were changed", bad, "id_token", "signature", federationtest.Hooks{Sign: func(c map[string]any) string {
			right := strings.Split(federationtest.RSAKey("rsa-1").Sign(c), ".")
			c["sub"] = "somebody else"
			return right[0] + "." + strings.Split(federationtest.RSAKey("rsa-1").Sign(c), ".")[1] + "." + right[2]
		}}, nil},
		{"another's key under our key's id", bad, "id_token", "signature", federationtest.Hooks{Sign: federationtest.OtherRSAKey("rsa-1").Sign}, nil},
		{"a key that nobody publishes", bad, "id_token", "unknown_key", federationtest.Hooks{Sign: federationtest.OtherRSAKey("rsa-2").Sign}, nil},
		{"a key of another kind under our key's id", bad, "id_token", "unknown_key", federationtest.Hooks{Sign: federationtest.ECKey("rsa-1").Sign}, nil},
		{"an algorithm that the provider does not list", bad, "id_token", "algorithm", federationtest.Hooks{
			Document: func(d map[string]any) { d["id_token_signing_alg_values_supported"] = []string{"RS256"} }, Sign: federationtest.ECKey("rsa-1").Sign}, nil},
		{"HS256 with the client secret", bad, "id_token", "algorithm", federationtest.Hooks{}, func(p *federationtest.Provider) {
			p.Set(federationtest.Hooks{Sign: func(c map[string]any) string { return federationtest.HMAC([]byte(p.ClientSecret), c) }})
		}},
		{"HS256 with the public key", bad, "id_token", "algorithm", federationtest.Hooks{Sign: func(c map[string]any) string {
			der, err := x509.MarshalPKIXPublicKey(federationtest.RSAKey("").Public())
			if err != nil {
				panic(err)
			}
			return federationtest.HMAC(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), c)
		}}, nil},

		// The keys.
		{"keys that can't be had", down, "keys", "status", path("/keys", status(502)), nil},
		{"keys that hang up", down, "keys", "unreachable", path("/keys", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), nil},
		{"no key among the keys", bad, "keys", "no_keys", path("/keys", func(w http.ResponseWriter, _ *http.Request) {
			federationtest.JSON(w, 200, map[string]any{"keys": []any{map[string]any{"kty": "oct", "kid": "rsa-1", "k": "c2VjcmV0"}, map[string]any{"kty": "what"}, 7}})
		}), nil},
		{"huge keys", bad, "keys", "too_large", path("/keys", huge), nil},

		// The API.
		{"an answer about somebody else", bad, "userinfo", "subject_mismatch", federationtest.Hooks{
			Claims: func(c map[string]any) { delete(c, "email") }, Userinfo: func(u map[string]any) { u["sub"] = "248289761002" }}, nil},
		{"an answer about nobody", bad, "userinfo", "subject_mismatch", federationtest.Hooks{
			Claims: func(c map[string]any) { delete(c, "email") }, Userinfo: func(u map[string]any) { delete(u, "sub") }}, nil},
		{"an API that fails", down, "userinfo", "status", federationtest.Hooks{Claims: func(c map[string]any) { delete(c, "email") }, TakeOver: path("/userinfo", status(500)).TakeOver}, nil},
		{"an API that refuses", bad, "userinfo", "status", federationtest.Hooks{Claims: func(c map[string]any) { delete(c, "email") }, TakeOver: path("/userinfo", status(403)).TakeOver}, nil},
		{"an API that talks in JWTs", bad, "userinfo", "signed", federationtest.Hooks{Claims: func(c map[string]any) { delete(c, "email") }, TakeOver: path("/userinfo", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/jwt")
		}).TakeOver}, nil},
		{"an API that talks nonsense", bad, "userinfo", "malformed", federationtest.Hooks{Claims: func(c map[string]any) { delete(c, "email") }, TakeOver: path("/userinfo", junk).TakeOver}, nil},
		{"an API that sends the token elsewhere", bad, "userinfo", "redirected", federationtest.Hooks{Claims: func(c map[string]any) { delete(c, "email") }, TakeOver: path("/userinfo", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/userinfo2", http.StatusFound)
		}).TakeOver}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := federationtest.New(t)
			d := p.Directory(t)
			p.Set(c.hooks)
			if c.more != nil {
				c.more(p)
			}
			r, err := newWorld(t, db, ring, d).signIn(t, p, "example")
			if err == nil {
				t.Fatalf("was believed: %+v", r.Claims)
			}
			refused(t, err, c.code, c.stage, c.reason)
			if r.Claims.Subject != "" {
				t.Errorf("and yet there are claims: %+v", r.Claims)
			}
			for _, secret := range []string{"a client's secret", "access_token", "id_token=", "code_verifier", "eyJ"} {
				if strings.Contains(err.Error(), secret) { // what goes into a log
					t.Errorf("%q is in %v", secret, err)
				}
			}
		})
	}
}

// TestHostile_sloppy: ways to be different that are no attack.
func TestHostile_sloppy(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	ring := newRing(t, db)
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	verified := func(email string, v bool) func(*testing.T, federation.Claims) {
		return func(t *testing.T, c federation.Claims) {
			if c.Email != email || c.EmailVerified != v {
				t.Errorf("address %q, verified %v", c.Email, c.EmailVerified)
			}
		}
	}
	for _, c := range []struct {
		name  string
		hooks federationtest.Hooks
		user  federationtest.User
		more  func(p *federationtest.Provider, c *config.Provider)
		check func(t *testing.T, c federation.Claims)
	}{
		{"no address", federationtest.Hooks{}, federationtest.Ada().Without("email", "email_verified"), nil, verified("", false)},
		{"an address that is not verified", federationtest.Hooks{}, federationtest.User{"sub": "1", "email": "ada@example.org", "email_verified": false}, nil, verified("ada@example.org", false)},
		{"an address without a word", federationtest.Hooks{}, federationtest.User{"sub": "1", "email": "ada@example.org"}, nil, verified("ada@example.org", false)},
		{"verified as a text", federationtest.Hooks{}, federationtest.User{"sub": "1", "email": "Ada@Example.ORG", "email_verified": "true"}, nil, verified("ada@example.org", true)},
		{"verified as another text", federationtest.Hooks{}, federationtest.User{"sub": "1", "email": "ada@example.org", "email_verified": "yes"}, nil, verified("ada@example.org", false)},
		{"verified as a list", federationtest.Hooks{}, federationtest.User{"sub": "1", "email": "ada@example.org", "email_verified": []any{true}}, nil, verified("ada@example.org", false)},
		{"verified, and not believed", federationtest.Hooks{}, nil, func(_ *federationtest.Provider, c *config.Provider) { no := false; c.TrustEmail = &no }, verified("ada@example.org", false)},
		{"verified, and nothing said of belief", federationtest.Hooks{}, nil, func(_ *federationtest.Provider, c *config.Provider) { c.TrustEmail = nil }, verified("ada@example.org", false)},
		{"a text that is no address", federationtest.Hooks{}, federationtest.User{"sub": "1", "email": "ada", "email_verified": true}, nil, verified("", false)},
		{"an address with a header in it", federationtest.Hooks{}, federationtest.User{"sub": "1", "email": "ada@example.org\r\nBcc: b@example.org", "email_verified": true}, nil, verified("", false)},
		{"the API knows the address", claims(func(c map[string]any) { delete(c, "email"); delete(c, "email_verified") }), nil, nil, verified("ada@example.org", true)},
		{"the API knows that it is verified", claims(func(c map[string]any) { delete(c, "email_verified") }), nil, nil, verified("ada@example.org", true)},
		{"the API calls another address verified", federationtest.Hooks{Claims: func(c map[string]any) { delete(c, "email_verified") }, Userinfo: func(u map[string]any) { u["email"] = "eve@example.org" }}, nil, nil, verified("ada@example.org", false)},
		{"the token says not verified, the API verified", federationtest.Hooks{Claims: func(c map[string]any) { c["email_verified"] = false; delete(c, "name") }}, nil, nil, verified("ada@example.org", false)},
		{"no API", document("userinfo_endpoint", nil), federationtest.User{"sub": "1"}, nil, verified("", false)},
		{"iss not promised and not there", federationtest.Hooks{Document: func(d map[string]any) { delete(d, "authorization_response_iss_parameter_supported") }, Answer: func(q url.Values) { q.Del("iss") }}, nil, nil, nil},
		{"several audiences and our azp", claims(func(c map[string]any) { c["aud"], c["azp"] = []string{"sigra-client", "b"}, "sigra-client" }), nil, nil, nil},
		{"no at_hash", claims(func(c map[string]any) { delete(c, "at_hash") }), nil, nil, nil},
		{"a clock two minutes ahead", claims(func(c map[string]any) { c["iat"], c["exp"] = ago(-110*time.Second), ago(-time.Hour) }), nil, nil, nil},
		{"a token that has just expired", claims(func(c map[string]any) { c["exp"] = ago(90 * time.Second) }), nil, nil, nil},
		{"a longest subject", set("sub", strings.Repeat("s", 255)), nil, nil, func(t *testing.T, c federation.Claims) {
			if len(c.Subject) != 255 {
				t.Error(c.Subject)
			}
		}},
		{"a redirect on the same host", path("/.well-known/openid-configuration", nil), nil, func(p *federationtest.Provider, _ *config.Provider) {
			first := true
			p.Set(federationtest.Hooks{TakeOver: func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/.well-known/openid-configuration" || !first {
					return false
				}
				first = false
				http.Redirect(w, r, r.URL.Path, http.StatusMovedPermanently)
				return true
			}})
		}, nil},
		{"ES256", federationtest.Hooks{}, nil, func(p *federationtest.Provider, _ *config.Provider) { p.Rotate(federationtest.ECKey("ec")) }, nil},
		{"EdDSA", federationtest.Hooks{}, nil, func(p *federationtest.Provider, _ *config.Provider) { p.Rotate(federationtest.EdKey("ed")) }, nil},
		{"a key without an id", federationtest.Hooks{}, nil, func(p *federationtest.Provider, _ *config.Provider) { p.Rotate(federationtest.RSAKey("")) }, nil},
		{"the client secret in the body", document("token_endpoint_auth_methods_supported", []string{"client_secret_post"}), nil, nil, nil},
		{"a client without a secret", federationtest.Hooks{}, nil, func(p *federationtest.Provider, c *config.Provider) {
			p.ClientSecret, c.TokenAuth = "", config.TokenAuthNone
		}, nil},
		{"names that steer text", federationtest.Hooks{}, federationtest.User{"sub": "1", "name": " Ada\u202e\n\x00 <b>Lovelace\u200f ", "picture": "http://example.org/a.png", "locale": "../../etc"}, nil, func(t *testing.T, c federation.Claims) {
			if c.Name != "Ada <b>Lovelace" || c.Picture != "" || c.Locale != "" {
				t.Errorf("%+q %q %q", c.Name, c.Picture, c.Locale)
			}
		}},
		{"a name without end", federationtest.Hooks{}, federationtest.User{"sub": "1", "name": strings.Repeat("Ada ", 1000)}, nil, func(t *testing.T, c federation.Claims) {
			if n := len([]rune(c.Name)); n < 95 || n > 100 {
				t.Errorf("%d characters", n)
			}
		}},
		{"claims of other types", federationtest.Hooks{}, federationtest.User{"sub": "1", "name": []any{"x"}, "picture": map[string]any{}, "locale": 7, "email": false, "amr": "pwd", "acr": 2, "auth_time": "now"}, nil, func(t *testing.T, c federation.Claims) {
			if c.Name != "" || c.Picture != "" || c.Locale != "" || c.Email != "" || c.AMR != nil || !c.AuthTime.IsZero() {
				t.Errorf("%+v", c)
			}
		}},
		{"how and when they signed in", claims(func(c map[string]any) {
			c["amr"], c["acr"], c["auth_time"] = []string{"pwd", "otp", "bad value"}, "urn:example:gold", int64(1_800_000_000)
		}), nil, nil, func(t *testing.T, c federation.Claims) {
			if strings.Join(c.AMR, " ") != "pwd otp" || c.ACR != "urn:example:gold" || c.AuthTime.Unix() != 1_800_000_000 {
				t.Errorf("%+v", c)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := federationtest.New(t)
			p.Set(c.hooks)
			if c.user != nil {
				p.SetUser(c.user)
			}
			cfg := p.Config("example")
			if c.more != nil {
				c.more(p, &cfg)
			}
			r, err := newWorld(t, db, ring, p.Directory(t, cfg)).signIn(t, p, "example")
			if err != nil {
				t.Fatal(err)
			}
			if r.Claims.Subject == "" || r.Claims.Issuer != p.URL {
				t.Errorf("%+v", r.Claims)
			}
			if c.check != nil {
				c.check(t, r.Claims)
			}
		})
	}
}

// Mix-up: the callback of one provider's sign-in arrives at another's address. Its code goes nowhere.
func TestMixUp_stateOfAnotherProvider(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	honest, evil := federationtest.New(t), federationtest.New(t)
	w := newWorld(t, db, newRing(t, db), honest.Directory(t, honest.Config("honest"), evil.Config("evil")))
	c := honest.Approve(t, w.begin(t, "honest"))
	c.Provider, c.Issuer = "evil", evil.URL
	r, err := w.Finish(t.Context(), c)
	refused(t, err, "state_invalid", "state", "other_provider")
	if r.Provider != "honest" || evil.Hits("/token") != 0 || honest.Hits("/token") != 0 {
		t.Errorf("%+v, %d and %d codes", r, evil.Hits("/token"), honest.Hits("/token"))
	}
	c.Provider, c.Issuer = "honest", honest.URL
	_, err = w.Finish(t.Context(), c)
	refused(t, err, "state_invalid", "state", "spent")
}

// A person who is another the next time is another: nothing but the subject counts.
func TestSubject_changes(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	p := federationtest.New(t)
	w := newWorld(t, db, newRing(t, db), p.Directory(t))
	first, err := w.signIn(t, p, "example")
	if err != nil {
		t.Fatal(err)
	}
	u := federationtest.Ada()
	u["sub"] = "another"
	p.SetUser(u)
	second, err := w.signIn(t, p, "example")
	if err != nil || second.Claims.Subject == first.Claims.Subject || second.Claims.Email != first.Claims.Email {
		t.Errorf("%+v %v", second, err)
	}
}

// A fresh sign-in is asked for, and must be told of.
func TestForceLogin(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	p := federationtest.New(t)
	w := newWorld(t, db, newRing(t, db), p.Directory(t))
	force := func(hooks federationtest.Hooks) (federation.Result, error) {
		p.Set(hooks)
		b, err := w.Begin(t.Context(), federation.Request{Provider: "example", Purpose: federation.SignIn, ForceLogin: true, LoginHint: " ada@example.org "})
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(b.URL)
		if q := u.Query(); q.Get("prompt") != "login" || q.Get("max_age") != "0" || q.Get("login_hint") != "ada@example.org" {
			t.Errorf("%s", b.URL)
		}
		return w.Finish(t.Context(), p.Approve(t, b))
	}
	if r, err := force(federationtest.Hooks{}); err != nil || time.Since(r.Claims.AuthTime) > time.Minute {
		t.Errorf("%+v %v", r, err)
	}
	_, err := force(claims(func(c map[string]any) { delete(c, "auth_time") }))
	refused(t, err, "provider_answer_invalid", "id_token", "auth_time")
	_, err = force(claims(func(c map[string]any) { c["auth_time"] = time.Now().Add(-3 * time.Minute).Unix() }))
	refused(t, err, "provider_answer_invalid", "id_token", "auth_time")
}

// What the configuration's own checks would refuse is not spoken to either.
func TestPlainHTTP_neverToAnotherMachine(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	n.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was sent", r.URL) })
	w := shapeWorld(t, n.directory(config.Provider{Name: "forge", AuthorizeURL: "http://203.0.113.7/a", TokenURL: "http://203.0.113.7/t", UserinfoURL: "http://203.0.113.7/u", ClientID: "app", Claims: config.ProviderClaims{Subject: "id"}}))
	_, _, err := come(t, w, "forge", nil)
	refused(t, err, "provider_answer_invalid", "token", "insecure")
	w = shapeWorld(t, n.directory(config.Provider{Name: "work", Issuer: "http://203.0.113.7", ClientID: "app"}))
	_, err = w.Begin(t.Context(), federation.Request{Provider: "work", Purpose: federation.SignIn})
	refused(t, err, "provider_answer_invalid", "discovery", "insecure")
}
