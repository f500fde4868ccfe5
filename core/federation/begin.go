package federation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/oauth2"

	"github.com/sigra-auth/sigra/core/federation/preset"
)

const (
	maxReturnTo  = 2048
	maxLoginHint = 254
)

// Begin makes a state and the address to send the browser to. It asks the provider for its metadata first, unless they
// are known, so it is to be called outside of any transaction.
func (s *Service) Begin(ctx context.Context, r Request) (Begun, error) {
	if r.Purpose != SignIn && r.Purpose != Link || (r.Purpose == Link) != (r.AccountID != uuid.Nil) {
		return Begun{}, fmt.Errorf("federation: purpose %q and account %s don't go together", r.Purpose, r.AccountID)
	}
	if len(r.ReturnTo) > maxReturnTo {
		return Begun{}, errors.New("federation: return_to is too long")
	}
	p, err := s.directory.Load().enabled(r.Provider)
	if err != nil {
		return Begun{}, err
	}
	var m metadata
	if p.kind == preset.OIDC {
		if m, err = p.metadata(ctx); err != nil {
			return Begun{}, err
		}
	}
	nonce, _ := newSecret()
	f := flow{
		Provider: p.name, Purpose: r.Purpose, AccountID: r.AccountID, ReturnTo: r.ReturnTo, Issuer: p.place(m),
		Nonce: nonce, Verifier: oauth2.GenerateVerifier(), Begun: s.now(),
	}
	params := p.request(r)
	f.Fresh = p.kind == preset.OIDC && params["max_age"] == "0"
	state, browser, err := s.keep(ctx, f, r.Browser)
	if err != nil {
		return Begun{}, err
	}
	params["response_type"] = "code"
	params["client_id"] = p.clientID
	params["redirect_uri"] = p.redirectURI
	params["state"] = state
	params["code_challenge"] = oauth2.S256ChallengeFromVerifier(f.Verifier) // RFC 7636, RFC 9700 §2.1.1
	params["code_challenge_method"] = "S256"
	if p.kind == preset.OIDC {
		params["nonce"] = f.Nonce
	}
	if len(p.scopes) > 0 {
		params["scope"] = strings.Join(p.scopes, " ")
	}
	authorize, _, _ := p.endpoints(m)
	u, err := url.Parse(authorize)
	if err != nil {
		return Begun{}, p.invalid(StageDiscovery, "malformed", err)
	}
	q := u.Query() // an endpoint may have parameters of its own, which stay (RFC 6749 §3.1)
	for k, v := range params {
		q.Set(k, v)
	}
	u.RawQuery = q.Encode()
	return Begun{URL: u.String(), Browser: browser, ExpiresAt: f.Begun.Add(s.ttl)}, nil
}

// request gives the parameters that configuration and the caller's wishes make.
func (p *provider) request(r Request) map[string]string {
	params := maps.Clone(p.params)
	if r.ForceLogin {
		maps.Copy(params, p.forceLogin)
	}
	if hint := strings.TrimSpace(r.LoginHint); hint != "" && len(hint) <= maxLoginHint && !strings.ContainsFunc(hint, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		params["login_hint"] = hint
	}
	return params
}
