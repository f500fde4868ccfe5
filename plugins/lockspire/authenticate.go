package lockspire

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
)

// authenticate tells which client sent a request (RFC 6749 §2.3): by Basic, by the form, or by its ID alone where it has no secret.
func (in *programs) authenticate(r *http.Request, params url.Values) (*Client, error) {
	id, secret, method := params.Get("client_id"), params.Get("client_secret"), authNone
	user, password, basic := r.BasicAuth()
	header := r.Header.Get("Authorization") != ""
	bad := func() error {
		e := &protocolError{Status: http.StatusUnauthorized, Code: "invalid_client", Why: "client authentication failed"}
		if header {
			e.Challenge = "Basic" // RFC 6749 §5.2
		}
		return e
	}
	switch {
	case header && !basic:
		return nil, bad()
	case basic:
		if secret != "" {
			return nil, refuse("invalid_request", "use one way to authenticate the client") // RFC 6749 §2.3
		}
		// RFC 6749 §2.3.1: both are form-encoded first.
		decoded, err := url.QueryUnescape(user)
		if err != nil || id != "" && id != decoded {
			return nil, bad()
		}
		if secret, err = url.QueryUnescape(password); err != nil {
			return nil, bad()
		}
		id, method = decoded, authBasic
	case secret != "":
		method = authPost
	case id == "":
		return nil, bad()
	}
	for _, other := range []string{"client_assertion", "client_assertion_type"} {
		if params.Has(other) {
			return nil, bad()
		}
	}
	c, err := in.store.client(r.Context(), id)
	switch {
	case errors.Is(err, errNoClient):
		return nil, bad()
	case err != nil:
		return nil, err
	case c.Disabled || c.Config.AuthMethod != method: // RFC 9700 §2.5: the registered way, and no weaker one
		return nil, bad()
	case method == authNone:
		return c, nil
	}
	secrets, err := in.store.secrets(r.Context(), c.ID)
	if err != nil {
		return nil, err
	}
	now, shown := in.now(), digest(secret)
	for _, x := range secrets {
		if subtle.ConstantTimeCompare(x.Hash, shown) == 1 && (x.ExpiresAt == nil || now.Before(*x.ExpiresAt)) {
			return c, in.store.secretUsed(r.Context(), x, now)
		}
	}
	return nil, bad()
}
