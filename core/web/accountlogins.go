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

// OwnLogins is the logins at other providers that belong to somebody's own account.
type OwnLogins interface {
	LinkLogin(ctx context.Context, p principal.Principal, c federation.Claims) error
	Logins(ctx context.Context, p principal.Principal) ([]federation.Identity, error)
	UnlinkLogin(ctx context.Context, p principal.Principal, id uuid.UUID) error
}

// accountLogins is the logins at other providers that belong to the account of whoever is signed in.
type accountLogins struct {
	*ownKit
	flows OwnLogins
}

// Mount adds the pages.
func (p *accountLogins) Mount(m *mounter) {
	m.page("/account/logins", own, p.logins)
	m.form("/account/logins", ownRecent, p.linkLogin)
	m.page("/account/logins/{id}/unlink", recent, p.showUnlink)
	m.form("/account/logins/{id}/unlink", ownRecent, p.unlink)
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

func (p *accountLogins) linkedLogins(r *http.Request, who principal.Principal) ([]linkedLogin, error) {
	list, err := p.flows.Logins(r.Context(), who)
	if err != nil {
		return nil, err
	}
	out := make([]linkedLogin, len(list))
	for i, x := range list {
		out[i] = linkedLogin{ID: x.ID.String(), Provider: p.providerTitle(x.Provider), Account: x.Email, Linked: x.CreatedAt, Used: x.LastUsedAt}
	}
	return out, nil
}

func (p *accountLogins) logins(w http.ResponseWriter, r *http.Request, who principal.Principal) {
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
func (p *accountLogins) linkedLogin(w http.ResponseWriter, r *http.Request, who principal.Principal) (linkedLogin, bool) {
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

func (p *accountLogins) showUnlink(w http.ResponseWriter, r *http.Request, who principal.Principal) {
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

func (p *accountLogins) unlink(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	id, err := uuid.Parse(mux.Vars(r)["id"])
	if err != nil {
		p.Error(w, r, errNoLogin)
		return
	}
	err = p.flows.UnlinkLogin(r.Context(), who, id)
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
func (p *accountLogins) linkLogin(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	p.toProvider(w, r, federation.Request{
		Provider: r.PostForm.Get("provider"), Purpose: federation.Link, AccountID: who.UserID, ReturnTo: "/account/logins",
	})
}
