package server_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/server"
)

// TestProxyJudging holds who is taken for the client. Peers in 10.0.0.0/8 and fd00::/8 are trusted.
func TestProxyJudging(t *testing.T) {
	t.Parallel()
	var got request.Info
	var left http.Header
	s := setup(t, server.Config{TrustedProxies: prefixes("10.0.0.0/8", "fd00::/8")}, map[string]http.HandlerFunc{
		"/who": func(_ http.ResponseWriter, r *http.Request) { got, left = request.From(r.Context()), r.Header },
	})
	for name, c := range map[string]struct {
		peer   string
		header []string
		want   string
	}{
		"direct":                              {"203.0.113.9:1", nil, "203.0.113.9"},
		"direct, with a forged header":        {"203.0.113.9:1", []string{"X-Forwarded-For", "1.2.3.4"}, "203.0.113.9"},
		"direct, with a forged Forwarded":     {"203.0.113.9:1", []string{"Forwarded", "for=1.2.3.4"}, "203.0.113.9"},
		"direct, X-Real-IP is never believed": {"10.0.0.1:1", []string{"X-Real-IP", "1.2.3.4"}, "10.0.0.1"},
		"one proxy":                           {"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.7"}, "198.51.100.7"},
		"one proxy, forged left part":         {"10.0.0.1:1", []string{"X-Forwarded-For", "1.2.3.4, 198.51.100.7"}, "198.51.100.7"},
		"two proxies":                         {"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		"two proxies, forged left part":       {"10.0.0.1:1", []string{"X-Forwarded-For", "10.9.9.9, 1.2.3.4, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		"two header lines":                    {"10.0.0.1:1", []string{"X-Forwarded-For", "1.2.3.4", "X-Forwarded-For", "198.51.100.7"}, "198.51.100.7"},
		"everybody trusted":                   {"10.0.0.1:1", []string{"X-Forwarded-For", "10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"garbage ends the walk":               {"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.7, garbage, 10.0.0.2"}, "10.0.0.2"},
		"nothing but garbage":                 {"10.0.0.1:1", []string{"X-Forwarded-For", "'; DROP TABLE"}, "10.0.0.1"},
		"empty":                               {"10.0.0.1:1", []string{"X-Forwarded-For", ""}, "10.0.0.1"},
		"with a port":                         {"10.0.0.1:1", []string{"X-Forwarded-For", "198.51.100.7:4711"}, "198.51.100.7"},
		"IPv6":                                {"[fd00::1]:1", []string{"X-Forwarded-For", "2001:db8::7"}, "2001:db8::7"},
		"IPv6 in brackets with a port":        {"[fd00::1]:1", []string{"X-Forwarded-For", "[2001:db8::7]:4711"}, "2001:db8::7"},
		"mapped IPv4 is IPv4":                 {"[::ffff:10.0.0.1]:1", []string{"X-Forwarded-For", "::ffff:198.51.100.7"}, "198.51.100.7"},
		"a zone is dropped":                   {"[fd00::1%eth0]:1", []string{"X-Forwarded-For", "198.51.100.7"}, "198.51.100.7"},
		"Forwarded is not asked for":          {"10.0.0.1:1", []string{"Forwarded", "for=1.2.3.4"}, "10.0.0.1"},
		"the client's Forwarded passes":       {"10.0.0.1:1", []string{"Forwarded", "for=1.2.3.4", "X-Forwarded-For", "198.51.100.7"}, "198.51.100.7"},
		"too many hops are not followed":      {"10.0.0.1:1", []string{"X-Forwarded-For", "1.2.3.4" + strings.Repeat(", 10.0.0.2", 64)}, "10.0.0.2"},
	} {
		r := newRequest("GET", "/who", c.header...)
		r.RemoteAddr = c.peer
		if res := do(s, r); res.StatusCode != 200 {
			t.Fatalf("%s: status %d", name, res.StatusCode)
		}
		if got.IPString() != c.want {
			t.Errorf("%s: got %s, want %s", name, got.IPString(), c.want)
		}
		for _, h := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Forwarded-Host", "X-Forwarded-Proto"} {
			if left.Get(h) != "" {
				t.Errorf("%s: %s reached the handler", name, h)
			}
		}
	}
}

// Where the proxies write Forwarded, it counts, and X-Forwarded-For is the client's.
func TestProxyJudging_forwarded(t *testing.T) {
	t.Parallel()
	var got request.Info
	var log bytes.Buffer
	s := setup(t, server.Config{TrustedProxies: prefixes("10.0.0.0/8"), Forwarded: true, Logger: hclog.New(&hclog.LoggerOptions{Output: &log})}, map[string]http.HandlerFunc{
		"/who": func(_ http.ResponseWriter, r *http.Request) { got = request.From(r.Context()) },
	})
	for name, c := range map[string]struct {
		header []string
		want   string
	}{
		"Forwarded":                           {[]string{"Forwarded", `for=1.2.3.4, for="[2001:db8::7]:80";proto=https`}, "2001:db8::7"},
		"Forwarded, obfuscated":               {[]string{"Forwarded", "for=198.51.100.7, for=_hidden"}, "10.0.0.1"},
		"Forwarded, without for":              {[]string{"Forwarded", "proto=https"}, "10.0.0.1"},
		"the client's X-Forwarded-For passes": {[]string{"Forwarded", "for=198.51.100.7", "X-Forwarded-For", "1.2.3.4"}, "198.51.100.7"},
		"X-Forwarded-For alone":               {[]string{"X-Forwarded-For", "1.2.3.4"}, "10.0.0.1"},
		"X-Forwarded-For alone, again":        {[]string{"X-Forwarded-For", "1.2.3.5"}, "10.0.0.1"},
	} {
		r := newRequest("GET", "/who", c.header...)
		r.RemoteAddr = "10.0.0.1:1"
		if do(s, r); got.IPString() != c.want {
			t.Errorf("%s: got %s, want %s", name, got.IPString(), c.want)
		}
	}
	if n := strings.Count(log.String(), "server.forwarded_header"); n != 1 {
		t.Errorf("said %d times that the proxy sends the other header: %s", n, log.String())
	}
}

func FuzzProxyJudging(f *testing.F) {
	s := setup(f, server.Config{TrustedProxies: prefixes("10.0.0.0/8")}, map[string]http.HandlerFunc{
		"/who": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Who", request.From(r.Context()).IPString())
		},
	})
	f.Add("1.2.3.4, 10.0.0.1", "for=1.2.3.4", true)
	f.Add("[::1]:80", `for="[::1]:80";by=_x`, false)
	f.Fuzz(func(t *testing.T, xff, forwarded string, trusted bool) {
		r := newRequest("GET", "/who", "X-Forwarded-For", xff, "Forwarded", forwarded)
		if trusted {
			r.RemoteAddr = "10.0.0.1:1"
		}
		who := do(s, r).Header.Get("Who")
		if !trusted && who != "203.0.113.9" {
			t.Errorf("a forged header made the client %s", who)
		}
		if who == "" {
			t.Error("no address at all")
		}
	})
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	s := setup(t, server.Config{TrustedProxies: prefixes("10.0.0.0/8")}, map[string]http.HandlerFunc{"/x": func(http.ResponseWriter, *http.Request) {}})
	for name, c := range map[string]struct {
		peer string
		ids  []string
		kept bool
	}{
		"from a trusted proxy": {"10.0.0.1:1", []string{"abc-123"}, true},
		"from anybody":         {"203.0.113.9:1", []string{"abc-123"}, false},
		"too long":             {"10.0.0.1:1", []string{strings.Repeat("a", 65)}, false},
		"the longest":          {"10.0.0.1:1", []string{strings.Repeat("a", 64)}, true},
		"with a space":         {"10.0.0.1:1", []string{"a b"}, false},
		"with a newline":       {"10.0.0.1:1", []string{"a\nb"}, false},
		"not ASCII":            {"10.0.0.1:1", []string{"ä"}, false},
		"empty":                {"10.0.0.1:1", []string{""}, false},
		"two":                  {"10.0.0.1:1", []string{"a", "b"}, false},
	} {
		r := newRequest("GET", "/x")
		r.RemoteAddr = c.peer
		r.Header["X-Request-Id"] = c.ids
		got := do(s, r).Header.Get("X-Request-Id")
		if (got == c.ids[0]) != c.kept || got == "" || len(got) > 64 {
			t.Errorf("%s: %q became %q", name, c.ids, got)
		}
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	ok := map[string]http.HandlerFunc{"/x": func(http.ResponseWriter, *http.Request) {}}
	local := setup(t, server.Config{}, ok)
	public := setup(t, server.Config{BaseURL: "https://id.example.com", TrustedProxies: prefixes("10.0.0.0/8"), Hosts: []string{"login.example.com"}}, ok)
	for _, c := range []struct {
		s      *server.Server
		peer   string
		header []string
		path   string
		want   int
	}{
		{local, "", []string{"Host", "localhost:8484"}, "/x", 200},
		{local, "", []string{"Host", "LOCALHOST:8484"}, "/x", 200},
		{local, "", []string{"Host", "127.0.0.1:8484"}, "/x", 200},
		{local, "", []string{"Host", "[::1]:8484"}, "/x", 200},
		{local, "", []string{"Host", "localhost"}, "/x", 421},
		{local, "", []string{"Host", "evil.example:8484"}, "/x", 421}, // re-bound to 127.0.0.1
		{local, "", []string{"Host", "localhost.evil.example:8484"}, "/x", 421},
		{local, "", []string{"Host", ""}, "/x", 421},
		{local, "", []string{"Host", "10.1.2.3:8484"}, "/healthz", 200}, // probes ask by address
		{local, "", []string{"Host", "localhost:8484", "X-Forwarded-Host", "evil.example"}, "/x", 200},
		{public, "", []string{"Host", "id.example.com"}, "/x", 200},
		{public, "", []string{"Host", "id.example.com:443"}, "/x", 200},
		{public, "", []string{"Host", "login.example.com"}, "/x", 200},
		{public, "", []string{"Host", "localhost:8484"}, "/x", 421},
		{public, "", []string{"Host", "127.0.0.1:8484", "X-Forwarded-Host", "id.example.com"}, "/x", 421},
		{public, "10.0.0.1:1", []string{"Host", "127.0.0.1:8484", "X-Forwarded-Host", "id.example.com", "X-Forwarded-Proto", "https"}, "/x", 200},
		{public, "10.0.0.1:1", []string{"Host", "id.example.com", "X-Forwarded-Host", "evil.example"}, "/x", 421},
		{public, "10.0.0.1:1", []string{"Host", "id.example.com", "X-Forwarded-Proto", "http"}, "/x", 308},
	} {
		r := newRequest("GET", c.path, c.header...)
		if c.peer != "" {
			r.RemoteAddr = c.peer
		}
		if res := do(c.s, r); res.StatusCode != c.want {
			t.Errorf("%v from %q: %d, want %d", c.header, c.peer, res.StatusCode, c.want)
		}
	}
}

// TestLanguage: what the pages find out of a request is known to everything behind the edge; operators are answered in English.
func TestLanguage(t *testing.T) {
	t.Parallel()
	got := ""
	s, err := server.New(server.Config{
		BaseURL: "http://localhost:8484", Language: func(r *http.Request) string { return r.Header.Get("Accept-Language") + "!" },
		Mount: func(r *mux.Router) {
			r.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { got = request.From(r.Context()).Language }).Methods("GET")
		},
		Rules: endpoint.Table{"GET /": {Limit: ratelimit.General, Access: endpoint.Anyone}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "http://localhost:8484/", nil)
	r.Header.Set("Accept-Language", "de")
	s.Handler().ServeHTTP(httptest.NewRecorder(), r)
	if got != "de!" {
		t.Errorf("language %q", got)
	}
	s.ControlHandler().ServeHTTP(httptest.NewRecorder(), r.WithContext(request.With(r.Context(), request.Info{Operator: "0/root"})))
	if got != "" {
		t.Errorf("an operator's language is %q", got)
	}
}
