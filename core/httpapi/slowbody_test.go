package httpapi_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/endpoint"
)

// A request that was begun while its session was good, and ends after the session did, does nothing: who is asking is found out
// when the body is there. It was done with a copied token whose owner changed the password meanwhile.
func TestSlowBody_sessionEndsMeanwhile(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, e *env) {
		for name, who := range map[string]as{"bearer": ordinary, "cookie": browser} {
			e.user = e.signIn(name+"@example.com", false)
			in, out := io.Pipe()
			r := must2(http.NewRequestWithContext(t.Context(), "PUT", e.URL+"/v1/account/password", in))(t)
			r.Header.Set("Content-Type", "application/json")
			who(e, r.Header)
			status := make(chan int, 1)
			go func() {
				res, err := e.Client().Do(r)
				if err != nil {
					status <- 0
					return
				}
				_ = res.Body.Close()
				status <- res.StatusCode
			}()
			if _, err := io.WriteString(out, `{"current_password":"a",`); err != nil { // the headers are on their way, too
				t.Fatal(err)
			}
			if a := e.do(who, "GET", "/v1/session", ""); a.StatusCode != 200 {
				t.Fatalf("%s: the session is not good to begin with: %d", name, a.StatusCode)
			}
			if _, err := e.sessions.RevokeAll(t.Context(), actorOf(e.admin), "", e.user.Account.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(out, `"new_password":"b"}`); err != nil {
				t.Fatal(err)
			}
			_ = out.Close()
			if got := <-status; got != http.StatusUnauthorized {
				t.Errorf("%s: the request was answered %d", name, got)
			}
		}
	})
}

// No operation reads more of a stranger's body than everybody may send, and none more than it says.
func TestSlowBody_strangersSendLittle(t *testing.T) {
	t.Parallel()
	e := protocolEnv(t)
	for name, r := range e.api.Rules() {
		method, path, _ := strings.Cut(name, " ")
		if method == "GET" || r.Body <= 64<<10 {
			continue
		}
		if r.Access == endpoint.Anyone {
			t.Errorf("%s takes %d bytes from anybody", name, r.Body)
			continue
		}
		path = strings.NewReplacer("{user_id}", "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11", "{scope}", "public").Replace(path)
		if a := e.do(stranger, method, path, strings.Repeat(" ", 100<<10)+"{}"); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s read a stranger's body: %d", name, a.StatusCode)
		}
	}
}
