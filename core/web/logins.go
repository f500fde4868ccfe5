package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/principal"
)

// Providers is the way to other providers; *federation.Service is one.
type Providers interface {
	Providers() []federation.Provider
	// Begin gives the address to send the browser to. Fault provider_unknown or provider_unavailable.
	Begin(ctx context.Context, r federation.Request) (federation.Begun, error)
	// Finish judges what the browser brought back. Faults state_invalid, provider_denied, provider_unavailable, provider_answer_invalid.
	Finish(ctx context.Context, c federation.Callback) (federation.Result, error)
}

// linkedLogin is a login elsewhere that belongs to the account.
type linkedLogin struct {
	ID, Provider, Account string
	Linked, Used          time.Time
}

// loginsPage is what the page of them shows.
type loginsPage struct {
	Back   Link
	Linked []linkedLogin
	More   []federation.Provider // to link with
}

var errNoLogin = fault.New(fault.NotFound, "identity_not_found", "There is no such linked login.")

func (p *Pages) mountLogins(on mounter) {
	on("/account/logins", p.logins, p.linkLogin)
	on("/account/logins/{id}/unlink", p.showUnlink, p.unlink)
}

// providers are those that people can sign in with.
func (p *Pages) providers() []federation.Provider {
	if p.cfg.Providers == nil {
		return nil
	}
	return p.cfg.Providers.Providers()
}

// providerTitle names one as people know it: one that is no longer configured by its own name.
func (p *Pages) providerTitle(name string) string {
	for _, x := range p.providers() {
		if x.Name == name {
			return x.Title
		}
	}
	return name
}

// providerTitles names providers as people know them.
func (p *Pages) providerTitles(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = p.providerTitle(n)
	}
	return out
}

func (p *Pages) linkedLogins(r *http.Request, who principal.Principal) ([]linkedLogin, error) {
	list, err := p.cfg.OwnLogins.Logins(r.Context(), who)
	if err != nil {
		return nil, err
	}
	out := make([]linkedLogin, len(list))
	for i, x := range list {
		out[i] = linkedLogin{ID: x.ID.String(), Provider: p.providerTitle(x.Provider), Account: x.Email, Linked: x.CreatedAt, Used: x.LastUsedAt}
	}
	return out, nil
}

func (p *Pages) logins(w http.ResponseWriter, r *http.Request) {
	who, ok := p.member(w, r)
	if !ok {
		return
	}
	linked, err := p.linkedLogins(r, who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := p.ownView(r, who, "page.account.logins.title")
	v.Body = loginsPage{Back: p.accountLink(v.L.Language), Linked: linked, More: p.providers()}
	p.render(w, r, http.StatusOK, "logins", v)
}

// linkedLogin finds the one that an address names; false means that the answer is given.
func (p *Pages) linkedLogin(w http.ResponseWriter, r *http.Request, who principal.Principal) (linkedLogin, bool) {
	list, err := p.linkedLogins(r, who)
	i := slices.IndexFunc(list, func(x linkedLogin) bool { return x.ID == mux.Vars(r)["id"] })
	if err == nil && i < 0 {
		err = errNoLogin
	}
	if err != nil {
		p.Error(w, r, err)
		return linkedLogin{}, false
	}
	return list[i], true
}

func (p *Pages) showUnlink(w http.ResponseWriter, r *http.Request) {
	who, ok := p.sure(w, r)
	if !ok {
		return
	}
	login, ok := p.linkedLogin(w, r, who)
	if !ok {
		return
	}
	v := p.ownView(r, who, "page.account.logins.unlink.title", "provider", login.Provider)
	l := v.L.Language
	back := Link{Title: l.Text("page.account.logins.title"), Path: "/account/logins"}
	f := &form{Action: "/account/logins/" + login.ID + "/unlink", Submit: l.Text("page.account.logins.unlink.submit"), Danger: true}
	lead := l.Text("page.account.logins.unlink.lead", "provider", login.Provider)
	if login.Account != "" {
		lead = l.Text("page.account.logins.unlink.lead_named", "provider", login.Provider, "account", login.Account)
	}
	p.ask(w, r, http.StatusOK, v, f, asking{
		Back: back, Lead: lead, Aside2: Link{Title: l.Text("page.account.cancel"), Path: back.Path},
	})
}

func (p *Pages) unlink(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	id, err := uuid.Parse(mux.Vars(r)["id"])
	if err != nil {
		p.Error(w, r, errNoLogin)
		return
	}
	err = p.cfg.OwnLogins.UnlinkLogin(r.Context(), who, id)
	switch {
	case err == nil || fault.KindOf(err) == fault.NotFound:
		see(w, "/account/logins?notice=login-unlinked")
	case p.lastOne(w, r, who, err, Link{Title: p.in(r).Text("page.account.logins.title"), Path: "/account/logins"}):
	default:
		p.refusedOwn(w, r, err, "/account/logins/"+id.String()+"/unlink")
	}
}

// linkLogin begins to link a login elsewhere. It takes a form and not a link, or another site could have its own visitors
// begin it.
func (p *Pages) linkLogin(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	if err := p.cfg.OwnAccount.RequireRecentAuth(r.Context(), who); err != nil {
		p.refusedOwn(w, r, err, "/account/logins")
		return
	}
	p.toProvider(w, r, federation.Request{
		Provider: r.PostForm.Get("provider"), Purpose: federation.Link, AccountID: who.UserID, ReturnTo: "/account/logins",
	})
}
