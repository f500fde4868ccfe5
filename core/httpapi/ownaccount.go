package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/credential/totp"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
)

// OwnFactors is what people do to their own factors; *auth.Service is one.
type OwnFactors interface {
	FactorsOf(ctx context.Context, p principal.Principal) (f auth.Factors, required bool, err error)
	BeginTOTP(ctx context.Context, p principal.Principal) (totp.Enrollment, error)
	ConfirmTOTP(ctx context.Context, p principal.Principal, code string) (auth.SignedIn, error)
	CancelTOTP(ctx context.Context, p principal.Principal) error
	RemoveTOTP(ctx context.Context, p principal.Principal) error
	RenewRecoveryCodes(ctx context.Context, p principal.Principal) (codes []string, err error)
	AskAfterPassword(ctx context.Context, p principal.Principal, on bool) (codes []string, err error)
	Passkeys(ctx context.Context, p principal.Principal) ([]passkey.Passkey, error)
	BeginPasskey(ctx context.Context, p principal.Principal, conditional bool) (passkey.Ceremony, error)
	AddPasskey(ctx context.Context, p principal.Principal, f auth.Factor, name string) error
	RenamePasskey(ctx context.Context, p principal.Principal, id uuid.UUID, name string) error
	DeletePasskey(ctx context.Context, p principal.Principal, id uuid.UUID) error
}

// OwnAccount is what else people do to their own account; *auth.Service is one.
type OwnAccount interface {
	AddPassword(ctx context.Context, p principal.Principal, next string) error
	ChangeUsername(ctx context.Context, p principal.Principal, username string) error
	RequestEmailChange(ctx context.Context, p principal.Principal, email string) (auth.Requested, error)
	ConfirmEmailChange(ctx context.Context, current principal.Principal, c auth.EmailChange) error
	UndoEmailChange(ctx context.Context, token string) error
	Devices(ctx context.Context, p principal.Principal) ([]device.Device, error)
	ForgetDevice(ctx context.Context, p principal.Principal, id uuid.UUID) error
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

// Passkey is one of an account's own.
type Passkey struct {
	ID           uuid.UUID `json:"id" format:"uuid" doc:"The passkey's id."`
	Name         string    `json:"name" doc:"Its name, which its owner may change."`
	Model        string    `json:"model,omitempty" doc:"What made it, where that is known."`
	Discoverable bool      `json:"discoverable" doc:"It signs in without a word on who it is."`
	BackedUp     bool      `json:"backed_up" doc:"It is kept in more than one place."`
	CreatedAt    time.Time `json:"created_at" doc:"When it was added."`
	LastUsedAt   time.Time `json:"last_used_at,omitzero" doc:"When it was last used."`
}

// Device is a browser that an account has been used from.
type Device struct {
	ID           uuid.UUID `json:"id" format:"uuid" doc:"The device's id."`
	Browser      string    `json:"browser,omitempty" doc:"What it called itself." example:"Firefox"`
	System       string    `json:"system,omitempty" doc:"What it said it runs on." example:"Linux"`
	FirstSeenAt  time.Time `json:"first_seen_at" doc:"When the account was first used there."`
	LastSeenAt   time.Time `json:"last_seen_at" doc:"When it last was, to about an hour."`
	TrustedUntil time.Time `json:"trusted_until,omitzero" doc:"Until when no second factor is asked for there."`
}

type (
	factorsOutput  struct{ Body Factors }
	codesOutput    struct{ Body RecoveryCodes }
	passkeysOutput struct {
		Body struct {
			Passkeys []Passkey `json:"passkeys" doc:"Newest first."`
		} `nameHint:"Passkeys"`
	}
	devicesOutput struct {
		Body struct {
			Devices []Device `json:"devices" doc:"The last used first."`
		} `nameHint:"Devices"`
	}
	codeInput struct {
		Body struct {
			Code          string   `json:"code" minLength:"1" maxLength:"64" doc:"What the app shows." example:"493021"`
			TokenDelivery Delivery `json:"token_delivery,omitempty" enum:"cookie,body" doc:"How to hand over the session's new token. Without it, the way the old one came."`
		} `nameHint:"Code"`
	}
	secondFactorSwitch struct {
		Body struct {
			On bool `json:"on" doc:"Ask for a passkey after the password, too."`
		} `nameHint:"SecondFactorSwitch"`
	}
	passkeyOptionsInput struct {
		Body struct {
			Conditional bool `json:"conditional,omitempty" doc:"Make it without a question, right after a sign-in with a password (conditional create)."`
		} `nameHint:"PasskeyOptions"`
	}
	addPasskeyInput struct {
		Body struct {
			Name string `json:"name,omitempty" maxLength:"256" doc:"Its name. Without one it gets what is known of its maker."`
			PasskeyAnswer
		} `nameHint:"NewPasskey"`
	}
	renamePasskeyInput struct {
		ID   uuid.UUID `path:"id" format:"uuid" doc:"The passkey."`
		Body struct {
			Name string `json:"name" minLength:"1" maxLength:"256" doc:"Its new name."`
		} `nameHint:"PasskeyName"`
	}
	ownIDInput struct {
		ID uuid.UUID `path:"id" format:"uuid" doc:"Which one."`
	}
	newPasswordInput struct {
		Body struct {
			Password string `json:"password" minLength:"1" maxLength:"4096" doc:"The password to be."`
		} `nameHint:"FirstPassword"`
	}
	emailChangeInput struct {
		Body struct {
			Token string `json:"token,omitempty" maxLength:"512" doc:"The token of the mailed link."`
			Flow  string `json:"flow,omitempty" maxLength:"512" doc:"What POST /v1/account/email answered."`
			Code  string `json:"code,omitempty" maxLength:"32" doc:"The mailed code. Needs the flow." example:"493021"`
		} `nameHint:"EmailChange"`
	}
	tokenInput struct {
		Body struct {
			Token string `json:"token" minLength:"1" maxLength:"512" doc:"The token of the mailed link."`
		} `nameHint:"Token"`
	}
)

// sure is what is said of operations that ask for a proof of the last minutes.
var sure = map[int]string{http.StatusForbidden: "step_up_required: show anew who is signed in, with POST /v1/step-up. Or the sender has no account."}

func (a *API) mountOwnFactors() {
	off := a.cfg.OwnFactors == nil
	register(a, operation{
		method: http.MethodGet, path: "/v1/account/factors", id: "get-factors", tag: "account", off: off, access: user,
		summary: "What the account can show", description: "Beside its password: authenticator app, passkeys, recovery codes.", ok: "What there is.",
	}, a.getFactors)
	register(a, operation{
		method: http.MethodPut, path: "/v1/account/factors/after-password", id: "ask-after-password", tag: "account", off: off, access: user,
		summary:     "Ask for a passkey after the password, or no longer",
		description: "With an authenticator app a second factor is asked for in any case.",
		ok:          "Done. The account's first second factor comes with recovery codes.", problems: sure,
	}, func(ctx context.Context, who asker, in *secondFactorSwitch) (*codesOutput, error) {
		return codesOf(a.cfg.OwnFactors.AskAfterPassword(ctx, who.principal, in.Body.On))
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/account/totp", id: "begin-totp", tag: "account", off: off, access: user,
		summary: "Begin to add an authenticator app", description: "The secret counts for nothing until a code of it is confirmed, within ten minutes.",
		ok: "The secret, for the app.", problems: sure,
	}, func(ctx context.Context, who asker, _ *none) (*totpOutput, error) {
		return totpOf(a.cfg.OwnFactors.BeginTOTP(ctx, who.principal))
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/account/totp/confirm", id: "confirm-totp", tag: "account", off: off, access: user,
		summary: "End adding an authenticator app", description: "From then on a second factor is asked for after every first one.",
		ok: "The app counts; the session has shown it and goes on with a new token. The account's first second factor comes with recovery codes.", problems: sure,
	}, func(ctx context.Context, who asker, in *codeInput) (*signedInOutput, error) {
		signed, err := a.cfg.OwnFactors.ConfirmTOTP(ctx, who.principal, in.Body.Code)
		if err != nil {
			return nil, err
		}
		return a.renew(who, signed, in.Body.TokenDelivery), nil
	})
	register(a, operation{
		method: http.MethodDelete, path: "/v1/account/totp/pending", id: "cancel-totp", tag: "account", off: off, access: user, status: http.StatusNoContent,
		summary: "Give up adding an authenticator app", description: "Forgets a secret that was never confirmed.", ok: "There is none.",
	}, func(ctx context.Context, who asker, _ *none) (*empty, error) {
		return nil, a.cfg.OwnFactors.CancelTOTP(ctx, who.principal)
	})
	register(a, operation{
		method: http.MethodDelete, path: "/v1/account/totp", id: "remove-totp", tag: "account", off: off, access: user, status: http.StatusNoContent,
		summary: "Remove the authenticator app", description: "The last second factor takes the recovery codes with it.", ok: "It is gone.", problems: sure,
	}, func(ctx context.Context, who asker, _ *none) (*empty, error) {
		return nil, a.cfg.OwnFactors.RemoveTOTP(ctx, who.principal)
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/account/recovery-codes", id: "renew-recovery-codes", tag: "account", off: off, access: user,
		summary: "Make new recovery codes", description: "The old ones are void.", ok: "The new codes, shown this once.", problems: sure,
	}, func(ctx context.Context, who asker, _ *none) (*codesOutput, error) {
		return codesOf(a.cfg.OwnFactors.RenewRecoveryCodes(ctx, who.principal))
	})
	a.mountOwnPasskeys(off)
}

func (a *API) mountOwnPasskeys(off bool) {
	register(a, operation{
		method: http.MethodGet, path: "/v1/account/passkeys", id: "list-passkeys", tag: "account", off: off, access: user,
		summary: "The account's passkeys", description: "All there are: at most twenty.", ok: "The passkeys.",
	}, a.listPasskeys)
	register(a, operation{
		method: http.MethodPost, path: "/v1/account/passkeys/options", id: "begin-passkey", tag: "account", off: off, access: user,
		summary: "Begin to add a passkey", description: "Those that the account has already are excluded.", ok: "What the browser needs.", problems: sure,
	}, func(ctx context.Context, who asker, in *passkeyOptionsInput) (*ceremonyOutput, error) {
		return ceremonyOf(a.cfg.OwnFactors.BeginPasskey(ctx, who.principal, in.Body.Conditional))
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/account/passkeys", id: "add-passkey", tag: "account", off: off, access: user, status: http.StatusNoContent,
		summary: "End adding a passkey", description: "Takes what the browser made.", ok: "It is added.", problems: sure,
	}, func(ctx context.Context, who asker, in *addPasskeyInput) (*empty, error) {
		return nil, a.cfg.OwnFactors.AddPasskey(ctx, who.principal, auth.Factor{
			Method: auth.MethodPasskey, Ceremony: in.Body.Ceremony, Credential: in.Body.Credential,
		}, in.Body.Name)
	})
	register(a, operation{
		method: http.MethodPatch, path: "/v1/account/passkeys/{id}", id: "rename-passkey", tag: "account", off: off, access: user, status: http.StatusNoContent,
		summary: "Rename a passkey", description: "The name is for its owner only.", ok: "Done.", problems: map[int]string{http.StatusNotFound: "There is no such passkey on this account."},
	}, func(ctx context.Context, who asker, in *renamePasskeyInput) (*empty, error) {
		return nil, a.cfg.OwnFactors.RenamePasskey(ctx, who.principal, in.ID, in.Body.Name)
	})
	register(a, operation{
		method: http.MethodDelete, path: "/v1/account/passkeys/{id}", id: "delete-passkey", tag: "account", off: off, access: user, status: http.StatusNoContent,
		summary: "Remove a passkey", description: "The last way into an account can't be removed.", ok: "It is gone.",
		problems: map[int]string{http.StatusForbidden: sure[http.StatusForbidden], http.StatusNotFound: "There is no such passkey on this account.", http.StatusConflict: "It is the last way in."},
	}, func(ctx context.Context, who asker, in *ownIDInput) (*empty, error) {
		return nil, a.cfg.OwnFactors.DeletePasskey(ctx, who.principal, in.ID)
	})
}

func (a *API) mountOwnAccount() {
	off := a.cfg.OwnAccount == nil
	register(a, operation{
		method: http.MethodPost, path: "/v1/account/password", id: "add-password", tag: "account", off: off, access: user, status: http.StatusNoContent,
		summary: "Give a password to an account that has none", description: "An account that has one changes it with PUT.", ok: "It has one.",
		problems: map[int]string{http.StatusForbidden: sure[http.StatusForbidden], http.StatusConflict: "The account has a password."},
	}, func(ctx context.Context, who asker, in *newPasswordInput) (*empty, error) {
		return nil, a.cfg.OwnAccount.AddPassword(ctx, who.principal, in.Body.Password)
	})
	register(a, operation{
		method: http.MethodPost, path: "/v1/account/email", id: "change-email", tag: "account", off: off, access: user, status: http.StatusAccepted,
		summary:     "Ask for another e-mail address",
		description: "The new address gets a link and a code, the present one a notice. Nothing changes before the new mailbox has answered.",
		ok:          "Check the new mailbox.", problems: sure,
	}, func(ctx context.Context, who asker, in *emailInput) (*requestedOutput, error) {
		return requested(a.cfg.OwnAccount.RequestEmailChange(ctx, who.principal, in.Body.Email))
	})
	void := map[int]string{http.StatusUnauthorized: "The link or code is not right, or no longer. sign_in_first: the link alone came from a sender who is not signed in."}
	register(a, operation{
		method: http.MethodPost, path: "/v1/account/email/confirm", id: "confirm-email-change", tag: "account", off: off, status: http.StatusNoContent,
		summary:     "Confirm the new e-mail address",
		description: "By the mailed link and the flow, or, with the account's session, the link alone; or by the flow and the mailed code. Sessions end, but the one that this request carries; the old address gets a link to undo it.",
		ok:          "The address is changed.", problems: void,
	}, a.confirmEmailChange)
	register(a, operation{
		method: http.MethodPost, path: "/v1/account/email/undo", id: "undo-email-change", tag: "account", off: off, status: http.StatusNoContent,
		summary:     "Undo a change of the e-mail address",
		description: "By the link that went to the old address. Every session ends and the password too; a link to set a new one is in that mailbox.",
		ok:          "The account has its old address again.", problems: void,
	}, func(ctx context.Context, _ asker, in *tokenInput) (*empty, error) {
		return nil, a.cfg.OwnAccount.UndoEmailChange(ctx, in.Body.Token)
	})
	register(a, operation{
		method: http.MethodGet, path: "/v1/account/devices", id: "list-devices", tag: "account", off: off, access: user,
		summary: "The browsers that the account has been used from", description: "Trusted ones are asked for no second factor.", ok: "The devices.",
	}, a.listDevices)
	register(a, operation{
		method: http.MethodDelete, path: "/v1/account/devices/{id}", id: "forget-device", tag: "account", off: off, access: user, status: http.StatusNoContent,
		summary: "Forget a browser", description: "Its next sign-in is asked for a second factor and told of by mail. Its sessions go on.", ok: "It is forgotten.",
		problems: map[int]string{http.StatusNotFound: "There is no such browser on this account."},
	}, func(ctx context.Context, who asker, in *ownIDInput) (*empty, error) {
		return nil, a.cfg.OwnAccount.ForgetDevice(ctx, who.principal, in.ID)
	})
}

func codesOf(codes []string, err error) (*codesOutput, error) {
	if err != nil {
		return nil, err
	}
	return &codesOutput{Body: RecoveryCodes{RecoveryCodes: codes}}, nil
}

func (a *API) getFactors(ctx context.Context, who asker, _ *none) (*factorsOutput, error) {
	f, required, err := a.cfg.OwnFactors.FactorsOf(ctx, who.principal)
	if err != nil {
		return nil, err
	}
	return &factorsOutput{Body: Factors{TOTP: f.TOTP, Passkeys: f.Passkeys, RecoveryCodes: f.RecoveryCodes, SecondFactor: required}}, nil
}

func (a *API) listPasskeys(ctx context.Context, who asker, _ *none) (*passkeysOutput, error) {
	list, err := a.cfg.OwnFactors.Passkeys(ctx, who.principal)
	if err != nil {
		return nil, err
	}
	out := &passkeysOutput{}
	out.Body.Passkeys = make([]Passkey, 0, len(list))
	for _, k := range list {
		out.Body.Passkeys = append(out.Body.Passkeys, Passkey{
			ID: k.ID, Name: k.Name, Model: k.Model(), Discoverable: k.Discoverable, BackedUp: k.BackedUp, CreatedAt: k.CreatedAt, LastUsedAt: k.LastUsedAt,
		})
	}
	return out, nil
}

func (a *API) listDevices(ctx context.Context, who asker, _ *none) (*devicesOutput, error) {
	list, err := a.cfg.OwnAccount.Devices(ctx, who.principal)
	if err != nil {
		return nil, err
	}
	out := &devicesOutput{}
	out.Body.Devices = make([]Device, 0, len(list))
	for _, d := range list {
		v := Device{ID: d.ID, FirstSeenAt: d.FirstSeenAt, LastSeenAt: d.LastSeenAt, TrustedUntil: d.TrustedUntil}
		v.Browser, v.System = device.Describe(d.UserAgent)
		out.Body.Devices = append(out.Body.Devices, v)
	}
	return out, nil
}

// confirmEmailChange needs no session. The one it carries, if it is good, is the one that goes on.
func (a *API) confirmEmailChange(ctx context.Context, who asker, in *emailChangeInput) (*empty, error) {
	b := &in.Body
	if b.Token == "" && b.Code == "" {
		return nil, fault.New(fault.Invalid, "confirmation_incomplete", "Send the mailed code with the flow, or the link's token.").At("code")
	}
	current, err := Authenticate(a.cfg.Sessions, who.r)
	if err != nil && fault.KindOf(err) != fault.Unauthenticated {
		return nil, err
	}
	return nil, a.cfg.OwnAccount.ConfirmEmailChange(ctx, current, auth.EmailChange{Token: b.Token, Flow: b.Flow, Code: b.Code})
}
