package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/session"
)

// OwnPassword is what people do to their own password.
type OwnPassword interface {
	ChangePassword(ctx context.Context, p principal.Principal, current, next string) (session.Issued, error)
	AddPassword(ctx context.Context, p principal.Principal, next string) error
}

type changePasswordInput struct {
	Body struct {
		Current       string   `json:"current_password" minLength:"1" maxLength:"4096" doc:"The password as it is."`
		New           string   `json:"new_password" minLength:"1" maxLength:"4096" doc:"The password to be."`
		TokenDelivery Delivery `json:"token_delivery,omitempty" enum:"cookie,body" doc:"How to hand over the session's new token. Without it, the way the old one came."`
	} `nameHint:"PasswordChange"`
}

type newPasswordInput struct {
	Body struct {
		Password string `json:"password" minLength:"1" maxLength:"4096" doc:"The password to be."`
	} `nameHint:"FirstPassword"`
}

// accountPassword is the password of whoever is signed in.
type accountPassword struct{ flows OwnPassword }

// Mount adds the operations.
func (d accountPassword) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodPut, path: "/v1/account/password", id: "change-password", tag: "account", off: off,
		limit: ratelimit.Hash, access: endpoint.SignedIn, maxBody: passwordBody,
		summary:     "Change the password",
		description: "Ends every other session of the account and gives this one a new token.",
		ok:          "The password is changed; this session goes on with a new token.",
		problems:    map[int]string{http.StatusForbidden: "The current password is wrong, or the sender has no account."},
	}, d.change)
	register(k, operation{
		method: http.MethodPost, path: "/v1/account/password", id: "add-password", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.Hash, access: endpoint.SignedIn, recent: true, maxBody: passwordBody,
		summary: "Give a password to an account that has none", description: "An account that has one changes it with PUT.", ok: "It has one.",
		problems: map[int]string{http.StatusForbidden: sure[http.StatusForbidden], http.StatusConflict: "The account has a password."},
	}, func(ctx context.Context, who asker, in *newPasswordInput) (*empty, error) {
		return nil, d.flows.AddPassword(ctx, who.principal, in.Body.Password)
	})
}

func (d accountPassword) change(ctx context.Context, who asker, in *changePasswordInput) (*signedInOutput, error) {
	signed, err := d.flows.ChangePassword(ctx, who.principal, in.Body.Current, in.Body.New)
	if err != nil {
		return nil, err
	}
	return renew(who, signed, nil, in.Body.TokenDelivery), nil
}
