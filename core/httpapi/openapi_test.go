package httpapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/mail"
)

type document struct {
	OpenAPI    string                               `json:"openapi"`
	Paths      map[string]map[string]documentedPath `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Properties map[string]struct {
				Description string `json:"description"`
			} `json:"properties"`
		} `json:"schemas"`
		Responses       map[string]json.RawMessage `json:"responses"`
		SecuritySchemes map[string]json.RawMessage `json:"securitySchemes"`
	} `json:"components"`
}

type documentedPath struct {
	OperationID string                                   `json:"operationId"`
	Summary     string                                   `json:"summary"`
	Description string                                   `json:"description"`
	Tags        []string                                 `json:"tags"`
	Security    []map[string][]string                    `json:"security"`
	Parameters  []struct{ Name, In, Description string } `json:"parameters"`
	RequestBody json.RawMessage                          `json:"requestBody"`
	Responses   map[string]struct {
		Ref         string                     `json:"$ref"`
		Description string                     `json:"description"`
		Content     map[string]json.RawMessage `json:"content"`
	} `json:"responses"`
}

// full is the API with every operation there can be.
func full(t testing.TB) *httpapi.API {
	return must2(httpapi.New(httpapi.Config{Version: "1", Callers: strangers(), Administrators: allowed{}, Services: httpapi.Services{Inbox: &mail.Inbox{}}}))(t)
}

// The document lists exactly what the router serves, route by route and both ways.
func TestOpenAPI_isTheRouter(t *testing.T) {
	t.Parallel()
	api := full(t)
	w := httptest.NewRecorder()
	api.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	var doc document
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || w.Header().Get("Content-Type") != "application/openapi+json" {
		t.Errorf("OpenAPI %q as %q", doc.OpenAPI, w.Header().Get("Content-Type"))
	}
	documented := map[string]bool{}
	ids := map[string]bool{}
	for path, item := range doc.Paths {
		for method, op := range item {
			name := strings.ToUpper(method) + " " + path
			documented[name] = true
			checkOperation(t, name, op, doc)
			if ids[op.OperationID] {
				t.Errorf("%s: operationId %s is there twice", name, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	served := map[string]bool{}
	err := api.Handler().Walk(func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := r.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := r.GetMethods()
		if err != nil {
			return err
		}
		for _, m := range methods {
			if strings.HasPrefix(path, "/v1/") {
				served[m+" "+path] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(served)) {
		if !documented[name] {
			t.Errorf("%s is served and not documented", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if !served[name] {
			t.Errorf("%s is documented and not served", name)
		}
	}
	if len(served) < 30 {
		t.Errorf("only %d operations", len(served))
	}
	for name, s := range doc.Components.Schemas {
		for member, p := range s.Properties {
			if p.Description == "" {
				t.Errorf("schema %s: %s has no description", name, member)
			}
		}
	}
	for _, scheme := range []string{"cookie", "bearer", "application"} {
		if doc.Components.SecuritySchemes[scheme] == nil {
			t.Errorf("no security scheme %s", scheme)
		}
	}
}

func checkOperation(t *testing.T, name string, op documentedPath, doc document) {
	t.Helper()
	if op.OperationID == "" || op.Summary == "" || len(op.Description) < 10 || len(op.Tags) != 1 {
		t.Errorf("%s: incomplete: %+v", name, op)
	}
	for _, p := range op.Parameters {
		if p.Description == "" {
			t.Errorf("%s: parameter %s has no description", name, p.Name)
		}
	}
	want := []string{"400", "422", "429", "500", "503"}
	if len(op.Security) > 0 {
		want = append(want, "401")
	}
	if len(op.RequestBody) > 0 {
		want = append(want, "413", "415")
	}
	if strings.Contains(name, "/v1/admin/") || strings.Contains(name, "/v1/audit") {
		want = append(want, "401", "403")
	}
	success := false
	for status, r := range op.Responses {
		success = success || status[0] == '2'
		if r.Ref != "" {
			if doc.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")] == nil {
				t.Errorf("%s: %s refers to %s, which is not there", name, status, r.Ref)
			}
			continue
		}
		if r.Description == "" {
			t.Errorf("%s: %s has no description", name, status)
		}
		if status[0] != '2' && len(r.Content["application/problem+json"]) == 0 {
			t.Errorf("%s: %s is no problem", name, status)
		}
		if status[0] == '2' && status != "204" && len(r.Content) == 0 {
			t.Errorf("%s: %s has no content", name, status)
		}
	}
	if !success {
		t.Errorf("%s: no success", name)
	}
	for _, status := range want {
		if _, ok := op.Responses[status]; !ok {
			t.Errorf("%s: no %s", name, status)
		}
	}
}

// Every documented operation is guarded as documented: without credentials those with security answer 401.
func TestOpenAPI_securityIsTrue(t *testing.T) {
	t.Parallel()
	api := full(t)
	w := httptest.NewRecorder()
	api.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	var doc document
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths {
		path = strings.NewReplacer("{user_id}", "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11", "{name}", "x", "{sink}", "x", "{id}", "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11").Replace(path)
		for method, op := range item {
			if len(op.Security) == 0 {
				continue
			}
			w := httptest.NewRecorder()
			api.Handler().ServeHTTP(w, httptest.NewRequest(strings.ToUpper(method), path, nil))
			if w.Code != http.StatusUnauthorized {
				t.Errorf("%s %s answers a stranger %d", method, path, w.Code)
			}
		}
	}
}

func TestOpenAPI_yaml(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	full(t).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/openapi.yaml", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "openapi: 3.1.0") {
		t.Errorf("%d %.200s", w.Code, w.Body.String())
	}
}
