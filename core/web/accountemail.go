package web

import (
	"net/http"
	"net/url"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/selfservice"
)

func emailChangeForm(l *lang.Language, typed string) *form {
	f := &form{Action: "/account/email", Submit: l.Text("page.account.email.submit"), Fields: []field{{
		Name: "email", Label: l.Text("page.account.email.field"), Type: "email", Value: typed, Autocomplete: "email", MaxLength: 254, Required: true,
		Hint: l.Text("page.account.email.hint"),
	}}}
	f.focus()
	return f
}

func (p *Pages) askEmail(w http.ResponseWriter, r *http.Request, status int, who principal.Principal, f *form) {
	v := p.ownView(r, who, "page.account.email.title")
	l := v.L.Language
	p.ask(w, r, status, v, f, asking{Back: p.accountLink(l), Lead: l.Text("page.account.email.lead", "email", who.Email)})
}

func (p *Pages) showEmail(w http.ResponseWriter, r *http.Request) {
	if who, ok := p.sure(w, r); ok {
		p.askEmail(w, r, http.StatusOK, who, emailChangeForm(p.in(r), ""))
	}
}

func (p *Pages) changeEmail(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	typed := r.PostForm.Get("email")
	asked, err := p.cfg.OwnAccount.RequestEmailChange(r.Context(), who, typed)
	ft := fault.From(err)
	switch {
	case err == nil:
		cookie.Email.Set(w, asked)
		see(w, "/account/email/sent")
	case needsProof(err) || !comesBack(w, ft):
		p.refusedOwn(w, r, err, "/account/email")
	default:
		f := emailChangeForm(p.in(r), typed)
		p.refuse(p.in(r), f, ft)
		p.askEmail(w, r, statusOf(ft.Kind), who, f)
	}
}

func emailCodeForm(l *lang.Language) *form {
	f := &form{Action: "/account/email/sent", Submit: l.Text("page.account.email.sent.submit"), Fields: []field{
		codeField(l.Text("page.account.email.sent.code"), l.Text("page.account.email.sent.hint")),
	}}
	f.focus()
	return f
}

func (p *Pages) askEmailCode(w http.ResponseWriter, r *http.Request, status int, who principal.Principal, f *form) {
	v := p.ownView(r, who, "page.account.email.sent.title")
	l := v.L.Language
	p.ask(w, r, status, v, f, asking{
		Back: Link{Title: l.Text("page.account.email.title"), Path: "/account/email"}, Lead: l.Text("page.account.email.sent.lead"), Mailed: true,
		Aside: l.Text("page.account.email.sent.spam"), Aside2: Link{Title: l.Text("page.account.email.sent.again"), Path: "/account/email"},
	})
}

func (p *Pages) showEmailSent(w http.ResponseWriter, r *http.Request) {
	who, ok := p.member(w, r)
	switch {
	case !ok:
	case cookie.Email.Token(r) == "":
		see(w, "/account/email")
	default:
		p.askEmailCode(w, r, http.StatusOK, who, emailCodeForm(p.in(r)))
	}
}

// emailSent takes the mailed code.
func (p *Pages) emailSent(w http.ResponseWriter, r *http.Request) {
	who, ok := p.taken(w, r)
	if !ok {
		return
	}
	err := p.cfg.OwnAccount.ConfirmEmailChange(r.Context(), who, selfservice.EmailChange{Flow: cookie.Email.Token(r), Code: r.PostForm.Get("code")})
	ft := fault.From(err)
	switch {
	case err == nil:
		cookie.Email.Clear(w)
		see(w, "/account?notice=email-changed")
	case !comesBack(w, ft):
		p.Error(w, r, err)
	case ft.Field == "code" || ft.Kind == fault.RateLimited: // the flow is still good
		f := emailCodeForm(p.in(r))
		p.refuse(p.in(r), f, ft)
		p.askEmailCode(w, r, statusOf(ft.Kind), who, f)
	default:
		cookie.Email.Clear(w)
		p.expired(w, r, "page.account.email.sent.over", "/account/email", "page.account.email.sent.restart")
	}
}

// showEmailConfirm consumes nothing: who opens the link (a scanner of mails does) only sees a button.
func (p *Pages) showEmailConfirm(w http.ResponseWriter, r *http.Request) { p.lookEmail(w, r, false) }

// showEmailUndo is the same for the link that went to the old address.
func (p *Pages) showEmailUndo(w http.ResponseWriter, r *http.Request) { p.lookEmail(w, r, true) }

func (p *Pages) lookEmail(w http.ResponseWriter, r *http.Request, undo bool) {
	token := linkToken(w, r)
	if token == "" {
		p.expired(w, r, "page.account.email.incomplete", "/", "page.account.email.start")
		return
	}
	address, err := p.cfg.OwnAccount.LookEmailChange(r.Context(), token, undo)
	if err != nil {
		p.emailOver(w, r, err)
		return
	}
	what, danger := "confirm", false
	if undo {
		what, danger = "undo", true
	}
	v := p.view(r, "page.account.email."+what+".title")
	l := v.L.Language
	f := &form{Action: "/account/email/" + what, Submit: l.Text("page.account.email." + what + ".submit"), Danger: danger, Hidden: []hidden{{"token", token}}}
	p.ask(w, r, http.StatusOK, v, f, asking{
		Lead: l.Text("page.account.email."+what+".lead", "email", address), Aside: l.Text("page.account.email." + what + ".aside"),
	})
}

// emailOver answers a link that is good for nothing (any more).
func (p *Pages) emailOver(w http.ResponseWriter, r *http.Request, err error) {
	if !reshow(fault.From(err)) {
		p.Error(w, r, err)
		return
	}
	p.expired(w, r, "page.account.email.over", "/", "page.account.email.start")
}

// emailConfirm takes the press on the button, in the browser that asked or one that is signed in.
func (p *Pages) emailConfirm(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	who, in, err := p.visitor(w, r)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	token := r.PostForm.Get("token")
	err = p.cfg.OwnAccount.ConfirmEmailChange(r.Context(), who, selfservice.EmailChange{Token: token, Flow: cookie.Email.Token(r)})
	switch {
	case err != nil && fault.From(err).Code == "sign_in_first":
		p.emailElsewhere(w, r, token)
		return
	case err != nil:
		p.emailOver(w, r, err)
		return
	}
	cookie.Email.Clear(w)
	if in {
		see(w, "/account?notice=email-changed")
		return
	}
	see(w, "/account/email/confirmed")
}

// emailElsewhere sends whoever opened the link in another browser to sign in there, and back.
func (p *Pages) emailElsewhere(w http.ResponseWriter, r *http.Request, token string) {
	v := p.view(r, "page.account.email.confirm.title")
	l := v.L.Language
	back := "/account/email/confirm?" + url.Values{"token": {token}}.Encode()
	p.ask(w, r, http.StatusUnauthorized, v, nil, asking{
		Lead:    l.Text("page.account.email.elsewhere"),
		Choices: []Link{{Title: l.Text("page.account.email.sign_in"), Path: "/login?" + url.Values{"switch": {"1"}, "return_to": {back}}.Encode()}},
	})
}

func (p *Pages) emailUndo(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	if err := p.cfg.OwnAccount.UndoEmailChange(r.Context(), r.PostForm.Get("token")); err != nil {
		p.emailOver(w, r, err)
		return
	}
	cookie.ClearSession(w) // it has ended
	see(w, "/account/email/undone")
}

func (p *Pages) emailConfirmed(w http.ResponseWriter, r *http.Request) {
	p.emailDone(w, r, "confirmed")
}
func (p *Pages) emailUndone(w http.ResponseWriter, r *http.Request) { p.emailDone(w, r, "undone") }

func (p *Pages) emailDone(w http.ResponseWriter, r *http.Request, what string) {
	v := p.view(r, "page.account.email."+what+".title")
	l := v.L.Language
	body := asking{Lead: l.Text("page.account.email." + what + ".lead")}
	if body.Mailed = what == "undone"; !body.Mailed {
		body.Choices = []Link{{Title: l.Text("page.account.email.sign_in"), Path: "/login"}}
	}
	p.ask(w, r, http.StatusOK, v, nil, body)
}
