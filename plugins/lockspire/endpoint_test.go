package lockspire_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/plugintest"
)

// TestRevoke: a refresh token takes its grant along, an access token goes alone, and others' tokens are not touched (RFC 7009).
func TestRevoke(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback)
		other, otherSecret := w.client("--redirect-uri", callback)
		revoke := func(id, secret, token string) {
			t.Helper()
			if a := w.post(nil, "/lockspire/revoke", url.Values{"token": {token}}, "Authorization", basic(id, secret)); a.status != http.StatusOK {
				t.Errorf("revoke: %d %s", a.status, a.body)
			}
		}
		userinfo := func(got map[string]any) int {
			return w.do(nil, http.MethodGet, "/lockspire/userinfo", "", "Authorization", "Bearer "+text(got["access_token"])).status
		}
		got := w.tokens(id, secret, request(id))
		for _, token := range []string{"nonsense", text(got["access_token"]), text(got["refresh_token"])} {
			revoke(other, otherSecret, token)
		}
		if userinfo(got) != http.StatusOK {
			t.Error("another client revoked it")
		}
		revoke(id, secret, text(got["access_token"]))
		if userinfo(got) != http.StatusUnauthorized {
			t.Error("a revoked access token works")
		}
		next := w.refresh(id, secret, text(got["refresh_token"])).json(t)
		if userinfo(next) != http.StatusOK {
			t.Error("the grant ended with one access token")
		}
		revoke(id, secret, text(next["refresh_token"]))
		if userinfo(next) != http.StatusUnauthorized {
			t.Error("the grant goes on after its refresh token was revoked")
		}
		w.refused(w.refresh(id, secret, text(next["refresh_token"])), http.StatusBadRequest, "invalid_grant")
		w.refused(w.post(nil, "/lockspire/revoke", url.Values{"token": {"x"}}), http.StatusUnauthorized, "invalid_client")
		w.recorded("lockspire.token.revoke")
	})
}

// TestIntrospect: the owner and the resource that a token is for learn of it, nobody else (RFC 7662).
func TestIntrospect(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const api = "https://api.example/"
		id, secret := w.client("--redirect-uri", callback, "--audience", api, "--scope", "openid offline_access read")
		server, serverSecret := w.client("--kind", "service", "--serves", api)
		stranger, strangerSecret := w.client("--kind", "service", "--audience", api)
		ask := func(id, secret string, token any) map[string]any {
			t.Helper()
			return w.post(nil, "/lockspire/introspect", url.Values{"token": {text(token)}}, "Authorization", basic(id, secret)).json(t)
		}
		got := w.tokens(id, secret, request(id, "scope", "openid offline_access read", "resource", api))
		for name, m := range map[string]map[string]any{"owner": ask(id, secret, got["access_token"]), "resource": ask(server, serverSecret, got["access_token"])} {
			if m["active"] != true || m["sub"] != w.ada.UserID || m["client_id"] != id || m["scope"] != "openid offline_access read" {
				t.Errorf("%s: %v", name, m)
			}
		}
		if m := ask(id, secret, got["refresh_token"]); m["active"] != true {
			t.Errorf("refresh token: %v", m)
		}
		for name, m := range map[string]map[string]any{
			"stranger": ask(stranger, strangerSecret, got["access_token"]), "resource, refresh token": ask(server, serverSecret, got["refresh_token"]),
			"nonsense": ask(id, secret, "x"), "ID token": ask(id, secret, got["id_token"]),
		} {
			if m["active"] != false || len(m) != 1 {
				t.Errorf("%s: %v", name, m)
			}
		}
		narrow := w.token(id, secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(got["refresh_token"])}, "scope": {"read"}}).json(t)
		if c := claims(t, narrow["access_token"]); c["scope"] != "read" || narrow["id_token"] != nil {
			t.Errorf("less scope: %v", c)
		}
		if a := w.do(nil, http.MethodGet, "/lockspire/userinfo", "", "Authorization", "Bearer "+text(narrow["access_token"])); a.status != http.StatusForbidden {
			t.Errorf("userinfo without openid: %d", a.status)
		}
		w.refused(w.token(id, secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(narrow["refresh_token"])}, "scope": {"read write"}}),
			http.StatusBadRequest, "invalid_scope")
		w.clock.move(10 * time.Minute)
		if m := ask(id, secret, got["access_token"]); m["active"] != false {
			t.Errorf("expired: %v", m)
		}
	})
}

// TestClientCredentials: a service gets a token of its own, and nothing of a person's.
func TestClientCredentials(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--kind", "service", "--scope", "read write openid", "--audience", "https://api.example/")
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}
		a := w.token(id, secret, form)
		got := a.json(t)
		if a.status != http.StatusOK || got["refresh_token"] != nil || got["id_token"] != nil || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if c := claims(t, got["access_token"]); c["sub"] != id || c["scope"] != "read" || c["auth_time"] != nil {
			t.Errorf("%v", c)
		}
		for scope, want := range map[string]string{"openid": "invalid_scope", "admin": "invalid_scope"} {
			form.Set("scope", scope)
			w.refused(w.token(id, secret, form), http.StatusBadRequest, want)
		}
		if a := w.do(nil, http.MethodGet, "/lockspire/userinfo", "", "Authorization", "Bearer "+text(got["access_token"])); a.status != http.StatusForbidden {
			t.Errorf("userinfo: %d", a.status)
		}
		web, webSecret := w.client("--redirect-uri", callback)
		w.refused(w.token(web, webSecret, url.Values{"grant_type": {"client_credentials"}}), http.StatusBadRequest, "unauthorized_client")
		// The secret by the form is another way than the one that was registered; twice is none.
		form = url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
		w.refused(w.post(nil, "/lockspire/token", form), http.StatusUnauthorized, "invalid_client")
		w.refused(w.post(nil, "/lockspire/token", form, "Authorization", basic(id, secret)), http.StatusBadRequest, "invalid_request")
	})
}

// TestCORS: pages of single-page applications may call the endpoints for programs, pages of others may not.
func TestCORS(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.client("--kind", "browser", "--redirect-uri", "https://spa.example/cb")
		w.client("--redirect-uri", callback)
		for origin, want := range map[string]string{"https://spa.example": "https://spa.example", "https://app.example": "", "https://evil.example": "", "null": ""} {
			a := w.do(nil, http.MethodOptions, "/lockspire/userinfo", "", "Origin", origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
			if a.header.Get("Access-Control-Allow-Origin") != want || a.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: %v", origin, a.header)
			}
		}
	})
}

// TestBearer: how a token may come, and what is said when it does not (RFC 6750 §3).
func TestBearer(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback)
		got := w.tokens(id, secret, request(id))
		if a := w.get(nil, "/lockspire/userinfo"); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") != `Bearer realm="`+issuer+`"` {
			t.Errorf("nothing: %d %v", a.status, a.header)
		}
		if a := w.get(nil, "/lockspire/userinfo?access_token="+url.QueryEscape(text(got["access_token"]))); a.status != http.StatusUnauthorized {
			t.Errorf("in the address: %d", a.status)
		}
		both := w.post(nil, "/lockspire/userinfo", url.Values{"access_token": {text(got["access_token"])}}, "Authorization", "Bearer "+text(got["access_token"]))
		w.refused(both, http.StatusBadRequest, "invalid_request")
		tampered := []string{text(got["id_token"]), text(got["access_token"]) + "x", text(got["refresh_token"]), "eyJhbGciOiJub25lIn0.e30."}
		for _, token := range tampered {
			a := w.do(nil, http.MethodGet, "/lockspire/userinfo", "", "Authorization", "Bearer "+token)
			w.refused(a, http.StatusUnauthorized, "invalid_token")
			if !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("%v", a.header)
			}
		}
	})
}

// TestKeys: rotation publishes before it signs, and goes on publishing what tokens were signed with.
func TestKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--redirect-uri", callback)
		before := w.tokens(id, secret, request(id))
		kids := func() int {
			var set struct{ Keys []any }
			if err := json.Unmarshal([]byte(w.get(nil, "/lockspire/jwks").body), &set); err != nil {
				t.Fatal(err)
			}
			return len(set.Keys)
		}
		kid := func(token any) string { h, _, _ := strings.Cut(text(token), "."); return h }
		w.command("key rotate")
		if n := kids(); n != 4 {
			t.Errorf("%d keys after rotation", n)
		}
		next := w.refresh(id, secret, text(before["refresh_token"])).json(t)
		if kid(next["id_token"]) != kid(before["id_token"]) {
			t.Error("a key signs as soon as it is made")
		}
		w.clock.move(time.Hour + time.Minute)
		last := w.refresh(id, secret, text(next["refresh_token"])).json(t)
		if kid(last["id_token"]) == kid(before["id_token"]) {
			t.Error("the new key does not sign")
		}
		w.clock.move(26 * time.Hour)
		if n := kids(); n != 2 {
			t.Errorf("%d keys after the old ones retired", n)
		}
		// A hint names the person long after.
		w.ada.AuthTime = w.clock.now()
		if q := sent(t, w.authorize(w.ada, request(id, "prompt", "none", "id_token_hint", text(before["id_token"]))), callback); q.Get("code") == "" {
			t.Errorf("an old hint: %v", q)
		}
		w.recorded("lockspire.key.rotate")
		if out := w.command("key list"); strings.Count(out, "signs") != 2 || strings.Count(out, "retired") != 2 {
			t.Errorf("key list:\n%s", out)
		}
	})
}

// TestSecret_rotation: both secrets work until the older ends.
func TestSecret_rotation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id, secret := w.client("--kind", "service", "--scope", "read")
		form := func() url.Values { return url.Values{"grant_type": {"client_credentials"}} }
		out := w.command("client rotate-secret", "--overlap", "1h", id)
		_, rest, _ := strings.Cut(out, "client_secret")
		newer := strings.Fields(rest)[0]
		for _, s := range []string{secret, newer} {
			if a := w.token(id, s, form()); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		w.clock.move(time.Hour)
		w.refused(w.token(id, secret, form()), http.StatusUnauthorized, "invalid_client")
		if a := w.token(id, newer, form()); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// TestPages: what people and administrators see, and what they can end.
func TestPages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if a := w.get(w.ada, "/lockspire/applications"); a.status != http.StatusOK || !strings.Contains(a.body, "have not allowed") {
			t.Errorf("no applications: %d %s", a.status, a.body)
		}
		id, secret := w.client("--redirect-uri", callback)
		got := w.tokens(id, secret, request(id))
		if a := w.get(w.ada, "/lockspire/applications"); a.status != http.StatusOK || !strings.Contains(a.body, "Notes") || !strings.Contains(a.body, "See your email address") {
			t.Errorf("applications: %d %s", a.status, a.body)
		}
		if data, err := w.Export(t.Context(), pluginsdk.ExportRequest{UserID: w.ada.UserID}); err != nil || !strings.Contains(string(data), id) {
			t.Errorf("export: %s %v", data, err)
		}
		if a := w.get(plugintest.Root, "/lockspire/admin"); a.status != http.StatusOK || !strings.Contains(a.body, "/lockspire/admin/clients/"+id) {
			t.Errorf("clients: %d %s", a.status, a.body)
		}
		page := "/lockspire/admin/clients/" + id
		if a := w.get(plugintest.Root, page); a.status != http.StatusOK || !strings.Contains(a.body, callback) || strings.Contains(a.body, secret) {
			t.Errorf("client: %d %s", a.status, a.body)
		}
		if a := w.post(plugintest.Root, page, url.Values{"action": {"delete"}}); a.status != http.StatusConflict {
			t.Errorf("delete one that is active: %d", a.status)
		}
		if a := w.post(plugintest.Root, page, url.Values{"action": {"disable"}}); a.status != http.StatusSeeOther {
			t.Errorf("disable: %d %s", a.status, a.body)
		}
		w.refused(w.refresh(id, secret, text(got["refresh_token"])), http.StatusUnauthorized, "invalid_client")
		if a := w.authorize(w.ada, request(id)); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
			t.Errorf("a disabled client: %d", a.status)
		}
		if a := w.post(plugintest.Root, page, url.Values{"action": {"delete"}}); a.status != http.StatusSeeOther || a.header.Get("Location") != "/lockspire/admin" {
			t.Errorf("delete: %d %s", a.status, a.body)
		}
		if a := w.get(plugintest.Root, page); a.status != http.StatusNotFound {
			t.Errorf("after it was deleted: %d", a.status)
		}
		if err := w.Erase(t.Context(), pluginsdk.EraseRequest{UserID: w.ada.UserID}); err != nil {
			t.Error(err)
		}
		if data, err := w.Export(t.Context(), pluginsdk.ExportRequest{UserID: w.ada.UserID}); err != nil || strings.Contains(string(data), id) {
			t.Errorf("export after erasure: %s %v", data, err)
		}
		var n int
		err := w.SDK().Database().QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM lockspire_grant) + (SELECT count(*) FROM lockspire_code) + (SELECT count(*) FROM lockspire_refresh)`).Scan(&n)
		if err != nil || n != 0 {
			t.Errorf("%d rows are left of what was deleted, %v", n, err)
		}
	})
}

// TestCommands_refused: what can't be registered is not, with the reason.
func TestCommands_refused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for name, arguments := range map[string][]string{
			"no name": {"--redirect-uri", callback}, "no redirect": {"--name", "x"}, "http": {"--name", "x", "--redirect-uri", "http://app.example/cb"},
			"a secret in a browser": {"--name", "x", "--kind", "browser", "--auth-method", "client_secret_basic", "--redirect-uri", callback},
			"no secret on a server": {"--name", "x", "--auth-method", "none", "--redirect-uri", callback}, "unknown kind": {"--name", "x", "--kind", "y", "--redirect-uri", callback},
			"scope": {"--name", "x", "--scope", `a"b`, "--redirect-uri", callback}, "left over": {"x", "--name", "x", "--redirect-uri", callback},
		} {
			var exit *pluginsdk.ExitError
			if err := w.Command(t.Context(), pluginsdk.CommandCall{Name: "client create", Arguments: arguments}); !errors.As(err, &exit) {
				t.Errorf("%s: %v", name, err)
			}
		}
		id, _ := w.client("--redirect-uri", "http://localhost:3000/cb", "--development")
		if out := w.command("client list"); !strings.Contains(out, id) {
			t.Errorf("client list:\n%s", out)
		}
		if out := w.command("client show", id); !strings.Contains(out, "http://localhost:3000/cb") {
			t.Errorf("client show:\n%s", out)
		}
		w.command("client delete", id)
		if out := w.command("client list"); strings.Contains(out, id) {
			t.Errorf("client list:\n%s", out)
		}
	})
}

// TestOffline judges redirect URIs and requests without a server.
func TestOffline(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		out := w.command("redirect check", "--native", "--registered", "http://127.0.0.1/cb", "http://127.0.0.1:4000/cb")
		if !strings.Contains(out, "allowed  http://127.0.0.1:4000/cb") {
			t.Errorf("redirect check:\n%s", out)
		}
		var exit *pluginsdk.ExitError
		err := w.Command(t.Context(), pluginsdk.CommandCall{Name: "redirect check", Arguments: []string{"--registered", callback, callback + "/"}})
		if !errors.As(err, &exit) || exit.Status != 1 {
			t.Errorf("redirect check: %v", err)
		}
		if out := w.command("explain", "--registered", callback, issuer+"/authorize?"+request("any").Encode()); !strings.HasPrefix(out, "continue\n") {
			t.Errorf("explain:\n%s", out)
		}
		err = w.Command(t.Context(), pluginsdk.CommandCall{Name: "explain", Arguments: []string{"--registered", callback, issuer + "/authorize?" + request("any", "code_challenge", "").Encode()}})
		if !errors.As(err, &exit) || exit.Status != 1 {
			t.Errorf("explain: %v", err)
		}
	})
}
