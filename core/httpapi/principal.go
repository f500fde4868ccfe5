package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
)

// Resolver answers a session check.
type Resolver interface {
	// Resolve gives the principal of a session token. A token that is unknown, expired or revoked is a fault of kind
	// Unauthenticated.
	Resolve(ctx context.Context, token string) (principal.Principal, error)
}

// Faults of a request whose sender is not known or not allowed.
var (
	errNoCredentials   = fault.New(fault.Unauthenticated, "unauthenticated", "Sign in, or send a session token as a bearer token.")
	errBadCredentials  = fault.New(fault.Unauthenticated, "invalid_authorization", "The Authorization header must be one bearer token.")
	errNotAnAdmin      = fault.New(fault.Denied, "administrator_required", "Only an administrator may do this.")
	errUserNeeded      = fault.New(fault.Denied, "user_required", "This is for a signed-in user. Operators have no account of their own.")
	errApplicationOnly = fault.New(fault.Denied, "application_required", "Only the application with its key, an administrator or an operator may do this.")
)

// Token is the session token a request carries: its bearer token when it has an Authorization header, its cookie
// otherwise. Empty means it carries none.
func Token(r *http.Request) (string, error) {
	auth := r.Header["Authorization"]
	switch len(auth) {
	case 0:
		return cookie.SessionToken(r), nil
	case 1:
		scheme, token, ok := strings.Cut(auth[0], " ")
		if ok && strings.EqualFold(scheme, "bearer") && token != "" && len(token) <= 4096 && !strings.ContainsAny(token, " \t,") {
			return token, nil
		}
	}
	// Falling back to the cookie here would answer for somebody else than the header names.
	return "", errBadCredentials
}

// Authenticate tells who sent a request, by its bearer token or its cookie. A request without either is a fault of
// kind Unauthenticated.
func Authenticate(sessions Resolver, r *http.Request) (principal.Principal, error) {
	token, err := Token(r)
	if err != nil {
		return principal.Principal{}, err
	}
	if token == "" {
		return principal.Principal{}, errNoCredentials
	}
	return sessions.Resolve(r.Context(), token)
}

// asker is who a request comes from, resolved once per request and handed down by its context.
type asker struct {
	principal   principal.Principal
	application bool // proved by an application key
	r           *http.Request
	w           http.ResponseWriter // for cookies; the answer itself goes through huma
}

// askerKey is the context key of an asker; it never leaves this package.
type askerKey struct{}

func askerFrom(ctx context.Context) asker {
	a, _ := ctx.Value(askerKey{}).(asker)
	return a
}

// isOperator tells requests of the control socket, whose listener has checked the peer's credentials.
func isOperator(ctx context.Context) bool { return request.From(ctx).Operator != "" }

// operator is the principal of whoever asks over the control socket.
func operator(ctx context.Context) principal.Principal {
	return principal.Principal{Kind: principal.Operator, Display: request.From(ctx).Operator, Administrator: true}
}

// actor is who a change is recorded as.
func (who asker) actor() audit.Ref {
	switch {
	case who.principal.Kind == principal.Operator:
		return audit.Ref{Type: string(principal.Operator), ID: who.principal.Display}
	case who.application:
		return audit.Ref{Type: "application"}
	}
	return audit.Ref{Type: string(who.principal.Kind), ID: who.principal.UserID.String()}
}

// access says who may use an operation.
type access int

const (
	anyone      access = iota
	user               // somebody signed in
	admin              // an administrator, or an operator
	application        // the application's key, an administrator, or an operator
)

// authorize resolves the sender and holds it against what the operation asks for. Whoever is known and not allowed
// comes with the error.
func (a *API) authorize(r *http.Request, need access) (asker, error) {
	if isOperator(r.Context()) {
		who := asker{principal: operator(r.Context())}
		if need == user {
			return who, errUserNeeded
		}
		return who, nil
	}
	if need == anyone {
		return asker{}, nil
	}
	if need == application {
		if a.isApplication(r) {
			return asker{application: true}, nil
		}
	}
	p, err := Authenticate(a.cfg.Sessions, r)
	if err != nil {
		return asker{}, err
	}
	switch {
	case need == admin && !p.Administrator:
		return asker{principal: p}, errNotAnAdmin
	case need == application && !p.Administrator:
		return asker{principal: p}, errApplicationOnly
	}
	return asker{principal: p}, nil
}

// isApplication holds the bearer token against the application's key. Digests are compared, so that neither the
// key's length nor its beginning shows in the time it takes (ASVS 5.0 11.2.4).
func (a *API) isApplication(r *http.Request) bool {
	if a.applicationKey == nil || len(r.Header["Authorization"]) == 0 {
		return false
	}
	token, err := Token(r)
	if err != nil {
		return false
	}
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], a.applicationKey) == 1
}
