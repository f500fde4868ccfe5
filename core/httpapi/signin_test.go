package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/httpapi"
)

const fixedSession = `{"session":{"kind":"user","user_id":"0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11","session_id":"0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b12","email":"ada@example.com","display":"ada@example.com","administrator":false,"aal":"aal1","amr":["pwd"],"auth_time":"2026-03-04T05:06:07.000008Z","created_at":"2026-03-04T05:06:07.000008Z","expires_at":"2026-03-05T05:06:07.000008Z"}`

// Cookies and bodies of every way of getting and losing a session, byte by byte.
func TestSignIn_cookiesAndBodies(t *testing.T) {
	t.Parallel()
	const (
		set        = "__Host-sigra_session=tok-1; Path=/; HttpOnly; Secure; SameSite=Lax"
		persistent = "__Host-sigra_session=tok-1; Path=/; Expires=Thu, 05 Mar 2026 05:06:07 GMT; HttpOnly; Secure; SameSite=Lax"
		cleared    = "__Host-sigra_session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
	)
	for _, c := range []struct {
		name, method, path, body string
		who                      as
		status                   int
		cookie, answer           string
	}{
		{"sign in", "POST", "/v1/login", `{"email":"a","password":"b"}`, stranger, 200, set, fixedSession + "}"},
		{"sign in, remembered", "POST", "/v1/login", `{"email":"a","password":"b","remember":true}`, stranger, 200, persistent, fixedSession + "}"},
		{"sign in, cookie by name", "POST", "/v1/login", `{"email":"a","password":"b","token_delivery":"cookie"}`, stranger, 200, set, fixedSession + "}"},
		{"sign in, body", "POST", "/v1/login", `{"email":"a","password":"b","remember":true,"token_delivery":"body"}`, stranger, 200, "", fixedSession + `,"token":"tok-1"}`},
		{"sign in while signed in", "POST", "/v1/login", `{"email":"a","password":"b"}`, browser, 200, set, fixedSession + "}"},
		{"confirm", "POST", "/v1/confirm", `{"flow":"f","code":"123456"}`, stranger, 200, set, fixedSession + "}"},
		{"confirm, body", "POST", "/v1/confirm", `{"token":"t","password":"p","token_delivery":"body"}`, stranger, 200, "", fixedSession + `,"token":"tok-1"}`},
		{"set password", "POST", "/v1/password/set", `{"token":"t","password":"long enough"}`, stranger, 200, set, fixedSession + "}"},
		{"change password with a cookie", "PUT", "/v1/account/password", `{"current_password":"a","new_password":"b"}`, browser, 200, persistent, fixedSession + "}"},
		{"change password with a bearer token", "PUT", "/v1/account/password", `{"current_password":"a","new_password":"b"}`, ordinary, 200, "", fixedSession + `,"token":"tok-1"}`},
		{"change password with a bearer token, cookie asked for", "PUT", "/v1/account/password", `{"current_password":"a","new_password":"b","token_delivery":"cookie"}`, ordinary, 200, persistent, fixedSession + "}"},
		{"register", "POST", "/v1/register", `{"email":"a","password":"b"}`, stranger, 202, "", `{"flow":"flow-1"}`},
		{"register, deferred", "POST", "/v1/register", `{"email":"deferred@example.com","password":"b"}`, stranger, 202, set, `{"flow":"flow-1",` + strings.TrimPrefix(fixedSession, "{") + "}"},
		{"sign out", "POST", "/v1/logout", "", browser, 204, cleared, ""},
		{"sign out with a body", "POST", "/v1/logout", "{}", browser, 204, cleared, ""},
		{"sign out of nothing", "POST", "/v1/logout", "", stranger, 204, cleared, ""},
		{"sign out with a bearer token", "POST", "/v1/logout", "", ordinary, 204, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := protocolEnv(t)
			a := e.do(c.who, c.method, c.path, c.body)
			if a.StatusCode != c.status || strings.TrimSuffix(a.body, "\n") != c.answer {
				t.Errorf("got %d %s\nwant %d %s", a.StatusCode, a.body, c.status, c.answer)
			}
			if got := strings.Join(a.Header.Values("Set-Cookie"), "\n"); got != c.cookie {
				t.Errorf("got cookie  %s\nwant        %s", got, c.cookie)
			}
			if a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control: %q", a.Header.Get("Cache-Control"))
			}
		})
	}
}

func TestSignOut_goneSession(t *testing.T) {
	t.Parallel()
	e := protocolEnv(t)
	if a := e.do(stranger, "POST", "/v1/logout", "", "Cookie", "__Host-sigra_session=gone"); a.StatusCode != 204 || len(a.Header.Values("Set-Cookie")) != 1 {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

func TestAdministration(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		for _, who := range []as{administrator, theOperator} {
			page := read[httpapi.UserPage](t, e.do(who, "GET", "/v1/admin/users?limit=1", ""))
			if len(page.Users) != 1 || page.Next == "" || page.Users[0].Email != "ada@example.com" {
				t.Errorf("first page: %+v", page)
			}
			page = read[httpapi.UserPage](t, e.do(who, "GET", "/v1/admin/users?limit=1&cursor="+page.Next, ""))
			if len(page.Users) != 1 || page.Next != "" || page.Users[0].Email != "admin@example.com" || !page.Users[0].Administrator {
				t.Errorf("second page: %+v", page)
			}
			page = read[httpapi.UserPage](t, e.do(who, "GET", "/v1/admin/users?email=ADA@example.com", ""))
			if len(page.Users) != 1 || page.Users[0].ID != e.user.Account.ID {
				t.Errorf("by address: %+v", page)
			}
			if a := e.do(who, "GET", "/v1/admin/users?email=nobody@example.com", ""); a.body != "{\"users\":[]}\n" {
				t.Errorf("by an unknown address: %d %s", a.StatusCode, a.body)
			}
			detail := read[httpapi.UserDetail](t, e.do(who, "GET", "/v1/admin/users/"+e.user.Account.ID.String(), ""))
			if detail.User.Email != "ada@example.com" || len(detail.Sessions) != 1 {
				t.Errorf("detail: %+v", detail)
			}
			made := e.do(who, "POST", "/v1/admin/users", `{"email":"new@example.com","administrator":true}`)
			if made.StatusCode != 201 || read[httpapi.Invitation](t, made).Link != "http://localhost:8484/set-password?token=link-token" {
				t.Errorf("create: %d %s", made.StatusCode, made.body)
			}
			for path, status := range map[string]int{
				"GET /v1/admin/plugins": 200, "GET /v1/admin/plugins/threadline": 200, "POST /v1/admin/plugins/threadline/check": 200,
				"POST /v1/admin/plugins/threadline/restart": 200, "GET /v1/admin/status": 200, "GET /v1/admin/migrations": 200, "GET /v1/admin/keys": 200,
				"POST /v1/admin/keys/rotate": 201, "POST /v1/admin/users/" + e.user.Account.ID.String() + "/disable": 200,
				"POST /v1/admin/users/" + e.user.Account.ID.String() + "/reset-link": 201, "GET /v1/audit": 200, "GET /v1/admin/events": 200,
			} {
				method, path, _ := strings.Cut(path, " ")
				if a := e.do(who, method, path, ""); a.StatusCode != status {
					t.Errorf("%s %s: %d %s", method, path, a.StatusCode, a.body)
				}
			}
		}
		for path, want := range map[string]string{
			"threadline": `200 {"stdout":"cmFuIGxpc3Q="}` + "\n" + `{"end":{"exit_code":0}}` + "\n", "nope": "404 ",
		} {
			if a := e.do(administrator, "POST", "/v1/admin/plugins/"+path+"/commands", `{"command":"list"}`); !strings.HasPrefix(fmt.Sprintf("%d %s", a.StatusCode, a.body), want) {
				t.Errorf("command of %s: %d %s", path, a.StatusCode, a.body)
			}
		}
		if a := e.do(administrator, "POST", "/v1/admin/reload", ""); a.StatusCode != 200 || !read[httpapi.Reloaded](t, a).Applied {
			t.Errorf("reload: %d %s", a.StatusCode, a.body)
		}
		if a := e.do(administrator, "DELETE", "/v1/admin/users/"+e.user.Account.ID.String()+"/sessions", ""); a.body != "{\"sessions\":1}\n" {
			t.Errorf("revoke: %d %s", a.StatusCode, a.body)
		}
		if a := e.do(ordinary, "GET", "/v1/session", ""); a.StatusCode != 401 {
			t.Errorf("a revoked session was answered %d", a.StatusCode)
		}
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		for i, who := range []as{theApplication, administrator, theOperator} {
			one := `{"id":"evt-` + string(rune('a'+i)) + `","type":"billing.invoice.paid","subject":"user:7","data":{"amount":12.50}}`
			if a := e.do(who, "POST", "/v1/events", one); a.StatusCode != 202 || a.body != "{\"accepted\":1,\"duplicate\":0}\n" {
				t.Errorf("first: %d %s", a.StatusCode, a.body)
			}
			if a := e.do(who, "POST", "/v1/events", one); a.StatusCode != 200 || a.body != "{\"accepted\":0,\"duplicate\":1}\n" {
				t.Errorf("again: %d %s", a.StatusCode, a.body)
			}
			if p := e.do(who, "POST", "/v1/events", strings.Replace(one, "12.50", "13", 1)).problem(t); p.Status != 409 || p.Field != "id" || p.Errors[0].Location != "body.id" {
				t.Errorf("other content: %+v", p)
			}
		}
		if a := e.do(theApplication, "POST", "/v1/events", `[{"id":"evt-a","type":"billing.invoice.paid","subject":"user:7","data":{"amount":12.50}},{"id":"x","type":"a.b"},{"id":"y","type":"a.b"}]`); a.StatusCode != 202 || a.body != "{\"accepted\":2,\"duplicate\":1}\n" {
			t.Errorf("a batch: %d %s", a.StatusCode, a.body)
		}
		// On Postgres a row can be read once every older transaction of the cluster has ended, other tests' included.
		for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if all := read[httpapi.EventPage](t, e.do(administrator, "GET", "/v1/admin/events", "")); len(all.Events) == 5 {
				break
			}
		}
		page := read[httpapi.EventPage](t, e.do(administrator, "GET", "/v1/admin/events?limit=2", ""))
		rest := read[httpapi.EventPage](t, e.do(administrator, "GET", "/v1/admin/events?after="+page.Next.String(), ""))
		if len(page.Events) != 2 || len(rest.Events) != 3 || string(page.Events[0].Data) != `{"amount":12.50}` {
			t.Errorf("got %+v and %+v", page, rest)
		}
	})
}
