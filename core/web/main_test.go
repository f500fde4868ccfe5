package web_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/server"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(everything{m}) }

var sources = authtest.Sources()

// both runs a test on either database.
func both(t *testing.T, f func(t *testing.T, e *env)) {
	t.Helper()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) { f(t, start(t, db, nil)) })
}

// env is Sigra's pages over the real domain, served by the real server.
type env struct {
	db    *store.DB
	auth  *auth.Service
	parts *authtest.Parts
	inbox *mail.Inbox
	queue *mail.Queue
	pages *web.Pages
	http  *httptest.Server
	base  string
}

func start(t testing.TB, db *store.DB, change func(*web.Config)) *env {
	t.Helper()
	return startWith(t, db, authtest.Options{}, change)
}

func startWith(t testing.TB, db *store.DB, o authtest.Options, change func(*web.Config)) *env {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	e := &env{db: db}
	// The listener comes first: links in mails need its address.
	e.http = httptest.NewUnstartedServer(nil)
	e.base = "http://" + strings.Replace(e.http.Listener.Addr().String(), "127.0.0.1", "localhost", 1)

	o.Settings.BaseURL, o.Settings.MagicLinks = e.base, true
	parts := authtest.Open(t, db, o)
	e.parts, e.auth, e.inbox, e.queue = parts, parts.SignIns, parts.Inbox, parts.Queue
	sessions, own := parts.Sessions, parts.SelfService
	logger := hclog.New(&hclog.LoggerOptions{Output: logWriter{t}, Level: hclog.Warn})
	cfg := web.Config{
		Logger: logger, Sealer: parts.Ring,
		BaseURL: e.base, ReturnTo: []string{"https://app.example.com", "myapp://"}, RememberMe: true,
		Services: web.Services{
			Sessions: sessions, Recent: parts.SelfService.RequireRecentAuth, SignUps: e.auth, SignIns: e.auth, PasswordResets: e.auth, SecondFactors: e.auth, StepUps: e.auth,
			PasskeySignIns: e.auth, Signals: parts.Passkeys, MagicLinks: e.auth, FederatedSignIns: e.auth, Providers: parts.Logins,
			Account: own, OwnPassword: own, OwnUsername: own, OwnEmail: own, OwnTOTP: own, OwnCodes: own, OwnDevices: own, OwnSessions: own, OwnPasskeys: own,
			OwnLogins: own, Organizations: parts.Members, Inbox: e.inbox,
		},
		Now: o.Now,
		Plugins: func(principal.Principal, string) []web.Link {
			return []web.Link{{Title: "Activity", Path: "/threadline", Description: "What happened on your account"}}
		},
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	e.pages, err = web.New(cfg)
	must(err)
	mount := func(r *mux.Router) {
		e.pages.Mount(r)
		must(sawRoutes(r))
	}
	srv, err := server.New(server.Config{BaseURL: e.base, Mount: mount, Rules: e.pages.Rules(), Page: e.pages.Error, Language: e.pages.Language, Foreign: web.ForeignForms(), Routes: e.plugin(sessions)})
	must(err)
	e.http.Config.Handler = srv.Handler()
	e.http.Start()
	t.Cleanup(e.http.Close)
	return e
}

// plugin stands for a plugin's page in the shared layout, with everything the style sheet offers to one.
func (e *env) plugin(sessions *session.Store) func(string) (http.Handler, bool) {
	return func(path string) (http.Handler, bool) {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who, err := sessions.Resolve(r.Context(), cookie.SessionCookie{}.Token(r))
			if err != nil {
				http.Redirect(w, r, e.pages.SignIn(r.URL.RequestURI(), 0, "", false), http.StatusSeeOther)
				return
			}
			page, err := e.pages.Render(r.Context(), web.PluginPage{
				Title: "Activity", BodyHTML: pluginContent, Principal: &who, Path: path, Language: request.From(r.Context()).Language,
			})
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", e.pages.Policy())
			_, _ = w.Write([]byte(page.HTML))
		}), path == "/threadline"
	}
}

const pluginContent = `<h1>Activity</h1><p class="lead">What you did, and what was done to your account.</p>
<details class="filter" open><summary>Filter</summary><form method="get" action="/threadline"><div class="fields">
<label for="outcome">Outcome</label><select id="outcome" name="outcome"><option>any</option><option>success</option></select>
<label for="from">From</label><input id="from" name="from" type="datetime-local"></div>
<p class="actions"><button>Show</button> <a href="/threadline">Clear</a></p></form></details>
<section><h2>Monday, 23 November 2026</h2><ol class="timeline">
<li><time>08:00:41</time><div><a href="/threadline">Signed in</a><p class="meta"><span>ada</span><span>192.0.2.7</span><span>by pwd</span></p></div></li>
<li><time>07:58:02</time><div><a href="/threadline">Sign-in refused</a> <span class="tag failure">failure: wrong_password</span><p class="meta"><span>anonymous</span><span>192.0.2.7</span></p></div></li>
</ol></section><dl class="facts"><dt>Who</dt><dd>ada</dd><dt>Audit id</dt><dd><code>01a2076b-f0a7-7bca-a506-1a267ee44501</code></dd></dl>
<table><thead><tr><th>Action</th><th>Times</th></tr></thead><tbody><tr><td>auth.login.success</td><td>2</td></tr></tbody></table>
<nav class="pager" aria-label="Pages"><a rel="prev" href="/threadline">Previous page</a><a rel="next" href="/threadline">Next page</a></nav>`

// logWriter shows the log with the test it belongs to.
type logWriter struct{ t testing.TB }

func (w logWriter) Write(p []byte) (int, error) { w.t.Logf("%s", p); return len(p), nil }

// browser keeps cookies and follows nothing by itself.
type browser struct {
	t      testing.TB
	e      *env
	client *http.Client

	language string // what it prefers; empty: nothing
	jar      *secureJar
	agent    string // User-Agent; empty: Go's own
}

// secureJar is a cookie jar that treats http://localhost as browsers do: as secure.
type secureJar struct{ *cookiejar.Jar }

func secure(u *url.URL) *url.URL { c := *u; c.Scheme = "https"; return &c }

func (j secureJar) SetCookies(u *url.URL, c []*http.Cookie) { j.Jar.SetCookies(secure(u), c) }
func (j secureJar) Cookies(u *url.URL) []*http.Cookie       { return j.Jar.Cookies(secure(u)) }

func (e *env) browser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	j := &secureJar{jar}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &browser{t: t, e: e, jar: j, client: &http.Client{
		Jar: j, Transport: tr, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// here is the address whose cookies the browser sends.
func (b *browser) here() *url.URL {
	b.t.Helper()
	u, err := url.Parse(b.e.base)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// cookie is a cookie's value in the browser.
func (b *browser) cookie(name string) string {
	for _, c := range b.jar.Cookies(b.here()) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}
