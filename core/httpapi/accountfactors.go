package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/selfservice"
)

// OwnFactors is what people do to their own second factors.
type OwnFactors interface {
	FactorsOf(ctx context.Context, p principal.Principal) (f factor.Set, required bool, err error)
	BeginTOTP(ctx context.Context, p principal.Principal) (totp.Enrollment, error)
	ConfirmTOTP(ctx context.Context, p principal.Principal, code string) (selfservice.Enrolled, error)
	CancelTOTP(ctx context.Context, p principal.Principal) error
	RemoveTOTP(ctx context.Context, p principal.Principal) error
	RenewRecoveryCodes(ctx context.Context, p principal.Principal) (codes []string, err error)
	AskAfterPassword(ctx context.Context, p principal.Principal, on bool) (codes []string, err error)
}

// Factors is what an account can show beside its password.
type Factors struct {
	TOTP          bool `json:"totp" doc:"An authenticator app."`
	Passkeys      int  `json:"passkeys" doc:"How many passkeys."`
	RecoveryCodes int  `json:"recovery_codes" doc:"How many recovery codes are left."`
	SecondFactor  bool `json:"second_factor" doc:"A second factor is asked for after every first one."`
}

// RecoveryCodes are shown once.
type RecoveryCodes struct {
	RecoveryCodes []string `json:"recovery_codes,omitempty" doc:"Shown this once. Absent where the account has codes already."`
}

type factorsOutput struct{ Body Factors }

type codesOutput struct{ Body RecoveryCodes }

type codeInput struct {
	Body struct {
		Code          string   `json:"code" minLength:"1" maxLength:"64" doc:"What the app shows." example:"493021"`
		TokenDelivery Delivery `json:"token_delivery,omitempty" enum:"cookie,body" doc:"How to hand over the session's new token. Without it, the way the old one came."`
	} `nameHint:"Code"`
}

type secondFactorSwitch struct {
	Body struct {
		On bool `json:"on" doc:"Ask for a passkey after the password, too."`
	} `nameHint:"SecondFactorSwitch"`
}

// accountFactors is the second factors of whoever is signed in: authenticator app and recovery codes.
type accountFactors struct{ flows OwnFactors }

// Mount adds the operations.
func (d accountFactors) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/account/factors", id: "get-factors", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "What the account can show", description: "Beside its password: authenticator app, passkeys, recovery codes.", ok: "What there is.",
	}, d.getFactors)
	register(k, operation{
		method: http.MethodPut, path: "/v1/account/factors/after-password", id: "ask-after-password", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn, recent: true, maxBody: smallBody,
		summary:     "Ask for a passkey after the password, or no longer",
		description: "With an authenticator app a second factor is asked for in any case.",
		ok:          "Done. The account's first second factor comes with recovery codes.", problems: sure,
	}, func(ctx context.Context, who asker, in *secondFactorSwitch) (*codesOutput, error) {
		return codesOf(d.flows.AskAfterPassword(ctx, who.principal, in.Body.On))
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/account/totp", id: "begin-totp", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn, recent: true,
		summary: "Begin to add an authenticator app", description: "The secret counts for nothing until a code of it is confirmed, within ten minutes.",
		ok: "The secret, for the app.", problems: sure,
	}, func(ctx context.Context, who asker, _ *none) (*totpOutput, error) {
		return totpOf(d.flows.BeginTOTP(ctx, who.principal))
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/account/totp/confirm", id: "confirm-totp", tag: "account", off: off,
		limit: ratelimit.Guess, access: endpoint.SignedIn, recent: true, maxBody: smallBody,
		summary: "End adding an authenticator app", description: "From then on a second factor is asked for after every first one.",
		ok: "The app counts; the session has shown it and goes on with a new token. The account's first second factor comes with recovery codes.", problems: sure,
	}, func(ctx context.Context, who asker, in *codeInput) (*signedInOutput, error) {
		signed, err := d.flows.ConfirmTOTP(ctx, who.principal, in.Body.Code)
		if err != nil {
			return nil, err
		}
		return renew(who, signed.Issued, signed.Codes, in.Body.TokenDelivery), nil
	})
	register(k, operation{
		method: http.MethodDelete, path: "/v1/account/totp/pending", id: "cancel-totp", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "Give up adding an authenticator app", description: "Forgets a secret that was never confirmed.", ok: "There is none.",
	}, func(ctx context.Context, who asker, _ *none) (*empty, error) {
		return nil, d.flows.CancelTOTP(ctx, who.principal)
	})
	register(k, operation{
		method: http.MethodDelete, path: "/v1/account/totp", id: "remove-totp", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.SignedIn, recent: true,
		summary: "Remove the authenticator app", description: "The last second factor takes the recovery codes with it.", ok: "It is gone.", problems: sure,
	}, func(ctx context.Context, who asker, _ *none) (*empty, error) {
		return nil, d.flows.RemoveTOTP(ctx, who.principal)
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/account/recovery-codes", id: "renew-recovery-codes", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn, recent: true,
		summary: "Make new recovery codes", description: "The old ones are void.", ok: "The new codes, shown this once.", problems: sure,
	}, func(ctx context.Context, who asker, _ *none) (*codesOutput, error) {
		return codesOf(d.flows.RenewRecoveryCodes(ctx, who.principal))
	})
}

func codesOf(codes []string, err error) (*codesOutput, error) {
	if err != nil {
		return nil, err
	}
	return &codesOutput{Body: RecoveryCodes{RecoveryCodes: codes}}, nil
}

func (d accountFactors) getFactors(ctx context.Context, who asker, _ *none) (*factorsOutput, error) {
	f, required, err := d.flows.FactorsOf(ctx, who.principal)
	if err != nil {
		return nil, err
	}
	return &factorsOutput{Body: Factors{TOTP: f.TOTP, Passkeys: f.Passkeys, RecoveryCodes: f.RecoveryCodes, SecondFactor: required}}, nil
}
