package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Logins are an account's logins at other providers; *selfservice.Service is one.
type Logins interface {
	Logins(ctx context.Context, p principal.Principal) ([]federation.Identity, error)
	UnlinkLogin(ctx context.Context, p principal.Principal, id uuid.UUID) error
}

// Login is a login at another provider that belongs to the account.
type Login struct {
	ID         uuid.UUID `json:"id" format:"uuid" doc:"The link's id."`
	Provider   string    `json:"provider" doc:"Whose."`
	Subject    string    `json:"subject" doc:"Who the account is there."`
	Email      string    `json:"email,omitempty" doc:"The address that the provider gave when it was linked. It says nothing about the account."`
	CreatedAt  time.Time `json:"created_at" doc:"When it was linked."`
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"When it was last used to sign in."`
}

type loginsOutput struct {
	Body struct {
		Logins []Login `json:"logins" doc:"The oldest first."`
	} `nameHint:"Logins"`
}

// accountLogins is the logins at other providers that belong to the account of whoever is signed in.
type accountLogins struct{ flows Logins }

// Mount adds the operations.
func (d accountLogins) Mount(k *kit) {
	off := d.flows == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/account/logins", id: "list-logins", tag: "account", off: off,
		limit: ratelimit.General, access: endpoint.SignedIn,
		summary: "The account's logins at other providers", description: "Those that sign in to it.", ok: "The logins.",
	}, d.listLogins)
	register(k, operation{
		method: http.MethodDelete, path: "/v1/account/logins/{id}", id: "unlink-login", tag: "account", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.SignedIn, recent: true,
		summary: "Unlink a login at another provider", description: "The last way into an account can't be removed.", ok: "It signs in here no more.",
		problems: map[int]string{http.StatusForbidden: sure[http.StatusForbidden], http.StatusNotFound: "There is no such login on this account.", http.StatusConflict: "It is the last way in."},
	}, func(ctx context.Context, who asker, in *ownIDInput) (*empty, error) {
		return nil, d.flows.UnlinkLogin(ctx, who.principal, in.ID)
	})
}

func (d accountLogins) listLogins(ctx context.Context, who asker, _ *none) (*loginsOutput, error) {
	list, err := d.flows.Logins(ctx, who.principal)
	if err != nil {
		return nil, err
	}
	out := &loginsOutput{}
	out.Body.Logins = make([]Login, 0, len(list))
	for _, l := range list {
		out.Body.Logins = append(out.Body.Logins, Login{ID: l.ID, Provider: l.Provider, Subject: l.Subject, Email: l.Email, CreatedAt: l.CreatedAt, LastUsedAt: l.LastUsedAt})
	}
	return out, nil
}
