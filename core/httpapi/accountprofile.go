package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/selfservice"
)

// OwnProfile is somebody's own account at a glance.
type OwnProfile interface {
	Profile(ctx context.Context, p principal.Principal) (selfservice.Profile, error)
}

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

// accountProfile is the account of whoever is signed in, at a glance.
type accountProfile struct{ flows OwnProfile }

// Mount adds the operations.
func (d accountProfile) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/account", id: "get-account", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "The account", description: "With its username and the metadata that its owner may see: public and user.", ok: "The account.",
	}, func(ctx context.Context, who asker, _ *none) (*profileOutput, error) {
		p, err := d.flows.Profile(ctx, who.principal)
		if err != nil {
			return nil, err
		}
		return &profileOutput{Profile{
			ID: p.Account.ID, Email: p.Account.Email, Username: p.Account.Username, Status: p.Account.Status, Administrator: p.Account.Administrator,
			CreatedAt: p.Account.CreatedAt, Public: metadataOf(p.Public), User: metadataOf(p.User),
		}}, nil
	})
}
