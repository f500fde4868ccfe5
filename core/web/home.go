package web

import (
	"net/http"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/principal"
)

// home is the address without a path, and the choice of a language.
type home struct{ *kit }

// Mount adds the pages.
func (p *home) Mount(m *mounter) {
	m.page("/", open, p.home)
	m.form("/language", takes, p.chooseLanguage)
}

// home goes where the person belongs.
func (p *home) home(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	_, ok, err := p.visitor(w, r)
	switch {
	case err != nil:
		p.Error(w, r, err)
	case ok:
		see(w, "/account")
	default:
		see(w, "/login")
	}
}

// chooseLanguage keeps the choice and goes back to the page it was made on.
func (p *home) chooseLanguage(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	if tag := r.PostForm.Get("lang"); p.known(tag) {
		cookie.SetLanguage(w, p.skin.Load().texts.Match("", tag).String(), true)
	}
	back, ok := p.Local(r.PostForm.Get("back"))
	if !ok {
		back = "/"
	}
	see(w, withoutLanguage(back))
}
