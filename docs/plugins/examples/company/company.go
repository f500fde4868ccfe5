package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Settings is the config block: a block for each company, labelled with its email domain.
type Settings struct {
	Company map[string]Provider `sigra:"company" doc:"A company, by its email domain."`
}

// Provider is where a company's people sign in.
type Provider struct {
	Name      string `sigra:"name" doc:"What the button says."`
	URL       string `sigra:"url" doc:"Where it leads."`
	Exclusive bool   `sigra:"exclusive,optional" doc:"Its people can't use another way."`
}

// Company offers ways to sign in.
type Company struct{ companies map[string]Provider }

var (
	_ pluginsdk.LoginMethods = (*Company)(nil)
	_ pluginsdk.Routes       = (*Company)(nil)
)

// plugin says what it serves: what it offers must lead below one of its own paths.
func plugin() pluginsdk.Plugin {
	return pluginsdk.Define(pluginsdk.Manifest{
		Name: "company", Version: "1.0.0", Description: "Sends people to their company's own sign-in.",
		Routes: []pluginsdk.Route{{Path: "/company"}},
	}, configure)
}

// configure takes the companies.
func configure(_ context.Context, _ *pluginsdk.Host, s Settings) (*Company, error) {
	for domain, p := range s.Company {
		if u, err := url.Parse(p.URL); err != nil || u.Scheme != "https" || u.Host == "" {
			return nil, pluginsdk.DiagnosticAt([]string{"company", domain, "url"}, "This is no https address.", "")
		}
	}
	return &Company{s.Company}, nil
}

// Offer is asked with the domain of an email address, and never with the whole of it.
func (c *Company) Offer(_ context.Context, r pluginsdk.OfferRequest) (pluginsdk.OfferResponse, error) {
	p, ok := c.companies[r.EmailDomain]
	if !ok {
		return pluginsdk.OfferResponse{}, nil
	}
	q := url.Values{"domain": {r.EmailDomain}, "return_to": {r.ReturnTo}}
	return pluginsdk.OfferResponse{Methods: []pluginsdk.LoginMethod{
		{ID: "company", Label: "Continue with " + p.Name, URL: "/company/start?" + q.Encode(), Exclusive: p.Exclusive},
	}}, nil
}

// ServeHTTP begins the sign-in.
func (c *Company) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := c.companies[r.URL.Query().Get("domain")]
	if r.URL.Path != "/company/start" || !ok {
		http.NotFound(w, r)
		return
	}
	http.Redirect(w, r, p.URL, http.StatusSeeOther)
}
