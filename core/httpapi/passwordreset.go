package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// PasswordResets is setting a new password for one that was forgotten.
type PasswordResets interface {
	SetPassword(ctx context.Context, n auth.NewPassword) (auth.SignedIn, error)
	RequestReset(ctx context.Context, email string) (auth.Requested, error)
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

// passwordReset is setting a new password by a mailed link or code.
type passwordReset struct{ flows PasswordResets }

// Mount adds the operations.
func (d passwordReset) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodPost, path: "/v1/password/reset", id: "request-password-reset", tag: "sign-in", off: off, status: http.StatusAccepted,
		limit: ratelimit.Mail, access: endpoint.Anyone, maxBody: smallBody,
		summary:     "Ask for a mail to set a new password with",
		description: "Answers alike whether or not the address has an account. The mail carries a link and a code; send either to POST /v1/password/set.",
		ok:          "Check your email.",
	}, d.requestReset)
	register(k, operation{
		method: http.MethodPost, path: "/v1/password/set", id: "set-password", tag: "sign-in", off: off,
		limit: ratelimit.Guess, access: endpoint.Anyone, maxBody: passwordBody,
		summary:     "Set a password by a one-time link or code",
		description: "Spends the link of a reset or of an administrator, or a reset's flow with its code; ends every session of the account and starts a new one, after the second factor where there is one.",
		ok:          "The password is set and this is a new session, or, with status 202, a second factor is asked for.",
		problems:    map[int]string{http.StatusUnauthorized: "The token or code is not right, or no longer."},
	}, d.setPassword)
}

func (d passwordReset) requestReset(ctx context.Context, _ asker, in *emailInput) (*requestedOutput, error) {
	return requested(d.flows.RequestReset(ctx, in.Body.Email))
}

func (d passwordReset) setPassword(ctx context.Context, who asker, in *setPasswordInput) (*signedInOutput, error) {
	b := &in.Body
	if b.Token == "" && b.Code == "" {
		return nil, fault.New(fault.Invalid, "reset_incomplete", "Send the link's token, or the flow and the mailed code.").At("token")
	}
	signed, err := d.flows.SetPassword(ctx, auth.NewPassword{Token: b.Token, Flow: b.Flow, Code: b.Code, Password: b.Password, Device: b.device(who.r)})
	if err != nil {
		return nil, err
	}
	return deliver(who, signed, b.TokenDelivery), nil
}
