package httpapi

import (
	"context"
	"net/http"
)

type changePasswordInput struct {
	Body struct {
		Current       string   `json:"current_password" minLength:"1" maxLength:"4096" doc:"The password as it is."`
		New           string   `json:"new_password" minLength:"1" maxLength:"4096" doc:"The password to be."`
		TokenDelivery Delivery `json:"token_delivery,omitempty" enum:"cookie,body" doc:"How to hand over the session's new token. Without it, the way the old one came."`
	} `nameHint:"PasswordChange"`
}

func (a *API) mountAccount() {
	register(a, operation{
		method: http.MethodPut, path: "/v1/account/password", id: "change-password", tag: "account", off: a.cfg.Auth == nil, access: user,
		summary:     "Change the password",
		description: "Ends every other session of the account and gives this one a new token.",
		ok:          "The password is changed; this session goes on with a new token.",
		problems:    map[int]string{http.StatusForbidden: "The current password is wrong, or the sender has no account."},
	}, a.changePassword)
}

func (a *API) changePassword(ctx context.Context, who asker, in *changePasswordInput) (*signedInOutput, error) {
	signed, err := a.cfg.Auth.ChangePassword(ctx, who.principal, in.Body.Current, in.Body.New)
	if err != nil {
		return nil, err
	}
	return a.renew(who, signed, in.Body.TokenDelivery), nil
}
