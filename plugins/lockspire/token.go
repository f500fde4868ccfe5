package lockspire

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// tokenAnswer is what the token endpoint gives (RFC 6749 §5.1).
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
}

// token is the token endpoint (RFC 6749 §3.2).
func (in *programs) token(w http.ResponseWriter, r *http.Request) error {
	params, err := programForm(w, r)
	if err != nil {
		return err
	}
	c, err := in.authenticate(r, params)
	if err != nil {
		return err
	}
	kind := params.Get("grant_type")
	handle := map[string]func(context.Context, *Client, url.Values) (*tokenAnswer, error){
		grantCode: in.redeem, grantRefresh: in.refresh, grantClient: in.ofClient,
	}[kind]
	switch {
	case kind == "":
		return refuse("invalid_request", "grant_type is missing")
	case handle == nil:
		return refuse("unsupported_grant_type", "the grant type is not supported")
	case !c.may(kind):
		return refuse("unauthorized_client", "the client may not use this grant type")
	}
	answer, err := handle(r.Context(), c, params)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// verifierPattern: RFC 7636 §4.1.
var verifierPattern = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// verified says whether a PKCE verifier belongs to an S256 challenge (RFC 7636 §4.6).
func verified(verifier, challenge string) bool {
	if !verifierPattern.MatchString(verifier) {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// badGrant is the one answer to every code or refresh token that gives nothing, so that nobody learns more by trying.
func badGrant() error {
	return refuse("invalid_grant", "the code or token is unknown, expired, spent, or belongs to another request")
}

// redeem exchanges a code (RFC 6749 §4.1.3). Everything is checked before the code is spent, so that a mistake or somebody else's attempt costs
// nothing; it is spent by a conditional update in the transaction that stores what it gives.
func (in *programs) redeem(ctx context.Context, c *Client, params url.Values) (*tokenAnswer, error) {
	text := params.Get("code")
	if text == "" {
		return nil, refuse("invalid_request", "code is missing")
	}
	x, found, err := in.grants.code(ctx, text)
	switch {
	case err != nil:
		return nil, err
	case !found || x.ClientID != c.ID:
		return nil, badGrant() // a code of another client proves nothing about its grant
	case x.SpentAt != nil:
		return nil, in.reused(ctx, c, x.GrantID, endCodeReused)
	case !in.now().Before(x.ExpiresAt), params.Get("redirect_uri") != x.RedirectURI, !verified(params.Get("code_verifier"), x.Challenge):
		return nil, badGrant()
	}
	g, err := in.grants.find(ctx, x.GrantID)
	if err != nil {
		return nil, err
	}
	u, err := in.stands(ctx, c, g, false)
	if err != nil {
		return nil, err
	}
	audience, err := audienceOf(params["resource"], g.Detail.Resources, g.Detail.Scopes, in.issuer())
	if err != nil {
		return nil, err
	}
	answer, err := in.answerFor(ctx, c, g, u, g.Detail.Scopes, audience)
	if err != nil {
		return nil, err
	}
	var spent, standing bool
	err = storage.Tx(ctx, in.store.db, func(tx *sql.Tx) (err error) {
		now := in.now()
		if spent, err = spendCode(ctx, tx, text, now); err != nil || !spent {
			return err
		}
		if standing, err = touch(ctx, tx, g.ID, now); err != nil || !standing {
			return err
		}
		if answer.RefreshToken != "" {
			if err := insertRefresh(ctx, tx, answer.RefreshToken, refreshToken{GrantID: g.ID, ClientID: c.ID, ExpiresAt: in.refreshExpiry(g, now)}); err != nil {
				return err
			}
		}
		e := byClient(ctx, c)
		e.IdempotencyKey, e.CorrelationID = "issue/"+g.ID, g.ID
		e.Targets = []pluginsdk.Ref{{Type: "user", ID: g.UserID, Role: "subject"}}
		return in.record(ctx, e, "token.issue", c, g.Detail.Scopes)
	})
	switch {
	case err != nil:
		return nil, err
	case !spent: // at the same moment as another request
		return nil, in.reused(ctx, c, x.GrantID, endCodeReused)
	case !standing:
		return nil, badGrant()
	}
	return answer, nil
}

// reused ends the grant of a code or refresh token that came a second time: one of the two who showed it has stolen it, and nobody can
// tell which (RFC 6749 §4.1.2, RFC 9700 §4.14.2).
func (in *service) reused(ctx context.Context, c *Client, grantID, reason string) error {
	err := storage.Tx(ctx, in.store.db, func(tx *sql.Tx) error {
		ended, err := end(ctx, tx, grantID, reason, in.now())
		if err != nil || !ended {
			return err
		}
		e := byClient(ctx, c)
		e.Outcome, e.Reason, e.IdempotencyKey, e.CorrelationID = "failure", reason, "reuse/"+grantID, grantID
		return in.record(ctx, e, "token.reuse", c, nil)
	})
	if err != nil {
		return err
	}
	return badGrant()
}

// stands asks again whether everything still stands that a grant was given on: the account, the consent, and the session unless the
// person allowed access without one. What does not stand ends the grant.
func (in *service) stands(ctx context.Context, c *Client, g *grant, later bool) (u pluginsdk.User, err error) {
	now := in.now()
	if g.EndedAt != nil || !now.Before(g.ExpiresAt) {
		return u, badGrant()
	}
	reason := ""
	u, found, err := in.host.Identity().User(ctx, g.UserID)
	switch {
	case err != nil:
		return u, err
	case !found || u.Status != "active":
		reason = endAccount
	}
	if reason == "" && later && !c.Config.Trusted {
		have, err := in.store.consents(ctx, in.store.db, g.UserID, c.ID)
		if err != nil {
			return u, err
		}
		if len(have) == 0 || slices.ContainsFunc(g.Detail.Scopes, func(s string) bool { return !slices.Contains(have[0].Scopes, s) }) {
			reason = endConsent
		}
	}
	// OpenID Connect Core §11, Back-Channel Logout §2.7: offline_access is access while nobody is signed in; any other ends with the session.
	if reason == "" && !slices.Contains(g.Detail.Scopes, "offline_access") {
		ok, err := in.sessionStands(ctx, g.SessionID)
		if err != nil {
			return u, err
		}
		if !ok {
			reason = endSession
		}
	}
	if reason == "" {
		return u, nil
	}
	if _, err := end(ctx, in.store.db, g.ID, reason, now); err != nil {
		return u, err
	}
	return u, badGrant()
}

// sessionStands asks Sigra; a Sigra that can't check several sessions at once is asked for the one.
func (in *service) sessionStands(ctx context.Context, id string) (bool, error) {
	found, err := in.host.Sessions().Check(ctx, id)
	if err == nil {
		_, ok := found[id]
		return ok, nil
	}
	if !pluginsdk.IsPermanent(err) {
		return false, err
	}
	p, err := in.host.Sessions().Resolve(ctx, id)
	return p != nil, err
}

// audienceOf is for whom an access token is: the resources that the request names of those that were granted, all of them if it names none,
// and userinfo where the scope is openid (RFC 8707 §2.2, RFC 9068 §3).
func audienceOf(asked, granted, scopes []string, issuer string) ([]string, error) {
	for _, r := range asked {
		if !slices.Contains(granted, r) {
			return nil, refuse("invalid_target", "the resource was not granted")
		}
	}
	out := asked
	if len(asked) == 0 {
		out = granted
	}
	if len(out) == 0 || slices.Contains(scopes, "openid") {
		out = append(slices.Clone(out), issuer)
	}
	return out, nil
}

// answerFor makes the tokens of a grant. Nothing of it is stored yet.
func (in *programs) answerFor(ctx context.Context, c *Client, g *grant, u pluginsdk.User, scopes, audience []string) (*tokenAnswer, error) {
	token, expires, err := in.newAccessToken(ctx, c, g, scopes, audience)
	if err != nil {
		return nil, err
	}
	out := &tokenAnswer{AccessToken: token, TokenType: "Bearer", ExpiresIn: int64(expires.Sub(in.now()).Round(time.Second).Seconds()), Scope: strings.Join(scopes, " ")}
	if slices.Contains(scopes, "openid") {
		if out.IDToken, err = in.newIDToken(ctx, c, g, u, token); err != nil {
			return nil, err
		}
	}
	if c.may(grantRefresh) {
		out.RefreshToken = newToken()
	}
	return out, nil
}

// refreshExpiry is when a refresh token made now ends.
func (in *service) refreshExpiry(g *grant, now time.Time) time.Time {
	at := now.Add(in.settings.RefreshTokenTTL)
	if at.After(g.ExpiresAt) {
		return g.ExpiresAt
	}
	return at
}

// ofClient gives a client a token of its own (RFC 6749 §4.4).
func (in *programs) ofClient(ctx context.Context, c *Client, params url.Values) (*tokenAnswer, error) {
	asked := params.Get("scope")
	var scopes []string
	if asked != "" {
		var code, why string
		if scopes, code, why = scopesOf(asked, c.Config.Scopes); code != "" {
			return nil, refuse(code, why)
		}
	}
	for _, person := range []string{"openid", "profile", "email", "offline_access"} { // there is no person
		if slices.Contains(scopes, person) {
			return nil, refuse("invalid_scope", "the scope "+person+" needs a person")
		}
	}
	audience, err := audienceOf(params["resource"], c.Config.Audiences, scopes, in.issuer())
	if err != nil {
		return nil, err
	}
	token, expires, err := in.newAccessToken(ctx, c, nil, scopes, audience)
	if err != nil {
		return nil, err
	}
	return &tokenAnswer{AccessToken: token, TokenType: "Bearer", ExpiresIn: int64(expires.Sub(in.now()).Round(time.Second).Seconds()), Scope: strings.Join(scopes, " ")}, nil
}
