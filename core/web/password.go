package web

import (
	"net/http"
	"strconv"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/session"
)

func itoa(n int) string { return strconv.Itoa(n) }

func (p *Pages) changeForm(who session.Principal) *form {
	return &form{Action: "/account/password", Submit: "Change password", Fields: []field{
		// For password managers, which file a password under a name; the server ignores it.
		{Name: "username", Label: "Account", Type: "text", Value: who.Email, Autocomplete: "username", ReadOnly: true},
		{Name: "current", Label: "Current password", Type: "password", Autocomplete: "current-password", Required: true},
		p.newPassword("New password"),
	}}
}

func (p *Pages) changeView(f *form, who session.Principal) view {
	v := p.signedIn(p.view("Change password"), who, "/account/password")
	v.Form = f
	return v
}

func (p *Pages) showChangePassword(w http.ResponseWriter, r *http.Request) {
	who, ok := p.member(w, r)
	if !ok {
		return
	}
	f := p.changeForm(who)
	f.focus()
	p.render(w, r, http.StatusOK, "password", p.changeView(f, who))
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
		f := p.changeForm(who)
		f.refuse(ft)
		f.focus()
		p.render(w, r, statusOf(ft.Kind), "password", p.changeView(f, who))
		return
	}
	p.giveSession(w, in) // the one before was ended with all others
	see(w, "/account?notice=password-changed")
}

func (p *Pages) setForm(token string) *form {
	f := &form{Action: "/set-password", Submit: "Set password", Hidden: []hidden{{"token", token}}, Fields: []field{p.newPassword("New password")}}
	f.focus()
	return f
}

func (p *Pages) setView(f *form) view {
	v := p.view("Set your password")
	v.Form = f
	return v
}

// showSetPassword consumes nothing, see showConfirm.
func (p *Pages) showSetPassword(w http.ResponseWriter, r *http.Request) {
	token := linkToken(w, r)
	if token == "" {
		p.expired(w, r, "The link is incomplete. Copy all of it.", "/login", "Sign in")
		return
	}
	p.render(w, r, http.StatusOK, "set-password", p.setView(p.setForm(token)))
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
			f := p.setForm(token)
			f.refuse(ft)
			f.focus()
			p.render(w, r, statusOf(ft.Kind), "set-password", p.setView(f))
		default:
			p.expired(w, r, "This link was used already, or it is too old. Ask whoever sent it for a new one.", "/login", "Sign in")
		}
		return
	}
	cookie.ClearFlow(w)
	p.welcome(w, r, in, "/account?notice=password-set")
}
