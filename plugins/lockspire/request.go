package lockspire

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// authRequest is an authorization request that was checked.
type authRequest struct {
	ClientID    string   `json:"client_id"`
	RedirectURI string   `json:"redirect_uri"`
	Mode        string   `json:"response_mode,omitempty"` // empty: query
	State       *string  `json:"state,omitempty"`
	Scopes      []string `json:"scopes"`
	Nonce       string   `json:"nonce,omitempty"`
	Challenge   string   `json:"code_challenge"`
	Prompt      []string `json:"prompt,omitempty"`
	MaxAge      *int64   `json:"max_age,omitempty"` // seconds
	ACR         string   `json:"acr,omitempty"`     // of those asked for the first that there is
	LoginHint   string   `json:"login_hint,omitempty"`
	Locales     []string `json:"ui_locales,omitempty"`
	Resources   []string `json:"resources,omitempty"`
	HintedUser  string   `json:"hinted_user,omitempty"` // of id_token_hint
}

func (q *authRequest) prompts(value string) bool { return slices.Contains(q.Prompt, value) }

// target is where an answer to the client goes.
type target struct {
	URI   string
	Mode  string
	State *string
}

func (q *authRequest) target() target { return target{q.RedirectURI, q.Mode, q.State} }

// pageError is a refusal that the person sees: the request named no address that an answer may be sent to (RFC 6749 §4.1.2.1).
type pageError struct {
	Status int
	Code   string
	Why    string // for developers
}

func (e *pageError) Error() string { return e.Code + ": " + e.Why }

// clientError is a refusal that the client gets, at an address that is registered.
type clientError struct {
	To   target
	Code string
	Why  string
}

func (e *clientError) Error() string { return e.Code + ": " + e.Why }

// maxRequest is how long an authorization request may be, in bytes of its query or form.
const maxRequest = 16 << 10

var (
	// challengePattern: the base64url form of a SHA-256 sum (RFC 7636 §4.2).
	challengePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

	modes   = []string{"query", "form_post", "fragment"}
	prompts = []string{"none", "login", "consent", "select_account"}
	acrs    = []string{"aal1", "aal2"}
)

// judge holds an authorization request against what its client registered. find gives a client or errNoClient; hint gives whom an
// id_token_hint names. A refusal is a *pageError or a *clientError; any other error is trouble of the server's.
func judge(in url.Values, find func(id string) (*Client, error), hint func(token string) (user string, err error)) (*authRequest, *Client, error) {
	page := func(code, why string) error { return &pageError{Status: 400, Code: code, Why: why} }
	// RFC 6749 §3.1: a parameter without a value is one that was left out.
	in = withoutEmpty(in)
	if len(in["client_id"]) != 1 {
		return nil, nil, page("invalid_request", "client_id must be given once")
	}
	c, err := find(in.Get("client_id"))
	switch {
	case errors.Is(err, errNoClient):
		return nil, nil, page("invalid_client", "no client has this client_id")
	case err != nil:
		return nil, nil, err
	case c.Disabled:
		return nil, c, page("unauthorized_client", "the client is disabled")
	case len(in["redirect_uri"]) != 1:
		return nil, c, page("invalid_request", "redirect_uri must be given once") // OpenID Connect Core §3.1.2.1 requires it
	case !c.redirects(in.Get("redirect_uri")):
		return nil, c, page("invalid_request", "redirect_uri is not registered for this client; it is compared character by character")
	case in.Has("request") && in.Has("request_uri"):
		return nil, c, page("invalid_request", "request and request_uri exclude each other")
	}
	// From here on there is an address to answer to.
	q := &authRequest{ClientID: c.ID, RedirectURI: in.Get("redirect_uri")}
	if state := in["state"]; len(state) == 1 && !hasControl(state[0]) {
		q.State = &state[0]
	}
	if mode := in["response_mode"]; len(mode) == 1 && slices.Contains(modes, mode[0]) && (mode[0] != "fragment" || c.Config.Fragment) {
		q.Mode = mode[0]
	}
	if q.Mode == "query" {
		q.Mode = ""
	}
	for _, f := range []func(url.Values, *Client, *authRequest) (code, why string){judgeForm, judgeFlow, judgeScope, judgePrompt} {
		if code, why := f(in, c, q); code != "" {
			return nil, c, &clientError{q.target(), code, why}
		}
	}
	if token := in.Get("id_token_hint"); token != "" {
		user, err := hint(token)
		switch {
		case errors.Is(err, errBadToken):
			return nil, c, &clientError{q.target(), "invalid_request", "id_token_hint is not an ID token of this issuer for this client"}
		case err != nil:
			return nil, c, err
		}
		q.HintedUser = user
	}
	return q, c, nil
}

func withoutEmpty(in url.Values) url.Values {
	out := url.Values{}
	for name, values := range in {
		for _, v := range values {
			if v != "" || name == "redirect_uri" { // an empty redirect_uri is not an absent one
				out[name] = append(out[name], v)
			}
		}
	}
	return out
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
}

// judgeForm looks at what holds for every request.
func judgeForm(in url.Values, _ *Client, _ *authRequest) (code, why string) {
	for name, values := range in {
		if len(values) > 1 && name != "resource" { // RFC 6749 §3.1; RFC 8707 §2 for the exception
			return "invalid_request", "a parameter is given more than once"
		}
		for _, v := range values {
			if hasControl(v) {
				return "invalid_request", "a parameter has control characters"
			}
		}
	}
	switch {
	case in.Has("request"):
		return "request_not_supported", "request objects are not supported"
	case in.Has("request_uri"):
		return "request_uri_not_supported", "request_uri is not supported"
	case in.Has("registration"):
		return "registration_not_supported", "the registration parameter is not supported"
	case in.Has("authorization_details"):
		return "invalid_authorization_details", "no type of authorization details is known" // RFC 9396 §5
	}
	return "", ""
}

// judgeFlow looks at how the client wants to be answered.
func judgeFlow(in url.Values, c *Client, q *authRequest) (code, why string) {
	if mode := in.Get("response_mode"); mode != "" && mode != "query" && q.Mode != mode {
		return "invalid_request", "the response mode is not supported, or not allowed for this client"
	}
	switch in.Get("response_type") {
	case "code":
	case "":
		return "invalid_request", "response_type is missing"
	default:
		return "unsupported_response_type", "only response_type=code is supported" // RFC 9700 §2.1.2: no implicit grant
	}
	if !c.may(grantCode) {
		return "unauthorized_client", "the client may not use authorization codes"
	}
	// RFC 9700 §2.1.1: PKCE for everybody, and nothing but S256, so that nobody can ask for less.
	switch {
	case in.Get("code_challenge") == "":
		return "invalid_request", "code_challenge is missing: PKCE is required"
	case in.Get("code_challenge_method") != "S256":
		return "invalid_request", "code_challenge_method must be S256"
	case !challengePattern.MatchString(in.Get("code_challenge")):
		return "invalid_request", "code_challenge must be 43 characters of base64url"
	}
	q.Challenge = in.Get("code_challenge")
	return "", ""
}

// judgeScope looks at what the client wants.
func judgeScope(in url.Values, c *Client, q *authRequest) (code, why string) {
	if q.Scopes, code, why = scopesOf(in.Get("scope"), c.Config.Scopes); code != "" {
		return code, why
	}
	for _, r := range in["resource"] {
		if !slices.Contains(c.Config.Audiences, r) {
			return "invalid_target", "the resource is not one that this client may name" // RFC 8707 §2
		}
	}
	q.Resources = in["resource"]
	q.Nonce = in.Get("nonce")
	return "", ""
}

// scopesOf reads a list of scopes. It refuses what the client may not have instead of leaving it out, so that a mistake is seen.
func scopesOf(text string, allowed []string) (scopes []string, code, why string) {
	for _, s := range strings.Split(text, " ") {
		switch {
		case s == "":
			continue
		case !scopePattern.MatchString(s):
			return nil, "invalid_scope", "a scope has characters that no scope has here"
		case !slices.Contains(allowed, s):
			return nil, "invalid_scope", "the client may not ask for the scope " + s
		case !slices.Contains(scopes, s):
			scopes = append(scopes, s)
		}
	}
	if len(scopes) == 0 {
		return nil, "invalid_scope", "scope is missing"
	}
	return scopes, "", ""
}

// judgePrompt looks at what the client wants of the person.
func judgePrompt(in url.Values, _ *Client, q *authRequest) (code, why string) {
	q.Prompt = strings.Fields(in.Get("prompt"))
	for _, p := range q.Prompt {
		if !slices.Contains(prompts, p) {
			return "invalid_request", "prompt has an unknown value"
		}
	}
	if q.prompts("none") && len(q.Prompt) > 1 {
		return "invalid_request", "prompt=none excludes every other value" // OpenID Connect Core §3.1.2.1
	}
	if text := in.Get("max_age"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || n > 1<<40 {
			return "invalid_request", "max_age must be a number of seconds"
		}
		q.MaxAge = &n
	}
	for _, a := range strings.Fields(in.Get("acr_values")) {
		if slices.Contains(acrs, a) {
			q.ACR = a
			break
		}
	}
	if hint := in.Get("login_hint"); len(hint) <= 254 {
		q.LoginHint = hint
	}
	if l := strings.Fields(in.Get("ui_locales")); len(l) <= 20 {
		q.Locales = l
	}
	return "", ""
}
