package web

import (
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
)

func (p *passwordReset) setForm(l *lang.Language, token, email string) *form {
	f := &form{
		Action: "/set-password", Submit: l.Text("page.set_password.submit"), Hidden: []hidden{{"token", token}},
		Fields: []field{whose(l, email), p.newPassword(l, "page.field.new_password")},
	}
	f.focus()
	return f
}

func (p *passwordReset) setView(r *http.Request, f *form) view {
	v := p.view(r, "page.set_password.title")
	v.Form = f
	return v
}

// showSetPassword consumes nothing, see showConfirm.
func (p *passwordReset) showSetPassword(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	token := linkToken(w, r)
	if token == "" {
		p.expired(w, r, "page.expired.incomplete", "/login", "page.expired.sign_in")
		return
	}
	email, err := p.flows.LookPassword(r.Context(), token)
	if err != nil {
		p.setRefused(w, r, err)
		return
	}
	p.render(w, r, http.StatusOK, "set-password", p.setView(r, p.setForm(p.in(r), token, email)))
}

// setRefused says that a link is over, or that something failed.
func (p *passwordReset) setRefused(w http.ResponseWriter, r *http.Request, err error) {
	if !reshow(fault.From(err)) {
		p.Error(w, r, err)
		return
	}
	p.expired(w, r, "page.expired.password", "/login", "page.expired.sign_in")
}

func (p *passwordReset) setPassword(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	token := r.PostForm.Get("token")
	in, err := p.flows.SetPassword(r.Context(), auth.NewPassword{Token: token, Password: r.PostForm.Get("password"), Device: cookie.DeviceToken(r)})
	if err != nil {
		ft := fault.From(err)
		if !reshow(ft) || ft.Field != "password" {
			p.setRefused(w, r, err)
			return
		}
		email, err := p.flows.LookPassword(r.Context(), token) // the link is still good
		if err != nil {
			p.setRefused(w, r, err)
			return
		}
		f := p.setForm(p.in(r), token, email)
		p.refuse(p.in(r), f, ft)
		p.render(w, r, statusOf(ft.Kind), "set-password", p.setView(r, f))
		return
	}
	cookie.SignUp.Clear(w)
	p.arrive(w, r, in, p.onwardAfter("password-set", remembered(r)))
}
