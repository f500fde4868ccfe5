package web_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/web"
)

// noPasskeys refuses what it understood.
type noPasskeys struct{}

func (noPasskeys) PasskeysOffered() bool { return true }

func (noPasskeys) BeginPasskeySignIn(context.Context) (passkey.Ceremony, error) {
	return passkey.Ceremony{Token: "token", Options: json.RawMessage(`{}`)}, nil
}

func (noPasskeys) SignInPasskey(_ context.Context, in auth.PasskeySignIn) (auth.SignedIn, error) {
	return auth.SignedIn{}, passkey.ErrRefused
}

// Whatever is sent in the place of the script's JSON, the answer is JSON with something to say, and never a failure of ours.
func FuzzCeremony(f *testing.F) {
	p, err := web.New(web.Config{BaseURL: "http://localhost:8484", Services: web.Services{Auth: noAuth{}, Sessions: noSessions{}, PasskeySignIns: noPasskeys{}}})
	if err != nil {
		f.Fatal(err)
	}
	r := mux.NewRouter()
	p.Mount(r)
	for _, s := range []string{`{"token":"t","credential":{"id":"x"},"fields":{"return_to":"/x"}}`, `{"fields":{"a":1}}`, `null`, `[]`, `{`, ``, `{"credential":` + strings.Repeat("[", 10_000), "\xff"} {
		f.Add("application/json", s)
	}
	f.Add("text/plain", "{}")
	f.Add(`application/json; charset="`, "{}")
	f.Fuzz(func(t *testing.T, kind, body string) {
		for _, path := range []string{"/login/passkey/options", "/login/passkey/finish"} {
			req := httptest.NewRequest("POST", path, strings.NewReader(body))
			req.Header["Content-Type"] = []string{kind}
			w := httptest.NewRecorder()
			r.ServeHTTP(w, req)
			var out struct{ Token, Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code >= 500 || out.Token == "" && out.Message == "" {
				t.Fatalf("%s: %d %s (%v)", path, w.Code, w.Body, err)
			}
		}
	})
}
