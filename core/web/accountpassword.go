package web

import (
	"net/http"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
)

// passwordForm changes the password, or adds one where there is none.
func (p *Pages) passwordForm(l *lang.Language, who principal.Principal, has bool) *form {
	// For password managers, which file a password under a name; the server ignores it.
	account := field{Name: "username", Label: l.Text("page.account.password.account"), Type: "text", Value: who.Email, Autocomplete: "username", ReadOnly: true}
	f := &form{Action: "/account/password", Submit: l.Text("page.account.password.add.submit"), Fields: []field{account, p.newPassword(l, "page.account.password.add.field")}}
	if has {
		f.Submit, f.Fields = l.Text("page.account.password.submit"), []field{
			account,
			{Name: "current", Label: l.Text("page.account.password.current"), Type: "password", Autocomplete: "current-password", Required: true},
			p.newPassword(l, "page.account.password.new"),
		}
	}
	f.focus()
	return f
}

func (p *Pages) askPassword(w http.ResponseWriter, r *http.Request, status int, who principal.Principal, has bool, f *form) {
	key := "page.account.password."
	if !has {
		key += "add."
	}
	v := p.ownView(r, who, key+"title")
	l := v.L.Language
	body := asking{Back: p.accountLink(l), Lead: l.Text(key + "lead")}
	if has {
		body.Aside, body.Aside2 = l.Text("page.account.password.forgotten"), Link{Title: l.Text("page.account.password.reset"), Path: "/reset"}
	}
	p.ask(w, r, status, v, f, body)
}

func (p *Pages) showPassword(w http.ResponseWriter, r *http.Request) {
	who, ok := p.member(w, r)
	if !ok {
		return
	}
	has, err := p.cfg.OwnAccount.HasPassword(r.Context(), who)
	if err != nil {
		p.refusedOwn(w, r, err, "/account/password")
		return
	}
	p.askPassword(w, r, http.StatusOK, who, has, p.passwordForm(p.in(r), who, has))
}

func (p *Pages) changePassword(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	has, next := r.PostForm.Has("current"), r.PostForm.Get("password")
	var err error
	if has {
		var in session.Issued
		if in, err = p.cfg.OwnAccount.ChangePassword(r.Context(), who, r.PostForm.Get("current"), next); err == nil {
			p.giveSession(w, in, "") // the one before has ended with all others
			see(w, "/account?notice=password-changed")
			return
		}
	} else if err = p.cfg.OwnAccount.AddPassword(r.Context(), who, next); err == nil {
		see(w, "/account?notice=password-added")
		return
	}
	ft := fault.From(err)
	if needsProof(err) || !comesBack(w, ft) {
		p.refusedOwn(w, r, err, "/account/password")
		return
	}
	f := p.passwordForm(p.in(r), who, has)
	p.refuse(p.in(r), f, ft)
	p.askPassword(w, r, statusOf(ft.Kind), who, has, f)
}
