package cookie_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/cookie"
)

func TestEveryCookieHasEveryProtection(t *testing.T) {
	t.Parallel()
	set := map[string]func(http.ResponseWriter){
		"session":            func(w http.ResponseWriter) { cookie.SetSession(w, "token", time.Time{}) },
		"persistent session": func(w http.ResponseWriter) { cookie.SetSession(w, "token", time.Now().Add(time.Hour)) },
		"cleared session":    cookie.ClearSession,
		"device":             func(w http.ResponseWriter) { cookie.SetDevice(w, "mark") },
		"language":           func(w http.ResponseWriter) { cookie.SetLanguage(w, "de", false) },
		"language for good":  func(w http.ResponseWriter) { cookie.SetLanguage(w, "de", true) },
	}
	for _, f := range cookie.Flows() {
		set[string(f)] = func(w http.ResponseWriter) { f.Set(w, "token") }
		set["cleared "+string(f)] = f.Clear
	}
	for name, set := range set {
		w := httptest.NewRecorder()
		set(w)
		c := w.Result().Cookies()[0]
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%s: %s", name, c)
		}
		if !strings.HasPrefix(c.Name, "__Host-") || !cookie.Reserved(c.Name) {
			t.Errorf("%s: name %s", name, c.Name)
		}
	}
}

// A flow's token is read back by that flow alone, and its cookie ends by itself.
func TestFlows(t *testing.T) {
	t.Parallel()
	names := map[cookie.Flow]bool{}
	for _, f := range cookie.Flows() {
		if names[f] || string(f) == cookie.Session || string(f) == cookie.Device || string(f) == cookie.Language {
			t.Errorf("%s is the name of two cookies", f)
		}
		names[f] = true
		w := httptest.NewRecorder()
		f.Set(w, "token")
		c := w.Result().Cookies()[0]
		if c.MaxAge != int(f.TTL()/time.Second) || c.MaxAge < 3600 {
			t.Errorf("%s lasts %d s", f, c.MaxAge)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(c)
		for _, other := range cookie.Flows() {
			if got := other.Token(r); got != map[bool]string{true: "token"}[other == f] {
				t.Errorf("%s reads %q of %s", other, got, f)
			}
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/", nil)
	if got := cookie.SessionToken(r); got != "" {
		t.Errorf("no cookie gave %q", got)
	}
	r.Header.Set("Cookie", cookie.Session+"=abc; "+string(cookie.SignUp)+"=def; "+cookie.Language+"=de")
	if s, f, l := cookie.SessionToken(r), cookie.SignUp.Token(r), cookie.LanguageTag(r); s != "abc" || f != "def" || l != "de" {
		t.Errorf("got %q, %q and %q", s, f, l)
	}
	r.Header.Set("Cookie", cookie.Session+"="+strings.Repeat("a", 513))
	if got := cookie.SessionToken(r); got != "" {
		t.Errorf("an oversized token was taken: %d bytes", len(got))
	}
}

func TestReserved(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"__Host-sigra_session": true, "__HOST-SIGRA_flow": true, " __Host-sigra_x": true,
		"theme": false, "__Host-other": false, "": false,
	} {
		if got := cookie.Reserved(name); got != want {
			t.Errorf("Reserved(%q) = %v", name, got)
		}
	}
}
