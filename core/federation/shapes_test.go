package federation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/federation/federationtest"
	"github.com/sigra-auth/sigra/core/federation/preset"
	"github.com/sigra-auth/sigra/core/secret"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// internet stands for the places that presets name: what is sent to https://HOST/PATH arrives at a loopback server, as /HOST/PATH.
type internet struct {
	*http.ServeMux
	server    *httptest.Server
	transport *http.Transport
	t         *testing.T
}

func newInternet(t *testing.T) *internet {
	n := &internet{ServeMux: http.NewServeMux(), transport: &http.Transport{}, t: t}
	n.server = httptest.NewServer(n)
	t.Cleanup(func() { n.transport.CloseIdleConnections(); n.server.Close() })
	return n
}

func (n *internet) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	at, err := url.Parse(n.server.URL)
	if err != nil {
		return nil, err
	}
	r.URL.Path = "/" + r.URL.Host + r.URL.Path
	r.URL.Scheme, r.URL.Host, r.Host = at.Scheme, at.Host, at.Host
	return n.transport.RoundTrip(r)
}

// says registers a JSON answer.
func (n *internet) says(at string, v any) {
	n.HandleFunc(at, func(w http.ResponseWriter, _ *http.Request) { federationtest.JSON(w, 200, v) })
}

// answers registers a JSON answer for who shows the token.
func (n *internet) answers(at string, v any) {
	n.HandleFunc(at, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer gho_token" {
			n.t.Errorf("%s was asked with %q", at, r.Header.Get("Authorization"))
		}
		federationtest.JSON(w, 200, v)
	})
}

func (n *internet) directory(c config.Provider) *federation.Directory {
	n.t.Helper()
	c.Enabled, c.SignUp = true, true
	if c.Name == "" {
		c.Name = c.Preset
	}
	d, err := federation.NewDirectory(federation.DirectoryConfig{BaseURL: federationtest.BaseURL, Providers: []config.Provider{c}, Transport: n})
	if err != nil {
		n.t.Fatal(err)
	}
	return d
}

// come begins and finishes; change may alter the callback. It gives the authorization request, too.
func come(t *testing.T, w *world, name string, change func(q url.Values, c *federation.Callback)) (url.Values, federation.Result, error) {
	t.Helper()
	b := w.begin(t, name)
	u, err := url.Parse(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	c := federation.Callback{Provider: name, State: q.Get("state"), Code: "the-code", Browser: b.Browser}
	if change != nil {
		change(q, &c)
	}
	r, err := w.Finish(t.Context(), c)
	return q, r, err
}

func shapeWorld(t *testing.T, d *federation.Directory) *world {
	db := storetest.Open(t, store.SQLite, sources...)
	return newWorld(t, db, newRing(t, db), d)
}

// A token answer is read by what it is: JSON whatever its label, and nothing depends on how long the token is said to live.
func TestTokenAnswer_shapes(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	w := shapeWorld(t, n.directory(config.Provider{Preset: "github", ClientID: "Iv1.x", ClientSecret: secret.New("s3cret")}))
	var label, answer string
	n.HandleFunc("POST /github.com/login/oauth/access_token", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if label != "" {
			w.Header().Set("Content-Type", label)
		}
		_, _ = w.Write([]byte(answer))
	})
	n.answers("GET /api.github.com/user", json.RawMessage(`{"id":1,"login":"ada"}`))
	n.HandleFunc("GET /api.github.com/user/emails", func(w http.ResponseWriter, _ *http.Request) { federationtest.JSON(w, 200, []any{}) })
	for _, label = range []string{"", "text/plain", "text/plain; charset=utf-8", "text/html", "application/x-www-form-urlencoded", "application/json"} {
		for _, expires := range []string{"3600", `"3600"`, `"1h"`, "3600.5", "1e99", "-1", "null", "true", `{"s":1}`} {
			answer = ` {"access_token":"gho_token","token_type":"bearer","expires_in":` + expires + `}`
			if _, _, err := come(t, w, "github", nil); err != nil {
				t.Errorf("%q, expires_in %s: %v", label, expires, err)
			}
		}
	}
	for _, label = range []string{"text/plain", "application/x-www-form-urlencoded"} {
		answer = "access_token=gho_token&token_type=bearer&expires_in=1h"
		if _, _, err := come(t, w, "github", nil); err != nil {
			t.Errorf("a form as %s: %v", label, err)
		}
	}
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	w := shapeWorld(t, n.directory(config.Provider{Preset: "github", ClientID: "Iv1.x", ClientSecret: secret.New("s3cret")}))
	var emails any
	n.HandleFunc("POST /github.com/login/oauth/access_token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if f := r.PostForm; f.Get("client_id") != "Iv1.x" || f.Get("client_secret") != "s3cret" || f.Get("code") != "the-code" || len(f.Get("code_verifier")) < 43 || f.Get("redirect_uri") != federationtest.BaseURL+"/login/callback/github" {
			t.Errorf("%v", f)
		}
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8") // as GitHub does it
		_, _ = w.Write([]byte("access_token=gho_token&scope=read%3Auser%2Cuser%3Aemail&token_type=bearer"))
	})
	n.answers("GET /api.github.com/user", json.RawMessage(`{"id":9007199254740993,"login":"ada","name":null,"email":"public@example.org","avatar_url":"https://avatars.githubusercontent.com/u/1?v=4"}`))
	n.HandleFunc("GET /api.github.com/user/emails", func(w http.ResponseWriter, _ *http.Request) { federationtest.JSON(w, 200, emails) })

	type mail = map[string]any
	for _, c := range []struct {
		emails   any
		email    string
		verified bool
	}{
		{[]mail{{"email": "other@example.org", "primary": false, "verified": true}, {"email": "Ada@example.org", "primary": true, "verified": true}}, "ada@example.org", true},
		{[]mail{{"email": "ada@example.org", "primary": true, "verified": false}, {"email": "other@example.org", "primary": false, "verified": true}}, "ada@example.org", false},
		{[]mail{{"email": "other@example.org", "primary": false, "verified": true}}, "", false},
		{[]mail{}, "", false},
	} {
		emails = c.emails
		q, r, err := come(t, w, "github", nil)
		if err != nil {
			t.Fatal(err)
		}
		if cl := r.Claims; cl.Subject != "9007199254740993" || cl.Issuer != "https://github.com" || cl.Email != c.email || cl.EmailVerified != c.verified || cl.Name != "ada" || cl.Picture == "" {
			t.Errorf("%+v", cl)
		}
		if q.Get("scope") != "read:user user:email" || q.Has("nonce") || q.Get("code_challenge_method") != "S256" {
			t.Errorf("%v", q)
		}
	}
	for iss, ok := range map[string]bool{"https://github.com/login/oauth": true, "https://evil.example": false, "http://github.com": false, "https://github.com.evil.example": false, "github.com": false} {
		_, _, err := come(t, w, "github", func(_ url.Values, c *federation.Callback) { c.Issuer = iss })
		if ok && err != nil {
			t.Errorf("%s: %v", iss, err)
		} else if !ok {
			refused(t, err, "provider_answer_invalid", "authorize", "iss_mismatch")
		}
	}
	emails = map[string]any{"message": "Requires authentication"}
	_, _, err := come(t, w, "github", nil)
	refused(t, err, "provider_answer_invalid", "userinfo", "malformed")
}

func applePEM(t *testing.T) (*ecdsa.PrivateKey, secret.Text) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func TestApple(t *testing.T) {
	t.Parallel()
	n := newInternet(t)
	key, text := applePEM(t)
	d := n.directory(config.Provider{Preset: "apple", ClientID: "com.example.web", TeamID: "A1B2C3D4E5", KeyID: "F6G7H8I9J0", PrivateKey: text})
	w := shapeWorld(t, d)
	if !d.Providers()[0].FormPost {
		t.Error("Apple posts its answer")
	}
	signer := federationtest.RSAKey("apple")
	n.says("/appleid.apple.com/.well-known/openid-configuration", map[string]any{
		"issuer": "https://appleid.apple.com", "authorization_endpoint": "https://appleid.apple.com/auth/authorize", "token_endpoint": "https://appleid.apple.com/auth/token",
		"jwks_uri": "https://appleid.apple.com/auth/keys", "id_token_signing_alg_values_supported": []string{"RS256"}, "token_endpoint_auth_methods_supported": []string{"client_secret_post"},
	})
	n.Handle("/appleid.apple.com/auth/keys", keys(signer))
	var nonce string
	n.HandleFunc("POST /appleid.apple.com/auth/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		tok, err := jwt.ParseSigned(r.PostForm.Get("client_secret"), []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Errorf("the client secret is no JWT: %v", err)
			return
		}
		var c jwt.Claims
		if err := tok.Claims(&key.PublicKey, &c); err != nil || tok.Headers[0].KeyID != "F6G7H8I9J0" || c.Issuer != "A1B2C3D4E5" || c.Subject != "com.example.web" ||
			!c.Audience.Contains("https://appleid.apple.com") || c.Expiry.Time().Sub(c.IssuedAt.Time()) != 5*time.Minute {
			t.Errorf("client secret %+v %v", c, err)
		}
		if r.PostForm.Get("client_id") != "com.example.web" || r.Header.Get("Authorization") != "" {
			t.Errorf("%v", r.PostForm)
		}
		federationtest.JSON(w, 200, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": signer.Sign(map[string]any{
			"iss": "https://appleid.apple.com", "aud": "com.example.web", "sub": "001234.abc.5678", "nonce": nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
			"email": "x7@privaterelay.appleid.com", "email_verified": "true", "is_private_email": "true",
		})})
	})
	for user, name := range map[string]string{
		`{"name":{"firstName":"Ada","lastName":"Lovelace"},"email":"eve@example.org"}`: "Ada Lovelace",
		`{"name":{"firstName":"Ada\u202e"}}`:                                           "Ada",
		"":                                                                             "",
		"{":                                                                            "",
		`{"name":7}`:                                                                   "",
		`{"name":{"firstName":"` + strings.Repeat("a", 10<<10) + `"}}`: "",
	} {
		q, r, err := come(t, w, "apple", func(q url.Values, c *federation.Callback) { nonce, c.UserJSON = q.Get("nonce"), user })
		if err != nil {
			t.Fatal(err)
		}
		if c := r.Claims; c.Name != name || c.Email != "x7@privaterelay.appleid.com" || !c.EmailVerified || c.Subject != "001234.abc.5678" {
			t.Errorf("%q: %+v", user, c)
		}
		if q.Get("response_mode") != "form_post" || q.Get("scope") != "openid name email" {
			t.Errorf("%v", q)
		}
	}
	_, _, err := come(t, w, "apple", func(_ url.Values, c *federation.Callback) { c.Code, c.Error = "", "user_cancelled_authorize" })
	refused(t, err, "provider_denied", "authorize", "user_cancelled_authorize")
}

func keys(k federationtest.Key) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		federationtest.JSON(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.Public(), KeyID: k.ID, Use: "sig"}}})
	})
}

const (
	tenantA   = "11111111-2222-3333-4444-555555555555"
	tenantB   = "99999999-2222-3333-4444-555555555555"
	consumers = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

func microsoftIssuer(tenant string) string {
	return "https://login.microsoftonline.com/" + tenant + "/v2.0"
}

// TestMicrosoft: whose word counts for which tenants, and that nobody's does for an address of a shared one.
func TestMicrosoft(t *testing.T) {
	t.Parallel()
	yes := true
	for _, c := range []struct {
		name, tenant, document string // configured; the issuer that the document names
		iss, tid               string // of the token
		trust                  *bool
		code, stage, reason    string // of the refusal; empty: taken
		verified               bool
	}{
		{"anybody's tenant", "common", microsoftIssuer("{tenantid}"), microsoftIssuer(tenantA), tenantA, nil, "", "", "", false},
		{"a personal account", "common", microsoftIssuer("{tenantid}"), microsoftIssuer(consumers), consumers, nil, "", "", "", false},
		{"one tenant speaks for another", "common", microsoftIssuer("{tenantid}"), microsoftIssuer(tenantA), tenantB, nil, "provider_answer_invalid", "id_token", "issuer", false},
		{"no tenant", "common", microsoftIssuer("{tenantid}"), microsoftIssuer(tenantA), "", nil, "provider_answer_invalid", "id_token", "issuer", false},
		{"the template itself", "common", microsoftIssuer("{tenantid}"), microsoftIssuer("{tenantid}"), "{tenantid}", nil, "provider_answer_invalid", "id_token", "issuer", false},
		{"a tenant that is no id", "common", microsoftIssuer("{tenantid}"), microsoftIssuer("x/../" + tenantA), "x/../" + tenantA, nil, "provider_answer_invalid", "id_token", "issuer", false},
		{"somebody else altogether", "common", microsoftIssuer("{tenantid}"), "https://evil.example/" + tenantA + "/v2.0", tenantA, nil, "provider_answer_invalid", "id_token", "issuer", false},
		{"a document of one tenant for all", "common", microsoftIssuer(tenantA), microsoftIssuer(tenantA), tenantA, nil, "provider_answer_invalid", "discovery", "issuer_mismatch", false},
		{"a personal account among organizations", "organizations", microsoftIssuer("{tenantid}"), microsoftIssuer(consumers), consumers, nil, "provider_answer_invalid", "id_token", "issuer", false},
		{"an organization", "organizations", microsoftIssuer("{tenantid}"), microsoftIssuer(tenantA), tenantA, &yes, "", "", "", false},
		{"consumers", "consumers", microsoftIssuer(consumers), microsoftIssuer(consumers), consumers, &yes, "", "", "", false},
		{"an organization among consumers", "consumers", microsoftIssuer(consumers), microsoftIssuer(tenantA), tenantA, nil, "provider_answer_invalid", "id_token", "issuer", false},
		{"the one tenant", tenantA, microsoftIssuer(tenantA), microsoftIssuer(tenantA), tenantA, nil, "", "", "", false},
		{"the one tenant, believed", tenantA, microsoftIssuer(tenantA), microsoftIssuer(tenantA), tenantA, &yes, "", "", "", true},
		{"another tenant than the one", tenantA, microsoftIssuer(tenantA), microsoftIssuer(tenantB), tenantB, nil, "provider_answer_invalid", "id_token", "issuer", false},
		{"a template for the one tenant", tenantA, microsoftIssuer("{tenantid}"), microsoftIssuer(tenantA), tenantA, nil, "provider_answer_invalid", "discovery", "issuer_mismatch", false},
		{"a domain", "contoso.onmicrosoft.com", microsoftIssuer(tenantA), microsoftIssuer(tenantA), tenantA, &yes, "", "", "", true},
		{"another tenant than the domain's", "contoso.onmicrosoft.com", microsoftIssuer(tenantA), microsoftIssuer(tenantB), tenantB, nil, "provider_answer_invalid", "id_token", "issuer", false},
		{"a domain that is nobody's", "contoso.onmicrosoft.com", microsoftIssuer("{tenantid}"), microsoftIssuer(tenantA), tenantA, nil, "provider_answer_invalid", "discovery", "issuer_mismatch", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := microsoft(t, c.tenant, c.document, c.iss, c.tid, "", c.trust)
			if c.code != "" {
				refused(t, err, c.code, c.stage, c.reason)
				return
			}
			if err != nil || r.Claims.Issuer != c.iss || r.Claims.Subject != "AAAA" || r.Claims.Email != "ceo@victim.example" || r.Claims.EmailVerified != c.verified {
				t.Errorf("%+v %v", r.Claims, err)
			}
		})
	}
	// The callback's iss is of the tenant that the token is of.
	for param, reason := range map[string]string{microsoftIssuer(tenantA): "", microsoftIssuer(tenantB): "iss_mismatch", microsoftIssuer("{tenantid}"): "iss_mismatch", "https://evil.example": "iss_mismatch"} {
		_, err := microsoft(t, "common", microsoftIssuer("{tenantid}"), microsoftIssuer(tenantA), tenantA, param, nil)
		if reason == "" && err != nil {
			t.Errorf("%s: %v", param, err)
		} else if reason != "" {
			refused(t, err, "provider_answer_invalid", "authorize", reason)
		}
	}
}

// microsoft signs in at a tenant whose document and token name these issuers.
func microsoft(t *testing.T, tenant, named, iss, tid, param string, trust *bool) (federation.Result, error) {
	t.Helper()
	n := newInternet(t)
	w := shapeWorld(t, n.directory(config.Provider{Preset: "microsoft", ClientID: "app", ClientSecret: secret.New("s"), Tenant: tenant, TrustEmail: trust}))
	signer := federationtest.RSAKey("ms")
	at := "/login.microsoftonline.com/" + tenant
	n.says(at+"/v2.0/.well-known/openid-configuration", map[string]any{
		"issuer": named, "authorization_endpoint": "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/authorize", "token_endpoint": "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token",
		"jwks_uri": "https://login.microsoftonline.com/" + tenant + "/discovery/v2.0/keys", "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
	})
	n.Handle(at+"/discovery/v2.0/keys", keys(signer))
	n.answers("/graph.microsoft.com/oidc/userinfo", map[string]any{"sub": "AAAA", "email": "ceo@victim.example"})
	var nonce string
	n.HandleFunc(at+"/oauth2/v2.0/token", func(w http.ResponseWriter, _ *http.Request) {
		federationtest.JSON(w, 200, map[string]any{"access_token": "gho_token", "token_type": "Bearer", "id_token": signer.Sign(map[string]any{
			"iss": iss, "tid": tid, "aud": "app", "sub": "AAAA", "nonce": nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "name": "Mallory",
			"email": "ceo@victim.example", "email_verified": true, "xms_edov": true,
		})})
	})
	b, err := w.Begin(t.Context(), federation.Request{Provider: "microsoft", Purpose: federation.SignIn})
	if err != nil {
		return federation.Result{}, err
	}
	u, err := url.Parse(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	nonce = u.Query().Get("nonce")
	return w.Finish(t.Context(), federation.Callback{Provider: "microsoft", State: u.Query().Get("state"), Code: "c", Issuer: param, Browser: b.Browser})
}

// TestShapes: the other presets that speak OAuth 2.0, or OpenID Connect in their own way, each with an answer as its documentation shows.
func TestShapes(t *testing.T) {
	t.Parallel()
	type want struct {
		subject, email string
		verified       bool
		name, picture  string
	}
	for _, c := range []struct {
		preset string
		at     string // of the API
		answer string
		want   want
		more   func(n *internet)
		basic  bool // the client secret as HTTP authentication
	}{
		{"facebook", "GET /graph.facebook.com/me", `{"id":"10","name":"Ada","email":"ada@example.org","picture":{"data":{"url":"https://platform-lookaside.fbsbx.com/x"}}}`,
			want{"10", "ada@example.org", false, "Ada", "https://platform-lookaside.fbsbx.com/x"}, nil, false},
		{"discord", "GET /discord.com/api/users/@me", `{"id":"80351110224678912","username":"ada","global_name":"Ada","email":"ada@example.org","verified":true,"locale":"en-US"}`,
			want{"80351110224678912", "ada@example.org", true, "Ada", ""}, nil, false},
		{"linkedin", "GET /api.linkedin.com/v2/userinfo", `{"sub":"782bbtaQ","name":"Ada","picture":"https://media.licdn-ei.com/x","locale":{"country":"US","language":"en"},"email":"ada@example.org","email_verified":true}`,
			want{"782bbtaQ", "ada@example.org", true, "Ada", "https://media.licdn-ei.com/x"}, nil, false},
		{"x", "GET /api.x.com/2/users/me", `{"data":{"id":"2244994945","name":"Ada","username":"ada","confirmed_email":"ada@example.org"}}`, want{"2244994945", "ada@example.org", true, "Ada", ""}, nil, true},
		{"bitbucket", "GET /api.bitbucket.org/2.0/user", `{"uuid":"{a1b2}","display_name":"Ada","links":{"avatar":{"href":"https://bitbucket.org/a.png"}}}`, want{"{a1b2}", "ada@example.org", true, "Ada", "https://bitbucket.org/a.png"},
			func(n *internet) {
				n.answers("GET /api.bitbucket.org/2.0/user/emails", json.RawMessage(`{"values":[{"email":"b@example.org","is_primary":false,"is_confirmed":true},{"email":"ada@example.org","is_primary":true,"is_confirmed":true}]}`))
			}, true},
		{"spotify", "GET /api.spotify.com/v1/me", `{"id":"smedjan","display_name":"Ada","email":"ada@example.org","images":[{"url":"https://i.scdn.co/x"}]}`, want{"smedjan", "ada@example.org", false, "Ada", "https://i.scdn.co/x"}, nil, true},
		{"dropbox", "POST /api.dropboxapi.com/2/users/get_current_account", `{"account_id":"dbid:AAH4","name":{"display_name":"Ada"},"email":"ada@example.org","email_verified":true,"locale":"en"}`, want{"dbid:AAH4", "ada@example.org", true, "Ada", ""}, nil, true},
		{"zoom", "GET /api.zoom.us/v2/users/me", `{"id":"z8ds","display_name":"Ada","email":"ada@example.org","verified":1,"pic_url":""}`, want{"z8ds", "ada@example.org", false, "Ada", ""}, nil, true},
		{"atlassian", "GET /api.atlassian.com/me", `{"account_id":"112233aa","email":"ada@example.org","name":"Ada","picture":"https://avatar.example/x"}`, want{"112233aa", "ada@example.org", false, "Ada", "https://avatar.example/x"}, nil, false},
		{"amazon", "GET /api.amazon.com/user/profile", `{"user_id":"amzn1.account.K2","name":"Ada","email":"ada@example.org"}`, want{"amzn1.account.K2", "ada@example.org", false, "Ada", ""}, nil, false},
		{"figma", "GET /api.figma.com/v1/me", `{"id":"1","email":"ada@example.org","handle":"Ada","img_url":"https://s3.example/x"}`, want{"1", "ada@example.org", false, "Ada", "https://s3.example/x"}, nil, true},
		{"kakao", "GET /kapi.kakao.com/v2/user/me", `{"id":123456789,"kakao_account":{"email":"ada@example.org","is_email_valid":true,"is_email_verified":true,"profile":{"nickname":"Ada"}}}`, want{"123456789", "ada@example.org", true, "Ada", ""}, nil, false},
		{"kakao", "GET /kapi.kakao.com/v2/user/me", `{"id":123456789,"kakao_account":{"email":"ada@example.org","is_email_valid":false,"is_email_verified":true}}`, want{"123456789", "ada@example.org", false, "", ""}, nil, false},
		{"line", "GET /api.line.me/oauth2/v2.1/userinfo", `{"sub":"U1234","name":"Ada","picture":"https://profile.line-scdn.net/x"}`, want{"U1234", "", false, "Ada", "https://profile.line-scdn.net/x"}, nil, false},
		{"naver", "GET /openapi.naver.com/v1/nid/me", `{"resultcode":"00","response":{"id":"32742776","name":"Ada","email":"ada@example.org"}}`, want{"32742776", "ada@example.org", false, "Ada", ""}, nil, false},
	} {
		name := c.preset
		if !c.want.verified && c.preset == "kakao" {
			name += " not valid"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newInternet(t)
			k, _ := preset.Find(c.preset)
			w := shapeWorld(t, n.directory(config.Provider{Preset: c.preset, ClientID: "app", ClientSecret: secret.New("s")}))
			tokenURL, _ := url.Parse(k.TokenURL)
			n.HandleFunc("POST /"+tokenURL.Host+tokenURL.Path, func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				id, pw, basic := r.BasicAuth()
				if basic != c.basic || basic && (id != "app" || pw != "s" || r.PostForm.Has("client_secret")) || !basic && r.PostForm.Get("client_secret") != "s" || !r.PostForm.Has("code_verifier") {
					t.Errorf("%v %v", r.Header, r.PostForm)
				}
				federationtest.JSON(w, 200, map[string]any{"access_token": "gho_token", "token_type": "bearer", "scope": []string{"several"}})
			})
			if k.Has(preset.FacebookProof) {
				m := hmac.New(sha256.New, []byte("s"))
				m.Write([]byte("gho_token"))
				proof := hex.EncodeToString(m.Sum(nil))
				n.HandleFunc(c.at, func(w http.ResponseWriter, r *http.Request) {
					if q := r.URL.Query(); q.Get("appsecret_proof") != proof || !strings.Contains(q.Get("fields"), "email") {
						t.Errorf("%v", q)
					}
					federationtest.JSON(w, 200, json.RawMessage(c.answer))
				})
			} else {
				n.answers(c.at, json.RawMessage(c.answer))
			}
			if c.more != nil {
				c.more(n)
			}
			q, r, err := come(t, w, c.preset, nil)
			if err != nil {
				t.Fatal(err)
			}
			cl := r.Claims
			if got := (want{cl.Subject, cl.Email, cl.EmailVerified, cl.Name, cl.Picture}); got != c.want || cl.Issuer != k.Realm {
				t.Errorf("got %+v\nwant %+v of %s", cl, c.want, k.Realm)
			}
			if len(q.Get("state")) != 43 || q.Get("code_challenge_method") != "S256" || q.Get("scope") != strings.Join(k.Scopes, " ") {
				t.Errorf("%v", q)
			}
		})
	}
}

// TestSlack: a user's id is unique within a workspace only.
func TestSlack(t *testing.T) {
	t.Parallel()
	p := federationtest.New(t)
	cfg := p.Config("slack")
	cfg.Preset = "slack"
	w := shapeWorld(t, p.Directory(t, cfg))
	p.SetUser(federationtest.User{"sub": "U0R7JM", "https://slack.com/team_id": "T0R7GR", "email": "ada@example.org", "email_verified": true})
	r, err := w.signIn(t, p, "slack")
	if err != nil || r.Claims.Subject != "T0R7GR:U0R7JM" || !r.Claims.EmailVerified {
		t.Errorf("%+v %v", r.Claims, err)
	}
	for _, team := range []any{nil, "", "T0:R7GR"} {
		p.SetUser(federationtest.User{"sub": "U0R7JM", "https://slack.com/team_id": team})
		_, err = w.signIn(t, p, "slack")
		refused(t, err, "provider_answer_invalid", "claims", "subject")
	}
}

// A preset's word on addresses counts for the place the preset is about, not for another that the operator runs.
func TestTrust_ofAnotherIssuer(t *testing.T) {
	t.Parallel()
	p := federationtest.New(t)
	cfg := p.Config("gitlab")
	cfg.Preset, cfg.TrustEmail = "gitlab", nil
	w := shapeWorld(t, p.Directory(t, cfg))
	if r, err := w.signIn(t, p, "gitlab"); err != nil || r.Claims.EmailVerified {
		t.Errorf("%+v %v", r.Claims, err)
	}
	cfg.Issuer = ""
	if d := p.Directory(t, cfg); !d.List()[0].TrustEmail || d.List()[0].Issuer != "https://gitlab.com" {
		t.Errorf("%+v", d.List())
	}
}

// TestByHand: OAuth 2.0 with addresses and claims from the configuration.
func TestByHand(t *testing.T) {
	t.Parallel()
	p := federationtest.New(t)
	yes := true
	cfg := config.Provider{
		Name: "forge", Enabled: true, AuthorizeURL: p.URL + "/authorize?audience=x", TokenURL: p.URL + "/token", UserinfoURL: p.URL + "/userinfo", ClientID: p.ClientID,
		ClientSecret: secret.New(p.ClientSecret), TrustEmail: &yes, Scopes: []string{"read"}, Prompt: "consent", AuthorizeParams: map[string]string{"foo": "bar"},
		Claims: config.ProviderClaims{Subject: "user.id", Email: "user.mail", EmailVerified: "user.mail_ok", Name: "user.cn", Picture: "user.photos.1", Locale: "user.lang"},
	}
	w := shapeWorld(t, p.Directory(t, cfg))
	p.SetUser(federationtest.User{"user": map[string]any{"id": 7, "mail": "ada@example.org", "mail_ok": 1, "cn": "Ada", "photos": []string{"", "https://example.org/a.png"}, "lang": "de"}})
	b, err := w.Begin(t.Context(), federation.Request{Provider: "forge", Purpose: federation.SignIn, ForceLogin: true})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(b.URL)
	if q := u.Query(); q.Get("audience") != "x" || q.Get("foo") != "bar" || q.Get("prompt") != "consent" || q.Get("scope") != "read" || q.Has("nonce") || q.Has("max_age") {
		t.Errorf("%v", q)
	}
	r, err := w.Finish(t.Context(), p.Approve(t, b))
	if c := r.Claims; err != nil || c.Subject != "7" || c.Issuer != p.URL || c.Email != "ada@example.org" || !c.EmailVerified || c.Name != "Ada" || c.Picture != "https://example.org/a.png" || c.Locale != "de" || r.SignUp {
		t.Errorf("%+v %v", r, err)
	}
	if p.Hits("/userinfo") != 1 || p.Hits(wellKnown) != 0 {
		t.Error("asked for more, or less, than there is")
	}
	for _, id := range []any{nil, "", 1.5, true, map[string]any{}, strings.Repeat("9", 256), json.RawMessage("1e3")} {
		p.SetUser(federationtest.User{"user": map[string]any{"id": id}})
		_, err := w.signIn(t, p, "forge")
		refused(t, err, "provider_answer_invalid", "claims", "subject")
	}
}

// Every preset makes a provider, and its request asks for what it should.
func TestPresets_allWork(t *testing.T) {
	t.Parallel()
	_, text := applePEM(t)
	for _, k := range preset.All() {
		c := config.Provider{Name: k.Name, Preset: k.Name, Enabled: true, ClientID: "id", ClientSecret: secret.New("s")}
		if k.NeedsIssuer() {
			c.Issuer = "https://id.example.com"
		}
		if k.Has(preset.AppleSecret) {
			c.TeamID, c.KeyID, c.PrivateKey = "A1B2C3D4E5", "F6G7H8I9J0", text
		}
		d, err := federation.NewDirectory(federation.DirectoryConfig{BaseURL: federationtest.BaseURL + "/", Providers: []config.Provider{c}})
		if err != nil {
			t.Errorf("%s: %v", k.Name, err)
			continue
		}
		in := d.List()[0]
		if in.Title != k.Title || in.RedirectURI != federationtest.BaseURL+"/login/callback/"+k.Name || in.Issuer == "" || strings.Contains(in.Issuer, "{") || in.TrustEmail != k.TrustEmail || d.Title(k.Name) != k.Title {
			t.Errorf("%+v", in)
		}
		if k.Kind == preset.OAuth2 {
			if f, err := d.Check(t.Context(), k.Name); err != nil || f.TokenURL != k.TokenURL || f.TokenAuth != k.TokenAuth {
				t.Errorf("%+v %v", f, err)
			}
		}
	}
}

func TestNewDirectory_refuses(t *testing.T) {
	t.Parallel()
	good := config.Provider{Name: "a", Preset: "google", ClientID: "id"}
	for name, c := range map[string]federation.DirectoryConfig{
		"no base url":    {},
		"a bad base url": {BaseURL: "id.example.com"},
		"twice":          {BaseURL: federationtest.BaseURL, Providers: []config.Provider{good, good}},
		"unknown preset": {BaseURL: federationtest.BaseURL, Providers: []config.Provider{{Name: "a", Preset: "nobody", ClientID: "id"}}},
		"no client":      {BaseURL: federationtest.BaseURL, Providers: []config.Provider{{Name: "a", Preset: "google"}}},
		"no issuer":      {BaseURL: federationtest.BaseURL, Providers: []config.Provider{{Name: "a", Preset: "okta", ClientID: "id"}}},
		"no apple key":   {BaseURL: federationtest.BaseURL, Providers: []config.Provider{{Name: "a", Preset: "apple", ClientID: "id"}}},
		"no PEM":         {BaseURL: federationtest.BaseURL, Providers: []config.Provider{{Name: "a", Preset: "apple", ClientID: "id", TeamID: "t", KeyID: "k", PrivateKey: secret.New("x")}}},
	} {
		if _, err := federation.NewDirectory(c); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// A provider elsewhere must not send Sigra to its own machine.
func TestDiscovery_pointsAtOurselves(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"https://localhost/keys", "https://127.0.0.1/keys", "https://[::1]/keys", "http://127.0.0.1/keys", "https://[::ffff:127.0.0.1]/keys", "//example.com/keys", "https://u:p@example.com/keys", "https://example.com/keys#x"} {
		n := newInternet(t)
		w := shapeWorld(t, n.directory(config.Provider{Name: "work", Issuer: "https://id.example.com", ClientID: "app", ClientSecret: secret.New("s")}))
		n.HandleFunc("/id.example.com/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			federationtest.JSON(w, 200, map[string]any{"issuer": "https://id.example.com", "authorization_endpoint": "https://id.example.com/a", "token_endpoint": "https://id.example.com/t", "jwks_uri": endpoint})
		})
		_, err := w.Begin(t.Context(), federation.Request{Provider: "work", Purpose: federation.SignIn})
		refused(t, err, "provider_answer_invalid", "discovery", "insecure_endpoint")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	p := federationtest.New(t)
	d := p.Directory(t)
	f, err := d.Check(t.Context(), "example")
	if err != nil || f.Keys != 1 || f.JWKSURL != p.URL+"/keys" || fmt.Sprint(f.Algorithms) != "[RS256 ES256 EdDSA]" || !f.IssParameter || f.TokenAuth != "basic" || len(f.Warnings) != 0 || f.Issuer != p.URL {
		t.Errorf("%+v %v", f, err)
	}
	p.Set(federationtest.Hooks{Document: func(doc map[string]any) {
		doc["code_challenge_methods_supported"], doc["scopes_supported"], doc["token_endpoint_auth_methods_supported"] = []string{"plain"}, []string{"openid"}, []string{"private_key_jwt"}
	}})
	if f, err = d.Check(t.Context(), "example"); err != nil || len(f.Warnings) != 3 {
		t.Errorf("%q %v", f.Warnings, err)
	}
	p.Set(document("issuer", "https://id.example.com/"))
	if _, err = d.Check(t.Context(), "example"); err == nil || !strings.Contains(err.Error(), `"https://id.example.com/"`) || !strings.Contains(err.Error(), p.URL) {
		t.Errorf("%v", err)
	}
	p.Set(path("/keys", status(404)))
	if _, err = d.Check(t.Context(), "example"); err == nil || !strings.Contains(err.Error(), "/keys: 404") {
		t.Errorf("%v", err)
	}
	if _, err = d.Check(t.Context(), "nobody"); err != federation.ErrNoSuchProvider {
		t.Error(err)
	}
	if d.Title("nobody") != "nobody" {
		t.Error("a provider that is gone is called by its name")
	}
}
