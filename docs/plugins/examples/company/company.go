package main

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Settings is the config block: a block for each company, labelled with its e-mail domain.
type Settings struct {
	Company map[string]Provider `sigra:"company" doc:"A company, by its e-mail domain."`
}

// Provider is where a company's people sign in.
type Provider struct {
	Name      string `sigra:"name" doc:"What the button says."`
	URL       string `sigra:"url" doc:"Where it leads."`
	Exclusive bool   `sigra:"exclusive,optional" doc:"Its people can't use another way."`
}

// Company offers ways to sign in.
type Company struct {
	companies atomic.Pointer[map[string]Provider]
}

var (
	_ pluginsdk.LoginMethods = (*Company)(nil)
	_ pluginsdk.Routes       = (*Company)(nil)
)

// Manifest says what it serves: what it offers must lead below one of its own paths.
func (c *Company) Manifest() pluginsdk.Manifest {
	return pluginsdk.Manifest{
		Name: "company", Version: "1.0.0", Description: "Sends people to their company's own sign-in.", Settings: &Settings{},
		Routes: []pluginsdk.Route{{Path: "/company"}},
	}
}

// Configure takes the companies.
func (c *Company) Configure(_ context.Context, _ *pluginsdk.Host, in pluginsdk.Settings) error {
	var s Settings
	if err := in.Decode(&s); err != nil {
		return err
	}
	for domain, p := range s.Company {
		if u, err := url.Parse(p.URL); err != nil || u.Scheme != "https" || u.Host == "" {
			return pluginsdk.DiagnosticAt([]string{"company", domain, "url"}, "This is no https address.", "")
		}
	}
	c.companies.Store(&s.Company)
	return nil
}

// Offer is asked with the domain of an e-mail address, and never with the whole of it.
func (c *Company) Offer(_ context.Context, emailDomain, _, returnTo string) ([]pluginsdk.LoginMethod, error) {
	p, ok := (*c.companies.Load())[emailDomain]
	if !ok {
		return nil, nil
	}
	q := url.Values{"domain": {emailDomain}, "return_to": {returnTo}}
	return []pluginsdk.LoginMethod{{ID: "company", Label: "Continue with " + p.Name, URL: "/company/start?" + q.Encode(), Exclusive: p.Exclusive}}, nil
}

// ServeHTTP begins the sign-in.
func (c *Company) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := (*c.companies.Load())[r.URL.Query().Get("domain")]
	if r.URL.Path != "/company/start" || !ok {
		http.NotFound(w, r)
		return
	}
	http.Redirect(w, r, p.URL, http.StatusSeeOther)
}
