package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sigra "github.com/sigra-auth/sigra/clients/go"
	"github.com/sigra-auth/sigra/core/cookie"
)

// An application with the Go client, in front of a real server: by cookie, by bearer token, and by a token that it verifies itself.
func TestClient_go(t *testing.T) {
	t.Parallel()
	onEither(t, func(t *testing.T, database string) {
		in := newInstance(t, setup{database: database, extra: "sign_in {\n  return_to = [\"https://app.example.com\"]\n}\n"})
		in.start()
		ada := in.signUp("ada@example.com")
		client, err := sigra.New(sigra.Config{URL: in.url})
		if err != nil {
			t.Fatal(err)
		}
		later, err := sigra.New(sigra.Config{URL: in.url, Now: func() time.Time { return time.Now().Add(6 * time.Minute) }})
		if err != nil {
			t.Fatal(err)
		}
		other, err := sigra.New(sigra.Config{URL: in.url, Audience: "https://other.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		var issued struct{ Token string }
		in.must(http.StatusOK, "GET", "/v1/session/token", ada.Token, nil).decode(t, &issued)

		ask := func(h http.Handler, header ...string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", "https://app.example.com/orders/7?x=1", nil)
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name := "nobody"
			if s := sigra.From(r.Context()); s != nil {
				name = s.Email + " " + s.UserID + " " + s.AAL
			}
			_, _ = fmt.Fprint(w, name)
		})
		want := "ada@example.com " + ada.Session.UserID + " aal1"
		byCookie := []string{"Cookie", cookie.Session + "=" + ada.Token}
		for what, c := range map[string]struct {
			handler http.Handler
			header  []string
			status  int
			body    string
		}{
			"cookie":                       {client.Require(page), byCookie, 200, want},
			"bearer token":                 {client.Require(page), []string{"Authorization", "Bearer " + ada.Token}, 200, want},
			"verified token":               {client.Require(page), []string{"Authorization", "Bearer " + issued.Token}, 200, want},
			"verified token, too late":     {later.Require(page), []string{"Authorization", "Bearer " + issued.Token}, 401, ""},
			"verified token, for others":   {other.Require(page), []string{"Authorization", "Bearer " + issued.Token}, 401, ""},
			"a token that was changed":     {client.Require(page), []string{"Authorization", "Bearer " + issued.Token[:len(issued.Token)-3] + "AAA"}, 401, ""},
			"a token that is none":         {client.Require(page), []string{"Authorization", "Bearer x"}, 401, ""},
			"nobody's script":              {client.Require(page), nil, 401, ""},
			"nobody where all may":         {client.Allow(page), nil, 200, "nobody"},
			"somebody where all may":       {client.Allow(page), byCookie, 200, want},
			"one factor where two are due": {client.RequireProof(sigra.Demand{AAL: "aal2"}, page), byCookie, 403, ""},
			"proved in time":               {client.RequireProof(sigra.Demand{MaxAge: time.Hour}, page), byCookie, 200, want},
			"proved too long ago":          {later.RequireProof(sigra.Demand{MaxAge: time.Minute}, page), byCookie, 403, ""},
		} {
			if w := ask(c.handler, c.header...); w.Code != c.status || c.body != "" && w.Body.String() != c.body {
				t.Errorf("%s: %d %s", what, w.Code, w.Body)
			}
		}
		w := ask(client.Require(page), "Accept", "text/html", "Sec-Fetch-Mode", "navigate")
		if to := w.Header().Get("Location"); w.Code != http.StatusFound || to != in.url+"/login?return_to=https%3A%2F%2Fapp.example.com%2Forders%2F7%3Fx%3D1" {
			t.Errorf("nobody who opens a page: %d, to %s", w.Code, to)
		} else if r, err := in.call("GET", strings.TrimPrefix(to, in.url), "", nil); err != nil || !strings.Contains(string(r.body), `value="https://app.example.com/orders/7?x=1"`) {
			t.Errorf("the sign-in page does not carry the address: %v", err)
		}
		if to := client.SignOutURL("https://app.example.com/"); to != in.url+"/logout?return_to=https%3A%2F%2Fapp.example.com%2F" {
			t.Error(to)
		}

		in.must(http.StatusNoContent, "POST", "/v1/logout", ada.Token, nil)
		if w := ask(client.Require(page), byCookie...); w.Code != 401 {
			t.Errorf("after the sign-out: %d", w.Code)
		}
		in.stop()
		if w := ask(client.Require(page), byCookie...); w.Code != 503 {
			t.Errorf("with Sigra away: %d", w.Code)
		}
		if w := ask(client.Require(page), "Authorization", "Bearer "+issued.Token); w.Code != 200 {
			t.Errorf("a token whose key is known, with Sigra away: %d", w.Code)
		}
		fresh, err := sigra.New(sigra.Config{URL: in.url})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fresh.Verify(t.Context(), issued.Token); err == nil || errors.Is(err, sigra.ErrNobody) {
			t.Errorf("a key that can't be had: %v", err)
		}
	})
}
