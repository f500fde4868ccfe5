package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/server"
)

func TestSecurityHeadersOnEverything(t *testing.T) {
	t.Parallel()
	s := setup(t, server.Config{BaseURL: "https://id.example.com"}, map[string]http.HandlerFunc{
		"/ok":    func(http.ResponseWriter, *http.Request) {},
		"/panic": func(http.ResponseWriter, *http.Request) { panic("boom") },
	})
	for path, status := range map[string]int{"/ok": 200, "/none": 404, "/panic": 500, "/healthz": 200} {
		res := do(s, newRequest("GET", path, "Host", "id.example.com"))
		if res.StatusCode != status {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if !strings.HasPrefix(res.Header.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, res.Header.Get(name))
			}
		}
		if res.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", path)
		}
	}
}

func TestSecurityHeaders_hostsBelow(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{"https://id.example.com": "max-age=31536000; includeSubDomains", "http://localhost:8484": ""} {
		s := setup(t, server.Config{BaseURL: base, HSTSSubdomains: true}, nil)
		u, _ := url.Parse(base)
		if got := do(s, newRequest("GET", "/healthz", "Host", u.Host)).Header.Get("Strict-Transport-Security"); got != want {
			t.Errorf("%s: %q", base, got)
		}
	}
}

func TestPanicTellsTheLogAndNobodyElse(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := setup(t, server.Config{Logger: hclog.New(&hclog.LoggerOptions{Output: &log})}, map[string]http.HandlerFunc{
		"/panic": func(http.ResponseWriter, *http.Request) { panic("password is hunter2") },
	})
	res := do(s, newRequest("GET", "/panic"))
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 500 || strings.Contains(string(body), "hunter2") || strings.Contains(string(body), ".go") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if id := res.Header.Get("X-Request-Id"); !strings.Contains(string(body), id) || !strings.Contains(log.String(), id) {
		t.Errorf("the request id %s is not in answer and log: %s", id, body)
	}
	if !strings.Contains(log.String(), "guard_test.go") {
		t.Errorf("no stack in the log: %s", log.String())
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	s := setup(t, server.Config{Routes: func(path string) (http.Handler, bool) {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), path == "/plugin"
	}}, map[string]http.HandlerFunc{"/x": func(http.ResponseWriter, *http.Request) {}})
	for name, c := range map[string]struct {
		method, path string
		header       []string
		want         int
	}{
		"own form":                               {"POST", "/x", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://localhost:8484"}, 200},
		"a program":                              {"POST", "/x", nil, 200},
		"another site":                           {"POST", "/x", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		"a sibling domain":                       {"POST", "/x", []string{"Sec-Fetch-Site", "same-site"}, 403},
		"another port of localhost":              {"PUT", "/x", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:3000"}, 403},
		"an old browser, own form":               {"POST", "/x", []string{"Origin", "http://localhost:8484"}, 200},
		"an old browser, another site":           {"DELETE", "/x", []string{"Origin", "https://evil.example"}, 403},
		"an opaque origin":                       {"POST", "/x", []string{"Origin", "null"}, 403},
		"looking is no change":                   {"GET", "/x", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		"a plugin's route has a rule of its own": {"POST", "/plugin", []string{"Sec-Fetch-Site", "cross-site"}, 200},
	} {
		if res := do(s, newRequest(c.method, c.path, c.header...)); res.StatusCode != c.want {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
}

func TestPathsMethodsAndPlugins(t *testing.T) {
	t.Parallel()
	s := setup(t, server.Config{Routes: func(path string) (http.Handler, bool) {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("plugin")) }),
			path == "/threadline" || strings.HasPrefix(path, "/threadline/")
	}}, nil)
	for path, want := range map[string]int{
		"/threadline": 200, "/threadline/v1/x": 200, "/threadline/": 200, "/other": 404,
		"//threadline": 404, "/threadline/../healthz": 404, "/x/%2e%2e/threadline": 404, "/threadline//x": 404, "/threadline/%5cx": 404, "/./threadline": 404, "//": 404, "/%2f": 404,
	} {
		if res := do(s, newRequest("GET", path)); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
	res := do(s, newRequest("POST", "/healthz"))
	if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /healthz: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}

func TestErrorsBelongToWhoAsks(t *testing.T) {
	t.Parallel()
	answer := func(text string) func(http.ResponseWriter, *http.Request, error) {
		return func(w http.ResponseWriter, _ *http.Request, err error) {
			w.WriteHeader(404)
			_, _ = w.Write([]byte(text + fault.From(err).Code))
		}
	}
	s := setup(t, server.Config{Page: answer("page "), Problem: answer("problem ")}, nil)
	for _, c := range []struct{ path, accept, want string }{
		{"/none", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "page not_found"},
		{"/none", "application/json", "problem not_found"},
		{"/none", "*/*", "problem not_found"},
		{"/none", "", "problem not_found"},
		{"/none", "text/html;q=0.2, application/json", "problem not_found"},
		{"/none", "text/html;q=0", "problem not_found"},
		{"/v1/none", "text/html", "problem not_found"},
	} {
		body, err := io.ReadAll(do(s, newRequest("GET", c.path, "Accept", c.accept)).Body)
		if err != nil || string(body) != c.want {
			t.Errorf("%s for %q: %s", c.path, c.accept, body)
		}
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	limiter := func(n int) *ratelimit.IP {
		l, err := ratelimit.NewIP(ratelimit.IPConfig{Quota: ratelimit.Quota{Count: n, Per: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	s := setup(t, server.Config{
		Limits: server.Limits{ratelimit.General: limiter(50), ratelimit.Hash: limiter(2), ratelimit.Mail: limiter(1)},
		Rules:  endpoint.Table{"POST /login": {Limit: ratelimit.Hash, Access: endpoint.Anyone}},
	}, map[string]http.HandlerFunc{"/login": func(http.ResponseWriter, *http.Request) {}})
	for i, want := range []int{200, 200, 429} {
		res := do(s, newRequest("POST", "/login"))
		if res.StatusCode != want || res.Header.Get("RateLimit-Limit") != "2" {
			t.Errorf("sign-in %d: %d, %v", i, res.StatusCode, res.Header)
		}
		if want == 429 && res.Header.Get("Retry-After") != "1800" {
			t.Errorf("no Retry-After: %v", res.Header)
		}
		// One of the fifty comes back in 72 seconds, one of the two in half an hour.
		for name, want := range map[string]string{
			"RateLimit-Policy":    `"general";q=50;w=3600, "hash";q=2;w=3600`,
			"RateLimit":           fmt.Sprintf(`"general";r=%d;t=72, "hash";r=%d;t=1800`, 49-i, max(1-i, 0)),
			"RateLimit-Remaining": strconv.Itoa(max(1-i, 0)),
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("sign-in %d: %s: %s, want %s", i, name, got, want)
			}
		}
	}
	other := newRequest("POST", "/login")
	other.RemoteAddr = "203.0.113.10:1"
	if res := do(s, other); res.StatusCode != 200 {
		t.Errorf("somebody else was limited too: %d", res.StatusCode)
	}
	if res := do(s, newRequest("GET", "/login")); res.StatusCode != 200 || res.Header.Get("RateLimit-Policy") != `"general";q=50;w=3600` {
		t.Errorf("looking at the page was limited: %d %v", res.StatusCode, res.Header)
	}
	for range 200 {
		if res := do(s, newRequest("GET", "/healthz")); res.StatusCode != 200 {
			t.Fatalf("a probe was limited: %d", res.StatusCode)
		}
	}
}

// Whoever is refused for the time being is told until when, also where nobody knows.
func TestFail_alwaysSaysWhen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{fault.New(fault.Unavailable, "x", "X."), "1"},
		{fault.New(fault.RateLimited, "x", "X."), "1"},
		{fault.New(fault.RateLimited, "x", "X.").After(1500 * time.Millisecond), "2"},
		{fault.New(fault.Conflict, "x", "X."), ""},
	} {
		var s *server.Server
		s = setup(t, server.Config{}, map[string]http.HandlerFunc{"/x": func(w http.ResponseWriter, r *http.Request) { s.Fail(w, r, c.err) }})
		if got := do(s, newRequest("GET", "/x")).Header.Get("Retry-After"); got != c.want {
			t.Errorf("%v: Retry-After %q, want %q", c.err, got, c.want)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	read := func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			w.WriteHeader(413)
		}
	}
	s := setup(t, server.Config{MaxBody: 100, Routes: func(string) (http.Handler, bool) { return http.HandlerFunc(read), true }},
		map[string]http.HandlerFunc{"/x": read})
	for path, want := range map[string]int{"/x": 413, "/plugin": 200} {
		r := httptest.NewRequest("POST", path, strings.NewReader(strings.Repeat("a", 101)))
		r.Host, r.RemoteAddr = "localhost:8484", "203.0.113.9:1"
		if res := do(s, r); res.StatusCode != want {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
}

func TestAccessLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := setup(t, server.Config{Logger: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Trace, JSONFormat: true})},
		map[string]http.HandlerFunc{"/confirm": func(http.ResponseWriter, *http.Request) {}})
	do(s, newRequest("GET", "/confirm?token=s3cret"))
	do(s, newRequest("GET", "/nobody@example.com?token=s3cret"))
	do(s, newRequest("GET", "/nothing?token=s3cret", "Authorization", "Bearer s3cret", "Cookie", "a=s3cret", "Referer", "http://localhost:8484/?t=s3cret"))
	if strings.Contains(log.String(), "s3cret") || strings.Contains(log.String(), "nobody@") {
		t.Errorf("the log tells too much: %s", log.String())
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(strings.Split(log.String(), "\n")[0]), &line); err != nil {
		t.Fatal(err)
	}
	if line["route"] != "/confirm" || line["status"] != float64(200) || line["ip"] != "203.0.113.9" {
		t.Errorf("%v", line)
	}
}

func TestMetricsNameTheRouteNotThePath(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s := setup(t, server.Config{Metrics: reg, Register: reg}, map[string]http.HandlerFunc{"/thing/{id}": func(http.ResponseWriter, *http.Request) {}})
	do(s, newRequest("GET", "/thing/4711"))
	do(s, newRequest("BREW", "/thing/4712"))
	body, err := io.ReadAll(do(s, local("GET", "/metrics")).Body)
	if err != nil {
		t.Fatal(err)
	}
	text := string(body)
	if !strings.Contains(text, `sigra_http_requests_total{method="GET",route="/thing/{id}",status="200"} 1`) ||
		!strings.Contains(text, `method="other"`) || strings.Contains(text, "4711") {
		t.Errorf("%s", text)
	}
}

// local is a request straight from this machine.
func local(method, path string, header ...string) *http.Request {
	r := newRequest(method, path, header...)
	r.RemoteAddr = "127.0.0.1:50000"
	return r
}

func TestMetricsAreForThisMachineOnly(t *testing.T) {
	t.Parallel()
	remote := func(peer string, header ...string) *http.Request {
		r := newRequest("GET", "/metrics", header...)
		r.RemoteAddr = peer
		return r
	}
	s := setup(t, server.Config{
		BaseURL: "https://id.example.com", Metrics: prometheus.NewRegistry(),
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")},
	}, nil)
	for name, c := range map[string]struct {
		r    *http.Request
		want int
	}{
		"scraper on the machine":           {local("GET", "/metrics", "Host", "127.0.0.1:8484"), 200},
		"by its name":                      {local("GET", "/metrics", "Host", "localhost"), 200},
		"over IPv6":                        {remote("[::1]:50000", "Host", "[::1]:8484"), 200},
		"another machine":                  {remote("203.0.113.9:50000", "Host", "localhost:8484"), 403},
		"a trusted proxy elsewhere":        {remote("10.0.0.2:50000", "Host", "localhost:8484"), 403},
		"a proxy here":                     {local("GET", "/metrics", "Host", "127.0.0.1:8484", "X-Forwarded-For", "127.0.0.1"), 403},
		"a proxy here that says Forwarded": {local("GET", "/metrics", "Host", "127.0.0.1:8484", "Forwarded", "for=127.0.0.1"), 403},
		"a proxy here that says Via":       {local("GET", "/metrics", "Host", "127.0.0.1:8484", "Via", "1.1 edge"), 403},
		"a proxy here that says little":    {local("GET", "/metrics", "Host", "id.example.com"), 403},
		"a name re-bound to loopback":      {local("GET", "/metrics", "Host", "evil.example:8484"), 403},
		"one that begins like loopback":    {local("GET", "/metrics", "Host", "localhost.evil.example"), 403},
		"somebody who claims to be here":   {remote("203.0.113.9:50000", "Host", "localhost", "X-Forwarded-For", "127.0.0.1", "X-Real-Ip", "::1"), 403},
	} {
		res := do(s, c.r)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, c.want)
		}
		if c.want == 403 && (!strings.Contains(string(body), "metrics_listen") || res.Header.Get("Content-Type") != "application/problem+json") {
			t.Errorf("%s: no hint: %s", name, body)
		}
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	broken := errors.New("dial tcp 10.0.0.5:5432: password authentication failed for user sigra")
	clock := time.Now()
	var down error
	s := setup(t, server.Config{Now: func() time.Time { return clock }, Checks: []server.Check{
		{Name: "database", Ready: func(_ context.Context) error { return down }},
		{Name: "plugin threadline", Ready: func(_ context.Context) error { return nil }},
		{Name: "panicky", Ready: func(_ context.Context) error {
			if down != nil {
				panic("boom")
			}
			return nil
		}},
	}}, nil)
	get := func(accept string) (int, string) {
		clock = clock.Add(time.Second)
		res := do(s, newRequest("GET", "/readyz", "Accept", accept))
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	if code, body := get("*/*"); code != 200 || !strings.Contains(body, `"status":"ready"`) {
		t.Errorf("%d %s", code, body)
	}
	down = broken
	code, body := get("*/*")
	if code != 503 || !strings.Contains(body, `"name":"database","ready":false`) || strings.Contains(body, "10.0.0.5") {
		t.Errorf("%d %s", code, body)
	}
	down = fault.New(fault.Unavailable, "starting", "still starting")
	if code, body := get("text/plain"); code != 503 || !strings.Contains(body, "database: NOT READY: still starting") || !strings.Contains(body, "plugin threadline: ok") {
		t.Errorf("%d %s", code, body)
	}
}
