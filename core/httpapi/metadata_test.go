package httpapi_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/metadata/schema"
)

// identOptions have usernames, and a schema for what people keep themselves.
func identOptions(t *testing.T) authtest.Options {
	t.Helper()
	s, err := schema.Compile([]byte(`{"properties":{"prefs":{"properties":{"theme":{"enum":["light","dark"]}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return authtest.Options{
		Settings: flow.Settings{Usernames: flow.OptionalUsernames},
		Metadata: metadata.Rules{MaxBytes: 1024, Schemas: map[metadata.Scope]*schema.Schema{metadata.User: s}},
	}
}

func TestMetadata_whoMayWhat(t *testing.T) {
	t.Parallel()
	eachFlowWith(t, identOptions(t), func(t *testing.T, e *env) {
		at := "/v1/admin/users/" + e.user.Account.ID.String() + "/metadata/"
		for _, c := range []struct {
			name         string
			who          as
			method, path string
			status       int
		}{
			{"a stranger", stranger, "GET", at + "public", 401},
			{"a user, another's", ordinary, "GET", at + "public", 403},
			{"a user, writing", ordinary, "PUT", at + "user", 403},
			{"the application", theApplication, "PUT", at + "public", 200},
			{"the application, the person's", theApplication, "PUT", at + "user", 200},
			{"the application, private", theApplication, "GET", at + "private", 403},
			{"the application, writing private", theApplication, "PUT", at + "private", 403},
			{"the application, patching private", theApplication, "PATCH", at + "private", 403},
			{"an administrator", administrator, "PUT", at + "private", 200},
			{"an operator", theOperator, "PATCH", at + "private", 200},
			{"nobody's", administrator, "GET", "/v1/admin/users/" + uuid.NewString() + "/metadata/public", 404},
			{"no scope", administrator, "GET", at + "secret", 422},
			{"a stranger, own", stranger, "PUT", "/v1/account/metadata", 401},
			{"an operator, own", theOperator, "PUT", "/v1/account/metadata", 403},
			{"own", ordinary, "PUT", "/v1/account/metadata", 200},
		} {
			body := ""
			if c.method != "GET" {
				body = `{"by":"` + c.name + `"}`
			}
			if a := e.do(c.who, c.method, c.path, body); a.StatusCode != c.status {
				t.Errorf("%s: %d %s, want %d", c.name, a.StatusCode, a.body, c.status)
			}
		}
		p := read[httpapi.Profile](t, e.do(ordinary, "GET", "/v1/account", ""))
		if string(p.Public.Value) != `{"by":"the application"}` || string(p.User.Value) != `{"by":"own"}` || p.Email != "ada@example.com" {
			t.Errorf("%+v", p)
		}
		if a := e.do(ordinary, "GET", "/v1/account", ""); strings.Contains(a.body, "private") || strings.Contains(a.body, "operator") {
			t.Errorf("what administrators keep to themselves shows: %s", a.body)
		}
	})
}

func TestMetadata_changes(t *testing.T) {
	t.Parallel()
	eachFlowWith(t, identOptions(t), func(t *testing.T, e *env) {
		const own = "/v1/account/metadata"
		const patch = "application/merge-patch+json"
		for i, c := range []struct {
			method, body string
			header       []string
			status       int
			want         string // the object, or the problem's code and field
			etag         string
		}{
			{"PUT", `{"prefs":{"theme":"dark"},"n":1}`, []string{"If-Match", `"0"`}, 200, `{"n":1,"prefs":{"theme":"dark"}}`, `"1"`},
			{"PATCH", `{"n":null}`, []string{"If-Match", `"1"`, "Content-Type", "", "Content-Type", patch}, 200, `{"prefs":{"theme":"dark"}}`, `"2"`},
			{"PATCH", `{"n":2}`, []string{"If-Match", `"1"`}, 412, "metadata_changed If-Match", ""},
			{"PATCH", `{"n":2}`, []string{"If-Match", `2`}, 400, "malformed_header If-Match", ""},
			{"PATCH", `{"n":2}`, []string{"If-Match", `W/"2"`}, 400, "malformed_header If-Match", ""},
			{"PUT", `{"n":2}`, []string{"Content-Type", "", "Content-Type", patch}, 415, "unsupported_media_type ", ""},
			{"PATCH", `{"prefs":{"theme":"pink"}}`, nil, 422, "invalid_metadata user/prefs/theme", ""},
			{"PATCH", `{"x":"` + strings.Repeat("y", 1024) + `"}`, nil, 413, "metadata_too_large user", ""},
			{"PUT", `[]`, nil, 422, "", ""},
			{"PUT", `{"a":1,"a":2}`, nil, 400, "", ""},
			{"PUT", ``, nil, 400, "body_required ", ""},
			{"PUT", strings.Repeat(" ", 600<<10) + `{}`, nil, 413, "body_too_large ", ""},
			{"PATCH", `{}`, nil, 200, `{"prefs":{"theme":"dark"}}`, `"2"`},
		} {
			a := e.do(ordinary, c.method, own, c.body, c.header...)
			if a.StatusCode != c.status || a.Header.Get("ETag") != c.etag {
				t.Errorf("step %d: %d, ETag %s: %s", i, a.StatusCode, a.Header.Get("ETag"), a.body)
				continue
			}
			got := ""
			if a.StatusCode == 200 {
				got = string(read[httpapi.Metadata](t, a).Value)
			} else if p := a.problem(t); c.want != "" {
				got = p.Code + " " + p.Field
			}
			if got != c.want || strings.Contains(a.body, "pink") {
				t.Errorf("step %d: %s, want %s", i, a.body, c.want)
			}
		}
	})
}

func TestUsername_overTheAPI(t *testing.T) {
	t.Parallel()
	eachFlowWith(t, identOptions(t), func(t *testing.T, e *env) {
		users := "/v1/admin/users/"
		id := e.admin.Account.ID.String()
		for i, c := range []struct {
			who                as
			method, path, body string
			status             int
			want               string
		}{
			{ordinary, "PUT", "/v1/account/username", `{"username":"Ada"}`, 204, ""},
			{ordinary, "GET", "/v1/account", "", 200, `"username":"Ada"`},
			{ordinary, "PUT", "/v1/account/username", `{"username":"a b"}`, 422, `"field":"username"`},
			{ordinary, "PUT", "/v1/account/username", `{"username":"root"}`, 422, "username_reserved"},
			{stranger, "POST", "/v1/register", `{"email":"new@example.org","password":"a fine long password","username":"ADA"}`, 409, "username_taken"},
			{stranger, "POST", "/v1/register", `{"email":"admin@example.com","password":"a fine long password","username":"ADA"}`, 409, "username_taken"},
			{administrator, "PUT", users + id + "/username", `{"username":"ada"}`, 409, "username_taken"},
			{administrator, "PUT", users + id + "/username", `{"username":"Root"}`, 200, `"username":"Root"`},
			{ordinary, "PUT", users + id + "/username", `{"username":"eve"}`, 403, ""},
			{administrator, "GET", "/v1/admin/users?username=rOOt", "", 200, id},
			{administrator, "GET", "/v1/admin/users?username=nobody", "", 200, `"users":[]`},
			{administrator, "GET", "/v1/admin/users?query=roo", "", 200, id},
			{administrator, "POST", "/v1/admin/users", `{"email":"bob@example.org","username":"ada"}`, 409, "username_taken"},
			{administrator, "POST", "/v1/admin/users", `{"email":"bob@example.org","username":"Bob"}`, 201, `"username":"Bob"`},
			{administrator, "DELETE", users + id + "/username", "", 200, `"administrator":true`},
			{administrator, "GET", users + id, "", 200, `"email":"admin@example.com","status"`},
			{ordinary, "DELETE", "/v1/account/username", "", 204, ""},
		} {
			if a := e.do(c.who, c.method, c.path, c.body); a.StatusCode != c.status || !strings.Contains(a.body, c.want) {
				t.Errorf("step %d, %s %s: %d %s, want %d with %s", i, c.method, c.path, a.StatusCode, a.body, c.status, c.want)
			}
		}
		flow := read[httpapi.Registered](t, e.do(stranger, "POST", "/v1/register", `{"email":"new@example.org","password":"a fine long password","username":"ADA"}`)).Flow
		digits := code.FindString(e.mailTo("new@example.org", 1).Text)
		if a := e.do(stranger, "POST", "/v1/confirm", `{"flow":"`+flow+`","code":"`+digits+`"}`); a.StatusCode != 200 || strings.Contains(a.body, "username_taken") {
			t.Fatalf("confirm: %d %s", a.StatusCode, a.body)
		}
		if a := e.do(stranger, "POST", "/v1/login", `{"email":"ada","password":"a fine long password"}`); a.StatusCode != 200 {
			t.Errorf("sign-in by the username: %d %s", a.StatusCode, a.body)
		}
	})
}
