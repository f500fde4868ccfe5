package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/sessionjwt"
)

// SessionTokens issues tokens that applications verify by themselves.
type SessionTokens interface {
	IssueToken(ctx context.Context, who principal.Principal) (sessionjwt.Token, error)
	// TokenKeys is the JWK Set to verify them with, as JSON.
	TokenKeys() []byte
}

// SessionToken is one.
type SessionToken struct {
	Token     string    `json:"token" doc:"A JWT (RFC 7519), signed with ES256. Its claims: iss, aud, sub (the account), sid (the session), aal, amr, auth_time, email, name, the active organization, and those of plugins under each one's name."`
	ExpiresAt time.Time `json:"expires_at" doc:"Five minutes from now, or the session's end. A session that ends earlier is not noticed before."`
}

// keySet is the JWK Set in the document.
type keySet struct {
	Keys []struct {
		Kty string `json:"kty" example:"EC"`
		Crv string `json:"crv" example:"P-256"`
		Kid string `json:"kid" doc:"The same as in a token's header."`
		Use string `json:"use" example:"sig"`
		Alg string `json:"alg" example:"ES256"`
		X   string `json:"x"`
		Y   string `json:"y"`
	} `json:"keys"`
}

type keySetOutput struct {
	Body keySet `nameHint:"KeySet"`
}

// sessionTokens is the session check that needs no request to Sigra.
type sessionTokens struct {
	kit    *kit
	tokens SessionTokens
}

// Mount adds the operations.
func (d sessionTokens) Mount(k *kit) {
	register(k, operation{
		method: http.MethodGet, path: "/v1/session/token", id: "get-session-token", tag: "sign-in", off: d.tokens == nil,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary:     "Get a token for the session",
		description: "A token for a few minutes, which applications verify by themselves with the keys from /.well-known/jwks.json.", ok: "The token.",
	}, func(ctx context.Context, who asker, _ *none) (*struct{ Body SessionToken }, error) {
		t, err := d.tokens.IssueToken(ctx, who.principal)
		if err != nil {
			return nil, err
		}
		return &struct{ Body SessionToken }{SessionToken(t)}, nil
	})
	op := operation{
		method: http.MethodGet, path: "/.well-known/jwks.json", id: "get-jwks", tag: "sign-in", limit: ratelimit.General, access: endpoint.Anyone,
		summary:     "The keys that tokens are verified with",
		description: "A JWK Set (RFC 7517), to be kept for fifteen minutes. A key is in it before it signs, and after it has.", ok: "The public keys.",
	}
	if d.tokens == nil || !k.declare(op) {
		return
	}
	k.documentOnly(op, keySetOutput{})
	k.router.Path(op.path).Methods(op.method, http.MethodHead).HandlerFunc(d.keys)
}

func (d sessionTokens) keys(w http.ResponseWriter, r *http.Request) {
	set := d.tokens.TokenKeys()
	sum := sha256.Sum256(set)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json") // RFC 7517 §8.5.2
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(sessionjwt.MaxAge/time.Second)))
	h.Set("ETag", tag)
	h.Set("Access-Control-Allow-Origin", "*") // public keys, and no credential is looked at
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(set) // the client may be gone
}
