package web

import (
	"net/http"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
)

// A login elsewhere whose address belongs to an account here waits in this browser (cookie.Join) until the account's own
// credential is shown. Only a form that says so links it: who goes away and signs in later is not linked without a word.

// joining is the flow to link, where the form that was sent said that it does.
func joining(r *http.Request) string {
	if r.PostForm.Get("join") == "" {
		return ""
	}
	return cookie.Join.Token(r)
}

// showJoin says whose account it is about, and asks for what that account has of its own.
func (p *signIn) showJoin(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo, flow := r.URL.Query().Get("return_to"), cookie.Join.Token(r)
	if flow == "" {
		see(w, p.carry("/login", returnTo))
		return
	}
	j, err := p.joins.LookLink(r.Context(), flow)
	if err != nil {
		if !reshow(fault.From(err)) {
			p.Error(w, r, err)
			return
		}
		cookie.Join.Clear(w)
		p.expired(w, r, "page.expired.join", p.carry("/login", returnTo), "page.expired.sign_in")
		return
	}
	a := attempt{Email: j.Email, ReturnTo: returnTo, Join: &j}
	p.render(w, r, http.StatusOK, "login", p.loginView(r, p.loginForm(p.in(r), a), a))
}
