package web

import (
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/session"
)

func (p *Pages) changeForm(l *lang.Language, who session.Principal) *form {
	return &form{Action: "/account/password", Submit: l.Text("page.password.submit"), Fields: []field{
		// For password managers, which file a password under a name; the server ignores it.
		{Name: "username", Label: l.Text("page.password.account"), Type: "text", Value: who.Email, Autocomplete: "username", ReadOnly: true},
		{Name: "current", Label: l.Text("page.password.current"), Type: "password", Autocomplete: "current-password", Required: true},
		p.newPassword(l, "page.field.new_password"),
	}}
}

func (p *Pages) changeView(r *http.Request, f *form, who session.Principal) view {
	v := p.signedIn(p.view(r, "page.password.title"), who, "/account/password")
	v.Form = f
	return v
}

func (p *Pages) showChangePassword(w http.ResponseWriter, r *http.Request) {
	who, ok := p.member(w, r)
	if !ok {
		return
	}
	f := p.changeForm(p.in(r), who)
	f.focus()
	p.render(w, r, http.StatusOK, "password", p.changeView(r, f, who))
}

func (p *Pages) changePassword(w http.ResponseWriter, r *http.Request) {
	who, ok := p.member(w, r)
	if !ok {
		return
	}
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	in, err := p.cfg.Auth.ChangePassword(r.Context(), who, r.PostForm.Get("current"), r.PostForm.Get("password"))
	if err != nil {
		ft := fault.From(err)
		if !reshow(ft) {
			p.Error(w, r, err)
			return
		}
		if ft.Kind == fault.Unauthenticated && ft.Field == "" {
			ft = ft.At("current")
		}
		f := p.changeForm(p.in(r), who)
		p.refuse(p.in(r), f, ft)
		p.render(w, r, statusOf(ft.Kind), "password", p.changeView(r, f, who))
		return
	}
	p.giveSession(w, in) // the one before was ended with all others
	see(w, "/account?notice=password-changed")
}

func (p *Pages) setForm(l *lang.Language, token string) *form {
	f := &form{
		Action: "/set-password", Submit: l.Text("page.set_password.submit"), Hidden: []hidden{{"token", token}},
		Fields: []field{p.newPassword(l, "page.field.new_password")},
	}
	f.focus()
	return f
}

func (p *Pages) setView(r *http.Request, f *form) view {
	v := p.view(r, "page.set_password.title")
	v.Form = f
	return v
}

// showSetPassword consumes nothing, see showConfirm.
func (p *Pages) showSetPassword(w http.ResponseWriter, r *http.Request) {
	token := linkToken(w, r)
	if token == "" {
		p.expired(w, r, "page.expired.incomplete", "/login", "page.expired.sign_in")
		return
	}
	p.render(w, r, http.StatusOK, "set-password", p.setView(r, p.setForm(p.in(r), token)))
}

func (p *Pages) setPassword(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	token := r.PostForm.Get("token")
	in, err := p.cfg.Auth.SetPassword(r.Context(), auth.NewPassword{Token: token, Password: r.PostForm.Get("password"), Device: cookie.DeviceToken(r)})
	if err != nil {
		ft := fault.From(err)
		switch {
		case !reshow(ft):
			p.Error(w, r, err)
		case ft.Field == "password": // the link is still good
			f := p.setForm(p.in(r), token)
			p.refuse(p.in(r), f, ft)
			p.render(w, r, statusOf(ft.Kind), "set-password", p.setView(r, f))
		default:
			p.expired(w, r, "page.expired.password", "/login", "page.expired.sign_in")
		}
		return
	}
	cookie.SignUp.Clear(w)
	p.welcome(w, r, in, "/account?notice=password-set")
}
