package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
)

// Profile is somebody's own account.
type Profile struct {
	ID            uuid.UUID      `json:"id" format:"uuid" doc:"The account's id."`
	Email         string         `json:"email" doc:"The address." example:"ada@example.com"`
	Username      string         `json:"username,omitempty" doc:"The username; absent without one." example:"ada"`
	Status        account.Status `json:"status" enum:"unconfirmed,active" doc:"Whether the address was confirmed."`
	Administrator bool           `json:"administrator" doc:"May administer this server."`
	CreatedAt     time.Time      `json:"created_at" doc:"When the account was made."`
	Public        Metadata       `json:"public_metadata" doc:"What the application keeps with the account."`
	User          Metadata       `json:"user_metadata" doc:"What the account's owner keeps with it."`
}

type profileOutput struct{ Body Profile }

// NewUsername is a username to be.
type NewUsername struct {
	Username string `json:"username" minLength:"1" maxLength:"256" doc:"3 to 32 letters and digits of one script, with single dots, hyphens and underscores between them." example:"ada.lovelace"`
}

type usernameInput struct{ Body NewUsername }

func (a *API) mountProfile() {
	off := a.cfg.OwnMetadata == nil
	register(a, operation{
		method: http.MethodGet, path: "/v1/account", id: "get-account", tag: "account", off: off, access: user,
		summary: "The account", description: "With its username and the metadata that its owner may see: public and user.", ok: "The account.",
	}, func(ctx context.Context, who asker, _ *none) (*profileOutput, error) {
		p, err := a.cfg.OwnMetadata.Profile(ctx, who.principal)
		if err != nil {
			return nil, err
		}
		return &profileOutput{Profile{
			ID: p.Account.ID, Email: p.Account.Email, Username: p.Account.Username, Status: p.Account.Status, Administrator: p.Account.Administrator,
			CreatedAt: p.Account.CreatedAt, Public: metadataOf(p.Public), User: metadataOf(p.User),
		}}, nil
	})
	problems := map[int]string{
		http.StatusForbidden: sure[http.StatusForbidden], http.StatusConflict: "username_taken: somebody else has it. account_unconfirmed: the address is to be confirmed first.",
	}
	off = a.cfg.OwnAccount == nil
	register(a, operation{
		method: http.MethodPut, path: "/v1/account/username", id: "change-username", tag: "account", off: off, access: user, status: http.StatusNoContent,
		summary: "Choose a username, or another one", description: "Where sign_in { username } allows one. People sign in with it or with their address.",
		ok: "It is the account's.", problems: problems,
	}, func(ctx context.Context, who asker, in *usernameInput) (*empty, error) {
		return nil, a.cfg.OwnAccount.ChangeUsername(ctx, who.principal, in.Body.Username)
	})
	register(a, operation{
		method: http.MethodDelete, path: "/v1/account/username", id: "remove-username", tag: "account", off: off, access: user, status: http.StatusNoContent,
		summary: "Give the username up", description: "Not where one is required. Anybody may have it then.", ok: "The account has none.", problems: sure,
	}, func(ctx context.Context, who asker, _ *none) (*empty, error) {
		return nil, a.cfg.OwnAccount.ChangeUsername(ctx, who.principal, "")
	})
}
