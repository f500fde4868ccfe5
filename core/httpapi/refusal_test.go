package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
)

// refusals is every way of sending nonsense we could think of, with what it is told.
var refusals = []struct {
	name   string
	who    as
	method string
	path   string
	body   string
	header []string
	status int
	code   string
	at     string // a location that errors must name
}{
	// Paths and methods.
	{"unknown path", stranger, "GET", "/v1/nope", "", nil, 404, "no_such_path", ""},
	{"a path with a slash more", administrator, "GET", "/v1/admin/users/", "", nil, 404, "no_such_path", ""},
	{"a doubled slash", stranger, "GET", "/v1//session", "", nil, 404, "no_such_path", ""},
	{"dots", stranger, "GET", "/v1/../v1/session", "", nil, 404, "no_such_path", ""},
	{"wrong method", stranger, "GET", "/v1/login", "", nil, 405, "method_not_allowed", ""},
	{"wrong method for the session check", stranger, "POST", "/v1/session", "{}", nil, 405, "method_not_allowed", ""},
	{"a made-up method", stranger, "FROB", "/v1/session", "", nil, 405, "method_not_allowed", ""},
	{"HEAD", stranger, "OPTIONS", "/v1/register", "", nil, 405, "method_not_allowed", ""},
	{"problem with a bad code", stranger, "GET", "/problems/Bad%20Code", "", nil, 404, "no_such_path", ""},

	// Who is asking.
	{"session check by nobody", stranger, "GET", "/v1/session", "", nil, 401, "unauthenticated", ""},
	{"session check with a made-up token", stranger, "GET", "/v1/session", "", []string{"Authorization", "Bearer nonsense"}, 401, "unauthenticated", ""},
	{"session check with a made-up cookie", stranger, "GET", "/v1/session", "", []string{"Cookie", "__Host-sigra_session=nonsense"}, 401, "unauthenticated", ""},
	{"basic credentials", stranger, "GET", "/v1/session", "", []string{"Authorization", "Basic YTpi"}, 401, "invalid_authorization", ""},
	{"bearer without a token", stranger, "GET", "/v1/session", "", []string{"Authorization", "Bearer "}, 401, "invalid_authorization", ""},
	{"bearer with two tokens", stranger, "GET", "/v1/session", "", []string{"Authorization", "Bearer a b"}, 401, "invalid_authorization", ""},
	{"two authorizations", administrator, "GET", "/v1/audit", "", []string{"Authorization", "Bearer b"}, 401, "invalid_authorization", ""},
	{"a bad header beside a good cookie", browser, "GET", "/v1/session", "", []string{"Authorization", "Bearer b"}, 401, "unauthenticated", ""},
	{"a very long token", stranger, "GET", "/v1/session", "", []string{"Authorization", "Bearer " + strings.Repeat("a", 5000)}, 401, "invalid_authorization", ""},
	{"administration by nobody", stranger, "GET", "/v1/admin/users", "", nil, 401, "unauthenticated", ""},
	{"administration by a user", ordinary, "GET", "/v1/admin/users", "", nil, 403, "administrator_required", ""},
	{"audit by a user", ordinary, "GET", "/v1/audit", "", nil, 403, "administrator_required", ""},
	{"stream by a user", ordinary, "GET", "/v1/audit/stream", "", nil, 403, "administrator_required", ""},
	{"export by a user", ordinary, "GET", "/v1/audit/export", "", nil, 403, "administrator_required", ""},
	{"events by a user", ordinary, "POST", "/v1/events", `{"id":"a","type":"a.b"}`, nil, 403, "application_required", ""},
	{"events by nobody", stranger, "POST", "/v1/events", `{"id":"a","type":"a.b"}`, nil, 401, "unauthenticated", ""},
	{"events with a wrong key", stranger, "POST", "/v1/events", `{"id":"a","type":"a.b"}`, []string{"Authorization", "Bearer wrong"}, 401, "unauthenticated", ""},
	{"the application's key elsewhere", theApplication, "GET", "/v1/audit", "", nil, 403, "administrator_required", ""},
	{"the application's key for an account", theApplication, "GET", "/v1/account/activity", "", nil, 403, "user_required", ""},
	{"the application's key as a cookie", stranger, "POST", "/v1/events", `{"id":"a","type":"a.b"}`, []string{"Cookie", "__Host-sigra_session=" + applicationKey}, 401, "unauthenticated", ""},
	{"an operator's password", theOperator, "PUT", "/v1/account/password", `{"current_password":"a","new_password":"b"}`, nil, 403, "user_required", ""},
	{"password change by nobody", stranger, "PUT", "/v1/account/password", `{"current_password":"a","new_password":"b"}`, nil, 401, "unauthenticated", ""},
	{"a refusal comes before the body is looked at", stranger, "POST", "/v1/admin/users", `{"email":`, nil, 401, "unauthenticated", ""},
	{"logout with a broken header", stranger, "POST", "/v1/logout", "", []string{"Authorization", "Bearer"}, 401, "invalid_authorization", ""},

	// Content types.
	{"no content type", stranger, "POST", "/v1/login", `{"email":"a","password":"b"}`, []string{"Content-Type", ""}, 415, "unsupported_media_type", ""},
	{"form", stranger, "POST", "/v1/login", `email=a&password=b`, []string{"Content-Type", "", "Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type", ""},
	{"text", stranger, "POST", "/v1/login", `{"email":"a","password":"b"}`, []string{"Content-Type", "", "Content-Type", "text/plain"}, 415, "unsupported_media_type", ""},
	{"another charset", stranger, "POST", "/v1/login", `{"email":"a","password":"b"}`, []string{"Content-Type", "", "Content-Type", "application/json; charset=utf-16"}, 415, "unsupported_media_type", ""},
	{"two content types", stranger, "POST", "/v1/login", `{"email":"a","password":"b"}`, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type", ""},
	{"a broken content type", stranger, "POST", "/v1/login", `{"email":"a","password":"b"}`, []string{"Content-Type", "", "Content-Type", "application/json; ;="}, 415, "unsupported_media_type", ""},
	{"compressed", stranger, "POST", "/v1/login", `{"email":"a","password":"b"}`, []string{"Content-Encoding", "gzip"}, 415, "unsupported_media_type", ""},

	// Bodies that are no JSON text.
	{"no body", stranger, "POST", "/v1/login", "", nil, 400, "body_required", ""},
	{"an open object", stranger, "POST", "/v1/login", `{"email":"a"`, nil, 400, "malformed_json", "body"},
	{"an open string", stranger, "POST", "/v1/login", `{"email":"a`, nil, 400, "malformed_json", "body"},
	{"a comma too many", stranger, "POST", "/v1/login", `{"email":"a",}`, nil, 400, "malformed_json", "body"},
	{"single quotes", stranger, "POST", "/v1/login", `{'email':'a'}`, nil, 400, "malformed_json", "body"},
	{"a bare word", stranger, "POST", "/v1/login", `hello`, nil, 400, "malformed_json", "body"},
	{"white space only", stranger, "POST", "/v1/login", "  \n", nil, 400, "malformed_json", "body"},
	{"a byte order mark", stranger, "POST", "/v1/login", "\ufeff{}", nil, 400, "malformed_json", "body"},
	{"not UTF-8", stranger, "POST", "/v1/login", "{\"email\":\"a\xff\",\"password\":\"b\"}", nil, 400, "malformed_json", "body"},
	{"half a surrogate pair", stranger, "POST", "/v1/login", `{"email":"\ud800","password":"b"}`, nil, 400, "malformed_json", "body"},
	{"a null character", stranger, "POST", "/v1/login", `{"email":"a\u0000b","password":"b"}`, nil, 400, "invalid_character", "body"},
	{"a null character in a name", stranger, "POST", "/v1/login", `{"em\u0000ail":"a"}`, nil, 400, "invalid_character", "body"},
	{"a control character", stranger, "POST", "/v1/login", "{\"email\":\"a\x01\"}", nil, 400, "malformed_json", "body"},
	{"a second value", stranger, "POST", "/v1/login", `{"email":"a","password":"b"} {}`, nil, 400, "trailing_data", "body"},
	{"a brace too many", stranger, "POST", "/v1/login", `{"email":"a","password":"b"}}`, nil, 400, "trailing_data", "body"},
	{"a member twice", stranger, "POST", "/v1/login", `{"email":"a","password":"b","email":"c"}`, nil, 400, "duplicate_member", "body"},
	{"a member twice by an escape", stranger, "POST", "/v1/login", `{"email":"a","password":"b","e\u006dail":"c"}`, nil, 400, "duplicate_member", "body"},
	{"too deep", stranger, "POST", "/v1/login", strings.Repeat("[", 100000), nil, 413, "body_too_large", ""},
	{"deep", stranger, "POST", "/v1/login", strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33), nil, 400, "too_deep", "body"},
	{"a huge number", theApplication, "POST", "/v1/events", `{"id":"a","type":"a.b","data":1e999}`, nil, 400, "number_out_of_range", "body"},
	{"too large for what it is", stranger, "POST", "/v1/magic-link/look", `{"token":"` + strings.Repeat("a", 9000) + `"}`, nil, 413, "body_too_large", ""},
	{"too large for a stranger", stranger, "POST", "/v1/events", `{"id":"` + strings.Repeat("a", 100000) + `"}`, nil, 401, "unauthenticated", ""},
	{"too much where nothing is taken", ordinary, "POST", "/v1/logout", `{"a":"` + strings.Repeat("a", 2000) + `"}`, nil, 413, "body_too_large", ""},
	{"too many values", stranger, "POST", "/v1/login", `{"x":[` + strings.Repeat("0,", 500) + `0]}`, nil, 400, "too_many_values", "body"},
	{"the inbox from elsewhere", stranger, "GET", "/v1/dev/mail", "", []string{"Test-Far", "yes"}, 403, "local_only", ""},
	{"too large", stranger, "POST", "/v1/login", `{"email":"` + strings.Repeat("a", 70000) + `","password":"b"}`, nil, 413, "body_too_large", ""},

	// Bodies that don't fit.
	{"an array", stranger, "POST", "/v1/login", `[]`, nil, 422, "validation_failed", "body"},
	{"null", stranger, "POST", "/v1/login", `null`, nil, 422, "validation_failed", "body"},
	{"a number for a string", stranger, "POST", "/v1/login", `{"email":1,"password":"b"}`, nil, 422, "validation_failed", "body.email"},
	{"null for a string", stranger, "POST", "/v1/login", `{"email":null,"password":"b"}`, nil, 422, "validation_failed", "body.email"},
	{"a missing member", stranger, "POST", "/v1/login", `{"email":"a"}`, nil, 422, "validation_failed", "body"},
	{"an empty member", stranger, "POST", "/v1/login", `{"email":"","password":"b"}`, nil, 422, "validation_failed", "body.email"},
	{"a long member", stranger, "POST", "/v1/login", `{"email":"` + strings.Repeat("a", 321) + `","password":"b"}`, nil, 422, "validation_failed", "body.email"},
	{"an unknown member", stranger, "POST", "/v1/login", `{"email":"a","password":"b","admin":true}`, nil, 422, "validation_failed", "body.admin"},
	{"a member in another case", stranger, "POST", "/v1/login", `{"Email":"a","password":"b"}`, nil, 422, "validation_failed", "body.Email"},
	{"a schema member", stranger, "POST", "/v1/login", `{"$schema":"x","email":"a","password":"b"}`, nil, 422, "validation_failed", "body.$schema"},
	{"a string for a boolean", stranger, "POST", "/v1/login", `{"email":"a","password":"b","remember":"yes"}`, nil, 422, "validation_failed", "body.remember"},
	{"an unknown delivery", stranger, "POST", "/v1/login", `{"email":"a","password":"b","token_delivery":"pigeon"}`, nil, 422, "validation_failed", "body.token_delivery"},
	{"a confirmation of nothing", stranger, "POST", "/v1/confirm", `{}`, nil, 422, "confirmation_incomplete", "body.code"},
	{"a domain method's refusal", stranger, "POST", "/v1/password/set", `{"token":"t","password":"short"}`, nil, 422, "password_too_short", "body.password"},

	// Queries.
	{"a query for the session check", ordinary, "GET", "/v1/session?verbose=1", "", nil, 422, "validation_failed", "query.verbose"},
	{"an unknown parameter", administrator, "GET", "/v1/audit?colour=red", "", nil, 422, "validation_failed", "query.colour"},
	{"a parameter twice", administrator, "GET", "/v1/audit?limit=1&limit=2", "", nil, 400, "duplicate_parameter", "query.limit"},
	{"a broken escape", administrator, "GET", "/v1/audit?action=%zz", "", nil, 400, "malformed_query", "query"},
	{"a semicolon", administrator, "GET", "/v1/audit?a=1;b=2", "", nil, 400, "malformed_query", "query"},
	{"no text", administrator, "GET", "/v1/audit?actor_id=%ff", "", nil, 400, "malformed_query", "query.actor_id"},
	{"a null character in a query", administrator, "GET", "/v1/audit?actor_id=a%00b", "", nil, 400, "malformed_query", "query.actor_id"},
	{"limit zero", administrator, "GET", "/v1/audit?limit=0", "", nil, 422, "validation_failed", "query.limit"},
	{"limit below zero", administrator, "GET", "/v1/audit?limit=-1", "", nil, 422, "validation_failed", "query.limit"},
	{"limit too high", administrator, "GET", "/v1/audit?limit=201", "", nil, 422, "validation_failed", "query.limit"},
	{"limit no number", administrator, "GET", "/v1/audit?limit=many", "", nil, 422, "validation_failed", "query.limit"},
	{"limit huge", administrator, "GET", "/v1/audit?limit=99999999999999999999", "", nil, 422, "validation_failed", "query.limit"},
	{"a made-up cursor", administrator, "GET", "/v1/audit?cursor=abc", "", nil, 422, "cursor_invalid", "query.cursor"},
	{"a made-up cursor for accounts", administrator, "GET", "/v1/admin/users?cursor=abc", "", nil, 422, "invalid_cursor", "query.cursor"},
	{"an unknown outcome", administrator, "GET", "/v1/audit?outcome=maybe", "", nil, 422, "validation_failed", "query.outcome"},
	{"a pattern that is none", administrator, "GET", "/v1/audit?action=auth.%25", "", nil, 422, "validation_failed", "query.action"},
	{"a time that is none", administrator, "GET", "/v1/audit?from=yesterday", "", nil, 422, "validation_failed", "query.from"},
	{"a type without an id", administrator, "GET", "/v1/audit?target_type=user", "", nil, 422, "filter_invalid", "query.target_id"},
	{"an id that is none", administrator, "GET", "/v1/audit?session_id=7", "", nil, 422, "validation_failed", "query.session_id"},
	{"an unknown format", administrator, "GET", "/v1/audit/export?format=xml", "", nil, 422, "validation_failed", "query.format"},
	{"an export that fails before its first row", administrator, "GET", "/v1/audit/export?target_type=user", "", nil, 422, "filter_invalid", "query.target_id"},
	{"a made-up Last-Event-ID", administrator, "GET", "/v1/audit/stream", "", []string{"Last-Event-ID", "17"}, 422, "invalid_position", "header.Last-Event-ID"},
	{"a made-up position", administrator, "GET", "/v1/audit/stream?after=17", "", nil, 422, "validation_failed", "query.after"},

	// Events.
	{"no event", theApplication, "POST", "/v1/events", `[]`, nil, 422, "validation_failed", "body"},
	{"a string for an event", theApplication, "POST", "/v1/events", `"hello"`, nil, 422, "validation_failed", "body"},
	{"a number among events", theApplication, "POST", "/v1/events", `[{"id":"a","type":"a.b"},7]`, nil, 422, "validation_failed", "body[1]"},
	{"an event without a type", theApplication, "POST", "/v1/events", `[{"id":"a","type":"a.b"},{"id":"b"}]`, nil, 422, "validation_failed", "body[1]"},
	{"an event of Sigra's own", theApplication, "POST", "/v1/events", `[{"id":"a","type":"a.b"},{"id":"b","type":"auth.login.success"}]`, nil, 422, "event_invalid", "body[1].type"},
	{"one event of Sigra's own", theApplication, "POST", "/v1/events", `{"id":"b","type":"auth.login.success"}`, nil, 422, "event_invalid", "body.type"},
	{"an event in the year 1", theApplication, "POST", "/v1/events", `{"id":"b","type":"a.b","occurred_at":"0001-02-03T00:00:00Z"}`, nil, 422, "event_invalid", "body.occurred_at"},
	{"an event at no time", theApplication, "POST", "/v1/events", `{"id":"b","type":"a.b","occurred_at":"today"}`, nil, 422, "validation_failed", "body.occurred_at"},
	{"an event with more", theApplication, "POST", "/v1/events", `{"id":"b","type":"a.b","position":"0"}`, nil, 422, "validation_failed", "body.position"},
	{"501 events", theApplication, "POST", "/v1/events", "[" + strings.Repeat(`{},`, 500) + "{}]", nil, 422, "validation_failed", "body"},

	// Administration.
	{"a user id that is none", administrator, "GET", "/v1/admin/users/7", "", nil, 422, "validation_failed", "path.user_id"},
	{"a user who is not there", administrator, "GET", "/v1/admin/users/0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b99", "", nil, 404, "account_not_found", ""},
	{"an address that is taken", administrator, "POST", "/v1/admin/users", `{"email":"ada@example.com"}`, nil, 409, "email_taken", "body.email"},
	{"a status that does not allow it", administrator, "POST", "/v1/admin/users/0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b99/enable", "", nil, 409, "account_active", ""},
	{"an unknown status", administrator, "GET", "/v1/admin/users?status=asleep", "", nil, 422, "validation_failed", "query.status"},
	{"a plugin that is not there", administrator, "GET", "/v1/admin/plugins/nope", "", nil, 404, "plugin_not_found", ""},
	{"a plugin name that is none", administrator, "GET", "/v1/admin/plugins/UP", "", nil, 422, "validation_failed", "path.name"},
	{"purging what runs", administrator, "DELETE", "/v1/admin/plugins/threadline/data", "", nil, 409, "plugin_running", ""},
	{"an invalid configuration", theOperator, "POST", "/v1/admin/reload", "", nil, 422, "invalid_configuration", "sigra.hcl:3:5"},

	// What the domain says.
	{"wrong password", stranger, "POST", "/v1/login", `{"email":"a","password":"wrong"}`, nil, 401, "invalid_credentials", ""},
	{"rate limit", stranger, "POST", "/v1/login", `{"email":"a","password":"slow down"}`, nil, 429, "too_many_attempts", ""},
	{"busy", stranger, "POST", "/v1/login", `{"email":"a","password":"busy"}`, nil, 503, "busy", ""},
	{"denied", stranger, "POST", "/v1/login", `{"email":"a","password":"denied"}`, nil, 403, "sign_in_refused", ""},
	{"a defect", stranger, "POST", "/v1/login", `{"email":"a","password":"broken"}`, nil, 500, "internal", ""},
	{"an internal fault keeps its words", stranger, "POST", "/v1/login", `{"email":"a","password":"internal fault"}`, nil, 500, "internal", ""},
	{"wrong current password", ordinary, "PUT", "/v1/account/password", `{"current_password":"wrong","new_password":"b"}`, nil, 403, "wrong_password", "body.current_password"},
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		for _, c := range refusals {
			t.Run(c.name, func(t *testing.T) {
				a := e.do(c.who, c.method, c.path, c.body, c.header...)
				p := a.problem(t)
				if a.StatusCode != c.status || p.Status != c.status || p.Code != c.code {
					t.Fatalf("want %d %s, got %d %s", c.status, c.code, a.StatusCode, a.body)
				}
				if p.Type != "/problems/"+c.code || p.Title == "" || p.Detail == "" || p.RequestID != "test-request" {
					t.Errorf("incomplete: %s", a.body)
				}
				if a.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("Cache-Control %q", a.Header.Get("Cache-Control"))
				}
				named := c.at == ""
				for _, d := range p.Errors {
					named = named || d.Location == c.at
				}
				if !named {
					t.Errorf("nothing is said at %s: %s", c.at, a.body)
				}
				silent(t, a)
				for _, name := range map[int][]string{401: {"WWW-Authenticate"}, 405: {"Allow"}, 429: {"Retry-After", "RateLimit-Reset", "RateLimit-Remaining"}, 503: {"Retry-After"}}[c.status] {
					if a.Header.Get(name) == "" {
						t.Errorf("no %s", name)
					}
				}
				if len(a.Header.Values("Set-Cookie")) > 0 {
					t.Errorf("a refusal set a cookie")
				}
			})
		}
	})
}

// silent holds that an answer shows nothing of how the server is made.
func silent(t testing.TB, a answer) {
	t.Helper()
	for _, word := range []string{"goroutine", ".go:", "SELECT", "pgconn", "sqlite", "Go value", "Go struct", "*httpapi", "strconv", "json:", "secret words", "secret_code", "interface {}", "runtime"} {
		if strings.Contains(a.body, word) {
			t.Errorf("the answer shows %q: %s", word, a.body)
		}
	}
}

func TestRefusals_sayWhere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		p := e.do(stranger, "POST", "/v1/login", "{\n  \"email\": \"a\",\n  \"password\" \"b\"\n}").problem(t)
		d := p.Errors[0]
		if d.Line != 3 || d.Column != 14 || d.Offset != 31 {
			t.Errorf("got line %d, column %d, offset %d: %s", d.Line, d.Column, d.Offset, p.Detail)
		}
		p = e.do(stranger, "POST", "/v1/login", "{\n \"email\": \"a\", \"email\": \"b\"}").problem(t)
		if d := p.Errors[0]; d.Line != 2 || d.Column != 16 {
			t.Errorf("got line %d, column %d: %s", d.Line, d.Column, p.Detail)
		}
		a := e.do(stranger, "GET", "/v1/account/password", "")
		if got := a.Header.Get("Allow"); got != "POST, PUT" {
			t.Errorf("Allow: %q", got)
		}
		if got := e.do(administrator, "PATCH", "/v1/admin/users", "").Header.Get("Allow"); got != "GET, POST" {
			t.Errorf("Allow: %q", got)
		}
		if got := e.do(stranger, "POST", "/v1/login", `{"email":"a","password":"slow down"}`).Header.Get("Retry-After"); got != "91" {
			t.Errorf("Retry-After: %q", got)
		}
	})
}

// A value that was sent is never sent back: it may be a password.
func TestRefusals_echoNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		for _, body := range []string{
			`{"email":"a","password":"hunter2hunter2","x":1}`, `{"email":1,"password":"hunter2hunter2"}`, `{"email":"a","password":{"p":"hunter2hunter2"}}`,
			`{"email":"a","password":"hunter2hunter2"`, `{"email":"a","password":"hunter2hunter2"}x`, `["hunter2hunter2"]`, `"hunter2hunter2"`,
		} {
			a := e.do(stranger, http.MethodPost, "/v1/login", body)
			if a.StatusCode < 400 || strings.Contains(a.body, "hunter2") {
				t.Errorf("%s was answered %d %s", body, a.StatusCode, a.body)
			}
		}
	})
}
