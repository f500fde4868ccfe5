package server_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"

	"github.com/gorilla/mux"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// methods are those of the routes that setup mounts.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// setup makes a server at http://localhost:8484 with the given routes, of class general where Config.Rules
// says nothing.
func setup(t testing.TB, cfg server.Config, routes map[string]http.HandlerFunc) *server.Server {
	t.Helper()
	if cfg.BaseURL == "" {
		cfg.BaseURL = "http://localhost:8484"
	}
	rules, declared := endpoint.Table{}, cfg.Rules
	cfg.Mount = func(r *mux.Router) {
		for path, h := range routes {
			r.HandleFunc(path, h).Methods(slices.Clone(methods)...) // mux writes into what it is given
			for _, m := range methods {
				if _, ok := declared.Find(m, path); !ok && m != http.MethodHead {
					rules[m+" "+path] = endpoint.Rules{Limit: ratelimit.General, Access: endpoint.Anyone, Body: 1 << 20}
				}
			}
		}
	}
	maps.Copy(rules, declared)
	cfg.Rules = rules
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newRequest(method, path string, header ...string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "localhost:8484"
	r.RemoteAddr = "203.0.113.9:50000"
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func do(s *server.Server, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Result()
}
