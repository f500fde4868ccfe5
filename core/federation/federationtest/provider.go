package federationtest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/secret"
)

// User is who signs in at the provider. Values are as they go into JSON, so that wrong ones can be given.
type User map[string]any

// Ada is somebody with a verified address.
func Ada() User {
	return User{"sub": "248289761001", "email": "ada@example.org", "email_verified": true, "name": "Ada Lovelace", "picture": "https://example.org/ada.png", "locale": "en_GB"}
}

// Hooks change what the provider does. Each may be nil.
type Hooks struct {
	Document  func(doc map[string]any)                          // the discovery document
	Answer    func(q url.Values)                                // the parameters that the browser takes back
	Claims    func(claims map[string]any)                       // of the ID token
	Sign      func(claims map[string]any) string                // instead of signing it
	Tokens    func(body map[string]any)                         // what the token endpoint answers
	Userinfo  func(user map[string]any)                         // what the API answers
	TakeOver  func(w http.ResponseWriter, r *http.Request) bool // before any address; true: answered
	TokenForm func(form url.Values)                             // sees what was sent to the token endpoint
}

// Provider is a running identity provider.
type Provider struct {
	URL          string // also its issuer
	BaseURL      string // where Sigra is; to be changed before anything else is done
	ClientID     string
	ClientSecret string

	server *httptest.Server
	now    func() time.Time

	mu     sync.Mutex
	hooks  Hooks
	user   User
	key    Key   // signs
	public []Key // in the key set
	codes  map[string]grant
	tokens map[string]User // by access token
	counts map[string]int
}

// grant is what a code stands for.
type grant struct {
	redirectURI, challenge, nonce string
	fresh                         bool
	user                          User
}

// New starts a provider that ends with the test.
func New(t testing.TB) *Provider {
	p := &Provider{BaseURL: BaseURL, ClientID: "sigra-client", ClientSecret: "a client's secret/+ long enough for HS256", now: time.Now, user: Ada(), codes: map[string]grant{}, tokens: map[string]User{}, counts: map[string]int{}}
	p.key = RSAKey("rsa-1")
	p.public = []Key{p.key}
	p.server = httptest.NewServer(http.HandlerFunc(p.serve))
	p.URL = p.server.URL
	t.Cleanup(p.server.Close)
	return p
}

// Set changes the hooks.
func (p *Provider) Set(h Hooks) { p.mu.Lock(); defer p.mu.Unlock(); p.hooks = h }

// SetUser changes who signs in.
func (p *Provider) SetUser(u User) { p.mu.Lock(); defer p.mu.Unlock(); p.user = u }

// SetClock changes what the provider takes for the time.
func (p *Provider) SetClock(now func() time.Time) { p.mu.Lock(); defer p.mu.Unlock(); p.now = now }

// Rotate makes the provider sign with a key and publish no other.
func (p *Provider) Rotate(k Key) { p.mu.Lock(); defer p.mu.Unlock(); p.key, p.public = k, []Key{k} }

// Hits is how often a path was asked for.
func (p *Provider) Hits(path string) int { p.mu.Lock(); defer p.mu.Unlock(); return p.counts[path] }

// Config is a provider block for it, by discovery, whose word on addresses counts.
func (p *Provider) Config(name string) config.Provider {
	trust := true
	return config.Provider{Name: name, Title: "Example", Enabled: true, SignUp: true, Issuer: p.URL, ClientID: p.ClientID, ClientSecret: secret.New(p.ClientSecret), TrustEmail: &trust}
}

// Configs is Config in a list.
func (p *Provider) Configs(name string) []config.Provider { return []config.Provider{p.Config(name)} }

// BaseURL is where Sigra is, where a test has no server of it.
const BaseURL = "https://id.sigra.example"

// Directory makes a directory of providers whose connections end with the test.
func (p *Provider) Directory(t testing.TB, providers ...config.Provider) *federation.Directory {
	t.Helper()
	if len(providers) == 0 {
		providers = []config.Provider{p.Config("example")}
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	d, err := federation.NewDirectory(federation.DirectoryConfig{BaseURL: p.BaseURL, Providers: providers, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Approve is the browser: it opens the address, the person agrees, and what comes back is returned.
func (p *Provider) Approve(t testing.TB, begun federation.Begun) federation.Callback {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(begun.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	at, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusFound {
		t.Fatalf("the provider answered %s to %s", res.Status, begun.URL)
	}
	return Callback(at, begun.Browser)
}

// Callback reads what a redirect brings back.
func Callback(at *url.URL, browser string) federation.Callback {
	q := at.Query()
	return federation.Callback{
		Provider: at.Path[strings.LastIndexByte(at.Path, '/')+1:], State: q.Get("state"), Code: q.Get("code"), Issuer: q.Get("iss"),
		Error: q.Get("error"), ErrorDescription: q.Get("error_description"), Browser: browser,
	}
}

func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.counts[r.URL.Path]++
	take := p.hooks.TakeOver
	p.mu.Unlock()
	if take != nil && take(w, r) {
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		p.document(w)
	case "/authorize":
		p.authorize(w, r)
	case "/token":
		p.token(w, r)
	case "/userinfo":
		p.userinfo(w, r)
	case "/keys":
		p.keys(w)
	default:
		http.NotFound(w, r)
	}
}

func (p *Provider) hook() Hooks { p.mu.Lock(); defer p.mu.Unlock(); return p.hooks }

// JSON answers.
func JSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (p *Provider) document(w http.ResponseWriter) {
	doc := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "userinfo_endpoint": p.URL + "/userinfo",
		"jwks_uri": p.URL + "/keys", "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "EdDSA", "HS256", "none"}, "scopes_supported": []string{"openid", "email", "profile"},
		"code_challenge_methods_supported": []string{"S256"}, "authorization_response_iss_parameter_supported": true,
	}
	if f := p.hook().Document; f != nil {
		f(doc)
	}
	JSON(w, http.StatusOK, doc)
}

func (p *Provider) keys(w http.ResponseWriter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set := jose.JSONWebKeySet{}
	for _, k := range p.public {
		set.Keys = append(set.Keys, k.public())
	}
	JSON(w, http.StatusOK, set)
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != p.ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 ||
		q.Get("state") == "" || !strings.HasPrefix(q.Get("redirect_uri"), p.BaseURL+"/login/callback/") {
		http.Error(w, "this request is not right", http.StatusBadRequest)
		return
	}
	code := random()
	p.mu.Lock()
	p.codes[code] = grant{q.Get("redirect_uri"), q.Get("code_challenge"), q.Get("nonce"), q.Get("max_age") == "0", p.user}
	p.mu.Unlock()
	back := url.Values{"state": {q.Get("state")}, "code": {code}, "iss": {p.URL}}
	if f := p.hook().Answer; f != nil {
		f(back)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func random() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(code string) {
		JSON(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": "the provider says no"})
	}
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		refuse("invalid_request")
		return
	}
	h := p.hook()
	if h.TokenForm != nil {
		h.TokenForm(r.PostForm)
	}
	if !p.authenticated(r) {
		refuse("invalid_client")
		return
	}
	p.mu.Lock()
	g, ok := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	now := p.now()
	signer := p.key
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || r.PostForm.Get("grant_type") != "authorization_code" || r.PostForm.Get("redirect_uri") != g.redirectURI || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		refuse("invalid_grant")
		return
	}
	access := random()
	p.mu.Lock()
	p.tokens[access] = g.user
	p.mu.Unlock()
	claims := map[string]any{"iss": p.URL, "aud": p.ClientID, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "nonce": g.nonce, "at_hash": signer.hash(access)}
	if g.fresh {
		claims["auth_time"] = now.Unix()
	}
	for k, v := range g.user {
		claims[k] = v
	}
	if h.Claims != nil {
		h.Claims(claims)
	}
	body := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300}
	if h.Sign != nil {
		body["id_token"] = h.Sign(claims)
	} else {
		body["id_token"] = signer.Sign(claims)
	}
	if h.Tokens != nil {
		h.Tokens(body)
	}
	JSON(w, http.StatusOK, body)
}

// authenticated takes the client's secret as it may come.
func (p *Provider) authenticated(r *http.Request) bool {
	if id, pw, ok := r.BasicAuth(); ok {
		id, err := url.QueryUnescape(id)
		pw, perr := url.QueryUnescape(pw)
		return err == nil && perr == nil && id == p.ClientID && pw == p.ClientSecret
	}
	return r.PostForm.Get("client_id") == p.ClientID && r.PostForm.Get("client_secret") == p.ClientSecret
}

// Bearer gives the user of the request's access token.
func (p *Provider) Bearer(r *http.Request) (User, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	u, known := p.tokens[token]
	return u, ok && known
}

func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	u, ok := p.Bearer(r)
	if !ok {
		JSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	out := map[string]any{}
	for k, v := range u {
		out[k] = v
	}
	if f := p.hook().Userinfo; f != nil {
		f(out)
	}
	JSON(w, http.StatusOK, out)
}

// Without gives a copy of a user that lacks some claims.
func (u User) Without(names ...string) User {
	out := User{}
	for k, v := range u {
		if !slices.Contains(names, k) {
			out[k] = v
		}
	}
	return out
}
