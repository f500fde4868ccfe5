package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
)

// Offers are ways to sign in that plugins have: buttons on the sign-in page, and what there is for an address, which an organization may
// have decided on.
type Offers interface {
	// Any reports whether anything may be offered, without asking anybody.
	Any() bool
	// Offers asks. An empty address asks for what stands on the sign-in page for everybody. No plugin learns more of an address than its domain.
	Offers(ctx context.Context, email, returnTo string) ([]Offer, error)
}

// Offer is one way to sign in. Its address is a path of this Sigra. An exclusive one has no others beside it that are not.
type Offer struct {
	Label, URL string
	Exclusive  bool
}

// offers is the page that finds the ways to sign in of somebody's organization.
type offers struct {
	*kit
	ways Offers
}

// Mount adds the pages.
func (p *offers) Mount(m *mounter) {
	m.page("/login/organization", open, p.whileOffered(p.show))
	m.form("/login/organization", takes, p.whileOffered(p.find))
}

var errNoOffers = fault.New(fault.NotFound, "not_found", "There is nothing at this address.")

// whileOffered has nothing at a page's address while no plugin offers anything.
func (p *offers) whileOffered(serve handler) handler {
	return func(w http.ResponseWriter, r *http.Request, who principal.Principal) {
		if !p.ways.Any() {
			p.Error(w, r, errNoOffers)
			return
		}
		serve(w, r, who)
	}
}

// offersPage is what an organization offers.
type offersPage struct {
	Login  string // back to the other ways; empty: the organization wants none
	Offers []Offer
}

func (p *offers) form(l *lang.Language, email, returnTo string) *form {
	f := &form{Action: "/login/organization", Submit: l.Text("page.organization_sign_in.submit"), Hidden: p.returnField(returnTo), Fields: []field{emailField(l, email)}}
	f.focus()
	return f
}

func (p *offers) view(r *http.Request, f *form, found []Offer, returnTo string) view {
	v := p.kit.view(r, "page.organization_sign_in.title")
	v.Form, v.Body, v.Errand = f, offersPage{p.carry("/login", returnTo), found}, p.errandOn(v.L.Language, returnTo, Cancelled)
	return v
}

func (p *offers) show(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo := r.URL.Query().Get("return_to")
	p.render(w, r, http.StatusOK, "organization-sign-in", p.view(r, p.form(p.in(r), "", returnTo), nil, returnTo))
}

// find shows links and does not send the browser on by itself: browsers hold form-action against every redirect that follows a form, and a provider's
// address is not in it.
func (p *offers) find(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	email, returnTo, l := strings.TrimSpace(r.PostForm.Get("email")), r.PostForm.Get("return_to"), p.in(r)
	f := p.form(l, email, returnTo)
	if _, err := account.ParseEmail(email); err != nil {
		p.refuse(l, f, fault.From(err))
		p.render(w, r, http.StatusUnprocessableEntity, "organization-sign-in", p.view(r, f, nil, returnTo))
		return
	}
	found, err := p.ways.Offers(r.Context(), email, p.onward(returnTo))
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := p.view(r, f, found, returnTo)
	if only := slices.DeleteFunc(slices.Clone(found), func(o Offer) bool { return !o.Exclusive }); len(only) > 0 {
		v.Body = offersPage{Offers: only}
	}
	if len(found) == 0 {
		v.Notice = l.Text("page.organization_sign_in.none")
	} else {
		v.Form = nil
	}
	p.render(w, r, http.StatusOK, "organization-sign-in", v)
}
