package federation

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/federation/preset"
)

const (
	maxCode  = 8 << 10
	maxError = 200
)

// Finish spends the state, exchanges the code and judges who came. It speaks to the provider, so it is to be called outside of any transaction.
func (s *Service) Finish(ctx context.Context, c Callback) (Result, error) {
	p, err := s.directory.Load().enabled(c.Provider)
	if err != nil {
		return Result{}, err
	}
	// First of all: whatever else is wrong, this state is used up.
	f, err := s.spend(ctx, p.name, c.State, c.Browser)
	if err != nil {
		return Result{}, err
	}
	out := Result{Provider: f.Provider, Purpose: f.Purpose, AccountID: f.AccountID, ReturnTo: f.ReturnTo, SignUp: p.signUp}
	if f.Provider != p.name { // a state is good for the provider it was made for (RFC 9700 §4.4)
		return out, stateInvalid(p.name, "other_provider")
	}
	var m metadata
	if p.kind == preset.OIDC {
		if m, err = p.metadata(ctx); err != nil {
			return out, err
		}
	}
	if p.place(m) != f.Issuer { // the configuration changed under way
		return out, stateInvalid(p.name, "provider_changed")
	}
	if err := p.authorized(m, c); err != nil {
		return out, err
	}
	tok, err := p.exchange(ctx, m, c.Code, f)
	if err != nil {
		return out, err
	}
	out.Claims, err = p.identify(ctx, m, tok, f, c)
	return out, err
}

// deniedCodes are the errors that mean: the person, or the provider on account of the person, said no.
var deniedCodes = []string{
	"access_denied", "consent_required", "interaction_required", "login_required", "account_selection_required", // RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6
	"user_cancelled_authorize", "user_cancelled_login", // Apple; LinkedIn
}

// authorized judges what the callback itself says.
func (p *provider) authorized(m metadata, c Callback) error {
	if reason := p.wrongIssuer(m, c.Issuer); reason != "" { // before anything else is believed (RFC 9207 §2.4)
		return p.invalid(StageAuthorize, reason, fmt.Errorf("iss is %q", clip(c.Issuer)))
	}
	if c.Error != "" {
		said := errors.New(clip(c.Error + ": " + c.ErrorDescription))
		switch {
		case slices.Contains(deniedCodes, c.Error):
			return p.denied(c.Error, said)
		case c.Error == "temporarily_unavailable", c.Error == "server_error":
			return p.unavailable(StageAuthorize, c.Error, said)
		}
		return p.invalid(StageAuthorize, oauthCode(c.Error), said)
	}
	if c.Code == "" || len(c.Code) > maxCode {
		return p.invalid(StageAuthorize, "code_missing", nil)
	}
	return nil
}

// wrongIssuer compares the callback's iss. It must be there when the provider has said that it will be, and must be right whenever it is there.
func (p *provider) wrongIssuer(m metadata, iss string) string {
	if p.kind == preset.OIDC {
		switch {
		case iss == "" && m.IssParameter:
			return "iss_missing"
		case iss != "" && !p.is.answered(m.Issuer, iss):
			return "iss_mismatch"
		}
		return ""
	}
	if iss == "" {
		return ""
	}
	// Without discovery no issuer is known to the letter; what stands there must at least be of the place that was asked.
	u, err := url.Parse(iss)
	asked, aerr := url.Parse(p.preset.AuthorizeURL)
	realm, rerr := url.Parse(p.realm)
	if err != nil || aerr != nil || rerr != nil || u.Host == "" || u.Scheme != asked.Scheme && u.Scheme != realm.Scheme || u.Host != asked.Host && u.Host != realm.Host {
		return "iss_mismatch"
	}
	return ""
}

// oauthCode makes a reason of an error code of the provider: as it is when it looks like one.
func oauthCode(s string) string {
	if len(s) > 64 || s == "" || strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' }) {
		return "error"
	}
	return s
}

// clip makes what others wrote fit for a log.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxError {
		s = strings.ToValidUTF8(s[:maxError], "") + "…"
	}
	return s
}

// exchange turns the code into a token. It is used for this sign-in alone and forgotten after it.
func (p *provider) exchange(ctx context.Context, m metadata, code string, f flow) (*oauth2.Token, error) {
	_, tokenURL, _ := p.endpoints(m)
	style, how := p.authStyle(m)
	cfg := oauth2.Config{ClientID: p.clientID, ClientSecret: p.secret.Reveal(), RedirectURL: p.redirectURI, Endpoint: oauth2.Endpoint{TokenURL: tokenURL, AuthStyle: style}}
	switch {
	case p.apple != nil:
		secret, err := p.apple.secret(p.is.name(), p.now())
		if err != nil {
			return nil, err
		}
		cfg.ClientSecret, cfg.Endpoint.AuthStyle = secret, oauth2.AuthStyleInParams
	case how == config.TokenAuthNone:
		cfg.ClientSecret = ""
	}
	callCtx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, p.calls.tokens()), p.calls.timeout)
	defer cancel()
	tok, err := cfg.Exchange(callCtx, code, oauth2.VerifierOption(f.Verifier))
	if err == nil {
		if !strings.EqualFold(tok.Type(), "Bearer") {
			return nil, p.invalid(StageToken, "token_type", fmt.Errorf("the token's type is %q", clip(tok.TokenType)))
		}
		return tok, nil
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case callCtx.Err() != nil: // x/oauth2 makes text of what goes wrong while it reads
		return nil, p.unavailable(StageToken, "timeout", callCtx.Err())
	case strings.Contains(err.Error(), errTooLarge.Error()):
		return nil, p.invalid(StageToken, "too_large", errTooLarge)
	}
	return nil, p.exchangeFailed(tokenURL, err)
}

func (p *provider) exchangeFailed(tokenURL string, err error) error {
	var re *oauth2.RetrieveError
	if errors.As(err, &re) {
		said := fmt.Errorf("POST %s: %s", tokenURL, clip(re.Response.Status+" "+re.ErrorCode+" "+re.ErrorDescription)) // the body may hold tokens: it stays here
		switch status := re.Response.StatusCode; {
		case status >= 500 || status == 429:
			return p.unavailable(StageToken, "status", said)
		case re.ErrorCode != "":
			return p.invalid(StageToken, oauthCode(re.ErrorCode), said)
		}
		return p.invalid(StageToken, "status", said)
	}
	var ue *url.Error
	ce := callFailed(err)
	switch {
	case !ce.down:
		return p.invalid(StageToken, ce.reason, ce.err)
	case errors.As(err, &ue):
		return p.unavailable(StageToken, ce.reason, ce.err)
	}
	return p.invalid(StageToken, "malformed", errors.New("the answer is no token response")) // what x/oauth2 says could quote it
}
