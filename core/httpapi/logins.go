package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/principal"
)

// Providers are the other services that people can sign in with; *federation.Service is one.
type Providers interface {
	Providers() []federation.Provider
}

// Logins are an account's logins at other providers; *auth.Service is one.
type Logins interface {
	Logins(ctx context.Context, p principal.Principal) ([]federation.Identity, error)
	UnlinkLogin(ctx context.Context, p principal.Principal, id uuid.UUID) error
}

// Provider is another service that people can sign in with.
type Provider struct {
	Name  string `json:"name" doc:"Its name in addresses. A form that posts to /login/provider/{name} begins a sign-in there." example:"google"`
	Title string `json:"title" doc:"What people call it." example:"Google"`
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

type (
	providersOutput struct {
		Body struct {
			Providers []Provider `json:"providers" doc:"In the order of the configuration."`
		} `nameHint:"Providers"`
	}
	loginsOutput struct {
		Body struct {
			Logins []Login `json:"logins" doc:"The oldest first."`
		} `nameHint:"Logins"`
	}
)

func (a *API) mountLogins() {
	register(a, operation{
		method: http.MethodGet, path: "/v1/providers", id: "list-providers", tag: "sign-in", off: a.cfg.Providers == nil,
		summary: "Other services that people can sign in with", description: "For buttons. The sign-in itself is a browser's, by pages: it goes there and comes back.", ok: "The providers.",
	}, a.listProviders)
	off := a.cfg.Logins == nil
	register(a, operation{
		method: http.MethodGet, path: "/v1/account/logins", id: "list-logins", tag: "account", off: off, access: user,
		summary: "The account's logins at other providers", description: "Those that sign in to it.", ok: "The logins.",
	}, a.listLogins)
	register(a, operation{
		method: http.MethodDelete, path: "/v1/account/logins/{id}", id: "unlink-login", tag: "account", off: off, access: user, status: http.StatusNoContent,
		summary: "Unlink a login at another provider", description: "The last way into an account can't be removed.", ok: "It signs in here no more.",
		problems: map[int]string{http.StatusForbidden: sure[http.StatusForbidden], http.StatusNotFound: "There is no such login on this account.", http.StatusConflict: "It is the last way in."},
	}, func(ctx context.Context, who asker, in *ownIDInput) (*empty, error) {
		return nil, a.cfg.Logins.UnlinkLogin(ctx, who.principal, in.ID)
	})
}

func (a *API) listProviders(context.Context, asker, *none) (*providersOutput, error) {
	out := &providersOutput{}
	out.Body.Providers = []Provider{}
	for _, p := range a.cfg.Providers.Providers() {
		out.Body.Providers = append(out.Body.Providers, Provider{Name: p.Name, Title: p.Title})
	}
	return out, nil
}

func (a *API) listLogins(ctx context.Context, who asker, _ *none) (*loginsOutput, error) {
	list, err := a.cfg.Logins.Logins(ctx, who.principal)
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
