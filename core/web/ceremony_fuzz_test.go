package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/web"
)

// refusingPasskeys takes no answer, and keeps what it was given.
type refusingPasskeys struct{ got *auth.PasskeySignIn }

func (p *refusingPasskeys) PasskeysOffered() bool { return true }

func (p *refusingPasskeys) BeginPasskeySignIn(context.Context) (passkey.Ceremony, error) {
	return passkey.Ceremony{}, passkey.ErrOff
}

func (p *refusingPasskeys) SignInPasskey(_ context.Context, in auth.PasskeySignIn) (auth.SignedIn, error) {
	p.got = &in
	return auth.SignedIn{}, passkey.ErrRefused
}

// What a page's script sends, or somebody in its place: it is refused in JSON, as the client's fault, and what is handed on is
// JSON by itself.
func FuzzCeremonyAnswer(f *testing.F) {
	for _, body := range []string{
		`{"token":"t","credential":{"id":"AA","response":{}},"fields":{"remember":"on"}}`, `{"fields":{}}`, `{}`, `null`, `[]`, ``, `{"token":1}`, `{"credential":`,
		`{"fields":{"a":{}}}`, `{"token":"` + strings.Repeat("x", 70000) + `"}`, `{"credential":"\ud800"}`, strings.Repeat(`[`, 12000), `{"token":"a","token":"b"}`, "\xff",
	} {
		f.Add(body, "application/json")
	}
	f.Add(`{}`, "text/plain")
	f.Add(`{}`, "application/json; charset=\x00")
	passkeys := &refusingPasskeys{}
	services := noFlows(nil)
	services.PasskeySignIns = passkeys
	pages, err := web.New(web.Config{BaseURL: "https://auth.example.org", Services: services})
	if err != nil {
		f.Fatal(err)
	}
	r := mux.NewRouter()
	pages.Mount(r)
	f.Fuzz(func(t *testing.T, body, kind string) {
		passkeys.got = nil
		req := httptest.NewRequest(http.MethodPost, "/login/passkey/finish", strings.NewReader(body))
		req.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if w.Code < 400 || w.Code > 499 {
			t.Errorf("answered %d", w.Code)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("the answer is no JSON: %q", w.Body)
		}
		if p := passkeys.got; p != nil && p.Credential != nil && (!json.Valid(p.Credential) || len(body) > 64<<10) {
			t.Errorf("handed on %q", p.Credential)
		}
	})
}
