package federation_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/federation/federationtest"
	"github.com/sigra-auth/sigra/core/federation/preset"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

// No document makes Sigra speak in the clear, to itself, or to a provider under another name.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://id.example.com","authorization_endpoint":"https://id.example.com/a","token_endpoint":"https://id.example.com/t","jwks_uri":"https://id.example.com/k","id_token_signing_alg_values_supported":["RS256","none"]}`), "https://id.example.com", "")
	f.Add([]byte(`{"issuer":"https://login.microsoftonline.com/{tenantid}/v2.0","authorization_endpoint":"https://l/a","token_endpoint":"https://l/t","jwks_uri":"http://127.0.0.1/k"}`), "https://login.microsoftonline.com/{tenant}/v2.0", "common")
	f.Add([]byte(`{"issuer":7}`), "", "x")
	f.Add([]byte(`[[[[`), "http://localhost", "")
	f.Fuzz(func(t *testing.T, body []byte, base, tenant string) {
		named, endpoints, algs, err := federation.ParseMetadata(body, base, tenant)
		if err != nil {
			return
		}
		if tenant == "" && named != base {
			t.Fatalf("%q is taken for %q", named, base)
		}
		own, _ := url.Parse(strings.Replace(base, "{tenant}", tenant, 1))
		for i, e := range endpoints {
			u, err := url.Parse(e)
			if e == "" && i == 3 {
				continue
			}
			if err != nil || u.Host == "" || u.Scheme != "https" && (own == nil || own.Hostname() != "localhost" && !strings.HasPrefix(own.Hostname(), "127.") && !strings.Contains(own.Hostname(), ":")) {
				t.Fatalf("endpoint %q of %q", e, base)
			}
		}
		for _, a := range algs {
			if a == "none" || strings.HasPrefix(a, "HS") {
				t.Fatalf("algorithm %s", a)
			}
		}
		if len(algs) == 0 {
			t.Fatal("no algorithm")
		}
	})
}

// Whatever a provider answers, claims are fit to be stored, compared and shown.
func FuzzClaims(f *testing.F) {
	presets := preset.All()
	for i := range presets {
		f.Add(uint8(i), []byte(`{"sub":"1","id":1,"email":"a@example.org","email_verified":true,"name":"Ada","picture":"https://x/y"}`), []byte(`{"data":{"id":"1"},"images":[{"url":"https://x"}]}`))
	}
	f.Add(uint8(255), []byte(`{"sub":"a:b","https://slack.com/team_id":"c","name":"\u202e","locale":"x-\u0000"}`), []byte(`{}`))
	f.Add(uint8(7), []byte(`null`), []byte(`{"a":{"b":[[[]]]}}`))
	yes := true
	f.Fuzz(func(t *testing.T, which uint8, token, userinfo []byte) {
		c := config.Provider{Name: "p", Enabled: true, Issuer: "https://id.example.com", ClientID: "id", TrustEmail: &yes}
		if k := presets[int(which)%len(presets)]; which != 255 && !k.Has(preset.AppleSecret) {
			c.Preset = k.Name
		}
		got, err := federation.ReadClaims(c, token, userinfo)
		if err != nil {
			return
		}
		if len(got.Subject) > 255 || strings.ContainsFunc(got.Subject, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("subject %q", got.Subject)
		}
		if e, err := account.ParseEmail(got.Email); got.Email != "" && (err != nil || e != got.Email) || got.Email == "" && got.EmailVerified {
			t.Fatalf("address %q, verified %v", got.Email, got.EmailVerified)
		}
		if len([]rune(got.Name)) > 101 || !utf8.ValidString(got.Name) || strings.ContainsAny(got.Name, "\n\x00\u202e") {
			t.Fatalf("name %q", got.Name)
		}
		if got.Picture != "" && (!strings.HasPrefix(got.Picture, "https://") || strings.ContainsAny(got.Picture, "\"'<> \n")) || strings.ContainsAny(got.Locale, "\n/. ") {
			t.Fatalf("picture %q, locale %q", got.Picture, got.Locale)
		}
		if b, err := json.Marshal(got); err != nil || len(b) > 64<<10 {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[null,7,{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if n, err := federation.ParseKeys(body); err == nil && n > 100 {
			t.Fatal(n)
		}
	})
}

// A callback is whatever a stranger types into the address bar: it is refused, with a state untouched, and never in words of the stranger's.
func FuzzCallback(f *testing.F) {
	db := storetest.Open(f, store.SQLite, sources...)
	p := federationtest.New(f)
	w := newWorld(f, db, newRing(f, db), p.Directory(f))
	b := w.begin(f, "example")
	u, err := url.Parse(b.URL)
	if err != nil {
		f.Fatal(err)
	}
	good := u.Query().Get("state")
	f.Add("example", good, "code", "", "", "", "", "")
	f.Add("example", strings.Repeat("A", 43), "code", p.URL, "access_denied", "<script>", strings.Repeat("A", 43), `{"name":{}}`)
	f.Add("other", "\x00", "\xff", "https://evil.example", "\n", "\u202e", b.Browser+"=", "{")
	f.Fuzz(func(t *testing.T, provider, state, code, iss, errCode, description, browser, user string) {
		if state == good && browser == b.Browser {
			t.Skip("the owner")
		}
		r, err := w.Finish(t.Context(), federation.Callback{Provider: provider, State: state, Code: code, Issuer: iss, Error: errCode, ErrorDescription: description, Browser: browser, UserJSON: user})
		var fe *fault.Error
		if !errors.As(err, &fe) || fe.Kind == fault.Internal || r.Provider != "" {
			t.Fatalf("%+v %v", r, err)
		}
		for _, s := range []string{state, code, iss, description} {
			if len(s) > 12 && strings.Contains(fe.Message, s) {
				t.Fatalf("%q is repeated: %s", s, fe.Message)
			}
		}
	})
}
