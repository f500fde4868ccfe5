package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// PasskeySignIns is signing in with a passkey; *auth.Service is one.
type PasskeySignIns interface {
	BeginPasskeySignIn(ctx context.Context) (passkey.Ceremony, error)
	SignInPasskey(ctx context.Context, in auth.PasskeySignIn) (auth.SignedIn, error)
}

type passkeySignInInput struct {
	Body struct {
		Remember bool   `json:"remember,omitempty" doc:"Keep the session when the browser is closed."`
		Link     string `json:"link,omitempty" maxLength:"512" doc:"The flow of a login at another provider, to link it with this sign-in."`
		PasskeyAnswer
		Handover
	} `nameHint:"PasskeySignIn"`
}

// passkeySignIn is signing in with a passkey.
type passkeySignIn struct{ flows PasskeySignIns }

// Mount adds the operations.
func (d passkeySignIn) Mount(k *kit) {
	register(k, operation{
		method: http.MethodPost, path: "/v1/login/passkey/options", id: "passkey-login-options", tag: "sign-in", off: d.flows == nil,
		limit: ratelimit.General, access: endpoint.Anyone,
		summary:     "Begin to sign in with a passkey",
		description: "The same for everybody: nobody says who they are, the passkey that answers does. Good for autofill (conditional UI) and for a button.",
		ok:          "What the browser needs.",
	}, func(ctx context.Context, _ asker, _ *none) (*ceremonyOutput, error) {
		return ceremonyOf(d.flows.BeginPasskeySignIn(ctx))
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/login/passkey", id: "passkey-login", tag: "sign-in", off: d.flows == nil,
		limit: ratelimit.Guess, access: endpoint.Anyone, maxBody: passkeyBody,
		summary:     "Sign in with a passkey",
		description: "A passkey verifies its user, so it is both factors in one: no other is asked for, and the session is at aal2.",
		ok:          "Signed in.",
		problems:    map[int]string{http.StatusUnauthorized: "The passkey could not be verified.", http.StatusForbidden: "A gate refused this sign-in."},
	}, d.passkeyLogin)
}

func (d passkeySignIn) passkeyLogin(ctx context.Context, who asker, in *passkeySignInInput) (*signedInOutput, error) {
	b := &in.Body
	signed, err := d.flows.SignInPasskey(ctx, auth.PasskeySignIn{
		Ceremony: b.Ceremony, Credential: b.Credential, Remember: b.Remember, Device: b.device(who.r), Link: b.Link,
	})
	if err != nil {
		return nil, err
	}
	return deliver(who, signed, b.TokenDelivery), nil
}
