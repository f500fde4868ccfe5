package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// SignUps is signing up.
type SignUps interface {
	Register(ctx context.Context, r auth.Registration) (auth.Registered, error)
	ResendConfirmation(ctx context.Context, flow string) (auth.Requested, error)
	Confirm(ctx context.Context, c auth.Confirmation) (auth.SignedIn, error)
}

// Registered is the answer to every sign-up.
type Registered struct {
	Flow    string       `json:"flow" doc:"Names this sign-up. Send it with the mailed code or token to POST /v1/confirm. An address that has an account already gets one too." example:"mJ3n0Qk…"`
	Session *SessionInfo `json:"session,omitempty" doc:"Only where registration { confirmation = \"deferred\" } is set: the first session."`
	Token   string       `json:"token,omitempty" doc:"The session token, where there is a session and the body was asked for."`
}

type registerInput struct {
	Body struct {
		Email    string `json:"email" minLength:"1" maxLength:"320" doc:"The address to sign up." example:"ada@example.com"`
		Username string `json:"username,omitempty" maxLength:"256" doc:"A username to be, as sign_in { username } wants it: 3 to 32 letters and digits of one script, with single dots, hyphens and underscores between them. The account gets it when the address is confirmed." example:"ada.lovelace"`
		Password string `json:"password" minLength:"1" maxLength:"4096" doc:"The password to be. Taken as it is, without trimming." example:"correct horse battery staple"`

		Invitation string `json:"invitation,omitempty" maxLength:"512" doc:"The token of an invitation's link: where nobody else may sign up, the address that it invites may. It is accepted after the first sign-in: POST /v1/invitation/accept."`
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

// signUp is signing up, and the confirmation that ends it.
type signUp struct{ flows SignUps }

// Mount adds the operations.
func (d signUp) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodPost, path: "/v1/register", id: "register", tag: "sign-in", off: off, status: http.StatusAccepted,
		limit: ratelimit.Mail, access: endpoint.Anyone, maxBody: passwordBody,
		summary: "Sign up",
		description: "Answers alike whether or not the address has an account: with 202 and an opaque flow. The address gets a mail with a link and a code, or, " +
			"if it has an account, a mail that says so. Nobody is signed in until the address is confirmed.",
		ok:       "Check your email.",
		problems: map[int]string{http.StatusConflict: "username_taken: somebody has the username. It is said whoever the address is."},
	}, d.register)
	register(k, operation{
		method: http.MethodPost, path: "/v1/confirm/resend", id: "resend-confirmation", tag: "sign-in", off: off, status: http.StatusAccepted,
		limit: ratelimit.Mail, access: endpoint.Anyone, maxBody: smallBody,
		summary:     "Mail the link and code to confirm an address once more",
		description: "For the flow that a sign-up answered. That flow, its link and its code are void from then on; the answer names the new one.",
		ok:          "Check your email.",
		problems:    map[int]string{http.StatusUnauthorized: "There is no such flow, or no longer."},
	}, d.resendConfirmation)
	register(k, operation{
		method: http.MethodPost, path: "/v1/confirm", id: "confirm", tag: "sign-in", off: off,
		limit: ratelimit.Guess, access: endpoint.Anyone, maxBody: passwordBody,
		summary:     "Confirm an email address and get the first session",
		description: "Takes the flow with the mailed code, or the link's token with the flow, or the link's token with the password chosen at sign-up.",
		ok:          "The address is confirmed and this is the first session.",
		problems:    map[int]string{http.StatusUnauthorized: "The code, token, flow or password is not right, or no longer."},
	}, d.confirm)
}

func (d signUp) register(ctx context.Context, who asker, in *registerInput) (*registerOutput, error) {
	res, err := d.flows.Register(ctx, auth.Registration{Email: in.Body.Email, Username: in.Body.Username, Password: in.Body.Password, Invitation: in.Body.Invitation, Device: in.Body.device(who.r)})
	if err != nil {
		return nil, err
	}
	out := &registerOutput{Body: Registered{Flow: res.Flow}}
	if res.SignedIn != nil {
		in := deliver(who, *res.SignedIn, in.Body.TokenDelivery)
		out.Body.Session, out.Body.Token = in.Body.Session, in.Body.Token
	}
	return out, nil
}

func (d signUp) resendConfirmation(ctx context.Context, _ asker, in *flowInput) (*requestedOutput, error) {
	return requested(d.flows.ResendConfirmation(ctx, in.Body.Flow))
}

func (d signUp) confirm(ctx context.Context, who asker, in *confirmInput) (*signedInOutput, error) {
	b := &in.Body
	if b.Code == "" && b.Token == "" {
		return nil, fault.New(fault.Invalid, "confirmation_incomplete", "Send the mailed code with the flow, or the link's token.").At("code")
	}
	signed, err := d.flows.Confirm(ctx, auth.Confirmation{Token: b.Token, Flow: b.Flow, Code: b.Code, Password: b.Password, Device: b.device(who.r)})
	if err != nil {
		return nil, err
	}
	return deliver(who, signed, b.TokenDelivery), nil
}
