package httpapi_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/session"
)

type nobody struct{}

func (nobody) Resolve(context.Context, string) (session.Principal, error) {
	return session.Principal{Kind: "user"}, nil
}

func TestSmoke(t *testing.T) {
	a, err := httpapi.New(httpapi.Config{Sessions: nobody{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"GET /v1/session", "GET /v1/nope", "PUT /v1/login", "GET /openapi.json", "GET /problems/x", "POST /v1/login", "GET /v1/admin/users"} {
		m, path, _ := strings.Cut(p, " ")
		r := httptest.NewRequest(m, path, nil)
		r.Header.Set("Authorization", "Bearer x")
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		t.Log(p, w.Code, w.Header(), w.Body.String()[:min(w.Body.Len(), 600)])
	}
}
