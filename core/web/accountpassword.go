package web

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/session"
)

// OwnPassword is what people do to their own password.
type OwnPassword interface {
	HasPassword(ctx context.Context, p principal.Principal) (has bool, err error)
	ChangePassword(ctx context.Context, p principal.Principal, current, next string) (session.Issued, error)
	AddPassword(ctx context.Context, p principal.Principal, next string) error
}

// accountPassword is the password of whoever is signed in.
type accountPassword struct {
	*ownKit
	flows OwnPassword
}

// Mount adds the page. To change a password asks for the present one, so it needs no other proof.
func (p *accountPassword) Mount(m *mounter) {
	m.page("/account/password", own, p.showPassword)
	m.form("/account/password", endpoint.Rules{Limit: ratelimit.Hash, Access: endpoint.SignedIn, Body: passwordForm}, p.changePassword)
}

// passwordForm changes the password, or adds one where there is none.
func (p *accountPassword) passwordForm(l *lang.Language, who principal.Principal, has bool) *form {
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

func (p *accountPassword) askPassword(w http.ResponseWriter, r *http.Request, status int, who principal.Principal, has bool, f *form) {
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

func (p *accountPassword) showPassword(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	has, err := p.flows.HasPassword(r.Context(), who)
	if err != nil {
		p.refusedOwn(w, r, err, "/account/password")
		return
	}
	p.askPassword(w, r, http.StatusOK, who, has, p.passwordForm(p.in(r), who, has))
}

func (p *accountPassword) changePassword(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	has, next := r.PostForm.Has("current"), r.PostForm.Get("password")
	var err error
	if has {
		var in session.Issued
		if in, err = p.flows.ChangePassword(r.Context(), who, r.PostForm.Get("current"), next); err == nil {
			p.giveSession(w, in, "") // the one before has ended with all others
			see(w, "/account?notice=password-changed")
			return
		}
	} else if err = p.flows.AddPassword(r.Context(), who, next); err == nil {
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
