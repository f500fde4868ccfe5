package lockspire

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// The types of our JWTs. A token of one type is never taken for another (RFC 8725 §3.11).
const (
	accessTokenType = "at+jwt" // RFC 9068 §2.1
	idTokenType     = "JWT"
)

// errBadToken is a token that is not ours, not of this type or not valid any more.
var errBadToken = errors.New("the token is not valid")

func (in *service) sign(ctx context.Context, alg, typ string, claims map[string]any) (string, error) {
	signer, err := in.keys.signer(ctx, alg, typ)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// verify checks the signature, type and issuer of one of our JWTs and gives its claims. The algorithm is that of the key, whatever the
// header says (RFC 8725 §3.1); keys in a header count for nothing. retired also takes keys that are published no more.
func (in *service) verify(ctx context.Context, token, typ string, retired bool) (map[string]any, error) {
	if len(token) > 8<<10 {
		return nil, errBadToken
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil || len(parsed.Headers) != 1 {
		return nil, errBadToken
	}
	h := parsed.Headers[0]
	if got, _ := h.ExtraHeaders[jose.HeaderType].(string); !strings.EqualFold(got, typ) {
		return nil, errBadToken
	}
	k, found, err := in.keys.find(ctx, h.KeyID, h.Algorithm, retired)
	if err != nil {
		return nil, err
	}
	claims := map[string]any{}
	if !found || parsed.Claims(k.Public.Key, &claims) != nil || claims["iss"] != in.issuer() {
		return nil, errBadToken
	}
	return claims, nil
}

// hinted is whom an id_token_hint names. An expired one still names them (OpenID Connect Core §3.1.2.2).
func (in *service) hinted(ctx context.Context, token, client string) (string, error) {
	claims, err := in.verify(ctx, token, idTokenType, true)
	if err != nil {
		return "", err
	}
	if !slices.Contains(texted(claims["aud"]), client) {
		return "", errBadToken
	}
	sub, _ := claims["sub"].(string)
	return sub, nil
}

// texted reads a claim that is one text or several.
func texted(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, x := range v {
			if s, ok := x.(string); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// access is what an access token stands for.
type access struct {
	ID       string // its jti
	GrantID  string // empty: of client_credentials
	ClientID string
	UserID   string
	Scopes   []string
	Audience []string
	Claims   map[string]any
	Expires  time.Time
}

// grantMark separates the grant from the rest of a jti, so that a token leads to its grant and no row is needed for each token.
const grantMark = "."

// newAccessToken makes an access token (RFC 9068). g is nil for client_credentials.
func (in *service) newAccessToken(ctx context.Context, c *Client, g *grant, scopes, audience []string) (token string, expires time.Time, err error) {
	now := in.now()
	expires = now.Add(in.settings.AccessTokenTTL)
	claims := map[string]any{
		"iss": in.issuer(), "sub": c.ID, "aud": audience, "client_id": c.ID, "iat": now.Unix(), "exp": expires.Unix(), "jti": uuid.NewString(),
		"scope": strings.Join(scopes, " "),
	}
	if g != nil {
		for k, v := range in.otherClaims(ctx, g, c, scopes) {
			if _, taken := claims[k]; !taken {
				claims[k] = v
			}
		}
		claims["sub"], claims["jti"] = g.UserID, g.ID+grantMark+uuid.NewString()
		maps.Copy(claims, g.authentication())
	}
	token, err = in.sign(ctx, in.settings.AccessTokenAlgorithm, accessTokenType, claims)
	return token, expires, err
}

// authentication is how and when the person signed in.
func (g *grant) authentication() map[string]any {
	out := map[string]any{"auth_time": g.Detail.AuthTime}
	if g.Detail.ACR != "" {
		out["acr"] = g.Detail.ACR
	}
	if len(g.Detail.AMR) > 0 {
		out["amr"] = g.Detail.AMR
	}
	return out
}

// newIDToken makes an ID token (OpenID Connect Core §2) beside an access token.
func (in *service) newIDToken(ctx context.Context, c *Client, g *grant, u pluginsdk.User, accessToken string) (string, error) {
	now := in.now()
	claims := map[string]any{}
	if c.Config.ClaimsInIDToken {
		claims = in.userClaims(ctx, c, g, u)
	}
	maps.Copy(claims, g.authentication())
	maps.Copy(claims, map[string]any{
		"iss": in.issuer(), "sub": g.UserID, "aud": c.ID, "azp": c.ID, "iat": now.Unix(), "exp": now.Add(in.settings.IDTokenTTL).Unix(),
		"at_hash": halfHash(accessToken), "sid": in.sid(g),
	})
	if g.Detail.Nonce != "" {
		claims["nonce"] = g.Detail.Nonce
	}
	return in.sign(ctx, c.Config.IDTokenAlg, idTokenType, claims)
}

// halfHash is at_hash for the algorithms that there are, both of which use SHA-256 (OpenID Connect Core §3.1.3.6).
func halfHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// sid names the session towards one client: others get another name for it.
func (in *service) sid(g *grant) string {
	sum := sha256.Sum256([]byte(in.issuer() + "\x00" + g.ClientID + "\x00" + g.SessionID))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// userClaims is what the scopes of a grant let a client know of the person (OpenID Connect Core §5.4).
func (in *service) userClaims(ctx context.Context, c *Client, g *grant, u pluginsdk.User) map[string]any {
	out := map[string]any{"sub": g.UserID}
	put := func(name, value string) {
		if value != "" {
			out[name] = value
		}
	}
	if slices.Contains(g.Detail.Scopes, "profile") {
		put("name", u.Display)
		put("preferred_username", u.Username)
		put("locale", u.Language)
	}
	if slices.Contains(g.Detail.Scopes, "email") && u.Email != "" {
		out["email"], out["email_verified"] = u.Email, u.EmailVerified
	}
	for k, v := range in.otherClaims(ctx, g, c, g.Detail.Scopes) {
		if _, taken := out[k]; !taken {
			out[k] = v
		}
	}
	return out
}

// otherClaims is what other plugins say, each below its own name. They are left out when Sigra gathers none.
func (in *service) otherClaims(ctx context.Context, g *grant, c *Client, scopes []string) map[string]any {
	if !in.host.Granted(pluginsdk.ClaimsRead) {
		return nil
	}
	got, err := in.host.Claims().Collect(ctx, pluginsdk.CollectRequest{UserID: g.UserID, Audience: "token", ClientID: c.ID, Scopes: scopes})
	if err != nil {
		in.log.Debug("claims of other plugins left out", "error", err)
		return nil
	}
	return got.Claims
}

// readAccessToken gives what an access token stands for, if it and its grant still stand; errBadToken otherwise.
func (in *service) readAccessToken(ctx context.Context, token string) (access, *grant, error) {
	claims, err := in.verify(ctx, token, accessTokenType, false)
	if err != nil {
		return access{}, nil, err
	}
	exp, _ := claims["exp"].(float64)
	a := access{Claims: claims, Expires: time.Unix(int64(exp), 0), Audience: texted(claims["aud"])}
	a.ID, _ = claims["jti"].(string)
	a.ClientID, _ = claims["client_id"].(string)
	a.UserID, _ = claims["sub"].(string)
	scope, _ := claims["scope"].(string)
	a.Scopes = strings.Fields(scope)
	if !in.now().Before(a.Expires) {
		return access{}, nil, errBadToken
	}
	c, err := in.store.client(ctx, a.ClientID)
	switch {
	case errors.Is(err, errNoClient) || err == nil && c.Disabled:
		return access{}, nil, errBadToken
	case err != nil:
		return access{}, nil, err
	}
	if revoked, err := in.grants.revoked(ctx, a.ID); err != nil {
		return access{}, nil, err
	} else if revoked {
		return access{}, nil, errBadToken
	}
	id, _, ofGrant := strings.Cut(a.ID, grantMark)
	if !ofGrant {
		return a, nil, nil
	}
	a.GrantID = id
	g, err := in.grants.find(ctx, id)
	switch {
	case errors.Is(err, errNoGrant) || err == nil && (g.EndedAt != nil || !in.now().Before(g.ExpiresAt)):
		return access{}, nil, errBadToken
	case err != nil:
		return access{}, nil, err
	}
	return a, g, nil
}
