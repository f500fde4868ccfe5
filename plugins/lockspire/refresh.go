package lockspire

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// refreshGrace is how long a spent refresh token gives the answer again that it gave: for a client to which the answer was lost.
const refreshGrace = 30 * time.Second

// refresh exchanges a refresh token for the next and a new access token (RFC 6749 §6, RFC 9700 §4.14.2).
//
//	fresh ──shown──▶ spent ──shown within 30 s, its successor still fresh──▶ the same answer again
//	                       └─shown otherwise──▶ the grant ends
func (in *programs) refresh(ctx context.Context, c *Client, params url.Values) (*tokenAnswer, error) {
	text := params.Get("refresh_token")
	if text == "" {
		return nil, refuse("invalid_request", "refresh_token is missing")
	}
	// A second look follows when another request spends the token between the first look and the update.
	for range 2 {
		x, found, err := in.grants.refresh(ctx, digest(text))
		switch {
		case err != nil:
			return nil, err
		case !found || x.ClientID != c.ID:
			return nil, badGrant()
		}
		g, err := in.grants.find(ctx, x.GrantID)
		if err != nil {
			return nil, err
		}
		if x.SpentAt != nil {
			return in.again(ctx, c, g, text, x)
		}
		if !in.now().Before(x.ExpiresAt) {
			return nil, badGrant()
		}
		answer, spent, err := in.rotate(ctx, c, g, text, params)
		if err != nil || spent {
			return answer, err
		}
	}
	return nil, badGrant()
}

// rotate spends a fresh token; spent is false when another request has done so meanwhile.
func (in *programs) rotate(ctx context.Context, c *Client, g *grant, text string, params url.Values) (answer *tokenAnswer, spent bool, err error) {
	u, err := in.stands(ctx, c, g, true)
	if err != nil {
		return nil, false, err
	}
	scopes := g.Detail.Scopes
	if asked := strings.Fields(params.Get("scope")); len(asked) > 0 { // RFC 6749 §6: less, never more; what is refreshed stays whole
		if slices.ContainsFunc(asked, func(s string) bool { return !slices.Contains(g.Detail.Scopes, s) }) {
			return nil, false, refuse("invalid_scope", "the scope goes beyond what was granted")
		}
		scopes = asked
	}
	audience, err := audienceOf(params["resource"], g.Detail.Resources, scopes, in.issuer())
	if err != nil {
		return nil, false, err
	}
	if answer, err = in.answerFor(ctx, c, g, u, scopes, audience); err != nil {
		return nil, false, err
	}
	plain, err := json.Marshal(answer)
	if err != nil {
		return nil, false, err
	}
	kept, err := encryptWith(text, plain)
	if err != nil {
		return nil, false, err
	}
	standing := true
	err = storage.Tx(ctx, in.store.db, func(tx *sql.Tx) (err error) {
		now := in.now()
		if spent, err = spendRefresh(ctx, tx, text, answer.RefreshToken, kept, now); err != nil || !spent {
			return err
		}
		if standing, err = touch(ctx, tx, g.ID, now); err != nil || !standing {
			return err
		}
		return insertRefresh(ctx, tx, answer.RefreshToken, refreshToken{GrantID: g.ID, ClientID: c.ID, ExpiresAt: in.refreshExpiry(g, now)})
	})
	switch {
	case err != nil:
		return nil, false, err
	case !standing:
		return nil, false, badGrant()
	}
	return answer, spent, nil
}

// again answers a token that is spent already.
func (in *programs) again(ctx context.Context, c *Client, g *grant, text string, x refreshToken) (*tokenAnswer, error) {
	next, found, err := in.grants.refresh(ctx, x.Successor)
	if err != nil {
		return nil, err
	}
	// A successor that was used shows that its answer had arrived: whoever comes with the old token now is somebody else.
	if in.now().Sub(*x.SpentAt) > refreshGrace || x.Answer == nil || !found || next.SpentAt != nil {
		return nil, in.reused(ctx, c, x.GrantID, endRefreshReused)
	}
	if _, err := in.stands(ctx, c, g, true); err != nil {
		return nil, err
	}
	plain, err := decryptWith(text, x.Answer)
	if err != nil {
		return nil, err
	}
	var out tokenAnswer
	return &out, json.Unmarshal(plain, &out)
}
