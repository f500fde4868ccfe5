package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/session"
)

// StepUps is proving anew who is signed in.
type StepUps interface {
	StepUpMethods(ctx context.Context, p principal.Principal) ([]string, error)
	StepUpPasskey(ctx context.Context, p principal.Principal) (passkey.Ceremony, error)
	StepUpMail(ctx context.Context, p principal.Principal) (flow string, err error)
	StepUp(ctx context.Context, p principal.Principal, f factor.Proof) (session.Issued, error)
}

type stepUpInput struct {
	Body struct {
		Method        string   `json:"method" enum:"totp,passkey,recovery_code,password,mail" doc:"What is shown: one of those that GET /v1/step-up lists."`
		Password      string   `json:"password,omitempty" maxLength:"4096" doc:"The account's password."`
		Flow          string   `json:"flow,omitempty" maxLength:"512" doc:"With the mailed code: what POST /v1/step-up/mail answered."`
		TokenDelivery Delivery `json:"token_delivery,omitempty" enum:"cookie,body" doc:"How to hand over the session's new token. Without it, the way the old one came."`
		FactorShown
	} `nameHint:"StepUp"`
}

// StepUpMethods says how somebody can show anew who they are.
type StepUpMethods struct {
	Methods []string `json:"methods" doc:"The usual one first." example:"[\"totp\",\"recovery_code\"]"`
}

type stepUpMethodsOutput struct{ Body StepUpMethods }

// sure is what is said of operations that ask for a proof of the last minutes.
var sure = map[int]string{http.StatusForbidden: "step_up_required: show anew who is signed in, with POST /v1/step-up. Or the sender has no account."}

// stepUp renews a session: whoever is signed in proves anew who they are.
type stepUp struct{ flows StepUps }

// Mount adds the operations.
func (d stepUp) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/step-up", id: "step-up-methods", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary:     "How to show anew who is signed in",
		description: "What changes how somebody signs in asks for a proof of the last five minutes, and answers 403 with step_up_required without one.",
		ok:          "The ways there are for this account.",
	}, d.methods)
	register(k, operation{
		method: http.MethodPost, path: "/v1/step-up", id: "step-up", tag: "account", off: off,
		limit: ratelimit.Guess, access: endpoint.SignedIn, maxBody: passwordBody,
		summary:     "Show anew who is signed in",
		description: "Renews the session: a new token, a new auth_time and, after a second factor, the higher assurance.",
		ok:          "The session goes on with a new token.", problems: map[int]string{http.StatusForbidden: "A gate refused, or the sender has no account."},
	}, d.prove)
	register(k, operation{
		method: http.MethodPost, path: "/v1/step-up/passkey", id: "step-up-passkey", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "Begin to show a passkey", description: "Asks for one of the account's own passkeys.", ok: "What the browser needs.",
	}, func(ctx context.Context, who asker, _ *none) (*ceremonyOutput, error) {
		return ceremonyOf(d.flows.StepUpPasskey(ctx, who.principal))
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/step-up/mail", id: "step-up-mail", tag: "account", off: off, status: http.StatusAccepted,
		limit: ratelimit.Mail, access: endpoint.SignedIn,
		summary: "Mail a code", description: "Only for accounts that have neither password nor passkey nor a second factor.", ok: "Check your email.",
	}, func(ctx context.Context, who asker, _ *none) (*requestedOutput, error) {
		flow, err := d.flows.StepUpMail(ctx, who.principal)
		return requested(auth.Requested{Flow: flow}, err)
	})
}

func (d stepUp) methods(ctx context.Context, who asker, _ *none) (*stepUpMethodsOutput, error) {
	methods, err := d.flows.StepUpMethods(ctx, who.principal)
	if err != nil {
		return nil, err
	}
	return &stepUpMethodsOutput{Body: StepUpMethods{Methods: methods}}, nil
}

func (d stepUp) prove(ctx context.Context, who asker, in *stepUpInput) (*signedInOutput, error) {
	b := &in.Body
	f := b.factor(b.Method)
	f.Password, f.Flow = b.Password, b.Flow
	signed, err := d.flows.StepUp(ctx, who.principal, f)
	if err != nil {
		return nil, err
	}
	return renew(who, signed, nil, b.TokenDelivery), nil
}
