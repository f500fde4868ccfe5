package lockspire_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/plugins/lockspire"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConform(t *testing.T) {
	t.Parallel()
	plugintest.Conform(t, lockspire.New, plugintest.Options{
		RequirePostgres: true,
		BadSettings: []string{
			`{"issuer_path": "oauth"}`, `{"issuer_path": "/oauth/"}`, `{"issuer_path": "/lockspire/admin"}`, `{"code_ttl": "11m"}`, `{"access_token_ttl": "25h"}`,
			`{"access_token_algorithm": "none"}`, `{"key_rotation": "1h"}`,
		},
	})
}

const issuer = "https://sigra.example/lockspire"

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// world is Lockspire on one database, with Ada signed in.
type world struct {
	*plugintest.Running
	t     *testing.T
	host  *plugintest.Fake
	clock *clock
	ada   *pluginsdk.Principal
}

// each runs f on a fresh database of either kind. Without a Postgres server the test fails: half of it would be missing.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		f(t, newWorld(t, plugintest.SQLiteAt(t), ""))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		if os.Getenv(plugintest.PostgresEnv) == "" {
			t.Fatalf("%s is not set: run the tests by `make quick PKG=./plugins/...`, which makes a server for them", plugintest.PostgresEnv)
		}
		at, _ := plugintest.PostgresAt(t)
		f(t, newWorld(t, at, ""))
	})
}

func newWorld(t *testing.T, at pluginsdk.Location, settings string) *world {
	t.Helper()
	c := &clock{t: time.Date(2027, 1, 15, 10, 0, 0, 0, time.UTC)}
	ada := *plugintest.Ada
	ada.AuthTime = c.now().Add(-time.Minute)
	host := &plugintest.Fake{}
	host.AddUser(pluginsdk.User{ID: ada.UserID, Email: ada.Email, EmailVerified: true, Display: "Ada Lovelace", Username: "ada", Status: "active", Language: "en"})
	host.AddSession(&ada)
	w := &world{t: t, host: host, clock: c, ada: &ada}
	w.Running = plugintest.Start(t, lockspire.At(c.now), plugintest.Config{Storage: &at, Host: host, Settings: settings})
	return w
}

// client registers a client by the command and gives its ID and secret.
func (w *world) client(arguments ...string) (id, secret string) {
	w.t.Helper()
	var out bytes.Buffer
	if err := w.Command(w.t.Context(), pluginsdk.CommandCall{Name: "client create", Arguments: append([]string{"--name", "Notes"}, arguments...), JSON: true, Stdout: &out}); err != nil {
		w.t.Fatal(err)
	}
	var c struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(out.Bytes(), &c); err != nil || c.ID == "" {
		w.t.Fatalf("%v %s", err, out.String())
	}
	return c.ID, c.Secret
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return out
}

func (w *world) do(who *pluginsdk.Principal, method, target, body string, header ...string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://sigra"+strings.TrimPrefix(target, "https://sigra.example"), strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := w.Client(who).Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

func (w *world) get(who *pluginsdk.Principal, target string) answer {
	w.t.Helper()
	return w.do(who, http.MethodGet, target, "")
}

func (w *world) post(who *pluginsdk.Principal, target string, form url.Values, header ...string) answer {
	w.t.Helper()
	return w.do(who, http.MethodPost, target, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

const (
	callback = "https://app.example/cb"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// request is an authorization request; pairs change it, and an empty value takes a parameter out.
func request(client string, pairs ...string) url.Values {
	q := url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid email offline_access"}, "state": {"st-1"}, "nonce": {"no-1"},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		} else {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

var ticketInPage = regexp.MustCompile(`name="ticket" value="([^"]+)"`)

// consentTo opens the consent page of a request and gives its address and ticket.
func (w *world) consentTo(q url.Values) (page, ticket string) {
	w.t.Helper()
	a := w.get(w.ada, "/lockspire/authorize?"+q.Encode())
	page = a.header.Get("Location")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(page, "/lockspire/interaction/") {
		w.t.Fatalf("authorize: %d %s %s", a.status, page, a.body)
	}
	return page, w.ticket(page)
}

func (w *world) ticket(page string) string {
	w.t.Helper()
	a := w.get(w.ada, page)
	m := ticketInPage.FindStringSubmatch(a.body)
	if a.status != http.StatusOK || m == nil {
		w.t.Fatalf("consent page: %d %s", a.status, a.body)
	}
	return html.UnescapeString(m[1])
}

// sent is where an answer sends the browser, by redirect or by the page in between, as the parameters of the address.
func sent(t *testing.T, a answer, prefix string) url.Values {
	t.Helper()
	to := a.header.Get("Location")
	if r := a.header.Get("Refresh"); r != "" {
		to = strings.TrimPrefix(r, "0; url=")
	}
	rest, ok := strings.CutPrefix(to, prefix)
	if !ok || rest == "" || !strings.ContainsAny(rest[:1], "?&#") {
		t.Fatalf("%d leads to %q, want %s: %s", a.status, to, prefix, a.body)
	}
	q, err := url.ParseQuery(rest[1:])
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// authorized is a code that Ada's consent gave.
func (w *world) authorized(q url.Values) string {
	w.t.Helper()
	page, ticket := w.consentTo(q)
	out := sent(w.t, w.post(w.ada, page, url.Values{"ticket": {ticket}, "decision": {"allow"}}), q.Get("redirect_uri"))
	if out.Get("code") == "" || out.Get("iss") != issuer || out.Get("state") != q.Get("state") {
		w.t.Fatalf("allowed: %v", out)
	}
	return out.Get("code")
}

// redeem exchanges a code for tokens.
func (w *world) redeem(id, secret, code string, pairs ...string) answer {
	w.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return w.token(id, secret, form)
}

func (w *world) token(id, secret string, form url.Values) answer {
	w.t.Helper()
	if secret == "" {
		form.Set("client_id", id)
		return w.post(nil, "/lockspire/token", form)
	}
	return w.post(nil, "/lockspire/token", form, "Authorization", basic(id, secret))
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func (w *world) refresh(id, secret, token string) answer {
	w.t.Helper()
	return w.token(id, secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// tokens are those of a whole authorization.
func (w *world) tokens(id, secret string, q url.Values) map[string]any {
	w.t.Helper()
	a := w.redeem(id, secret, w.authorized(q))
	if a.status != http.StatusOK {
		w.t.Fatalf("token: %d %s", a.status, a.body)
	}
	return a.json(w.t)
}

func (w *world) refused(a answer, status int, code string) {
	w.t.Helper()
	if a.status != status || a.json(w.t)["error"] != code {
		w.t.Errorf("%d %s, want %d %s", a.status, a.body, status, code)
	}
}

// claims are those of a JWT, whose signature is not looked at.
func claims(t *testing.T, token any) map[string]any {
	t.Helper()
	text, _ := token.(string)
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %v", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
