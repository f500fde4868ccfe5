package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/auth/authtest"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
	"github.com/sigra-auth/sigra/core/web"
)

// Every page and every form declares what it costs, how much it takes, and who may use it. The list of those that are not of
// class general is by hand on purpose: whoever adds one changes it knowingly.
func TestRules(t *testing.T) {
	t.Parallel()
	class := map[string]ratelimit.Class{"GET /assets/": ratelimit.Exempt}
	for c, list := range map[ratelimit.Class][]string{
		ratelimit.Hash: {"POST /login", "POST /set-password", "POST /account/password"},
		ratelimit.Mail: {"POST /register", "POST /register/resend", "POST /reset", "POST /login/link", "POST /step-up/mail", "POST /account/email", "POST /organization/invite", "POST /organization/resend"},
		ratelimit.Guess: {
			"POST /register/check-mail", "POST /confirm", "POST /reset/sent", "POST /login/second-factor", "POST /login/second-factor/passkey/finish",
			"POST /login/passkey/finish", "POST /login/link/sent", "POST /login/link/open", "POST /login/link/approve", "POST /step-up", "POST /step-up/passkey/finish",
			"GET /login/continue", "GET /login/callback/{name}", "POST /account/authenticator", "POST /account/email/sent", "POST /account/email/confirm",
			"POST /account/email/undo", "GET /invitation", "POST /invitation",
		},
	} {
		for _, name := range list {
			class[name] = c
		}
	}
	e := start(t, storetest.Open(t, store.SQLite, authtest.Sources()...), nil)
	router, rules := mux.NewRouter(), e.pages.Rules()
	e.pages.Mount(router)
	err := router.Walk(func(r *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := r.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := r.GetMethods()
		if err != nil {
			return err
		}
		for _, method := range methods {
			if method == http.MethodHead {
				continue // is GET's
			}
			name := method + " " + path
			got, ok := rules.Find(method, path)
			if !ok {
				t.Errorf("%s declares nothing", name)
				continue
			}
			want, known := class[name]
			if !known {
				want = ratelimit.General
			}
			if got.Limit != want {
				t.Errorf("%s is of class %s, want %s", name, got.Limit, want)
			}
			if (method == http.MethodPost) != (got.Body > 0) {
				t.Errorf("%s takes %d bytes", name, got.Body)
			}
			if strings.HasPrefix(path, "/dev/") != (got.Access == endpoint.ThisMachine) {
				t.Errorf("%s is for %s", name, got.Access)
			}
			delete(class, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range class {
		t.Errorf("there is no %s", name)
	}
}

// What only somebody may do who has just proved who they are sends everybody else there first, whatever the form says.
func TestRules_accessIsTrue(t *testing.T) {
	t.Parallel()
	s := withAccount(noFlows(nil))
	p, err := web.New(web.Config{BaseURL: "http://localhost:8484", Services: s})
	if err != nil {
		t.Fatal(err)
	}
	router := mux.NewRouter()
	p.Mount(router)
	for name, r := range p.Rules() {
		if r.Access != endpoint.SignedIn {
			continue
		}
		method, path, _ := strings.Cut(name, " ")
		path = strings.ReplaceAll(path, "{id}", "0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11")
		for _, kind := range []string{"application/x-www-form-urlencoded", "application/json"} {
			body := url.Values{"code": {"1"}}.Encode()
			if kind == "application/json" {
				body = "{}"
			}
			q := httptest.NewRequest(method, path, strings.NewReader(body))
			q.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			router.ServeHTTP(w, q) // a handler that were reached would panic: there is no flow behind it
			if w.Code != http.StatusSeeOther && w.Code != http.StatusUnauthorized && w.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s answers a stranger %d", name, w.Code)
			}
		}
	}
}

// The development inbox shows everybody's codes: it answers this machine and no other.
func TestDevMail_localOnly(t *testing.T) {
	t.Parallel()
	e := start(t, storetest.Open(t, store.SQLite, authtest.Sources()...), nil)
	for _, path := range []string{"/dev/mail", "/dev/mail/0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11", "/dev/mail/0198c2c0-7a54-7c2e-a6c4-0d6f7e0f2b11/html"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", e.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-For", "203.0.113.7") // through a proxy, from anywhere
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("%s through a proxy: %d", path, res.StatusCode)
		}
	}
}

// A form with more fields than any has is not looked into.
func TestForm_bounds(t *testing.T) {
	t.Parallel()
	serve := broken(t, nil)
	for name, c := range map[string]struct {
		path, body string
		want       int
	}{
		"many fields":       {"/login", strings.Repeat("a=1&", 5000), 422},
		"large for a code":  {"/register/check-mail", "code=" + strings.Repeat("1", 17<<10), 413},
		"large for a login": {"/login", "email=" + strings.Repeat("a", 65<<10), 413},
	} {
		r := httptest.NewRequest("POST", c.path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if res := serve(r); res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, c.want)
		}
	}
}
