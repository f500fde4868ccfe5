package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// SecondFactors is what ends a sign-in that waits for a second factor.
type SecondFactors interface {
	PendingSignIn(ctx context.Context, flow string) (auth.Pending, error)
	PendingPasskey(ctx context.Context, flow string) (passkey.Ceremony, error)
	PendingTOTP(ctx context.Context, flow string) (totp.Enrollment, error)
	FinishSignIn(ctx context.Context, f auth.SecondFactor) (auth.SignedIn, error)
}

type secondFactorInput struct {
	Body struct {
		Flow        string `json:"flow" minLength:"1" maxLength:"512" doc:"What the first factor answered as second_factor.flow."`
		Method      string `json:"method" enum:"totp,passkey,recovery_code" doc:"What is shown."`
		TrustDevice bool   `json:"trust_device,omitempty" doc:"Ask no second factor on this device for 30 days."`
		Name        string `json:"name,omitempty" maxLength:"256" doc:"Of the passkey, where one is added."`
		FactorShown
		Handover
	} `nameHint:"SecondFactor"`
}

// secondFactor ends a sign-in that waits for a second factor.
type secondFactor struct{ flows SecondFactors }

// Mount adds the operations.
func (d secondFactor) Mount(k *kit) {
	off := d.flows == nil
	wrong := map[int]string{http.StatusUnauthorized: "What was shown is not right, or the sign-in is over."}
	register(k, operation{
		method: http.MethodPost, path: "/v1/login/second-factor", id: "finish-login", tag: "sign-in", off: off,
		limit: ratelimit.Guess, access: endpoint.Anyone, maxBody: passkeyBody,
		summary:     "Show a second factor",
		description: "Ends a sign-in that answered 202. A wrong factor leaves it waiting and counts; five wrong ones pause the account's second factor for 15 minutes.",
		ok:          "Signed in.", problems: wrong,
	}, d.finishLogin)
	register(k, operation{
		method: http.MethodPost, path: "/v1/login/second-factor/passkey", id: "second-factor-passkey", tag: "sign-in", off: off,
		limit: ratelimit.General, access: endpoint.Anyone, maxBody: smallBody,
		summary:     "Begin to show a passkey as the second factor",
		description: "Where the account must add a factor (enroll), the options make a passkey; otherwise they ask for one of the account's.",
		ok:          "What the browser needs.", problems: wrong,
	}, func(ctx context.Context, _ asker, in *flowInput) (*ceremonyOutput, error) {
		return ceremonyOf(d.flows.PendingPasskey(ctx, in.Body.Flow))
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/login/second-factor/totp", id: "second-factor-totp", tag: "sign-in", off: off,
		limit: ratelimit.General, access: endpoint.Anyone, maxBody: smallBody,
		summary:     "Begin to add an authenticator app in the middle of a sign-in",
		description: "Only where the sign-in answered enroll: a second factor is demanded and the account has none.",
		ok:          "The secret for the app. Show a code of it to POST /v1/login/second-factor.", problems: wrong,
	}, func(ctx context.Context, _ asker, in *flowInput) (*totpOutput, error) {
		return totpOf(d.flows.PendingTOTP(ctx, in.Body.Flow))
	})
}

func (d secondFactor) finishLogin(ctx context.Context, who asker, in *secondFactorInput) (*signedInOutput, error) {
	b := &in.Body
	signed, err := d.flows.FinishSignIn(ctx, auth.SecondFactor{
		Flow: b.Flow, Factor: b.factor(b.Method), Trust: b.TrustDevice, Device: b.device(who.r), Name: b.Name,
	})
	if err != nil {
		return nil, err
	}
	return deliver(who, signed, b.TokenDelivery), nil
}
