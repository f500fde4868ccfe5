package web

import (
	"net/http"
	"strings"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
)

func (p *Pages) resetForm(l *lang.Language, email, returnTo string) *form {
	f := &form{Action: "/reset", Submit: l.Text("page.reset.submit"), Hidden: p.returnField(returnTo), Fields: []field{emailField(l, email)}}
	f.focus()
	return f
}

// backToLogin is what pages show that ask for a mail.
type backToLogin struct{ Login string }

// resetSentPage is the page that waits for the code.
type resetSentPage struct{ Again string }

func (p *Pages) resetView(r *http.Request, f *form, returnTo string) view {
	v := p.view(r, "page.reset.title")
	v.Form, v.Body = f, backToLogin{p.carry("/login", returnTo)}
	return v
}

func (p *Pages) showReset(w http.ResponseWriter, r *http.Request) {
	returnTo := r.URL.Query().Get("return_to")
	p.render(w, r, http.StatusOK, "reset", p.resetView(r, p.resetForm(p.in(r), "", returnTo), returnTo))
}

// reset asks for the mail. The answer is the same for everybody, see register.
func (p *Pages) reset(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	email, returnTo := strings.TrimSpace(r.PostForm.Get("email")), r.PostForm.Get("return_to")
	out, err := p.cfg.Auth.RequestReset(r.Context(), email)
	if err != nil {
		ft := fault.From(err)
		if !reshow(ft) {
			p.Error(w, r, err)
			return
		}
		f := p.resetForm(p.in(r), email, returnTo)
		p.refuse(p.in(r), f, ft)
		p.render(w, r, statusOf(ft.Kind), "reset", p.resetView(r, f, returnTo))
		return
	}
	cookie.Reset.Set(w, out.Flow)
	p.remember(w, returnTo)
	see(w, p.carry("/reset/sent", returnTo))
}

func (p *Pages) resetSentForm(l *lang.Language, code, returnTo string) *form {
	f := &form{Action: "/reset/sent", Submit: l.Text("page.set_password.submit"), Hidden: p.returnField(returnTo), Fields: []field{
		codeField(l.Text("page.field.mail_code"), l.Text("page.field.six_digits")), p.newPassword(l, "page.field.new_password"),
	}}
	f.Fields[0].Value = code
	f.focus()
	return f
}

func (p *Pages) resetSentView(r *http.Request, f *form, returnTo string) view {
	v := p.view(r, "page.reset.sent_title")
	v.Form, v.Body = f, resetSentPage{p.carry("/reset", returnTo)}
	return v
}

func (p *Pages) showResetSent(w http.ResponseWriter, r *http.Request) {
	returnTo := r.URL.Query().Get("return_to")
	if cookie.Reset.Token(r) == "" {
		p.afterFlow(w, r, returnTo)
		return
	}
	p.render(w, r, http.StatusOK, "reset-sent", p.resetSentView(r, p.resetSentForm(p.in(r), "", returnTo), returnTo))
}

func (p *Pages) resetSent(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	returnTo, flow, code := r.PostForm.Get("return_to"), cookie.Reset.Token(r), digits(r.PostForm.Get("code"))
	if flow == "" {
		p.afterFlow(w, r, returnTo)
		return
	}
	in, err := p.cfg.Auth.SetPassword(r.Context(), auth.NewPassword{Flow: flow, Code: code, Password: r.PostForm.Get("password"), Device: cookie.DeviceToken(r)})
	if err == nil {
		p.arrive(w, r, in, p.onwardAfter("password-set", returnTo))
		return
	}
	ft := fault.From(err)
	switch {
	case !reshow(ft):
		p.Error(w, r, err)
	case ft.Code == "invalid_or_expired":
		cookie.Reset.Clear(w)
		p.expired(w, r, "page.expired.code", p.carry("/reset", returnTo), "page.expired.again")
	default:
		if ft.Field != "password" { // with a password that was refused the code is right, and still good
			code = ""
		}
		f := p.resetSentForm(p.in(r), code, returnTo)
		p.refuse(p.in(r), f, ft)
		p.render(w, r, statusOf(ft.Kind), "reset-sent", p.resetSentView(r, f, returnTo))
	}
}

// onwardAfter is onward, with a word on the account page for who was going nowhere else.
func (p *Pages) onwardAfter(notice, returnTo string) string {
	if to := p.onward(returnTo); to != "/account" {
		return to
	}
	return "/account?notice=" + notice
}
