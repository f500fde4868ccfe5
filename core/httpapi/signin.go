package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
)

// Auth is the flows of signing up, in and out; *auth.Service is one, and all the interfaces beside this one.
type Auth interface {
	Register(ctx context.Context, r auth.Registration) (auth.Registered, error)
	ResendConfirmation(ctx context.Context, flow string) (auth.Requested, error)
	Confirm(ctx context.Context, c auth.Confirmation) (auth.SignedIn, error)
	SignIn(ctx context.Context, c auth.Credentials) (auth.SignedIn, error)
	SignOut(ctx context.Context, token string) error
	ChangePassword(ctx context.Context, p principal.Principal, current, next string) (auth.SignedIn, error)
	SetPassword(ctx context.Context, n auth.NewPassword) (auth.SignedIn, error)
	RequestReset(ctx context.Context, email string) (auth.Requested, error)
}

// Delivery is how a client wants a new session's token.
type Delivery string

const (
	byCookie Delivery = "cookie"
	byBody   Delivery = "body"
)

// SignedIn is the answer to every way of signing in: a session, or the question for a second factor.
type SignedIn struct {
	Session       *SessionInfo       `json:"session,omitempty" doc:"The new session. Absent while a second factor is asked for."`
	Token         string             `json:"token,omitempty" doc:"The session token, only where the request asked for it with \"token_delivery\": \"body\". It is shown once and is as good as a password."`
	Device        string             `json:"device,omitempty" doc:"With the token in the body: send it with the next sign-in from here, so that this client is known. It lets nobody in."`
	SecondFactor  *SecondFactorAsked `json:"second_factor,omitempty" doc:"With status 202: what is still to be shown, to POST /v1/login/second-factor. There is no session yet."`
	UsernameTaken bool               `json:"username_taken,omitempty" doc:"Of a confirmation: somebody else has the username by now that was chosen at sign-up. The account has none; choose another one."`
	RecoveryCodes []string           `json:"recovery_codes,omitempty" doc:"Where this sign-in added the account's first second factor: its recovery codes, shown this once."`
}

// SecondFactorAsked is a sign-in between its first and its second factor.
type SecondFactorAsked struct {
	Flow      string    `json:"flow" doc:"Names this sign-in. Keep it secret."`
	Methods   []string  `json:"methods" doc:"What can be shown: totp, passkey, recovery_code."`
	Enroll    bool      `json:"enroll,omitempty" doc:"The account has no second factor and must add one of these now."`
	ExpiresAt time.Time `json:"expires_at" doc:"Until when."`
}

type signedInOutput struct {
	Status int
	Body   SignedIn
}

// Handover is how a client wants a session's token, in the body of every way to sign in.
type Handover struct {
	TokenDelivery Delivery `json:"token_delivery,omitempty" enum:"cookie,body" default:"cookie" doc:"How to hand over the session's token: as the __Host-sigra_session cookie, or in the answer for use as a bearer token."`
	Device        string   `json:"device,omitempty" maxLength:"512" doc:"What an earlier sign-in from this client answered as device. Browsers send a cookie instead."`
}

// device is what tells this client from others.
func (h Handover) device(r *http.Request) string {
	if h.Device != "" {
		return h.Device
	}
	return cookie.DeviceToken(r)
}

// Registered is the answer to every sign-up.
type Registered struct {
	Flow    string       `json:"flow" doc:"Names this sign-up. Send it with the mailed code or token to POST /v1/confirm. An address that has an account already gets one too." example:"mJ3n0Qk…"`
	Session *SessionInfo `json:"session,omitempty" doc:"Only where registration { confirmation = \"deferred\" } is set: the first session."`
	Token   string       `json:"token,omitempty" doc:"The session token, where there is a session and the body was asked for."`
}

// Requested is the answer to everybody who asks for a mail, whoever the address is.
type Requested struct {
	Flow   string `json:"flow" doc:"Names this request. Send it with the mailed code. An address without an account gets one too."`
	Number string `json:"number,omitempty" doc:"Of a magic link: two digits to show, for who opens the link on another device." example:"42"`
}

type requestedOutput struct{ Body Requested }

type registerInput struct {
	Body struct {
		Email    string `json:"email" minLength:"1" maxLength:"320" doc:"The address to sign up." example:"ada@example.com"`
		Username string `json:"username,omitempty" maxLength:"256" doc:"A username to be, as sign_in { username } wants it: 3 to 32 letters and digits of one script, with single dots, hyphens and underscores between them. The account gets it when the address is confirmed." example:"ada.lovelace"`
		Password string `json:"password" minLength:"1" maxLength:"4096" doc:"The password to be. Taken as it is, without trimming." example:"correct horse battery staple"`
		Handover
	} `nameHint:"Registration"`
}

type registerOutput struct{ Body Registered }

type confirmInput struct {
	Body struct {
		Token    string `json:"token,omitempty" maxLength:"512" doc:"The token of the mailed link. Needs the flow, or the password chosen at sign-up."`
		Flow     string `json:"flow,omitempty" maxLength:"512" doc:"What POST /v1/register answered."`
		Code     string `json:"code,omitempty" maxLength:"32" doc:"The mailed code. Needs the flow." example:"493021"`
		Password string `json:"password,omitempty" maxLength:"4096" doc:"The password chosen at sign-up, for a link opened where the flow is not known."`
		Handover
	} `nameHint:"Confirmation"`
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

type setPasswordInput struct {
	Body struct {
		Token    string `json:"token,omitempty" maxLength:"512" doc:"The token of the one-time link."`
		Flow     string `json:"flow,omitempty" maxLength:"512" doc:"What POST /v1/password/reset answered. Needs the code."`
		Code     string `json:"code,omitempty" maxLength:"32" doc:"The mailed code. Needs the flow." example:"493021"`
		Password string `json:"password" minLength:"1" maxLength:"4096" doc:"The password to be."`
		Handover
	} `nameHint:"NewPassword"`
}

func (a *API) mountSignIn() {
	off := a.cfg.Auth == nil
	register(a, operation{
		method: http.MethodPost, path: "/v1/register", id: "register", tag: "sign-in", off: off, status: http.StatusAccepted,
		summary: "Sign up",
		description: "Answers alike whether or not the address has an account: with 202 and an opaque flow. The address gets a mail with a link and a code, or, " +
			"if it has an account, a mail that says so. Nobody is signed in until the address is confirmed.",
		ok:       "Check your mail.",
		problems: map[int]string{http.StatusConflict: "username_taken: somebody has the username. It is said whoever the address is."},
	}, a.register)
	register(a, operation{
		method: http.MethodPost, path: "/v1/confirm/resend", id: "resend-confirmation", tag: "sign-in", off: off, status: http.StatusAccepted,
		summary:     "Mail the link and code to confirm an address once more",
		description: "For the flow that a sign-up answered. That flow, its link and its code are void from then on; the answer names the new one.",
		ok:          "Check your mail.",
		problems:    map[int]string{http.StatusUnauthorized: "There is no such flow, or no longer."},
	}, a.resendConfirmation)
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
		ok:          "Signed in. The cookie is set, or the token is in the body, as asked. With status 202: the first factor is right and a second one is asked for.",
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
		method: http.MethodPost, path: "/v1/password/reset", id: "request-password-reset", tag: "sign-in", off: off, status: http.StatusAccepted,
		summary:     "Ask for a mail to set a new password with",
		description: "Answers alike whether or not the address has an account. The mail carries a link and a code; send either to POST /v1/password/set.",
		ok:          "Check your mail.",
	}, a.requestReset)
	register(a, operation{
		method: http.MethodPost, path: "/v1/password/set", id: "set-password", tag: "sign-in", off: off,
		summary:     "Set a password by a one-time link or code",
		description: "Spends the link of a reset or of an administrator, or a reset's flow with its code; ends every session of the account and starts a new one, after the second factor where there is one.",
		ok:          "The password is set and this is a new session, or, with status 202, a second factor is asked for.",
		problems:    map[int]string{http.StatusUnauthorized: "The token or code is not right, or no longer."},
	}, a.setPassword)
}

func (a *API) register(ctx context.Context, who asker, in *registerInput) (*registerOutput, error) {
	res, err := a.cfg.Auth.Register(ctx, auth.Registration{Email: in.Body.Email, Username: in.Body.Username, Password: in.Body.Password, Device: in.Body.device(who.r)})
	if err != nil {
		return nil, err
	}
	out := &registerOutput{Body: Registered{Flow: res.Flow}}
	if res.SignedIn != nil {
		in := a.deliver(who, *res.SignedIn, in.Body.TokenDelivery)
		out.Body.Session, out.Body.Token = in.Body.Session, in.Body.Token
	}
	return out, nil
}

func (a *API) confirm(ctx context.Context, who asker, in *confirmInput) (*signedInOutput, error) {
	b := &in.Body
	if b.Code == "" && b.Token == "" {
		return nil, fault.New(fault.Invalid, "confirmation_incomplete", "Send the mailed code with the flow, or the link's token.").At("code")
	}
	signed, err := a.cfg.Auth.Confirm(ctx, auth.Confirmation{Token: b.Token, Flow: b.Flow, Code: b.Code, Password: b.Password, Device: b.device(who.r)})
	if err != nil {
		return nil, err
	}
	return a.deliver(who, signed, b.TokenDelivery), nil
}

func (a *API) login(ctx context.Context, who asker, in *loginInput) (*signedInOutput, error) {
	signed, err := a.cfg.Auth.SignIn(ctx, auth.Credentials{Email: in.Body.Email, Password: in.Body.Password, Remember: in.Body.Remember, Device: in.Body.device(who.r), Link: in.Body.Link, Proof: in.Body.Proof.proof()})
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
	b := &in.Body
	if b.Token == "" && b.Code == "" {
		return nil, fault.New(fault.Invalid, "reset_incomplete", "Send the link's token, or the flow and the mailed code.").At("token")
	}
	signed, err := a.cfg.Auth.SetPassword(ctx, auth.NewPassword{Token: b.Token, Flow: b.Flow, Code: b.Code, Password: b.Password, Device: b.device(who.r)})
	if err != nil {
		return nil, err
	}
	return a.deliver(who, signed, b.TokenDelivery), nil
}

type emailInput struct {
	Body struct {
		Email string `json:"email" minLength:"1" maxLength:"320" doc:"The account's address." example:"ada@example.com"`
	} `nameHint:"Address"`
}

type flowInput struct {
	Body struct {
		Flow string `json:"flow" minLength:"1" maxLength:"512" doc:"What began it answered."`
	} `nameHint:"Flow"`
}

func (a *API) requestReset(ctx context.Context, _ asker, in *emailInput) (*requestedOutput, error) {
	return requested(a.cfg.Auth.RequestReset(ctx, in.Body.Email))
}

func (a *API) resendConfirmation(ctx context.Context, _ asker, in *flowInput) (*requestedOutput, error) {
	return requested(a.cfg.Auth.ResendConfirmation(ctx, in.Body.Flow))
}

func requested(r auth.Requested, err error) (*requestedOutput, error) {
	if err != nil {
		return nil, err
	}
	return &requestedOutput{Body: Requested{Flow: r.Flow, Number: r.Number}}, nil
}

// deliver hands a new session over in exactly one way: a token in a body is one that a script can read, so it is
// there only for those who asked, and they get no cookie (ASVS 5.0 3.3.4). Where a second factor is asked for there is
// no session, and the answer says so with its status, too.
func (a *API) deliver(who asker, in auth.SignedIn, how Delivery) *signedInOutput {
	if p := in.Pending; p != nil {
		return &signedInOutput{Status: http.StatusAccepted, Body: SignedIn{
			SecondFactor: &SecondFactorAsked{Flow: p.Flow, Methods: p.Methods, Enroll: p.Enroll, ExpiresAt: p.ExpiresAt},
		}}
	}
	info := infoOf(in.Principal)
	out := &signedInOutput{Status: http.StatusOK, Body: SignedIn{Session: &info, RecoveryCodes: in.Codes, UsernameTaken: in.UsernameTaken}}
	if how == byBody {
		out.Body.Token, out.Body.Device = in.Token, in.Device
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

// renew is deliver for a session that goes on with a new token: without a word, it comes the way the old one did.
func (a *API) renew(who asker, in auth.SignedIn, how Delivery) *signedInOutput {
	if how == "" && isBearer(who.r) {
		how = byBody
	}
	return a.deliver(who, in, how)
}

// isBearer tells how a request's token came.
func isBearer(r *http.Request) bool { return len(r.Header["Authorization"]) > 0 }
