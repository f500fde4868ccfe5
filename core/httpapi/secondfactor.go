package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/principal"
)

// SecondFactors is what ends a sign-in that waits, and what renews a session; *auth.Service is one.
type SecondFactors interface {
	PendingSignIn(ctx context.Context, flow string) (auth.Pending, error)
	PendingPasskey(ctx context.Context, flow string) (passkey.Ceremony, error)
	PendingTOTP(ctx context.Context, flow string) (totp.Enrollment, error)
	FinishSignIn(ctx context.Context, f auth.SecondFactor) (auth.SignedIn, error)
	StepUpMethods(ctx context.Context, p principal.Principal) ([]string, error)
	StepUpPasskey(ctx context.Context, p principal.Principal) (passkey.Ceremony, error)
	StepUpMail(ctx context.Context, p principal.Principal) (flow string, err error)
	StepUp(ctx context.Context, p principal.Principal, f auth.Factor) (auth.SignedIn, error)
}

// PasskeySignIns is signing in with a passkey; *auth.Service is one.
type PasskeySignIns interface {
	BeginPasskeySignIn(ctx context.Context) (passkey.Ceremony, error)
	SignInPasskey(ctx context.Context, in auth.PasskeySignIn) (auth.SignedIn, error)
}

// Ceremony is what a browser needs to use or make a passkey.
type Ceremony struct {
	Ceremony string          `json:"ceremony" doc:"Names this ceremony. Send it with the credential; it is good once, for five minutes."`
	Options  json.RawMessage `json:"options" doc:"What navigator.credentials.get or create takes, as JSON: give publicKey to PublicKeyCredential.parseRequestOptionsFromJSON or parseCreationOptionsFromJSON (WebAuthn Level 3)."`
}

type ceremonyOutput struct{ Body Ceremony }

func ceremonyOf(c passkey.Ceremony, err error) (*ceremonyOutput, error) {
	if err != nil {
		return nil, err
	}
	return &ceremonyOutput{Body: Ceremony{Ceremony: c.Token, Options: c.Options}}, nil
}

// PasskeyAnswer is what a browser answers to a ceremony.
type PasskeyAnswer struct {
	Ceremony   string          `json:"ceremony,omitempty" maxLength:"512" doc:"Of the ceremony that was begun."`
	Credential json.RawMessage `json:"credential,omitempty" doc:"The PublicKeyCredential's toJSON() (WebAuthn Level 3)."`
}

// FactorShown is what is shown, in the body of a second factor and of a step-up.
type FactorShown struct {
	Code string `json:"code,omitempty" maxLength:"64" doc:"The code of the authenticator app, a recovery code, or the mailed code."`
	PasskeyAnswer
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

// TOTPEnrollment is the secret of an authenticator app that is being added.
type TOTPEnrollment struct {
	Secret string `json:"secret" doc:"For typing into the app. Secret."`
	URI    string `json:"uri" doc:"The otpauth:// address. Secret."`
	PNG    []byte `json:"png" doc:"The same as a QR code: a PNG in base64. Secret."`
}

type totpOutput struct{ Body TOTPEnrollment }

func totpOf(e totp.Enrollment, err error) (*totpOutput, error) {
	if err != nil {
		return nil, err
	}
	png, err := e.PNG()
	if err != nil {
		return nil, err
	}
	return &totpOutput{Body: TOTPEnrollment{Secret: e.Secret.Reveal(), URI: e.URI.Reveal(), PNG: png}}, nil
}

type passkeySignInInput struct {
	Body struct {
		Remember bool   `json:"remember,omitempty" doc:"Keep the session when the browser is closed."`
		Link     string `json:"link,omitempty" maxLength:"512" doc:"The flow of a login at another provider, to link it with this sign-in."`
		PasskeyAnswer
		Handover
	} `nameHint:"PasskeySignIn"`
}

func (a *API) mountSecondFactor() {
	off := a.cfg.SecondFactors == nil
	wrong := map[int]string{http.StatusUnauthorized: "What was shown is not right, or the sign-in is over."}
	register(a, operation{
		method: http.MethodPost, path: "/v1/login/second-factor", id: "finish-login", tag: "sign-in", off: off,
		summary:     "Show a second factor",
		description: "Ends a sign-in that answered 202. A wrong factor leaves it waiting and counts; five wrong ones pause the account's second factor for 15 minutes.",
		ok:          "Signed in.", problems: wrong,
	}, a.finishLogin)
	register(a, operation{
		method: http.MethodPost, path: "/v1/login/second-factor/passkey", id: "second-factor-passkey", tag: "sign-in", off: off,
		summary:     "Begin to show a passkey as the second factor",
		description: "Where the account must add a factor (enroll), the options make a passkey; otherwise they ask for one of the account's.",
		ok:          "What the browser needs.", problems: wrong,
	}, func(ctx context.Context, _ asker, in *flowInput) (*ceremonyOutput, error) {
		return ceremonyOf(a.cfg.SecondFactors.PendingPasskey(ctx, in.Body.Flow))
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/login/second-factor/totp", id: "second-factor-totp", tag: "sign-in", off: off,
		summary:     "Begin to add an authenticator app in the middle of a sign-in",
		description: "Only where the sign-in answered enroll: a second factor is demanded and the account has none.",
		ok:          "The secret for the app. Show a code of it to POST /v1/login/second-factor.", problems: wrong,
	}, func(ctx context.Context, _ asker, in *flowInput) (*totpOutput, error) {
		return totpOf(a.cfg.SecondFactors.PendingTOTP(ctx, in.Body.Flow))
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/login/passkey/options", id: "passkey-login-options", tag: "sign-in", off: a.cfg.PasskeySignIns == nil,
		summary:     "Begin to sign in with a passkey",
		description: "The same for everybody: nobody says who they are, the passkey that answers does. Good for autofill (conditional UI) and for a button.",
		ok:          "What the browser needs.",
	}, func(ctx context.Context, _ asker, _ *none) (*ceremonyOutput, error) {
		return ceremonyOf(a.cfg.PasskeySignIns.BeginPasskeySignIn(ctx))
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/login/passkey", id: "passkey-login", tag: "sign-in", off: a.cfg.PasskeySignIns == nil,
		summary:     "Sign in with a passkey",
		description: "A passkey verifies its user, so it is both factors in one: no other is asked for, and the session is at aal2.",
		ok:          "Signed in.",
		problems:    map[int]string{http.StatusUnauthorized: "The passkey could not be verified.", http.StatusForbidden: "A gate refused this sign-in."},
	}, a.passkeyLogin)

	register(a, operation{
		method: http.MethodGet, path: "/v1/step-up", id: "step-up-methods", tag: "account", off: off, access: user,
		summary:     "How to show anew who is signed in",
		description: "What changes how somebody signs in asks for a proof of the last five minutes, and answers 403 with step_up_required without one.",
		ok:          "The ways there are for this account.",
	}, a.stepUpMethods)
	register(a, operation{
		method: http.MethodPost, path: "/v1/step-up", id: "step-up", tag: "account", off: off, access: user,
		summary:     "Show anew who is signed in",
		description: "Renews the session: a new token, a new auth_time and, after a second factor, the higher assurance.",
		ok:          "The session goes on with a new token.", problems: map[int]string{http.StatusForbidden: "A gate refused, or the sender has no account."},
	}, a.stepUp)
	register(a, operation{
		method: http.MethodPost, path: "/v1/step-up/passkey", id: "step-up-passkey", tag: "account", off: off, access: user,
		summary: "Begin to show a passkey", description: "Asks for one of the account's own passkeys.", ok: "What the browser needs.",
	}, func(ctx context.Context, who asker, _ *none) (*ceremonyOutput, error) {
		return ceremonyOf(a.cfg.SecondFactors.StepUpPasskey(ctx, who.principal))
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/step-up/mail", id: "step-up-mail", tag: "account", off: off, access: user, status: http.StatusAccepted,
		summary: "Mail a code", description: "Only for accounts that have neither password nor passkey nor a second factor.", ok: "Check your mail.",
	}, func(ctx context.Context, who asker, _ *none) (*requestedOutput, error) {
		flow, err := a.cfg.SecondFactors.StepUpMail(ctx, who.principal)
		return requested(auth.Requested{Flow: flow}, err)
	})
}

func (f FactorShown) factor(method string) auth.Factor {
	return auth.Factor{Method: method, Code: f.Code, Ceremony: f.Ceremony, Credential: f.Credential}
}

func (a *API) finishLogin(ctx context.Context, who asker, in *secondFactorInput) (*signedInOutput, error) {
	b := &in.Body
	signed, err := a.cfg.SecondFactors.FinishSignIn(ctx, auth.SecondFactor{
		Flow: b.Flow, Factor: b.factor(b.Method), Trust: b.TrustDevice, Device: b.device(who.r), Name: b.Name,
	})
	if err != nil {
		return nil, err
	}
	return a.deliver(who, signed, b.TokenDelivery), nil
}

func (a *API) passkeyLogin(ctx context.Context, who asker, in *passkeySignInInput) (*signedInOutput, error) {
	b := &in.Body
	signed, err := a.cfg.PasskeySignIns.SignInPasskey(ctx, auth.PasskeySignIn{
		Ceremony: b.Ceremony, Credential: b.Credential, Remember: b.Remember, Device: b.device(who.r), Link: b.Link,
	})
	if err != nil {
		return nil, err
	}
	return a.deliver(who, signed, b.TokenDelivery), nil
}

func (a *API) stepUpMethods(ctx context.Context, who asker, _ *none) (*stepUpMethodsOutput, error) {
	methods, err := a.cfg.SecondFactors.StepUpMethods(ctx, who.principal)
	if err != nil {
		return nil, err
	}
	return &stepUpMethodsOutput{Body: StepUpMethods{Methods: methods}}, nil
}

func (a *API) stepUp(ctx context.Context, who asker, in *stepUpInput) (*signedInOutput, error) {
	b := &in.Body
	f := b.factor(b.Method)
	f.Password, f.Flow = b.Password, b.Flow
	signed, err := a.cfg.SecondFactors.StepUp(ctx, who.principal, f)
	if err != nil {
		return nil, err
	}
	return a.renew(who, signed, b.TokenDelivery), nil
}
