package web_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// A form that was begun while its session was good, and ends after the session did, does nothing.
func TestSlowBody_sessionEndsMeanwhile(t *testing.T) {
	t.Parallel()
	e := start(t, storetest.Open(t, store.SQLite, authtest.Sources()...), nil)
	token := e.member(t, "ada@example.com").cookie(cookie.Session)
	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", e.base+"/account/devices", in)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", cookie.Session+"="+token)
	type result struct {
		status int
		to     string
	}
	done := make(chan result, 1)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	go func() {
		res, err := client.Do(r)
		if err != nil {
			done <- result{to: err.Error()}
			return
		}
		_ = res.Body.Close()
		done <- result{res.StatusCode, res.Header.Get("Location")}
	}()
	if _, err := io.WriteString(out, "id="); err != nil {
		t.Fatal(err)
	}
	if err := e.auth.SignOut(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(out, "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11"); err != nil {
		t.Fatal(err)
	}
	_ = out.Close()
	if got := <-done; got.status != http.StatusSeeOther || got.to != "/login?return_to=%2Faccount%2Fdevices" {
		t.Errorf("%+v", got)
	}
}
