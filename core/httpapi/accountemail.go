package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/selfservice"
)

// OwnEmail is what people do to their own email address.
type OwnEmail interface {
	RequestEmailChange(ctx context.Context, p principal.Principal, email string) (flow string, err error)
	ConfirmEmailChange(ctx context.Context, current principal.Principal, c selfservice.EmailChange) error
	UndoEmailChange(ctx context.Context, token string) error
}

type emailChangeInput struct {
	Body struct {
		Token string `json:"token,omitempty" maxLength:"512" doc:"The token of the mailed link."`
		Flow  string `json:"flow,omitempty" maxLength:"512" doc:"What POST /v1/account/email answered."`
		Code  string `json:"code,omitempty" maxLength:"32" doc:"The mailed code. Needs the flow." example:"493021"`
	} `nameHint:"EmailChange"`
}

// accountEmail is the email address of whoever is signed in.
type accountEmail struct {
	kit   *kit
	flows OwnEmail
}

// Mount adds the operations.
func (d accountEmail) Mount(k *kit) {
	off := d.flows == nil
	void := map[int]string{http.StatusUnauthorized: "The link or code is not right, or no longer. sign_in_first: the link alone came from a sender who is not signed in."}
	register(k, operation{
		method: http.MethodPost, path: "/v1/account/email", id: "change-email", tag: "account", off: off, status: http.StatusAccepted,
		limit: ratelimit.Mail, access: endpoint.SignedIn, recent: true, maxBody: smallBody,
		summary:     "Ask for another email address",
		description: "The new address gets a link and a code, the present one a notice. Nothing changes before the new mailbox has answered.",
		ok:          "Check the new mailbox.", problems: sure,
	}, func(ctx context.Context, who asker, in *emailInput) (*requestedOutput, error) {
		flow, err := d.flows.RequestEmailChange(ctx, who.principal, in.Body.Email)
		return requested(auth.Requested{Flow: flow}, err)
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/account/email/confirm", id: "confirm-email-change", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.Guess, access: endpoint.Anyone, maxBody: smallBody,
		summary:     "Confirm the new email address",
		description: "By the mailed link and the flow, or, with the account's session, the link alone; or by the flow and the mailed code. Sessions end, but the one that this request carries; the old address gets a link to undo it.",
		ok:          "The address is changed.", problems: void,
	}, d.confirm)
	register(k, operation{
		method: http.MethodPost, path: "/v1/account/email/undo", id: "undo-email-change", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.Guess, access: endpoint.Anyone, maxBody: smallBody,
		summary:     "Undo a change of the email address",
		description: "By the link that went to the old address. Every session ends and the password too; a link to set a new one is in that mailbox.",
		ok:          "The account has its old address again.", problems: void,
	}, func(ctx context.Context, _ asker, in *tokenInput) (*empty, error) {
		return nil, d.flows.UndoEmailChange(ctx, in.Body.Token)
	})
}

// confirm needs no session. The one it carries, if it is good, is the one that goes on.
func (d accountEmail) confirm(ctx context.Context, who asker, in *emailChangeInput) (*empty, error) {
	b := &in.Body
	if b.Token == "" && b.Code == "" {
		return nil, fault.New(fault.Invalid, "confirmation_incomplete", "Send the mailed code with the flow, or the link's token.").At("code")
	}
	current, err := d.kit.callers.Resolve(who.r)
	switch {
	case err != nil && fault.KindOf(err) != fault.Unauthenticated:
		return nil, err
	case !current.SignedIn():
		current = principal.Principal{}
	}
	return nil, d.flows.ConfirmEmailChange(ctx, current, selfservice.EmailChange{Token: b.Token, Flow: b.Flow, Code: b.Code})
}
