package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/credential/passkey"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/factor"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// OwnPasskeys is what people do to their own passkeys.
type OwnPasskeys interface {
	Passkeys(ctx context.Context, p principal.Principal) ([]passkey.Passkey, error)
	BeginPasskey(ctx context.Context, p principal.Principal, conditional bool) (passkey.Ceremony, error)
	AddPasskey(ctx context.Context, p principal.Principal, f factor.Proof, name string) error
	RenamePasskey(ctx context.Context, p principal.Principal, id uuid.UUID, name string) error
	DeletePasskey(ctx context.Context, p principal.Principal, id uuid.UUID) error
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

type passkeysOutput struct {
	Body struct {
		Passkeys []Passkey `json:"passkeys" doc:"Newest first."`
	} `nameHint:"Passkeys"`
}

type passkeyOptionsInput struct {
	Body struct {
		Conditional bool `json:"conditional,omitempty" doc:"Make it without a question, right after a sign-in with a password (conditional create)."`
	} `nameHint:"PasskeyOptions"`
}

type addPasskeyInput struct {
	Body struct {
		Name string `json:"name,omitempty" maxLength:"256" doc:"Its name. Without one it gets what is known of its maker."`
		PasskeyAnswer
	} `nameHint:"NewPasskey"`
}

type renamePasskeyInput struct {
	ID   uuid.UUID `path:"id" format:"uuid" doc:"The passkey."`
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"256" doc:"Its new name."`
	} `nameHint:"PasskeyName"`
}

// accountPasskeys is the passkeys of whoever is signed in.
type accountPasskeys struct{ flows OwnPasskeys }

// Mount adds the operations.
func (d accountPasskeys) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/account/passkeys", id: "list-passkeys", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "The account's passkeys", description: "All there are: at most twenty.", ok: "The passkeys.",
	}, d.listPasskeys)
	register(k, operation{
		method: http.MethodPost, path: "/v1/account/passkeys/options", id: "begin-passkey", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn, recent: true, maxBody: smallBody,
		summary: "Begin to add a passkey", description: "Those that the account has already are excluded.", ok: "What the browser needs.", problems: sure,
	}, func(ctx context.Context, who asker, in *passkeyOptionsInput) (*ceremonyOutput, error) {
		return ceremonyOf(d.flows.BeginPasskey(ctx, who.principal, in.Body.Conditional))
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/account/passkeys", id: "add-passkey", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.SignedIn, recent: true, maxBody: passkeyBody,
		summary: "End adding a passkey", description: "Takes what the browser made.", ok: "It is added.", problems: sure,
	}, func(ctx context.Context, who asker, in *addPasskeyInput) (*empty, error) {
		return nil, d.flows.AddPasskey(ctx, who.principal, factor.Proof{
			Method: factor.Passkey, Ceremony: in.Body.Ceremony, Credential: in.Body.Credential,
		}, in.Body.Name)
	})
	register(k, operation{
		method: http.MethodPatch, path: "/v1/account/passkeys/{id}", id: "rename-passkey", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.SignedIn, maxBody: smallBody,
		summary: "Rename a passkey", description: "The name is for its owner only.", ok: "Done.", problems: map[int]string{http.StatusNotFound: "There is no such passkey on this account."},
	}, func(ctx context.Context, who asker, in *renamePasskeyInput) (*empty, error) {
		return nil, d.flows.RenamePasskey(ctx, who.principal, in.ID, in.Body.Name)
	})
	register(k, operation{
		method: http.MethodDelete, path: "/v1/account/passkeys/{id}", id: "delete-passkey", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.SignedIn, recent: true,
		summary: "Remove a passkey", description: "The last way into an account can't be removed.", ok: "It is gone.",
		problems: map[int]string{http.StatusForbidden: sure[http.StatusForbidden], http.StatusNotFound: "There is no such passkey on this account.", http.StatusConflict: "It is the last way in."},
	}, func(ctx context.Context, who asker, in *ownIDInput) (*empty, error) {
		return nil, d.flows.DeletePasskey(ctx, who.principal, in.ID)
	})
}

func (d accountPasskeys) listPasskeys(ctx context.Context, who asker, _ *none) (*passkeysOutput, error) {
	list, err := d.flows.Passkeys(ctx, who.principal)
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
