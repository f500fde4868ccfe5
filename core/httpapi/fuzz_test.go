package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/event"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/request"
)

// memory answers what the parsers of the edge let through, without a database, so that a fuzzer gets far.
type memory struct{}

func (memory) Query(_ context.Context, f audit.Filter) (audit.Page, error) { return audit.Page{}, nil }
func (memory) Export(context.Context, audit.Filter, io.Writer, string, func(int)) (int, error) {
	return 0, nil
}
func (memory) Head(context.Context) (audit.Position, error) { return audit.Position{}, nil }
func (memory) Follow(context.Context, audit.Position, time.Duration, func([]audit.Row) error) error {
	return nil
}
func (memory) Publish(_ context.Context, e []event.Event) (int, int, error) { return len(e), 0, nil }
func (memory) Read(_ context.Context, after audit.Position, _ int) ([]event.Event, audit.Position, error) {
	return nil, after, nil
}

func fuzzed(t testing.TB) http.Handler {
	api := must2(httpapi.New(httpapi.Config{Callers: strangers(), Administrators: allowed{}, Recent: anytime, Services: httpapi.Services{SignUps: fixed{}, SignIns: fixed{}, PasswordResets: fixed{}, OwnPassword: fixed{}, Users: fixed{}, Audit: memory{}, Events: memory{}}}))(t)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api.Handler().ServeHTTP(w, r.WithContext(request.With(r.Context(), request.Info{Operator: "fuzz"})))
	})
}

// decent holds that an answer is one the API gives on purpose.
func decent(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code >= 500 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w.Code >= 400 {
		var p httpapi.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Code == "" || p.Detail == "" || p.Status != w.Code {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, word := range []string{".go:", "Go value", "Go struct", "json:", "strconv", "interface {}", "runtime error"} {
			if strings.Contains(p.Detail, word) {
				t.Fatalf("the answer shows %q: %s", word, w.Body)
			}
		}
	}
}

// FuzzBody sends bodies to the operations that take one. What gets through is JSON that any parser reads alike.
func FuzzBody(f *testing.F) {
	for _, c := range refusals {
		if c.body != "" && len(c.body) < 1000 {
			f.Add(c.body)
		}
	}
	f.Add(`{"email":"a","password":"b","remember":true,"token_delivery":"body"}`)
	f.Add(`[{"id":"a","type":"a.b","occurred_at":"2026-01-01T00:00:00Z","data":{"a":[1,2.5,"\u00e9",null]}}]`)
	h := fuzzed(f)
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"POST /v1/login", "POST /v1/register", "POST /v1/confirm", "POST /v1/events"} {
			method, path, _ := strings.Cut(path, " ")
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			if strings.Contains(body, "broken") || strings.Contains(body, "panic") || strings.Contains(body, "busy") || strings.Contains(body, "internal fault") {
				return // words that the fixed answers act on
			}
			h.ServeHTTP(w, r)
			decent(t, w)
			if w.Code < 300 && !json.Valid([]byte(body)) {
				t.Fatalf("%q was taken by %s", body, path)
			}
		}
	})
}

// FuzzQuery sends queries and cursors.
func FuzzQuery(f *testing.F) {
	for _, c := range refusals {
		if _, q, ok := strings.Cut(c.path, "?"); ok {
			f.Add(q, "")
		}
	}
	f.Add("action=auth.*&limit=5&from=2026-01-01T00:00:00Z&session_id=0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11", "00000000000000000000000000000000000000ff")
	h := fuzzed(f)
	f.Fuzz(func(t *testing.T, query, id string) {
		if strings.ContainsAny(query, " #\r\n\t") || !ascii(query) || !ascii(id) {
			return // never reaches a handler: net/http refuses it
		}
		for _, path := range []string{"/v1/audit", "/v1/audit/export", "/v1/audit/stream", "/v1/admin/events", "/v1/admin/users", "/v1/session"} {
			r := httptest.NewRequest("GET", path, nil)
			r.URL = &url.URL{Path: path, RawQuery: query}
			if id != "" {
				r.Header.Set("Last-Event-ID", id)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code == 503 && path == "/v1/admin/users" {
				continue // there are no accounts here
			}
			decent(t, w)
		}
	})
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// FuzzAuthorization sends credentials to the session check.
func FuzzAuthorization(f *testing.F) {
	f.Add("Bearer abc", "__Host-sigra_session=abc")
	f.Add("Basic YTpi", "a=b; __Host-sigra_session=")
	h := must2(httpapi.New(httpapi.Config{Callers: strangers(), Administrators: allowed{}}))(f).Handler()
	f.Fuzz(func(t *testing.T, authorization, cookie string) {
		r := httptest.NewRequest("GET", "/v1/session", nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 401 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		decent(t, w)
	})
}
