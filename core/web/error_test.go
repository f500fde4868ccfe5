package web_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/web"
)

// broken serves pages whose every flow fails with err.
func broken(t *testing.T, err error) func(*http.Request) *http.Response {
	t.Helper()
	p, nerr := web.New(web.Config{BaseURL: "http://localhost:8484", Services: withAccount(noFlows(err))})
	if nerr != nil {
		t.Fatal(nerr)
	}
	r := mux.NewRouter()
	p.Mount(r)
	return func(req *http.Request) *http.Response {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		return w.Result()
	}
}

func formPost(path string, form url.Values) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestThrottled(t *testing.T) {
	t.Parallel()
	serve := broken(t, fault.New(fault.RateLimited, "rate_limited", "Too many attempts.").After(29500*time.Millisecond))
	for _, path := range []string{"/login", "/register", "/confirm", "/set-password"} {
		res := serve(formPost(path, url.Values{"email": {"a@b.example"}, "password": {"hunter22"}, "token": {"t"}}))
		body := text(t, res)
		if res.StatusCode != 429 || res.Header.Get("Retry-After") != "30" || !strings.Contains(body, "Too many requests from your network.") || !strings.Contains(body, "in 30 seconds") {
			t.Errorf("%s: %d %v %s", path, res.StatusCode, res.Header, body)
		}
	}
}

func TestErrorsShowNothingOfTheInside(t *testing.T) {
	t.Parallel()
	serve := broken(t, errors.New(`ERROR: relation "account" does not exist (SQLSTATE 42P01) at /srv/sigra/store.go:17`))
	for _, path := range []string{"/login", "/register", "/confirm", "/set-password"} {
		res := serve(formPost(path, url.Values{"email": {"a@b.example"}, "password": {"hunter22"}, "token": {"t"}}))
		body := text(t, res)
		if res.StatusCode != 500 || !strings.Contains(body, "Something went wrong") {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
		for _, secret := range []string{"SQLSTATE", "relation", ".go", "hunter22"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s shows %q", path, secret)
			}
		}
	}
}

// TestForms_badInput sends what no browser sends.
func TestForms_badInput(t *testing.T) {
	t.Parallel()
	serve := broken(t, fault.New(fault.Unauthenticated, "invalid_credentials", "The email address or the password is wrong."))
	typed := func(kind, body string) *http.Request {
		r := httptest.NewRequest("POST", "/login", strings.NewReader(body))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		return r
	}
	const form = "application/x-www-form-urlencoded"
	for name, c := range map[string]struct {
		r    *http.Request
		want int
	}{
		"JSON":                {typed("application/json", `{"email":"a"}`), 422},
		"multipart":           {typed("multipart/form-data; boundary=x", "--x--"), 422},
		"no type":             {typed("", "email=a"), 422},
		"broken escapes":      {typed(form, "email=%zz"), 422},
		"a field given twice": {typed(form, "email=a&email=b"), 422},
		"huge":                {typed(form, "email="+strings.Repeat("a", 64<<10)), 413},
		"nothing":             {typed(form, ""), 401},
		"markup":              {typed(form, url.Values{"email": {`"><script>alert(1)</script>`}}.Encode()), 401},
		"not text":            {typed(form, "email=%ff%00%fe"), 401},
		"query only":          {httptest.NewRequest("POST", "/login?email=a&password=b", nil), 422},
	} {
		res := serve(c.r)
		body := text(t, res)
		if res.StatusCode != c.want {
			t.Errorf("%s: %d, want %d: %s", name, res.StatusCode, c.want, body)
		}
		if found := inline(body); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// TestStaleCookieIsTakenBack: a session that is over sends to sign in, without an error and without the cookie.
func TestStaleCookieIsTakenBack(t *testing.T) {
	t.Parallel()
	serve := broken(t, nil)
	r := httptest.NewRequest("GET", "/account?x=1", nil)
	r.Header.Set("Cookie", cookie.Session+"=stale")
	res := serve(r)
	if res.StatusCode != 303 || res.Header.Get("Location") != "/login?return_to=%2Faccount%3Fx%3D1" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if c := res.Header.Get("Set-Cookie"); !strings.HasPrefix(c, cookie.Session+"=;") || !strings.Contains(c, "Max-Age=0") {
		t.Errorf("cookie: %q", c)
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	serve := broken(t, nil)
	login := text(t, serve(httptest.NewRequest("GET", "/login", nil)))
	start := strings.Index(login, `href="/assets/`)
	if start < 0 {
		t.Fatal(login)
	}
	address, _, _ := strings.Cut(login[start+len(`href="`):], `"`)
	res := serve(httptest.NewRequest("GET", address, nil))
	etag := res.Header.Get("ETag")
	if res.StatusCode != 200 || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") || etag == "" || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/css") {
		t.Errorf("%s: %d %v", address, res.StatusCode, res.Header)
	}
	again := httptest.NewRequest("GET", address, nil)
	again.Header.Set("If-None-Match", etag)
	if res := serve(again); res.StatusCode != 304 {
		t.Errorf("asked again: %d", res.StatusCode)
	}
	if res := serve(httptest.NewRequest("GET", "/assets/sigra.css", nil)); res.StatusCode != 200 || strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("without a version: %d %v", res.StatusCode, res.Header)
	}
	for _, path := range []string{"/assets/", "/assets/nothing.css", "/assets/../templates/layout.html", "/assets/sigra.css/"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = path
		if res := serve(r); res.StatusCode == 200 {
			t.Errorf("%s was served", path)
		}
	}
}

func TestRegistrationClosed(t *testing.T) {
	t.Parallel()
	p, err := web.New(web.Config{BaseURL: "http://localhost:8484", Services: noFlows(nil), RegistrationClosed: true})
	if err != nil {
		t.Fatal(err)
	}
	r := mux.NewRouter()
	p.Mount(r)
	for path, want := range map[string]int{"/register": 403, "/login": 200, "/dev/mail": 404} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want || strings.Contains(w.Body.String(), `href="/register`) {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
