package principal_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
)

// sessions knows tokens by whose they are.
type sessions map[string]string

func (s sessions) Resolve(_ context.Context, token string) (principal.Principal, error) {
	who, ok := s[token]
	if !ok {
		return principal.Principal{}, fault.New(fault.Unauthenticated, "unauthenticated", "This session has ended.")
	}
	return principal.Principal{Kind: principal.User, Display: who}, nil
}

func TestChain(t *testing.T) {
	t.Parallel()
	known := sessions{"ada-token": "ada", "eve-token": "eve"}
	tokens := func(_ context.Context, c principal.Credential) (principal.Principal, bool, error) {
		switch c.Bearer {
		case "api-1":
			return principal.Principal{Kind: principal.ServiceAccount, Display: "robot"}, true, nil
		case "api-0":
			return principal.Principal{}, true, fault.New(fault.Unauthenticated, "token_revoked", "This token was revoked.")
		case "api-broken":
			return principal.Principal{}, false, errors.New("the database is away")
		}
		return principal.Principal{}, false, nil
	}
	cookie := func(r *http.Request) string { return r.Header.Get("Test-Cookie") }
	chain := principal.NewChain(cookie, principal.ControlSocket, principal.ApplicationKey(applications{}), tokens,
		principal.BearerSession(known), principal.CookieSession(known))
	for name, c := range map[string]struct {
		operator, cookie string
		bearer           []string
		kind             principal.Kind
		who, code        string
	}{
		"nothing":                             {code: "unauthenticated"},
		"a cookie":                            {cookie: "ada-token", kind: principal.User, who: "ada"},
		"a cookie that is over":               {cookie: "old", code: "unauthenticated"},
		"a session's token":                   {bearer: []string{"Bearer ada-token"}, kind: principal.User, who: "ada"},
		"the scheme in another case":          {bearer: []string{"bEARER ada-token"}, kind: principal.User, who: "ada"},
		"the header goes before the cookie":   {bearer: []string{"Bearer eve-token"}, cookie: "ada-token", kind: principal.User, who: "eve"},
		"no falling back to the cookie":       {bearer: []string{"Bearer old"}, cookie: "ada-token", code: "unauthenticated"},
		"nor from a header that is none":      {bearer: []string{"Basic YTpi"}, cookie: "ada-token", code: "invalid_authorization"},
		"two headers":                         {bearer: []string{"Bearer ada-token", "Bearer ada-token"}, code: "invalid_authorization"},
		"two tokens":                          {bearer: []string{"Bearer ada-token, eve-token"}, code: "invalid_authorization"},
		"the application":                     {bearer: []string{"Bearer the-key"}, kind: principal.Application, who: "shop"},
		"the application's key as a cookie":   {cookie: "the-key", code: "unauthenticated"},
		"a token of another kind":             {bearer: []string{"Bearer api-1"}, kind: principal.ServiceAccount, who: "robot"},
		"its own kind has the last word":      {bearer: []string{"Bearer api-0"}, code: "token_revoked"},
		"a failure is not passed on":          {bearer: []string{"Bearer api-broken"}, code: "internal"},
		"an operator":                         {operator: "0/root", kind: principal.Operator, who: "0/root"},
		"an operator, whatever else is shown": {operator: "0/root", bearer: []string{"Bearer ada-token"}, cookie: "eve-token", kind: principal.Operator, who: "0/root"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r = r.WithContext(request.With(r.Context(), request.Info{Operator: c.operator}))
		r.Header.Set("Test-Cookie", c.cookie)
		r.Header["Authorization"] = c.bearer
		if c.bearer == nil {
			delete(r.Header, "Authorization")
		}
		p, err := chain.Resolve(r)
		if c.code != "" {
			if err == nil || fault.From(err).Code != c.code || p.Kind != "" {
				t.Errorf("%s: %+v, %v, want %s", name, p, err, c.code)
			}
			continue
		}
		if err != nil || p.Kind != c.kind || p.Display != c.who {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// applications are one with a key, and one whose key is over.
type applications struct{}

var shop = uuid.New()

func (applications) Application(_ context.Context, token string) (uuid.UUID, string, bool, error) {
	if token == "old-key" {
		return uuid.Nil, "", true, fault.New(fault.Unauthenticated, "unauthenticated", "over")
	}
	return shop, "shop", token == "the-key", nil
}

// A key says which application it is; one that is over is nobody's, and no session's token either.
func TestApplicationKey(t *testing.T) {
	t.Parallel()
	resolve := principal.ApplicationKey(applications{})
	if p, known, err := resolve(t.Context(), principal.Credential{Bearer: "the-key"}); !known || err != nil || p.Kind != principal.Application || p.UserID != shop || p.Display != "shop" {
		t.Errorf("%+v %v %v", p, known, err)
	}
	if p, known, err := resolve(t.Context(), principal.Credential{Bearer: "old-key"}); !known || err == nil || p.Kind != "" {
		t.Errorf("%+v %v %v", p, known, err)
	}
	for _, token := range []string{"", "x"} {
		if p, known, err := resolve(t.Context(), principal.Credential{Bearer: token}); known || err != nil || p.Kind != "" {
			t.Errorf("%q: %+v %v %v", token, p, known, err)
		}
	}
}
