package principal

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/request"
)

// maxBearer bounds a bearer token before anybody looks at it.
const maxBearer = 4096

// Faults of a request whose sender is not known.
var (
	ErrNoCredential = fault.New(fault.Unauthenticated, "unauthenticated", "Sign in, or send a session token as a bearer token.")
	ErrMalformed    = fault.New(fault.Unauthenticated, "invalid_authorization", "The Authorization header must be one bearer token.")
)

// Credential is what a request shows of who sent it. One of the three is set, or none.
type Credential struct {
	Operator string // who asks over the control socket, whose listener has asked the kernel
	Bearer   string // the token of the Authorization header
	Cookie   string // the session cookie's token
}

// CredentialOf reads what a request shows. A request with an Authorization header is judged by that and by nothing else: to fall
// back to the cookie would answer for somebody whom the header does not name. cookie finds the session cookie's token.
func CredentialOf(r *http.Request, cookie func(*http.Request) string) (Credential, error) {
	if op := request.From(r.Context()).Operator; op != "" {
		return Credential{Operator: op}, nil
	}
	switch auth := r.Header["Authorization"]; len(auth) {
	case 0:
		return Credential{Cookie: cookie(r)}, nil
	case 1:
		scheme, token, ok := strings.Cut(auth[0], " ")
		if ok && strings.EqualFold(scheme, "bearer") && token != "" && len(token) <= maxBearer && !strings.ContainsAny(token, " \t,") {
			return Credential{Bearer: token}, nil
		}
	}
	return Credential{}, ErrMalformed
}

// Resolver tells whose a credential is. known is false for a credential that is not of its kind: the next one is asked. Of its
// own kind it has the last word: a token that is over is a fault of kind Unauthenticated.
type Resolver func(ctx context.Context, c Credential) (p Principal, known bool, err error)

// Chain is the ways to tell who sent a request, in the order in which they are asked.
type Chain struct {
	cookie    func(*http.Request) string
	resolvers []Resolver
}

// NewChain makes a chain. cookie finds the session cookie's token in a request.
func NewChain(cookie func(*http.Request) string, resolvers ...Resolver) *Chain {
	return &Chain{cookie: cookie, resolvers: resolvers}
}

// Resolve tells who sent a request. ErrNoCredential when it shows nothing, a fault of kind Unauthenticated when what it shows is
// good for nothing.
func (c *Chain) Resolve(r *http.Request) (Principal, error) {
	cred, err := c.Credential(r)
	if err != nil {
		return Principal{}, err
	}
	return c.ResolveCredential(r.Context(), cred)
}

// ResolveCredential is Resolve for a credential that was read already.
func (c *Chain) ResolveCredential(ctx context.Context, cred Credential) (Principal, error) {
	for _, resolve := range c.resolvers {
		if p, known, err := resolve(ctx, cred); known || err != nil {
			return p, err
		}
	}
	return Principal{}, ErrNoCredential
}

// Credential reads what a request shows, without asking whose it is.
func (c *Chain) Credential(r *http.Request) (Credential, error) { return CredentialOf(r, c.cookie) }

// ControlSocket resolves whoever asks over the control socket: an operator of the installation.
func ControlSocket(_ context.Context, c Credential) (Principal, bool, error) {
	if c.Operator == "" {
		return Principal{}, false, nil
	}
	return Principal{Kind: Operator, Display: c.Operator, Administrator: true}, true, nil
}

// Applications knows the keys of applications; *apitoken.Store does.
type Applications interface {
	// Application says whose a key is, by id and name. known is false for what is no application's key.
	Application(ctx context.Context, token string) (id uuid.UUID, name string, known bool, err error)
}

// ApplicationKey resolves an application by its key.
func ApplicationKey(a Applications) Resolver {
	return func(ctx context.Context, c Credential) (Principal, bool, error) {
		if c.Bearer == "" {
			return Principal{}, false, nil
		}
		id, name, known, err := a.Application(ctx, c.Bearer)
		if err != nil || !known {
			return Principal{}, known, err
		}
		return Principal{Kind: Application, UserID: id, Display: name}, true, nil
	}
}

// Sessions answers a session check.
type Sessions interface {
	// Resolve gives the principal of a session token. A token that is unknown, expired or revoked is a fault of kind
	// Unauthenticated.
	Resolve(ctx context.Context, token string) (Principal, error)
}

// BearerSession resolves a session's token that came as a bearer token. It takes every bearer token for one, so it stands behind
// the resolvers of other kinds.
func BearerSession(s Sessions) Resolver {
	return func(ctx context.Context, c Credential) (Principal, bool, error) {
		if c.Bearer == "" {
			return Principal{}, false, nil
		}
		p, err := s.Resolve(ctx, c.Bearer)
		return p, true, err
	}
}

// CookieSession resolves a session's token that came as a cookie.
func CookieSession(s Sessions) Resolver {
	return func(ctx context.Context, c Credential) (Principal, bool, error) {
		if c.Cookie == "" {
			return Principal{}, false, nil
		}
		p, err := s.Resolve(ctx, c.Cookie)
		return p, true, err
	}
}
