package sigra_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sigra "github.com/sigra-auth/sigra/clients/go"
)

// signer makes tokens as Sigra does, and worse ones.
type signer struct {
	key *ecdsa.PrivateKey
	kid string
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (s signer) jwk() map[string]string {
	raw, err := s.key.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		panic(err)
	}
	return map[string]string{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": s.kid, "x": b64(raw[1:33]), "y": b64(raw[33:])}
}

func (s signer) sign(head, claims map[string]any) string {
	h, _ := json.Marshal(head)
	c, _ := json.Marshal(claims)
	text := b64(h) + "." + b64(c)
	sum := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + b64(append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...))
}

func newSigner(t *testing.T, kid string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, kid}
}

// Tokens that are wrong in one way each are refused (RFC 8725 §3), and keys are asked for no more often than they may be.
func TestVerify(t *testing.T) {
	t.Parallel()
	s, thief := newSigner(t, "one"), newSigner(t, "one")
	var asked atomic.Int32
	var broken atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/.well-known/jwks.json" || broken.Load() {
			w.WriteHeader(500)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{s.jwk(), map[string]string{"kty": "RSA", "kid": "other"}}})
	}))
	defer server.Close()
	now := time.Now()
	c, err := sigra.New(sigra.Config{URL: server.URL, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	head := map[string]any{"alg": "ES256", "kid": "one", "typ": "JWT"}
	good := map[string]any{
		"iss": server.URL, "aud": []string{server.URL}, "sub": "u", "sid": "s", "exp": now.Add(5 * time.Minute).Unix(), "nbf": now.Unix(), "iat": now.Unix(), "aal": "aal2", "amr": []string{"pwd"},
		"auth_time": now.Unix(), "email": "ada@example.com", "accrue": map[string]any{"plan": "pro"},
	}
	with := func(from map[string]any, name string, value any) map[string]any {
		out := maps.Clone(from)
		if out[name] = value; value == nil {
			delete(out, name)
		}
		return out
	}
	in, err := c.Verify(t.Context(), s.sign(head, good))
	if err != nil || in.UserID != "u" || in.AAL != "aal2" || in.Email != "ada@example.com" || len(in.Claims) != 1 || in.Claims["accrue"].(map[string]any)["plan"] != "pro" {
		t.Fatalf("%+v, %v", in, err)
	}
	if _, err := c.Verify(t.Context(), s.sign(head, with(good, "aud", server.URL))); err != nil {
		t.Errorf("one audience, as a text: %v", err)
	}
	token := s.sign(head, good)
	parts := strings.Split(token, ".")
	mac := hmac.New(sha256.New, []byte(s.jwk()["x"]))
	hs, _ := json.Marshal(with(head, "alg", "HS256"))
	mac.Write([]byte(b64(hs) + "." + parts[1]))
	none, _ := json.Marshal(with(head, "alg", "none"))
	for what, token := range map[string]string{
		"another's key":          thief.sign(head, good),
		"alg none":               b64(none) + "." + parts[1] + ".",
		"alg HS256":              b64(hs) + "." + parts[1] + "." + b64(mac.Sum(nil)),
		"a key of its own":       thief.sign(with(head, "jwk", thief.jwk()), good),
		"expired":                s.sign(head, with(good, "exp", now.Add(-31*time.Second).Unix())),
		"no end":                 s.sign(head, with(good, "exp", nil)),
		"not yet":                s.sign(head, with(good, "nbf", now.Add(31*time.Second).Unix())),
		"another issuer":         s.sign(head, with(good, "iss", "https://evil.example")),
		"another audience":       s.sign(head, with(good, "aud", []string{"https://other.example"})),
		"no audience":            s.sign(head, with(good, "aud", nil)),
		"no subject":             s.sign(head, with(good, "sub", nil)),
		"no session":             s.sign(head, with(good, "sid", nil)),
		"no signature":           parts[0] + "." + parts[1] + ".",
		"half a signature":       parts[0] + "." + parts[1] + "." + parts[2][:40],
		"zeros for a signature":  parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)),
		"two parts":              parts[0] + "." + parts[1],
		"nothing":                "",
		"dots":                   "..",
		"too long":               token + strings.Repeat("A", 20000),
		"claims that are a list": s.sign(head, nil)[:len(parts[0])+1] + b64([]byte("[]")) + "." + parts[2],
	} {
		if in, err := c.Verify(t.Context(), token); !errors.Is(err, sigra.ErrNobody) || in != nil {
			t.Errorf("%s: %+v, %v", what, in, err)
		}
	}
	before := asked.Load()
	for i := range 50 {
		_, _ = c.Verify(t.Context(), thief.sign(with(head, "kid", fmt.Sprint("unknown", i)), good))
	}
	if n := asked.Load() - before; n > 1 {
		t.Errorf("keys that nobody knows were asked for %d times", n)
	}
	// The keys change: the new one is fetched once it is met. Then Sigra is away: what is known goes on.
	s.kid = "two"
	now = now.Add(61 * time.Second)
	if _, err := c.Verify(t.Context(), s.sign(with(head, "kid", "two"), good)); err != nil {
		t.Errorf("a new key: %v", err)
	}
	broken.Store(true)
	now = now.Add(16 * time.Minute)
	late := with(with(good, "exp", now.Add(time.Minute).Unix()), "nbf", now.Unix())
	if _, err := c.Verify(t.Context(), s.sign(with(head, "kid", "two"), late)); err != nil {
		t.Errorf("a known key, with Sigra away: %v", err)
	}
	if _, err := c.Verify(t.Context(), s.sign(with(head, "kid", "three"), late)); err == nil || errors.Is(err, sigra.ErrNobody) && asked.Load() == 0 {
		t.Errorf("an unknown key, with Sigra away: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	c, err := sigra.New(sigra.Config{URL: "http://127.0.0.1:1"})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "..", "a.b.c", "eyJhbGciOiJFUzI1NiJ9.e30.", "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if in, err := c.Verify(t.Context(), token); err == nil || in != nil {
			t.Errorf("%q is %+v", token, in)
		}
	})
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "id.example.com", "ftp://id.example.com", "https://"} {
		if _, err := sigra.New(sigra.Config{URL: u}); err == nil {
			t.Errorf("%q is taken", u)
		}
		if _, err := sigra.New(sigra.Config{URL: "https://id.example.com", Internal: u}); u != "" && err == nil {
			t.Errorf("%q is taken for the internal address", u)
		}
	}
}
