package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// OwnUsername is what people do to their own username.
type OwnUsername interface {
	ChangeUsername(ctx context.Context, p principal.Principal, username string) error
}

// NewUsername is a username to be.
type NewUsername struct {
	Username string `json:"username" minLength:"1" maxLength:"256" doc:"3 to 32 letters and digits of one script, with single dots, hyphens and underscores between them." example:"ada.lovelace"`
}

type usernameInput struct{ Body NewUsername }

// accountUsername is the username of whoever is signed in.
type accountUsername struct{ flows OwnUsername }

// Mount adds the operations.
func (d accountUsername) Mount(k *kit) {
	off := d.flows == nil
	problems := map[int]string{
		http.StatusForbidden: sure[http.StatusForbidden], http.StatusConflict: "username_taken: somebody else has it. account_unconfirmed: the address is to be confirmed first.",
	}
	register(k, operation{
		method: http.MethodPut, path: "/v1/account/username", id: "change-username", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.SignedIn, recent: true, maxBody: smallBody,
		summary: "Choose a username, or another one", description: "Where sign_in { username } allows one. People sign in with it or with their address.",
		ok: "It is the account's.", problems: problems,
	}, func(ctx context.Context, who asker, in *usernameInput) (*empty, error) {
		return nil, d.flows.ChangeUsername(ctx, who.principal, in.Body.Username)
	})
	register(k, operation{
		method: http.MethodDelete, path: "/v1/account/username", id: "remove-username", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.SignedIn, recent: true,
		summary: "Give the username up", description: "Not where one is required. Anybody may have it then.", ok: "The account has none.", problems: sure,
	}, func(ctx context.Context, who asker, _ *none) (*empty, error) {
		return nil, d.flows.ChangeUsername(ctx, who.principal, "")
	})
}
