package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Providers are the other services that people can sign in with; *federation.Service is one.
type Providers interface {
	Providers() []federation.Provider
}

// Provider is another service that people can sign in with.
type Provider struct {
	Name  string `json:"name" doc:"Its name in addresses. A form that posts to /login/provider/{name} begins a sign-in there." example:"google"`
	Title string `json:"title" doc:"What people call it." example:"Google"`
}

type providersOutput struct {
	Body struct {
		Providers []Provider `json:"providers" doc:"In the order of the configuration."`
	} `nameHint:"Providers"`
}

// providers is the other services that people can sign in with.
type providers struct{ flows Providers }

// Mount adds the operations.
func (d providers) Mount(k *kit) {
	register(k, operation{
		method: http.MethodGet, path: "/v1/providers", id: "list-providers", tag: "sign-in", off: d.flows == nil,
		limit: ratelimit.General, access: endpoint.Anyone,
		summary: "Other services that people can sign in with", description: "For buttons. The sign-in itself is a browser's, by pages: it goes there and comes back.", ok: "The providers.",
	}, d.list)
}

func (d providers) list(context.Context, asker, *none) (*providersOutput, error) {
	out := &providersOutput{}
	out.Body.Providers = []Provider{}
	for _, p := range d.flows.Providers() {
		out.Body.Providers = append(out.Body.Providers, Provider{Name: p.Name, Title: p.Title})
	}
	return out, nil
}
