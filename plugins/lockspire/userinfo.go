package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// userinfo says who the person is (OpenID Connect Core §5.3).
func (in *programs) userinfo(w http.ResponseWriter, r *http.Request) error {
	fail := func(status int, code, why string) error {
		return &protocolError{Status: status, Code: code, Why: why, Challenge: "Bearer"}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST, OPTIONS")
		return &protocolError{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Why: "use GET or POST"}
	}
	token, err := bearer(w, r)
	switch {
	case err != nil:
		return fail(http.StatusBadRequest, "invalid_request", err.Error())
	case token == "":
		return fail(http.StatusUnauthorized, "", "")
	}
	a, g, err := in.readAccessToken(r.Context(), token)
	bad := fail(http.StatusUnauthorized, "invalid_token", "the access token is not valid")
	switch {
	case errors.Is(err, errBadToken):
		return bad
	case err != nil:
		return err
	case g == nil || !slices.Contains(a.Scopes, "openid"):
		return fail(http.StatusForbidden, "insufficient_scope", "the scope openid is needed")
	case !slices.Contains(a.Audience, in.issuer()): // RFC 9068 §4: a token for somebody else
		return bad
	}
	c, err := in.store.client(r.Context(), g.ClientID)
	if err != nil {
		return err
	}
	var ended *protocolError
	u, err := in.stands(r.Context(), c, g, true)
	if errors.As(err, &ended) {
		return bad
	} else if err != nil {
		return err
	}
	narrowed := *g
	narrowed.Detail.Scopes = a.Scopes
	return writeJSON(w, http.StatusOK, in.userClaims(r.Context(), c, &narrowed, u))
}

var errTwoTokens = errors.New("the access token must come once: in the Authorization header or in the form")

// bearer is the access token of a request (RFC 6750 §2): in the header or the form, never in the address.
func bearer(w http.ResponseWriter, r *http.Request) (string, error) {
	token := ""
	if scheme, value, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(value)
	}
	if r.Method != http.MethodPost || r.ContentLength == 0 {
		return token, nil
	}
	in, err := form(w, r)
	if errors.Is(err, errNotForm) {
		return token, nil
	} else if err != nil {
		return "", err
	}
	if in.Has("access_token") {
		if token != "" || len(in["access_token"]) != 1 {
			return "", errTwoTokens
		}
		token = in.Get("access_token")
	}
	return token, nil
}

// revoke gives back a token (RFC 7009). A refresh token takes its whole grant along, an access token goes alone.
func (in *programs) revoke(w http.ResponseWriter, r *http.Request) error {
	params, err := programForm(w, r)
	if err != nil {
		return err
	}
	c, err := in.authenticate(r, params)
	if err != nil {
		return err
	}
	token := params.Get("token")
	if token == "" {
		return refuse("invalid_request", "token is missing")
	}
	x, found, err := in.grants.refresh(r.Context(), digest(token))
	switch {
	case err != nil:
		return err
	case found && x.ClientID == c.ID: // RFC 7009 §2.1: of another client's tokens nothing happens
		if err := in.giveBack(r, c, x.GrantID); err != nil {
			return err
		}
	case !found:
		a, _, err := in.readAccessToken(r.Context(), token)
		if err == nil && a.ClientID == c.ID {
			err = in.grants.revoke(r.Context(), a.ID, a.Expires)
		}
		if err != nil && !errors.Is(err, errBadToken) {
			return err
		}
	}
	w.WriteHeader(http.StatusOK) // RFC 7009 §2.2: also for a token that nobody knows
	return nil
}

func (in *programs) giveBack(r *http.Request, c *Client, grantID string) error {
	return storage.Tx(r.Context(), in.store.db, func(tx *sql.Tx) error {
		ended, err := end(r.Context(), tx, grantID, endRevoked, in.now())
		if err != nil || !ended {
			return err
		}
		e := byClient(r.Context(), c)
		e.IdempotencyKey, e.CorrelationID = "revoke/"+grantID, grantID
		return in.record(r.Context(), e, "token.revoke", c, nil)
	})
}

// introspect says what a token stands for (RFC 7662). It answers clients with a secret: the one whose token it is, and those that the
// token is for. To all others a token is not active (§2.2).
func (in *programs) introspect(w http.ResponseWriter, r *http.Request) error {
	params, err := programForm(w, r)
	if err != nil {
		return err
	}
	c, err := in.authenticate(r, params)
	if err != nil {
		return err
	}
	if c.Config.AuthMethod == authNone { // RFC 7662 §2.1: whoever asks must be authenticated
		return &protocolError{Status: http.StatusUnauthorized, Code: "invalid_client", Why: "introspection needs a client with a secret"}
	}
	token := params.Get("token")
	if token == "" {
		return refuse("invalid_request", "token is missing")
	}
	out, err := in.describe(r, c, token)
	if err != nil {
		return err
	}
	if out == nil {
		out = map[string]any{"active": false}
	}
	return writeJSON(w, http.StatusOK, out)
}

// describe is what a client may know of a token; nil: nothing.
func (in *programs) describe(r *http.Request, c *Client, token string) (map[string]any, error) {
	a, g, err := in.readAccessToken(r.Context(), token)
	switch {
	case err == nil:
		if a.ClientID != c.ID && !slices.ContainsFunc(a.Audience, func(x string) bool { return slices.Contains(c.Config.Serves, x) }) {
			return nil, nil
		}
		if g != nil {
			owner, err := in.store.client(r.Context(), g.ClientID)
			if err != nil {
				return nil, err
			}
			if ok, err := in.standing(r.Context(), owner, g); err != nil || !ok {
				return nil, err
			}
		}
		out := map[string]any{"active": true, "token_type": "Bearer"}
		for k, v := range a.Claims {
			out[k] = v
		}
		return out, nil
	case !errors.Is(err, errBadToken):
		return nil, err
	}
	x, found, err := in.grants.refresh(r.Context(), digest(token))
	if err != nil || !found || x.ClientID != c.ID || x.SpentAt != nil || !in.now().Before(x.ExpiresAt) {
		return nil, err
	}
	g, err = in.grants.find(r.Context(), x.GrantID)
	if err != nil {
		return nil, err
	}
	if ok, err := in.standing(r.Context(), c, g); err != nil || !ok {
		return nil, err
	}
	return map[string]any{
		"active": true, "client_id": c.ID, "sub": g.UserID, "scope": strings.Join(g.Detail.Scopes, " "), "exp": x.ExpiresAt.Unix(), "iss": in.issuer(),
	}, nil
}

// standing is stands as an answer.
func (in *service) standing(ctx context.Context, c *Client, g *grant) (bool, error) {
	_, err := in.stands(ctx, c, g, true)
	var ended *protocolError
	if errors.As(err, &ended) {
		return false, nil
	}
	return err == nil, err
}
