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
	for name, set := range map[string]func(http.ResponseWriter){
		"session":            func(w http.ResponseWriter) { cookie.SetSession(w, "token", time.Time{}) },
		"persistent session": func(w http.ResponseWriter) { cookie.SetSession(w, "token", time.Now().Add(time.Hour)) },
		"cleared session":    cookie.ClearSession,
		"flow":               func(w http.ResponseWriter) { cookie.SetFlow(w, "token") },
		"device":             func(w http.ResponseWriter) { cookie.SetDevice(w, "mark") },
		"cleared flow":       cookie.ClearFlow,
	} {
		w := httptest.NewRecorder()
		set(w)
		c := w.Result().Cookies()[0]
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%s: %s", name, c)
		}
		if !strings.HasPrefix(c.Name, "__Host-") {
			t.Errorf("%s: name %s", name, c.Name)
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/", nil)
	if got := cookie.SessionToken(r); got != "" {
		t.Errorf("no cookie gave %q", got)
	}
	r.Header.Set("Cookie", cookie.Session+"=abc; "+cookie.Flow+"=def")
	if s, f := cookie.SessionToken(r), cookie.FlowToken(r); s != "abc" || f != "def" {
		t.Errorf("got %q and %q", s, f)
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
