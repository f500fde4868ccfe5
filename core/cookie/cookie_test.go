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
	own := cookie.SessionCookie{}
	set := map[string]func(http.ResponseWriter){
		"session":            func(w http.ResponseWriter) { own.Set(w, "token", time.Time{}) },
		"persistent session": func(w http.ResponseWriter) { own.Set(w, "token", time.Now().Add(time.Hour)) },
		"cleared session":    own.Clear,
		"application":        func(w http.ResponseWriter) { cookie.SetApplication(w, "https://app.example.com/") },
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

// A shared session cookie belongs to its domain, and is no other installation's: neither reads what the other set.
func TestSharedSession(t *testing.T) {
	t.Parallel()
	shared, own := cookie.SessionCookie{Domain: "example.com"}, cookie.SessionCookie{}
	w := httptest.NewRecorder()
	shared.Set(w, "token", time.Time{})
	c := w.Result().Cookies()[0]
	if c.Name != cookie.SharedSession || c.Domain != "example.com" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
		t.Error(c)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(c)
	if shared.Token(r) != "token" || own.Token(r) != "" {
		t.Errorf("%q and %q", shared.Token(r), own.Token(r))
	}
	w = httptest.NewRecorder()
	shared.Clear(w)
	if c := w.Result().Cookies()[0]; c.Domain != "example.com" || c.MaxAge >= 0 {
		t.Error(c)
	}
	r.Header.Set("Cookie", cookie.Session+"=own")
	if shared.Token(r) != "" {
		t.Error("a cookie of the host alone is taken for the shared one")
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
	r, session := httptest.NewRequest("GET", "/", nil), cookie.SessionCookie{}
	if got := session.Token(r); got != "" {
		t.Errorf("no cookie gave %q", got)
	}
	r.Header.Set("Cookie", cookie.Session+"=abc; "+string(cookie.SignUp)+"=def; "+cookie.Language+"=de")
	if s, f, l := session.Token(r), cookie.SignUp.Token(r), cookie.LanguageTag(r); s != "abc" || f != "def" || l != "de" {
		t.Errorf("got %q, %q and %q", s, f, l)
	}
	r.Header.Set("Cookie", cookie.Session+"="+strings.Repeat("a", 513))
	if got := session.Token(r); got != "" {
		t.Errorf("an oversized token was taken: %d bytes", len(got))
	}
}

func TestReserved(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"__Host-sigra_session": true, "__secure-SIGRA_session": true, "__Secure-other": false, "__HOST-SIGRA_flow": true, " __Host-sigra_x": true,
		"theme": false, "__Host-other": false, "": false,
	} {
		if got := cookie.Reserved(name); got != want {
			t.Errorf("Reserved(%q) = %v", name, got)
		}
	}
}
