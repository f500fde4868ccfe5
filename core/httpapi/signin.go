package httpapi

import (
	"cmp"
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// SignIns is signing in with a password, and out.
type SignIns interface {
	SignIn(ctx context.Context, c auth.Credentials) (auth.SignedIn, error)
	SignOut(ctx context.Context, token string) error
}

type loginInput struct {
	Body struct {
		Email    string `json:"email" minLength:"1" maxLength:"320" doc:"The account's address, or, where accounts have one, its username." example:"ada@example.com"`
		Password string `json:"password" minLength:"1" maxLength:"4096" doc:"The account's password." example:"correct horse battery staple"`
		Remember bool   `json:"remember,omitempty" doc:"Keep the session when the browser is closed."`
		Link     string `json:"link,omitempty" maxLength:"512" doc:"The flow of a login at another provider, to link it with this sign-in."`
		Proof    *Proof `json:"proof,omitempty" doc:"The solution of the challenge that an earlier attempt was answered with."`
		Handover
	} `nameHint:"Credentials"`
}

// signIn is signing in with a password, and out.
type signIn struct {
	kit   *kit
	flows SignIns
}

// Mount adds the operations.
func (d signIn) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodPost, path: "/v1/login", id: "login", tag: "sign-in", off: off,
		limit: ratelimit.Hash, access: endpoint.Anyone, maxBody: passwordBody,
		summary:     "Sign in",
		description: "A wrong password and an unknown address are answered alike, with the same bytes and at the same cost.",
		ok:          "Signed in. The cookie is set, or the token is in the body, as asked. With status 202: the first factor is right and a second one is asked for.",
		problems: map[int]string{
			http.StatusUnauthorized: "The address or the password is wrong. Which one is not said.",
			http.StatusForbidden:    "A gate refused this sign-in.",
		},
	}, d.login)
	register(k, operation{
		method: http.MethodPost, path: "/v1/logout", id: "logout", tag: "sign-in", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.Anyone,
		summary:     "Sign out",
		description: "Ends the session that the cookie or the bearer token stands for and clears the cookie. A session that has ended already is no mistake.",
		ok:          "There is no session any more.",
		problems:    map[int]string{http.StatusUnauthorized: "The Authorization header can't be read."},
	}, d.logout)
}

func (d signIn) login(ctx context.Context, who asker, in *loginInput) (*signedInOutput, error) {
	signed, err := d.flows.SignIn(ctx, auth.Credentials{Email: in.Body.Email, Password: in.Body.Password, Remember: in.Body.Remember, Device: in.Body.device(who.r), Link: in.Body.Link, Proof: in.Body.Proof.proof()})
	if err != nil {
		return nil, err
	}
	return deliver(who, signed, in.Body.TokenDelivery), nil
}

func (d signIn) logout(ctx context.Context, who asker, _ *none) (*empty, error) {
	shown, err := d.kit.callers.Credential(who.r)
	if err != nil {
		return nil, err
	}
	if token := cmp.Or(shown.Bearer, shown.Cookie); token != "" {
		if err := d.flows.SignOut(ctx, token); err != nil && fault.KindOf(err) != fault.Unauthenticated {
			return nil, err
		}
	}
	if !isBearer(who.r) {
		who.cookie.Clear(who.w)
	}
	return nil, nil
}
