package web

import (
	"context"
	"net/http"
	"net/url"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/selfservice"
)

// OwnEmail is what people do to their own email address.
type OwnEmail interface {
	RequestEmailChange(ctx context.Context, p principal.Principal, email string) (flow string, err error)
	LookEmailChange(ctx context.Context, token string, undo bool) (address string, err error)
	ConfirmEmailChange(ctx context.Context, current principal.Principal, c selfservice.EmailChange) error
	UndoEmailChange(ctx context.Context, token string) error
}

// accountEmail is the email address of whoever is signed in, and the links that an address gets when it changes.
type accountEmail struct {
	*ownKit
	flows OwnEmail
}

// Mount adds the pages.
func (p *accountEmail) Mount(m *mounter) {
	m.page("/account/email", recent, p.showEmail)
	m.form("/account/email", endpoint.Rules{Limit: ratelimit.Mail, Access: endpoint.SignedIn, Recent: true, Body: smallForm}, p.changeEmail)
	m.page("/account/email/sent", own, p.showEmailSent)
	m.form("/account/email/sent", endpoint.Rules{Limit: ratelimit.Guess, Access: endpoint.SignedIn, Body: smallForm}, p.emailSent)
	m.page("/account/email/confirm", open, p.showEmailConfirm)
	m.form("/account/email/confirm", guesses, p.emailConfirm)
	m.page("/account/email/confirmed", open, p.emailConfirmed)
	m.page("/account/email/undo", open, p.showEmailUndo)
	m.form("/account/email/undo", guesses, p.emailUndo)
	m.page("/account/email/undone", open, p.emailUndone)
}

func emailChangeForm(l *lang.Language, typed string) *form {
	f := &form{Action: "/account/email", Submit: l.Text("page.account.email.submit"), Fields: []field{{
		Name: "email", Label: l.Text("page.account.email.field"), Type: "email", Value: typed, Autocomplete: "email", MaxLength: 254, Required: true,
		Hint: l.Text("page.account.email.hint"),
	}}}
	f.focus()
	return f
}

func (p *accountEmail) askEmail(w http.ResponseWriter, r *http.Request, status int, who principal.Principal, f *form) {
	v := p.ownView(r, who, "page.account.email.title")
	l := v.L.Language
	p.ask(w, r, status, v, f, asking{Back: p.accountLink(l), Lead: l.Text("page.account.email.lead", "email", who.Email)})
}

func (p *accountEmail) showEmail(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	p.askEmail(w, r, http.StatusOK, who, emailChangeForm(p.in(r), ""))
}

func (p *accountEmail) changeEmail(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	typed := r.PostForm.Get("email")
	asked, err := p.flows.RequestEmailChange(r.Context(), who, typed)
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

func (p *accountEmail) askEmailCode(w http.ResponseWriter, r *http.Request, status int, who principal.Principal, f *form) {
	v := p.ownView(r, who, "page.account.email.sent.title")
	l := v.L.Language
	p.ask(w, r, status, v, f, asking{
		Back: Link{Title: l.Text("page.account.email.title"), Path: "/account/email"}, Lead: l.Text("page.account.email.sent.lead"), Mailed: true,
		Aside: l.Text("page.account.email.sent.spam"), Aside2: Link{Title: l.Text("page.account.email.sent.again"), Path: "/account/email"},
	})
}

func (p *accountEmail) showEmailSent(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	if cookie.Email.Token(r) == "" {
		see(w, "/account/email")
		return
	}
	p.askEmailCode(w, r, http.StatusOK, who, emailCodeForm(p.in(r)))
}

// emailSent takes the mailed code.
func (p *accountEmail) emailSent(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	err := p.flows.ConfirmEmailChange(r.Context(), who, selfservice.EmailChange{Flow: cookie.Email.Token(r), Code: r.PostForm.Get("code")})
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
func (p *accountEmail) showEmailConfirm(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	p.lookEmail(w, r, false)
}

// showEmailUndo is the same for the link that went to the old address.
func (p *accountEmail) showEmailUndo(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	p.lookEmail(w, r, true)
}

func (p *accountEmail) lookEmail(w http.ResponseWriter, r *http.Request, undo bool) {
	token := linkToken(w, r)
	if token == "" {
		p.expired(w, r, "page.account.email.incomplete", "/", "page.account.email.start")
		return
	}
	address, err := p.flows.LookEmailChange(r.Context(), token, undo)
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
func (p *accountEmail) emailOver(w http.ResponseWriter, r *http.Request, err error) {
	if !reshow(fault.From(err)) {
		p.Error(w, r, err)
		return
	}
	p.expired(w, r, "page.account.email.over", "/", "page.account.email.start")
}

// emailConfirm takes the press on the button, in the browser that asked or one that is signed in.
func (p *accountEmail) emailConfirm(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	who, in, err := p.visitor(w, r)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	token := r.PostForm.Get("token")
	err = p.flows.ConfirmEmailChange(r.Context(), who, selfservice.EmailChange{Token: token, Flow: cookie.Email.Token(r)})
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
func (p *accountEmail) emailElsewhere(w http.ResponseWriter, r *http.Request, token string) {
	v := p.view(r, "page.account.email.confirm.title")
	l := v.L.Language
	back := "/account/email/confirm?" + url.Values{"token": {token}}.Encode()
	p.ask(w, r, http.StatusUnauthorized, v, nil, asking{
		Lead:    l.Text("page.account.email.elsewhere"),
		Choices: []Link{{Title: l.Text("page.account.email.sign_in"), Path: "/login?" + url.Values{"switch": {"1"}, "return_to": {back}}.Encode()}},
	})
}

func (p *accountEmail) emailUndo(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	if err := p.flows.UndoEmailChange(r.Context(), r.PostForm.Get("token")); err != nil {
		p.emailOver(w, r, err)
		return
	}
	p.cookie.Clear(w) // it has ended
	see(w, "/account/email/undone")
}

func (p *accountEmail) emailConfirmed(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	p.emailDone(w, r, "confirmed")
}
func (p *accountEmail) emailUndone(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	p.emailDone(w, r, "undone")
}

func (p *accountEmail) emailDone(w http.ResponseWriter, r *http.Request, what string) {
	v := p.view(r, "page.account.email."+what+".title")
	l := v.L.Language
	body := asking{Lead: l.Text("page.account.email." + what + ".lead")}
	if body.Mailed = what == "undone"; !body.Mailed {
		body.Choices = []Link{{Title: l.Text("page.account.email.sign_in"), Path: "/login"}}
	}
	p.ask(w, r, http.StatusOK, v, nil, body)
}
