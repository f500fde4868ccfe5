package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/server"
)

// A route that declares nothing is no route: the server is not made.
func TestNew_everyRouteDeclares(t *testing.T) {
	t.Parallel()
	nothing := func(http.ResponseWriter, *http.Request) {}
	page := func(r *mux.Router) { r.HandleFunc("/page", nothing).Methods("GET", "HEAD", "POST") }
	api := mux.NewRouter()
	api.HandleFunc("/v1/thing", nothing).Methods("POST")
	rules := endpoint.Table{"GET /page": {Limit: ratelimit.General, Access: endpoint.Anyone}}
	_, err := server.New(server.Config{BaseURL: "http://localhost:8484", Mount: page, API: api, Rules: rules})
	if err == nil || !strings.Contains(err.Error(), "POST /page") || !strings.Contains(err.Error(), "POST /v1/thing") || strings.Contains(err.Error(), "GET /page") {
		t.Errorf("got %v", err)
	}
	rules["POST /page"], rules["POST /v1/thing"] = rules["GET /page"], rules["GET /page"]
	if _, err = server.New(server.Config{BaseURL: "http://localhost:8484", Mount: page, API: api, Rules: rules}); err != nil {
		t.Error(err)
	}
}

// A core route answers to its own spelling alone: whatever a proxy in front refuses by path is not reached by another.
func TestRouter_escapedPaths(t *testing.T) {
	t.Parallel()
	api := mux.NewRouter()
	api.HandleFunc("/v1/session", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "session") }).Methods("GET")
	s := setup(t, server.Config{API: api, Rules: endpoint.Table{"GET /v1/session": {Limit: ratelimit.General, Access: endpoint.Anyone}}}, map[string]http.HandlerFunc{
		"/account/{id}": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "account") },
		"/name/{name}":  func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, mux.Vars(r)["name"]) },
	})
	for path, want := range map[string]int{
		"/v1/session": 200, "/v1%2fsession": 404, "/v1%2Fsession": 404, "/%761/session": 404, "/v1/sess%69on": 404, "/v1%5csession": 404, "/v1/%2e/session": 404,
		"/account/7": 200, "/account%2f7": 404, "/acc%6funt/7": 404, "/name/a%20b": 200, "/healthz": 200, "/health%7a": 404,
	} {
		if res := do(s, newRequest("GET", path)); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
}

// The body of a core route is bounded by what the route declares, before its handler sees it.
func TestRouter_declaredBody(t *testing.T) {
	t.Parallel()
	s := setup(t, server.Config{Rules: endpoint.Table{"POST /small": {Limit: ratelimit.General, Access: endpoint.Anyone, Body: 10}}}, map[string]http.HandlerFunc{
		"/small": func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			}
		},
	})
	for body, want := range map[string]int{"0123456789": 200, "0123456789a": 413} {
		r := newRequest("POST", "/small")
		r.Body = io.NopCloser(strings.NewReader(body))
		if res := do(s, r); res.StatusCode != want {
			t.Errorf("%q: %d, want %d", body, res.StatusCode, want)
		}
	}
}
