package federation

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/sigra-auth/sigra/core/federation/preset"
)

// identify finds out who an exchange was about.
func (p *provider) identify(ctx context.Context, m metadata, tok *oauth2.Token, f flow, c Callback) (Claims, error) {
	var token answer
	var iss string
	var err error
	if p.kind == preset.OIDC {
		if token, iss, err = p.idToken(ctx, m, tok, f); err != nil {
			return Claims{}, err
		}
		// Which tenant has answered shows only here.
		if c.Issuer != "" && p.is.shared() && c.Issuer != iss {
			return Claims{}, p.invalid(StageAuthorize, "iss_mismatch", nil)
		}
	}
	var api answer
	if _, _, at := p.endpoints(m); p.kind == preset.OAuth2 || at != "" && p.lacks(token) {
		if api, err = p.userinfo(ctx, at, tok); err != nil {
			return Claims{}, err
		}
		// An answer about somebody else must not be mixed into this one (OpenID Connect Core 1.0 §5.3.2).
		if p.kind == preset.OIDC && api.text("sub") != token.text("sub") {
			return Claims{}, p.invalid(StageUserinfo, "subject_mismatch", nil)
		}
	}
	out := p.read(token, api)
	if out.Subject == "" {
		return Claims{}, p.invalid(StageClaims, "subject", nil)
	}
	if p.kind == preset.OIDC {
		out.Issuer = iss
		out.AuthTime, out.AMR, out.ACR = authTime(token), cleanMethods(token["amr"]), cleanACR(token.text("acr"))
	}
	if p.preset.EmailsURL != "" {
		email, verified, err := p.emails(ctx, tok)
		if err != nil {
			return Claims{}, err
		}
		out.setEmail(p, email, verified)
	}
	if out.Name == "" && p.preset.Has(preset.AppleUser) {
		out.Name = appleName(c.UserJSON)
	}
	return out, nil
}

// lacks reports whether the ID token leaves open what the API could tell.
func (p *provider) lacks(token answer) bool {
	email, _, said := token.address(p.claims)
	return email == "" || p.trustEmail && !said || token.first(p.claims.Name) == ""
}

func cleanACR(s string) string {
	if len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > 0x7e }) {
		return ""
	}
	return s
}

// api calls an API of the provider with the token.
func (p *provider) api(ctx context.Context, method, address string, tok *oauth2.Token, dst any) error {
	req, err := http.NewRequest(method, address, nil)
	if err != nil {
		return p.invalid(StageUserinfo, "malformed", err)
	}
	if p.preset.Has(preset.FacebookProof) {
		req.URL.RawQuery += "&appsecret_proof=" + url.QueryEscape(proof(p.secret.Reveal(), tok.AccessToken))
	}
	req.Header.Set("Authorization", "Bearer "+tok.AccessToken)
	cerr := p.calls.call(ctx, req, dst)
	switch {
	case cerr == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case cerr.down:
		return p.unavailable(StageUserinfo, cerr.reason, cerr)
	}
	return p.invalid(StageUserinfo, cerr.reason, cerr)
}

// proof shows that who holds the token also holds the client secret (Facebook, "Securing Graph API requests").
func proof(secret, token string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(token))
	return hex.EncodeToString(m.Sum(nil))
}

func (p *provider) userinfo(ctx context.Context, address string, tok *oauth2.Token) (answer, error) {
	method := http.MethodGet
	if p.preset.Has(preset.UserinfoPost) {
		method = http.MethodPost
	}
	var a answer
	if err := p.api(ctx, method, address, tok, &a); err != nil {
		return nil, err
	}
	return a, nil
}

// emails asks the API that lists somebody's addresses for the primary one, and whether it is verified.
func (p *provider) emails(ctx context.Context, tok *oauth2.Token) (email string, verified bool, err error) {
	type entry struct {
		Email     string `json:"email"`
		Primary   bool   `json:"primary"`
		Verified  bool   `json:"verified"`
		IsPrimary bool   `json:"is_primary"`   // Bitbucket
		Confirmed bool   `json:"is_confirmed"` // Bitbucket
	}
	var list []entry
	if p.preset.Has(preset.EmailsBitbucket) {
		var page struct {
			Values []entry `json:"values"`
		}
		err = p.api(ctx, http.MethodGet, p.preset.EmailsURL, tok, &page)
		list = page.Values
	} else {
		err = p.api(ctx, http.MethodGet, p.preset.EmailsURL, tok, &list)
	}
	if err != nil {
		return "", false, err
	}
	for _, e := range list {
		if e.Primary || e.IsPrimary {
			return e.Email, e.Verified || e.Confirmed, nil
		}
	}
	return "", false, nil
}
