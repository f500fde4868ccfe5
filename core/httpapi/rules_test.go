package httpapi_test

import (
	"encoding/json"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// declared is what the document says of an operation beyond OpenAPI.
type declared struct {
	Limit      ratelimit.Class `json:"x-sigra-limit"`
	Access     endpoint.Access `json:"x-sigra-access"`
	MaxBody    int64           `json:"x-sigra-max-body"`
	Recent     *bool           `json:"x-sigra-recent-authentication"`
	Body       json.RawMessage `json:"requestBody"`
	Responses  map[string]any  `json:"responses"`
	Parameters []any           `json:"parameters"`
}

// Every route of the router has rules; every operation of the document says the same of itself, and names every status that
// follows from it.
func TestRules_everyOperationDeclares(t *testing.T) {
	t.Parallel()
	api := full(t)
	rules := api.Rules()
	routes := 0
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
			routes++
			if _, ok := rules.Find(m, path); !ok {
				t.Errorf("%s %s is served and declares nothing", m, path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if routes != len(rules) {
		t.Errorf("%d routes and %d declarations", routes, len(rules))
	}

	w := httptest.NewRecorder()
	api.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	var doc struct {
		Paths map[string]map[string]declared `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths {
		for method, op := range item {
			name := strings.ToUpper(method) + " " + path
			got, ok := rules.Find(strings.ToUpper(method), path)
			want := endpoint.Rules{Limit: op.Limit, Access: op.Access, Body: op.MaxBody, Recent: op.Recent != nil && *op.Recent}
			if !ok || got != want || op.Recent == nil {
				t.Errorf("%s declares %+v, and the document says %+v", name, got, want)
			}
			if got.Limit == ratelimit.Exempt {
				t.Errorf("%s is not limited at all", name)
			}
			statuses := []int{429, 500, 503}
			if len(op.Body) > 0 {
				statuses = append(statuses, 400, 408, 413, 415, 422)
			}
			if len(op.Parameters) > 0 {
				statuses = append(statuses, 400, 422)
			}
			switch got.Access {
			case endpoint.SignedIn, endpoint.Application, endpoint.Administrator:
				statuses = append(statuses, 401, 403)
			case endpoint.Authenticated:
				statuses = append(statuses, 401)
			case endpoint.ThisMachine:
				statuses = append(statuses, 403)
			case endpoint.Anyone:
			}
			for _, s := range statuses {
				if op.Responses[strconv.Itoa(s)] == nil {
					t.Errorf("%s can be answered %d, and the document does not say so", name, s)
				}
			}
		}
	}
}

// What tries something secret, has an email sent, or costs a hash is limited as such. The list is by hand on purpose: whoever adds
// an operation to a class changes it knowingly.
func TestRules_classes(t *testing.T) {
	t.Parallel()
	want := map[ratelimit.Class][]string{
		ratelimit.Hash: {"POST /v1/login", "PUT /v1/account/password", "POST /v1/account/password"},
		ratelimit.Mail: {
			"POST /v1/register", "POST /v1/confirm/resend", "POST /v1/password/reset", "POST /v1/magic-link", "POST /v1/step-up/mail", "POST /v1/account/email",
			"POST /v1/admin/mail/test", "POST /v1/organizations/{organization}/invitations", "POST /v1/organizations/{organization}/invitations/{invitation_id}/resend",
		},
		ratelimit.Check: {"GET /v1/session"},
		ratelimit.Guess: {
			"POST /v1/confirm", "POST /v1/password/set", "POST /v1/login/second-factor", "POST /v1/login/passkey", "POST /v1/magic-link/approve",
			"POST /v1/magic-link/sign-in", "POST /v1/step-up", "POST /v1/account/totp/confirm", "POST /v1/account/email/confirm", "POST /v1/account/email/undo",
			"POST /v1/invitation", "POST /v1/invitation/accept", "POST /v1/invitation/decline",
		},
	}
	class := map[string]ratelimit.Class{}
	for c, list := range want {
		for _, name := range list {
			class[name] = c
		}
	}
	rules := full(t).Rules()
	for name, r := range rules {
		c, ok := class[name]
		if !ok {
			c = ratelimit.General
		}
		if r.Limit != c {
			t.Errorf("%s is of class %s, want %s", name, r.Limit, c)
		}
		delete(class, name)
	}
	for name := range class {
		t.Errorf("there is no %s", name)
	}
}

// An operation that leaves something open does not mount.
func TestRules_nothingMountsWithout(t *testing.T) {
	t.Parallel()
	for want, change := range httpapi.Undeclared {
		if err := change(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// A body of mistakes is answered with twenty of them, whatever their number.
func TestRefusals_areBounded(t *testing.T) {
	t.Parallel()
	e := protocolEnv(t)
	var members strings.Builder
	for i := range 80 {
		members.WriteString(`,"m` + strconv.Itoa(i) + `":1`)
	}
	a := e.do(stranger, "POST", "/v1/login", `{"email":"a","password":"b"`+members.String()+`}`)
	if p := a.problem(t); a.StatusCode != 422 || len(p.Errors) != 20 || len(a.body) > 4<<10 {
		t.Errorf("%d, %d places, %d bytes", a.StatusCode, len(p.Errors), len(a.body))
	}
	var query strings.Builder
	for i := range 300 {
		query.WriteString("&q" + strconv.Itoa(i) + "=1")
	}
	for _, path := range []string{"/v1/session?", "/v1/audit?"} {
		a := e.do(administrator, "GET", path+query.String(), "")
		if p := a.problem(t); a.StatusCode != 422 || len(p.Errors) > 20 || len(a.body) > 4<<10 {
			t.Errorf("%s: %d, %d places, %d bytes", path, a.StatusCode, len(p.Errors), len(a.body))
		}
	}
}
