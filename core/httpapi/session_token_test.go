package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// The keys are public, may be kept, and are not sent twice to who has them; the token is for a person's session.
func TestSessionToken(t *testing.T) {
	each(t, func(t *testing.T, e *env) {
		ask := func(header ...string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", "/.well-known/jwks.json", nil)
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			w := httptest.NewRecorder()
			e.api.Handler().ServeHTTP(w, r)
			return w
		}
		w := ask()
		if w.Code != http.StatusOK || w.Body.String() != `{"keys":[]}` || w.Header().Get("Cache-Control") != "public, max-age=900" || w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		if w := ask("If-None-Match", w.Header().Get("ETag")); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
			t.Errorf("who has them gets %d %s", w.Code, w.Body)
		}
	})
}
