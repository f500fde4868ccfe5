package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/session"
)

// Auth is the flows of signing up, in and out; *auth.Service is one.
type Auth interface {
	Register(ctx context.Context, r auth.Registration) (auth.Registered, error)
	Confirm(ctx context.Context, c auth.Confirmation) (auth.SignedIn, error)
	SignIn(ctx context.Context, c auth.Credentials) (auth.SignedIn, error)
	SignOut(ctx context.Context, token string) error
	ChangePassword(ctx context.Context, p session.Principal, current, next string) (auth.SignedIn, error)
	SetPassword(ctx context.Context, token, password string) (auth.SignedIn, error)
}

// Delivery is how a client wants a new session's token.
type Delivery string

const (
	byCookie Delivery = "cookie"
	byBody   Delivery = "body"
)

// SignedIn is the answer to every way of signing in.
type SignedIn struct {
	Session SessionInfo `json:"session" doc:"The new session."`
	Token   string      `json:"token,omitempty" doc:"The session token, only where the request asked for it with \"token_delivery\": \"body\". It is shown once and is as good as a password."`
}

type signedInOutput struct{ Body SignedIn }

// Registered is the answer to every sign-up.
type Registered struct {
	Flow    string       `json:"flow" doc:"Names this sign-up. Send it with the mailed code or token to POST /v1/confirm. An address that has an account already gets one too." example:"mJ3n0Qk…"`
	Session *SessionInfo `json:"session,omitempty" doc:"Only where registration { confirmation = \"deferred\" } is set: the first session."`
	Token   string       `json:"token,omitempty" doc:"The session token, where there is a session and the body was asked for."`
}

type registerInput struct {
	Body struct {
		Email         string   `json:"email" minLength:"1" maxLength:"320" doc:"The address to sign up." example:"ada@example.com"`
		Password      string   `json:"password" minLength:"1" maxLength:"4096" doc:"The password to be. Taken as it is, without trimming." example:"correct horse battery staple"`
		TokenDelivery Delivery `json:"token_delivery,omitempty" enum:"cookie,body" default:"cookie" doc:"How to hand over a session's token, where this answers with one."`
	} `nameHint:"Registration"`
}

type registerOutput struct{ Body Registered }

type confirmInput struct {
	Body struct {
		Token         string   `json:"token,omitempty" maxLength:"512" doc:"The token of the mailed link. Needs the flow, or the password chosen at sign-up."`
		Flow          string   `json:"flow,omitempty" maxLength:"512" doc:"What POST /v1/register answered."`
		Code          string   `json:"code,omitempty" maxLength:"32" doc:"The mailed code. Needs the flow." example:"493021"`
		Password      string   `json:"password,omitempty" maxLength:"4096" doc:"The password chosen at sign-up, for a link opened where the flow is not known."`
		TokenDelivery Delivery `json:"token_delivery,omitempty" enum:"cookie,body" default:"cookie" doc:"How to hand over the session's token."`
	} `nameHint:"Confirmation"`
}

type loginInput struct {
	Body struct {
		Email         string   `json:"email" minLength:"1" maxLength:"320" doc:"The account's address." example:"ada@example.com"`
		Password      string   `json:"password" minLength:"1" maxLength:"4096" doc:"The account's password." example:"correct horse battery staple"`
		Remember      bool     `json:"remember,omitempty" doc:"Keep the session when the browser is closed."`
		TokenDelivery Delivery `json:"token_delivery,omitempty" enum:"cookie,body" default:"cookie" doc:"How to hand over the session's token: as the __Host-sigra_session cookie, or in the answer for use as a bearer token."`
	} `nameHint:"Credentials"`
}

type setPasswordInput struct {
	Body struct {
		Token         string   `json:"token" minLength:"1" maxLength:"512" doc:"The token of the one-time link."`
		Password      string   `json:"password" minLength:"1" maxLength:"4096" doc:"The password to be."`
		TokenDelivery Delivery `json:"token_delivery,omitempty" enum:"cookie,body" default:"cookie" doc:"How to hand over the session's token."`
	} `nameHint:"NewPassword"`
}

func (a *API) mountSignIn() {
	off := a.cfg.Auth == nil
	register(a, operation{
		method: http.MethodPost, path: "/v1/register", id: "register", tag: "sign-in", off: off, status: http.StatusAccepted,
		summary: "Sign up",
		description: "Answers alike whether or not the address has an account: with 202 and an opaque flow. The address gets a mail with a link and a code, or, " +
			"if it has an account, a mail that says so. Nobody is signed in until the address is confirmed.",
		ok: "Check your mail.",
	}, a.register)
	register(a, operation{
		method: http.MethodPost, path: "/v1/confirm", id: "confirm", tag: "sign-in", off: off,
		summary:     "Confirm an e-mail address and get the first session",
		description: "Takes the flow with the mailed code, or the link's token with the flow, or the link's token with the password chosen at sign-up.",
		ok:          "The address is confirmed and this is the first session.",
		problems:    map[int]string{http.StatusUnauthorized: "The code, token, flow or password is not right, or no longer."},
	}, a.confirm)
	register(a, operation{
		method: http.MethodPost, path: "/v1/login", id: "login", tag: "sign-in", off: off,
		summary:     "Sign in",
		description: "A wrong password and an unknown address are answered alike, with the same bytes and at the same cost.",
		ok:          "Signed in. The cookie is set, or the token is in the body, as asked.",
		problems: map[int]string{
			http.StatusUnauthorized: "The address or the password is wrong. Which one is not said.",
			http.StatusForbidden:    "A gate refused this sign-in.",
		},
	}, a.login)
	register(a, operation{
		method: http.MethodPost, path: "/v1/logout", id: "logout", tag: "sign-in", off: off, status: http.StatusNoContent,
		summary:     "Sign out",
		description: "Ends the session that the cookie or the bearer token stands for and clears the cookie. A session that has ended already is no mistake.",
		ok:          "There is no session any more.",
		problems:    map[int]string{http.StatusUnauthorized: "The Authorization header can't be read."},
	}, a.logout)
	register(a, operation{
		method: http.MethodPost, path: "/v1/password/set", id: "set-password", tag: "sign-in", off: off,
		summary:     "Set a password by a one-time link",
		description: "Spends the token of a link that an administrator had made, ends every session of the account and starts a new one.",
		ok:          "The password is set and this is a new session.",
		problems:    map[int]string{http.StatusUnauthorized: "The token is not right, or no longer."},
	}, a.setPassword)
}

func (a *API) register(ctx context.Context, who asker, in *registerInput) (*registerOutput, error) {
	res, err := a.cfg.Auth.Register(ctx, auth.Registration{Email: in.Body.Email, Password: in.Body.Password})
	if err != nil {
		return nil, err
	}
	out := &registerOutput{Body: Registered{Flow: res.Flow}}
	if res.SignedIn != nil {
		in := a.deliver(who, *res.SignedIn, in.Body.TokenDelivery)
		out.Body.Session, out.Body.Token = &in.Body.Session, in.Body.Token
	}
	return out, nil
}

func (a *API) confirm(ctx context.Context, who asker, in *confirmInput) (*signedInOutput, error) {
	b := &in.Body
	if b.Code == "" && b.Token == "" {
		return nil, fault.New(fault.Invalid, "confirmation_incomplete", "Send the mailed code with the flow, or the link's token.").At("code")
	}
	signed, err := a.cfg.Auth.Confirm(ctx, auth.Confirmation{Token: b.Token, Flow: b.Flow, Code: b.Code, Password: b.Password})
	if err != nil {
		return nil, err
	}
	return a.deliver(who, signed, b.TokenDelivery), nil
}

func (a *API) login(ctx context.Context, who asker, in *loginInput) (*signedInOutput, error) {
	signed, err := a.cfg.Auth.SignIn(ctx, auth.Credentials{Email: in.Body.Email, Password: in.Body.Password, Remember: in.Body.Remember, Device: cookie.DeviceMark(who.r)})
	if err != nil {
		return nil, err
	}
	return a.deliver(who, signed, in.Body.TokenDelivery), nil
}

func (a *API) logout(ctx context.Context, who asker, _ *none) (*empty, error) {
	token, err := Token(who.r)
	if err != nil {
		return nil, err
	}
	if token != "" {
		if err := a.cfg.Auth.SignOut(ctx, token); err != nil && fault.KindOf(err) != fault.Unauthenticated {
			return nil, err
		}
	}
	if !isBearer(who.r) {
		cookie.ClearSession(who.w)
	}
	return nil, nil
}

func (a *API) setPassword(ctx context.Context, who asker, in *setPasswordInput) (*signedInOutput, error) {
	signed, err := a.cfg.Auth.SetPassword(ctx, in.Body.Token, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return a.deliver(who, signed, in.Body.TokenDelivery), nil
}

// deliver hands a new session over in exactly one way: a token in a body is one that a script can read, so it is
// there only for those who asked, and they get no cookie (ASVS 5.0 3.3.4).
func (a *API) deliver(who asker, in auth.SignedIn, how Delivery) *signedInOutput {
	out := &signedInOutput{Body: SignedIn{Session: infoOf(in.Principal)}}
	if how == byBody {
		out.Body.Token = in.Token
		return out
	}
	var expires time.Time
	if in.Persistent {
		expires = in.Principal.ExpiresAt
	}
	cookie.SetSession(who.w, in.Token, expires)
	if in.Device != "" {
		cookie.SetDevice(who.w, in.Device)
	}
	return out
}

// isBearer tells how a request's token came.
func isBearer(r *http.Request) bool { return len(r.Header["Authorization"]) > 0 }
