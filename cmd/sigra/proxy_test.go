package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web/browsertest"
)

// proxies are the proxies whose configurations docs/deployment has. Each runs as an operator would run it, with nothing changed but addresses,
// names and certificates.
var proxies = []struct {
	name, file string
	change     func(text string, at proxied) string
	command    func(file string) *exec.Cmd
}{
	{"nginx", "nginx.conf", func(text string, at proxied) string {
		text = strings.NewReplacer("listen 443 ssl", "listen "+at.addr+" ssl", "/etc/nginx/tls/cert.pem", at.cert, "/etc/nginx/tls/key.pem", at.key).Replace(text)
		paths := ""
		for _, p := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			paths += fmt.Sprintf("  %s_temp_path %s;\n", p, filepath.Join(at.dir, p))
		}
		return fmt.Sprintf("daemon off;\nerror_log stderr;\npid %s;\n", filepath.Join(at.dir, "nginx.pid")) +
			strings.Replace(text, "http {\n", "http {\n  access_log off;\n"+paths, 1)
	}, func(file string) *exec.Cmd { return exec.Command("nginx", "-p", filepath.Dir(file), "-c", file) }},
	{"Caddy", "Caddyfile", func(text string, at proxied) string {
		for _, host := range []string{"id", "app"} {
			site := "\n" + host + ".example.com {\n"
			text = strings.Replace(text, site, fmt.Sprintf("\nhttps://%s.example.com {\n\tbind %s\n\ttls %s %s\n", host, loopbackHost, at.cert, at.key), 1)
		}
		_, port, _ := net.SplitHostPort(at.addr)
		return "{\n\tadmin off\n\tauto_https off\n\thttps_port " + port + "\n}\n" + text
	}, func(file string) *exec.Cmd {
		return exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", file)
	}},
	{"HAProxy", "haproxy.cfg", func(text string, at proxied) string {
		return strings.NewReplacer("bind :443", "bind "+at.addr, "/etc/haproxy/tls/cert-and-key.pem", at.both, "/etc/haproxy/sigra.lua", filepath.Join(at.dir, "sigra.lua")).Replace(text)
	}, func(file string) *exec.Cmd { return exec.Command("haproxy", "-db", "-f", file) }},
}

const loopbackHost = "127.0.0.1"

// proxied is where a proxy listens, and what it shows.
type proxied struct{ dir, addr, cert, key, both string }

// application is what stands behind the proxy: a program that knows nothing of Sigra but the headers, and that has pages where Sigra has some, too.
type application struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
}

func newApplication(t *testing.T) *application {
	a := &application{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.seen = append(a.seen, r)
		a.mu.Unlock()
		if r.Header.Get("Upgrade") == "echo" {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_ = rw.Flush()
			line, _ := rw.ReadString('\n')
			_, _ = rw.WriteString(line)
			_ = rw.Flush()
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, "<!doctype html><title>Application</title><h1>The application</h1><p id=path>%s</p><p id=who>%s</p><p id=assurance>%s</p>",
			r.URL.RequestURI(), r.Header.Get("Sigra-User-Email"), r.Header.Get("Sigra-Assurance"))
	}))
	t.Cleanup(a.Close)
	return a
}

// reached is the last request that came through, or nil, and forgets them.
func (a *application) reached() *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.seen) == 0 {
		return nil
	}
	last := a.seen[len(a.seen)-1]
	a.seen = nil
	return last
}

// behind puts a Sigra and an application behind a proxy.
type behind struct {
	t    *testing.T
	in   *instance
	app  *application
	addr string
	http *http.Client
}

const proxiedSettings = `
mail {
  dev = true
}
session {
  cookie_domain = "example.com"
}
sign_in {
  return_to = ["https://*.example.com"]
}
access "goodbye" {
  hosts = ["app.example.com"]
  paths = ["/goodbye"]
  allow = "public"
}
access "administration" {
  hosts = ["app.example.com"]
  paths = ["/administration/*"]
  aal   = "aal2"
}
access "closed" {
  hosts = ["app.example.com"]
  paths = ["/closed/*"]
  allow = "nobody"
}
`

func newBehind(t *testing.T, i int, database string) *behind {
	t.Helper()
	p := proxies[i]
	if _, err := exec.LookPath(p.command("/x").Args[0]); err != nil {
		t.Fatalf("%s is not installed: make test does that", p.name)
	}
	b := &behind{t: t, app: newApplication(t), addr: freeAddr(t)}
	b.in = newInstance(t, setup{database: database, host: "id.example.com"}) // for its certificate
	at := proxied{dir: b.in.dir, addr: b.addr, cert: filepath.Join(b.in.dir, "cert.pem"), key: filepath.Join(b.in.dir, "key.pem")}
	at.both = filepath.Join(at.dir, "both.pem")
	b.write(at.both, b.read(at.cert)+b.read(at.key))
	docs := filepath.Join("..", "..", "docs", "deployment")
	here := strings.NewReplacer("127.0.0.1:8484", b.in.addr, "127.0.0.1:3000", strings.TrimPrefix(b.app.URL, "http://"))
	file := filepath.Join(b.in.dir, p.file)
	b.write(file, here.Replace(p.change(b.read(filepath.Join(docs, p.file)), at)))
	b.write(filepath.Join(b.in.dir, "sigra.lua"), here.Replace(b.read(filepath.Join(docs, "sigra.lua"))))
	b.in.cert = "" // the proxy speaks TLS
	b.in.configure(setup{database: database, server: "  trusted_proxies = [\"127.0.0.1/32\"]\n", extra: proxiedSettings})
	b.run(p.command(file))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, IdleConnTimeout: 30 * time.Second,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, b.addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	b.http = &http.Client{Timeout: client.Timeout, Transport: transport, CheckRedirect: client.CheckRedirect}
	b.in.http = b.http // Sigra is reached through the proxy alone
	b.in.start()
	return b
}

func (b *behind) read(file string) string {
	b.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func (b *behind) write(file, text string) {
	b.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *behind) run(cmd *exec.Cmd) {
	b.t.Helper()
	var mu sync.Mutex
	var log bytes.Buffer
	out := &lockedWriter{mu: &mu, w: &log}
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, b.in.dir
	cmd.Env = append(os.Environ(), "HOME="+b.in.dir, "XDG_DATA_HOME="+b.in.dir, "XDG_CONFIG_HOME="+b.in.dir)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if b.t.Failed() {
			b.t.Logf("the proxy: %s", tail(log.String(), 2000))
		}
	})
	b.in.eventually(20*time.Second, "the proxy listens", func() error {
		c, err := net.Dial("tcp", b.addr)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

// ask sends one request to the application's host, exactly as written, and gives the status and headers.
func (b *behind) ask(target, token string, header ...string) *http.Response {
	b.t.Helper()
	conn, err := tls.Dial("tcp", b.addr, &tls.Config{InsecureSkipVerify: true, ServerName: "app.example.com"})
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	text := "GET " + target + " HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n"
	if token != "" {
		text += "Cookie: " + cookie.SharedSession + "=" + token + "\r\n"
	}
	for _, h := range header {
		text += h + "\r\n"
	}
	if _, err := io.WriteString(conn, text+"\r\n"); err != nil {
		b.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

// TestProxies puts an application behind real proxies, with the configurations of docs/deployment, and walks through them in a browser.
func TestProxies(t *testing.T) {
	t.Parallel()
	for i, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			databases := storetest.Databases(t)
			b := newBehind(t, i, databases[i%len(databases)].URL)
			b.hostile()
			b.upgrades()
			b.browse()
		})
	}
}

// hostile asks as somebody would who wants past the proxy.
func (b *behind) hostile() {
	b.t.Helper()
	who := b.in.signUp("ada@example.com")
	navigation := []string{"Accept: text/html", "Sec-Fetch-Mode: navigate"}
	for what, c := range map[string]struct {
		target, token string
		header        []string
		status        int
	}{
		"nobody":                                {"/orders/7?x=1", "", navigation, 302},
		"nobody's script":                       {"/orders/7?x=1", "", []string{"Sec-Fetch-Mode: cors"}, 401},
		"nobody with somebody's headers":        {"/orders/7", "", []string{"Sigra-User-Id: " + who.Session.UserID, "Sigra-User-Email: root@example.com"}, 401},
		"a session that is none":                {"/orders/7", "x" + who.Token[1:], []string{"Sec-Fetch-Mode: cors"}, 401},
		"everybody's page":                      {"/goodbye", "", nil, 200},
		"a public page, said to be asked":       {"/administration/x", "", []string{"X-Original-Uri: /goodbye", "X-Original-Method: GET"}, 401},
		"the same, in the other words":          {"/administration/x", "", []string{"X-Forwarded-Uri: /goodbye", "X-Forwarded-Method: GET"}, 401},
		"another host, said to be asked":        {"/administration/x", "", []string{"X-Forwarded-Host: elsewhere.example.com"}, 401},
		"a method, said to be used":             {"/administration/x", "", []string{"X-HTTP-Method-Override: OPTIONS"}, 401},
		"one factor where two are needed":       {"/administration/x", who.Token, []string{"Sec-Fetch-Mode: cors"}, 403},
		"one factor, a page":                    {"/administration/x", who.Token, navigation, 302},
		"what is closed":                        {"/closed/x", who.Token, navigation, 403},
		"around it by two slashes":              {"//closed/x", who.Token, nil, 403},
		"by two slashes inside":                 {"/x//../closed/x", who.Token, nil, 403},
		"by dots":                               {"/goodbye/../closed/x", who.Token, nil, 403},
		"by escaped dots":                       {"/goodbye/%2e%2e/closed/x", who.Token, nil, 403},
		"by an escaped slash":                   {"/goodbye%2f..%2fclosed/x", who.Token, nil, 403},
		"by an escaped backslash":               {"/goodbye%5c..%5cclosed/x", who.Token, nil, 403},
		"by an escape of an escape":             {"/%2563losed/x", who.Token, nil, 403},
		"somebody":                              {"/orders/7?x=1", who.Token, nil, 200},
		"a page of the application's, not ours": {"/account", who.Token, nil, 200},
		"an API of the application's":           {"/v1/session", who.Token, nil, 200},
		"the question itself":                   {"/auth/verify", who.Token, nil, 0}, // whatever it answers, the application decides or nobody
	} {
		b.app.reached()
		res := b.ask(c.target, c.token, c.header...)
		r := b.app.reached()
		switch {
		case c.status == 0:
			continue
		case res.StatusCode != c.status, (r != nil) != (c.status == 200):
			b.t.Errorf("%s: %d, at the application: %v; %v", what, res.StatusCode, r != nil, res.Header)
		case c.status == 302 && !strings.HasPrefix(res.Header.Get("Location"), b.in.url+"/login?"):
			b.t.Errorf("%s: sent to %s", what, res.Header.Get("Location"))
		}
	}
	b.ask("/orders/7", who.Token, "Sigra-User-Email: root@example.com", "Sigra-User-Id: 1", "Sigra-Organization-Role: owner", "Sigra-Assurance: aal3", "Sigra-Obligations: x")
	r := b.app.reached()
	if r == nil {
		b.t.Fatal("somebody does not get through")
	}
	for name, want := range map[string]string{"Sigra-User-Email": "ada@example.com", "Sigra-User-Id": who.Session.UserID, "Sigra-Organization-Role": "", "Sigra-Assurance": "aal1", "Sigra-Obligations": ""} {
		if got := r.Header.Values(name); strings.Join(got, "|") != want {
			b.t.Errorf("%s is %q at the application, want %q", name, got, want)
		}
	}
	res, err := b.in.call("GET", "/auth/verify", "", nil)
	if err != nil || res.status != http.StatusNotFound {
		b.t.Errorf("everybody may ask what the proxy asks: %d, %v", res.status, err)
	}
}

// upgrades holds that a connection can become another protocol's.
func (b *behind) upgrades() {
	b.t.Helper()
	who, err := b.in.signIn("ada@example.com")
	if err != nil {
		b.t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", b.addr, &tls.Config{InsecureSkipVerify: true, ServerName: "app.example.com"})
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: app.example.com\r\nConnection: Upgrade\r\nUpgrade: echo\r\nCookie: %s=%s\r\n\r\n", cookie.SharedSession, who.Token)
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		b.t.Fatalf("no upgrade: %v, %v", res, err)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
		b.t.Errorf("%q, %v", line, err)
	}
}

// browse is one person's way: from a page of the application through signing in with two factors to that page, and out again.
func (b *behind) browse() {
	b.t.Helper()
	const email = "grace@example.com"
	who := b.in.signUp(email)
	var app struct{ Secret string }
	b.in.must(http.StatusOK, "POST", "/v1/account/totp", who.Token, nil).decode(b.t, &app)
	code := func(at time.Time) string {
		c, err := totp.GenerateCode(app.Secret, at)
		if err != nil {
			b.t.Fatal(err)
		}
		return c
	}
	b.in.must(http.StatusOK, "POST", "/v1/account/totp/confirm", who.Token, map[string]any{"code": code(time.Now().Add(-30 * time.Second))})

	browser := browsertest.Chromium(b.t, chromedp.Flag("host-resolver-rules", "MAP *.example.com "+b.addr+", MAP * ~NOTFOUND"), chromedp.Flag("ignore-certificate-errors", true))
	tab := newTab(b.t, browser)
	const page = "https://app.example.com"
	at := func(want string) step { return until(`location.href === ` + quoted(want)) }
	tab.do("ask for a page", open(page+"/orders/7?x=1"), arrive("Sign in"), typed("#email", email), typed("#password", testPassword), submit("One more step"))
	tab.do("show the second factor", typed("#code", code(time.Now())), browsertest.Press(), arrive("The application"), at(page+"/orders/7?x=1"),
		says(email), says("aal2"))
	tab.do("use the application", open(page+"/administration/users"), arrive("The application"), at(page+"/administration/users"),
		until(`(localStorage.setItem("cart", "1"), true)`), open(page+"/account"), arrive("The application"))
	tab.do("look at the account, and go back", open(b.in.url+"/account"), arrive("Your account"), click(`a.onward`), arrive("The application"), at(page+"/"))
	tab.do("sign out", open(b.in.url+"/logout?return_to="+page+"/goodbye"), arrive("Sign out?"), browsertest.Press(), arrive("The application"), at(page+"/goodbye"),
		until(`localStorage.getItem("cart") === "1"`))
	tab.do("be signed out", open(page+"/orders/8"), arrive("Sign in"))

	var kept string
	if m := regexp.MustCompile(`return_to=([^&]*)`).FindStringSubmatch(tab.where()); m != nil {
		kept = m[1]
	}
	if kept != "https%3A%2F%2Fapp.example.com%2Forders%2F8" {
		b.t.Errorf("signing in would lead to %s", kept)
	}
}
