package pluginhost_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/principal"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

func ready(t testing.TB) *fixture {
	t.Helper()
	f := newHost(t, "routed")
	f.apply(`plugin "routed" {}`)
	f.wait("routed", pluginhost.Ready)
	return f
}

func TestRoutes_streamBothWays(t *testing.T) {
	t.Parallel()
	f := ready(t)
	const size = 24 << 20
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	sum := sha256.Sum256(data)
	// Without a length, so that nothing can be read at once.
	code, body, _ := f.do("POST", "/routed/hash", struct{ io.Reader }{bytes.NewReader(data)})
	if want := fmt.Sprintf("%d %s", size, hex.EncodeToString(sum[:])); code != 200 || body != want {
		t.Fatalf("%d %s, want %s", code, body, want)
	}
	// The answer begins while the request is still being written.
	pr, pw := io.Pipe()
	req, _ := http.NewRequest("POST", f.web.URL+"/routed/echo", pr)
	resp, err := noRedirects.Do(startWith(req, pw, "first"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	buf := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "first" {
		t.Fatalf("%q %v", buf, err)
	}
	go func() {
		_, _ = pw.Write(data[:4<<20])
		_ = pw.Close()
	}()
	back, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(back, data[:4<<20]) {
		t.Fatalf("%d bytes came back: %v", len(back), err)
	}
}

func startWith(req *http.Request, pw *io.PipeWriter, text string) *http.Request {
	go func() { _, _ = pw.Write([]byte(text)) }()
	return req
}

func TestRoutes_anUnreadBodyHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	f := ready(t)
	// A client that is still writing when the connection is closed may miss the answer: then it asks again.
	poll(t, "an answer", func() (string, bool) {
		pr, pw := io.Pipe()
		defer func() { _ = pw.Close() }()
		go func() { _, _ = pw.Write(make([]byte, 1<<20)) }()
		code, body, _ := f.do("POST", "/routed/hello", pr)
		return fmt.Sprint(code, " ", body), code == 200 && body == "hello"
	})
}

func TestRoutes_whatAPluginSeesOfARequest(t *testing.T) {
	t.Parallel()
	f := ready(t)
	_, body, _ := f.do("GET", "/routed/request?a=1&b=%20", nil,
		"Cookie", "__Host-sigra_session=secret; theme=dark; __Host-routed-theme=dark; __Host-other-x=1; Sigra_x=1; __Secure-sigra=2", "Cookie", "sigra_session=3",
		"Authorization", "Bearer sigra_secret", "X-Forwarded-For", "1.2.3.4", "X_Forwarded_Host", "evil", "Remote-User", "root", "Sigra-User", "root",
		"X-Auth-Request-User", "root", "Forwarded", "for=1.2.3.4", "Connection", "X-Hop", "X-Hop", "1", "Te", "gzip", "X-Fine", "yes", "Test-Who", "user")
	var got struct {
		Headers   http.Header
		Principal map[string]any
		Target    string
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(body)
	}
	for _, h := range []string{"Authorization", "X-Forwarded-For", "X_forwarded_host", "Remote-User", "Sigra-User", "X-Auth-Request-User", "Forwarded", "X-Hop", "Te", "Connection"} {
		if v := got.Headers.Values(h); len(v) > 0 {
			t.Errorf("the plugin saw %s: %v", h, v)
		}
	}
	if c := got.Headers["Cookie"]; !slices.Equal(c, []string{"__Host-routed-theme=dark"}) {
		t.Errorf("the plugin saw the cookies %v", c)
	}
	if strings.Contains(body, "secret") || got.Headers.Get("X-Fine") != "yes" || got.Target != "/routed/request?a=1&b=%20" {
		t.Errorf("%s", body)
	}
	if got.Principal["Email"] != "ada@example.com" || got.Principal["Kind"] != "user" {
		t.Errorf("principal %v", got.Principal)
	}
	// An Authorization header that is the application's own goes through.
	if _, body, _ := f.do("GET", "/routed/request", nil, "Authorization", "Basic Zm9v"); !strings.Contains(body, "Basic Zm9v") {
		t.Errorf("the application's own Authorization was taken out: %s", body)
	}
}

func TestRoutes_whatAPluginMayAnswer(t *testing.T) {
	t.Parallel()
	f := ready(t)
	q := "/routed/answer?h=Set-Cookie:__Host-sigra_session%3Dx&h=Set-Cookie:SIGRA%3Dx&h=Set-Cookie:%3Dsigra&h=Set-Cookie:own%3D1&h=Set-Cookie:__Host-routed-own%3D1%3B%20Secure%3B%20Path%3D%2F&h=Clear-Site-Data:*" +
		"&h=Service-Worker-Allowed:/&h=Connection:X-Hop&h=X-Hop:1&h=X-Plugin-Fine:yes&h=Strict-Transport-Security:max-age%3D0"
	code, _, h := f.do("GET", q, nil)
	if code != 200 || !slices.Equal(h["Set-Cookie"], []string{"__Host-routed-own=1; Secure; Path=/"}) {
		t.Errorf("%d, cookies %v", code, h["Set-Cookie"])
	}
	for _, name := range []string{"Clear-Site-Data", "Service-Worker-Allowed", "X-Hop", "Strict-Transport-Security"} {
		if h.Get(name) != "" {
			t.Errorf("%s went through", name)
		}
	}
	if h.Get("X-Plugin-Fine") != "yes" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("headers %v", h)
	}
	for _, code := range []int{204, 301, 404, 418, 599} {
		if got, _, _ := f.do("GET", fmt.Sprintf("/routed/answer?code=%d", code), nil); got != code {
			t.Errorf("status %d became %d", code, got)
		}
	}
	if code, _, _ := f.do("HEAD", "/routed/hello", nil); code != 200 {
		t.Errorf("HEAD: %d", code)
	}
}

func TestRoutes_whoGetsThrough(t *testing.T) {
	t.Parallel()
	f := ready(t)
	for _, c := range []struct {
		method, path string
		headers      []string
		want         int
	}{
		{"POST", "/routed/hello", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", "/routed/hello", []string{"Origin", "https://evil.example"}, 403},
		{"POST", "/routed/hello", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"POST", "/routed-machine/request", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		{"GET", "/routed-in/request", nil, 401},
		{"GET", "/routed-in/request", []string{"Accept", "text/html"}, 303},
		{"POST", "/routed-in/request", []string{"Accept", "text/html"}, 401},
		{"GET", "/routed-in/request", []string{"Test-Who", "user"}, 200},
		{"GET", "/routed-admin/request", []string{"Test-Who", "user"}, 403},
		{"GET", "/routed-admin/request", []string{"Test-Who", "admin"}, 200},
		{"GET", "/routed/../routed-admin/request", nil, 404},
		{"GET", "/routed/%2e%2e/routed-admin/request", nil, 404},
		{"GET", "/routedx", nil, 404},
		{"GET", "/", nil, 404},
		{"GET", "/routed/hello", []string{"Connection", "Upgrade", "Upgrade", "websocket"}, 422},
	} {
		code, body, _ := f.do(c.method, c.path, nil, c.headers...)
		if code != c.want {
			t.Errorf("%s %s %v: %d %s, want %d", c.method, c.path, c.headers, code, body, c.want)
		}
	}
	if links := f.Links(principal.Principal{}, "en"); len(links) != 1 || links[0].Path != "/routed" || links[0].Title != "Test" {
		t.Errorf("links %v", links)
	}
}

func TestRoutes_aPluginThatIsDown(t *testing.T) {
	t.Parallel()
	f := newHost(t, "routed crashstart")
	f.apply("plugin \"routed\" {}")
	f.wait("routed", pluginhost.Ready)
	code, body := f.get("/routed/crash")
	if code != 503 {
		t.Errorf("the call that crashed it: %d %s", code, body)
	}
	code, _, h := f.do("GET", "/routed/hello", nil)
	if code == 503 && h.Get("Retry-After") == "" {
		t.Errorf("%d without Retry-After", code)
	}
	poll(t, "it to serve again", func() (string, bool) {
		code, body := f.get("/routed/hello")
		return body, code == 200
	})
}

func TestRoutes_aClientThatGoesAway(t *testing.T) {
	t.Parallel()
	f := ready(t)
	for range 10 { // more than a breaker takes
		ctx, cancel := context.WithCancel(context.Background())
		req, _ := http.NewRequestWithContext(ctx, "GET", f.web.URL+"/routed/sleep?d=100ms", nil)
		go cancel()
		if resp, err := noRedirects.Do(req); err == nil {
			_ = resp.Body.Close()
		}
		cancel()
	}
	if code, body := f.get("/routed/hello"); code != 200 {
		t.Errorf("%d %s", code, body)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	csp := func(v ...string) []*pluginv1.Header {
		return []*pluginv1.Header{{Name: "content-security-policy", Values: v}}
	}
	for _, c := range []struct {
		in         []*pluginv1.Header
		base, last string
	}{
		{nil, "base", "base"},
		{csp("script-src 'unsafe-inline'"), "base", "base"},
		{csp("script-src *; object-src 'none'"), "base", "base"},
		{csp("script-src https:"), "base", "base"},
		{csp("img-src *"), "base", "base"},
		{csp("default-src 'self'; script-src 'nonce-abc'; form-action https://client.example"), "base", "object-src 'none'; base-uri 'none'"},
		{csp("script-src 'none'; script-src *"), "base", "object-src 'none'; base-uri 'none'"},
		{csp("script-src 'self'; script-src-attr 'unsafe-inline'"), "base", "base"},
	} {
		out := pluginhost.Policies(c.in, c.base)
		if out[len(out)-1] != c.last {
			t.Errorf("%v became %q", c.in, out)
		}
	}
}

func TestCookiesAndPaths(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"__Host-greeter-x=1; Secure; Path=/": true, "__Host-greeter-x=1; Secure; Path=/; SameSite=None; HttpOnly": true,
		"__Host-sigra_session=1; Secure; Path=/": false, "__Host-greeterx=1; Secure; Path=/": false, "greeter_x=1": false, "__Host-greeter-x=1; Path=/": false,
		"__Host-greeter-x=1; Secure": false, "__Host-greeter-x=1; Secure; Path=/; Domain=example.com": false, "=__Host-greeter-x; Secure; Path=/": false,
		"__host-greeter-x=1; Secure; Path=/": false, "": false,
	} {
		if pluginhost.AllowedCookie(line, "greeter") != want {
			t.Errorf("%q", line)
		}
	}
	for p, want := range map[string]bool{"/a": true, "/a/": true, "/a/b": true, "/a//b": false, "/a/./b": false, "/a/../b": false, "a": false, "": false, "/a\\b": false, "/a\x00": false, "/": true} {
		if pluginhost.CleanPath(p) != want {
			t.Errorf("clean %q", p)
		}
	}
	for p, want := range map[string]bool{"/a": true, "/a/b": true, "/.well-known/x": true, "/": false, "a": false, "/a/": false, "/..": false, "/a b": false, "/.git": false, "/a/../b": false, "/%61": false} {
		if (pluginhost.CheckPath(p) == nil) != want {
			t.Errorf("path %q", p)
		}
	}
}

func FuzzCookies(f *testing.F) {
	f.Add("a=b; __Host-sigra_session=x;;=; __Host-greeter-x=1; __Host-greeter-y")
	f.Fuzz(func(t *testing.T, line string) {
		for _, kept := range pluginhost.OwnCookies([]string{line}, "greeter") {
			for pair := range strings.SplitSeq(kept, "; ") {
				if !strings.HasPrefix(pair, "__Host-greeter-") || !strings.Contains(pair, "=") {
					t.Errorf("%q kept %q", line, pair)
				}
			}
		}
	})
}
