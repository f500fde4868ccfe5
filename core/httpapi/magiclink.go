package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// MagicLinks is signing in by mail; *auth.Service is one.
type MagicLinks interface {
	RequestMagicLink(ctx context.Context, email string) (auth.Requested, error)
	LookMagicLink(ctx context.Context, token, flow string) (auth.Asking, error)
	ApproveMagicLink(ctx context.Context, token, number string) error
	SignInMagicLink(ctx context.Context, m auth.MagicLink) (auth.SignedIn, error)
}

type magicLinkInput struct {
	Body struct {
		Token    string `json:"token,omitempty" maxLength:"512" doc:"The token of the mailed link."`
		Flow     string `json:"flow,omitempty" maxLength:"512" doc:"What POST /v1/magic-link answered. Alone it works once the link was approved on another device."`
		Code     string `json:"code,omitempty" maxLength:"32" doc:"The mailed code. Needs the flow." example:"493021"`
		Remember bool   `json:"remember,omitempty" doc:"Keep the session when the browser is closed."`
		Link     string `json:"link,omitempty" maxLength:"512" doc:"The flow of a login at another provider, to link it with this sign-in."`
		Handover
	} `nameHint:"MagicLink"`
}

type approveInput struct {
	Body struct {
		Token  string `json:"token" minLength:"1" maxLength:"512" doc:"The token of the mailed link."`
		Number string `json:"number" minLength:"1" maxLength:"32" doc:"The two digits that the asking device shows." example:"42"`
	} `nameHint:"Approval"`
}

type lookInput struct {
	Body struct {
		Token string `json:"token" minLength:"1" maxLength:"512" doc:"The token of the mailed link."`
		Flow  string `json:"flow,omitempty" maxLength:"512" doc:"This client's flow, where it began one."`
	} `nameHint:"Look"`
}

// Asking says from where a magic link was asked for.
type Asking struct {
	IP          string    `json:"ip,omitempty" doc:"From which address."`
	UserAgent   string    `json:"user_agent,omitempty" doc:"With what."`
	At          time.Time `json:"at" doc:"When."`
	SameBrowser bool      `json:"same_browser" doc:"By the holder of the flow that was sent along."`
}

type askingOutput struct{ Body Asking }

// magicLink is signing in by an emailed link or code.
type magicLink struct{ flows MagicLinks }

// Mount adds the operations.
func (d magicLink) Mount(k *kit) {
	off := d.flows == nil
	void := map[int]string{http.StatusUnauthorized: "The link, code or number is not right, or no longer."}
	register(k, operation{
		method: http.MethodPost, path: "/v1/magic-link", id: "request-magic-link", tag: "sign-in", off: off, status: http.StatusAccepted,
		limit: ratelimit.Mail, access: endpoint.Anyone, maxBody: smallBody,
		summary:     "Ask for a mail to sign in with",
		description: "Answers alike whether or not the address has an account. The mail carries a link and a code, good for ten minutes, once.",
		ok:          "Check your email.",
	}, func(ctx context.Context, _ asker, in *emailInput) (*requestedOutput, error) {
		return requested(d.flows.RequestMagicLink(ctx, in.Body.Email))
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/magic-link/look", id: "look-magic-link", tag: "sign-in", off: off,
		limit: ratelimit.General, access: endpoint.Anyone, maxBody: smallBody,
		summary:     "From where a link was asked for",
		description: "For the page that an opened link shows. It uses nothing up, so that mail scanners can't either.",
		ok:          "The link is good; this is who asked for it.", problems: void,
	}, func(ctx context.Context, _ asker, in *lookInput) (*askingOutput, error) {
		v, err := d.flows.LookMagicLink(ctx, in.Body.Token, in.Body.Flow)
		if err != nil {
			return nil, err
		}
		return &askingOutput{Body: Asking(v)}, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/magic-link/approve", id: "approve-magic-link", tag: "sign-in", off: off, status: http.StatusNoContent,
		limit: ratelimit.Guess, access: endpoint.Anyone, maxBody: smallBody,
		summary:     "Let the device that asked be signed in",
		description: "For a link that was opened on another device. It takes the number that the asking device shows; a wrong one voids the link.",
		ok:          "The asking device may go on.", problems: void,
	}, func(ctx context.Context, _ asker, in *approveInput) (*empty, error) {
		return nil, d.flows.ApproveMagicLink(ctx, in.Body.Token, in.Body.Number)
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/magic-link/sign-in", id: "magic-link-login", tag: "sign-in", off: off,
		limit: ratelimit.Guess, access: endpoint.Anyone, maxBody: smallBody,
		summary:     "Sign in with a mailed link or code",
		description: "Takes the link's token, or the flow with the code, or the flow alone once the link was approved elsewhere (409 not_approved until then).",
		ok:          "Signed in, or, with status 202, a second factor is asked for.", problems: void,
	}, d.login)
}

func (d magicLink) login(ctx context.Context, who asker, in *magicLinkInput) (*signedInOutput, error) {
	b := &in.Body
	if b.Token == "" && b.Flow == "" {
		return nil, fault.New(fault.Invalid, "magic_link_incomplete", "Send the link's token, or the flow.").At("token")
	}
	signed, err := d.flows.SignInMagicLink(ctx, auth.MagicLink{
		Token: b.Token, Flow: b.Flow, Code: b.Code, Remember: b.Remember, Device: b.device(who.r), Link: b.Link,
	})
	if err != nil {
		return nil, err
	}
	return deliver(who, signed, b.TokenDelivery), nil
}
