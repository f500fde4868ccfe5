package web

import (
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/lang"
)

// directory is the other providers, as the pages speak of them, and what waits in a browser to be linked.
type directory struct {
	*renderer
	ReturnTo
	others Providers        // nil: there are none
	joins  FederatedSignIns // nil: nothing is ever linked
}

// providerForms are a button for each of some providers.
func (p *directory) providerForms(l *lang.Language, list []federation.Provider, carried []hidden) []*form {
	out := make([]*form, len(list))
	for i, x := range list {
		out[i] = &form{Action: "/login/provider/" + x.Name, Submit: l.Text("page.login.provider", "provider", x.Title), Quiet: true, Hidden: carried}
	}
	return out
}

// toProvider begins a sign-in at a provider, or the linking of one, and leaves for it. It is a page that goes on by itself and
// no redirect: browsers hold form-action against every redirect that answers a form, and a page's policy can't list all the
// places that providers redirect to.
func (p *directory) toProvider(w http.ResponseWriter, r *http.Request, q federation.Request) {
	q.Browser = cookie.Provider.Token(r)
	begun, err := p.others.Begin(r.Context(), q)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	cookie.Provider.Set(w, begun.Browser)
	v := p.view(r, "page.provider.leaving", "provider", p.providerTitle(q.Provider))
	v.Here, v.Refresh, v.Body = "", "0; url="+begun.URL, leaving{begun.URL}
	p.render(w, r, http.StatusOK, "leaving", v)
}

// providers are those that people can sign in with.
func (p *directory) providers() []federation.Provider {
	if p.others == nil {
		return nil
	}
	return p.others.Providers()
}

// providerTitle names one as people know it: one that is no longer configured by its own name.
func (p *directory) providerTitle(name string) string {
	for _, x := range p.providers() {
		if x.Name == name {
			return x.Title
		}
	}
	return name
}

// providerTitles names providers as people know them.
func (p *directory) providerTitles(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = p.providerTitle(n)
	}
	return out
}

// waitingJoin is what waits in this browser to be linked; nil when nothing does, any more.
func (p *directory) waitingJoin(r *http.Request) *auth.LinkWaiting {
	flow := cookie.Join.Token(r)
	if flow == "" || p.joins == nil {
		return nil
	}
	j, err := p.joins.LookLink(r.Context(), flow)
	if err != nil {
		return nil
	}
	return &j
}

// joinField offers to link a login elsewhere that waits in this browser.
func (p *directory) joinField(r *http.Request) []field {
	j := p.waitingJoin(r)
	if j == nil {
		return nil
	}
	label := p.in(r).Text("page.join.also", "provider", p.providerTitle(j.Provider))
	return []field{{Name: "join", Label: label, Type: "checkbox", Checked: true}}
}
