package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	sigra "github.com/sigra-auth/sigra/clients/go"
	"github.com/sigra-auth/sigra/core/cookie"
)

// applicationKey is the key of an application, made once.
func (in *instance) applicationKey() string {
	in.t.Helper()
	in.mu.Lock()
	key := in.appKey
	in.mu.Unlock()
	if key != "" {
		return key
	}
	var made struct{ ID, Key string }
	out := in.cli("application", "create", "shop", "--json")
	if err := json.Unmarshal([]byte(out), &made); err != nil || !strings.HasPrefix(made.Key, "sigra_app_") {
		in.t.Fatalf("%v: %s", err, out)
	}
	in.mu.Lock()
	in.appKey = made.Key
	in.mu.Unlock()
	return made.Key
}

// One address asks for all visitors of an application: none is refused, and neither is it with a key when somebody else's bad tokens have used up the address. Under
// a name of the inside Sigra answers applications alone.
func TestApplication(t *testing.T) {
	t.Parallel()
	onEither(t, func(t *testing.T, database string) {
		const limits = "rate_limit {\n  general = \"50/10m\"\n  hash = \"0\"\n  guess = \"0\"\n  mail = \"0\"\n  mail_per_address = \"0\"\n}\n"
		in := newInstance(t, setup{database: database, limits: limits, server: "  internal_hosts = [\"sigra.internal:8484\"]\n"})
		in.start()
		key := in.applicationKey()
		ada := in.signUp("ada@example.com")
		ask := func(host, path string, header ...string) int {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), "GET", in.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if host != "" {
				r.Host = host
			}
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			res, err := in.http.Do(r)
			if err != nil {
				t.Error(err)
				return 0
			}
			_ = res.Body.Close()
			return res.StatusCode
		}
		session := []string{"Cookie", cookie.Session + "=" + ada.Token}
		withKey := append([]string{"Sigra-Application-Key", key}, session...)
		burst := func(what string, n int, header []string) {
			t.Helper()
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range n / 8 {
						if got := ask("", "/v1/session", header...); got != 200 {
							t.Errorf("%s: %d", what, got)
							return
						}
					}
				})
			}
			wg.Wait()
		}
		burst("400 checks of a session", 400, session)
		refused := false
		for range 100 {
			refused = ask("", "/v1/session", "Cookie", cookie.Session+"="+strings.Repeat("A", 43)) == http.StatusTooManyRequests || refused
		}
		if !refused {
			t.Error("tokens are tried without end")
		}
		burst("2000 checks with a key, from an address that is used up", 2000, withKey)

		for what, c := range map[string]struct {
			host, path string
			header     []string
			want       int
		}{
			"inside, with a key":              {"sigra.internal:8484", "/v1/session", withKey, 200},
			"inside, nobody's session":        {"sigra.internal:8484", "/v1/session", []string{"Sigra-Application-Key", key}, 401},
			"inside, without a key":           {"sigra.internal:8484", "/v1/session", session, 421},
			"inside, with a key that is none": {"sigra.internal:8484", "/v1/session", append([]string{"Sigra-Application-Key", key[:58] + "x"}, session...), 421},
			"inside, a page":                  {"sigra.internal:8484", "/login", withKey, 421},
			"elsewhere":                       {"other.internal:8484", "/v1/session", withKey, 421},
		} {
			if got := ask(c.host, c.path, c.header...); got != c.want {
				t.Errorf("%s: %d, want %d", what, got, c.want)
			}
		}
		if got := ask("sigra.internal:8484", "/.well-known/jwks.json"); got == 421 { // 200, or 429 of an address that is used up: it is no session check
			t.Errorf("inside, keys to verify with: %d", got)
		}
		client, err := sigra.New(sigra.Config{URL: in.url, ApplicationKey: key})
		if err != nil {
			t.Fatal(err)
		}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "https://app.example.com/", nil)
		r.Header.Set("Authorization", "Bearer "+ada.Token)
		if s, err := client.Check(r); err != nil || s.Email != "ada@example.com" {
			t.Errorf("the client, from an address that is used up: %+v, %v", s, err)
		}
		var list struct {
			Keys []struct{ ID, Name, Hint string }
		}
		if err := json.Unmarshal([]byte(in.cli("application", "list", "--json")), &list); err != nil || len(list.Keys) != 1 || list.Keys[0].Name != "shop" || !strings.HasSuffix(key, list.Keys[0].Hint) {
			t.Errorf("%+v, %v", list, err)
		}
		in.cli("application", "revoke", list.Keys[0].ID)
		if got := ask("sigra.internal:8484", "/v1/session", withKey...); got != 421 {
			t.Errorf("after it was revoked: %d", got)
		}
	})
}
