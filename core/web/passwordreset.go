package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// PasswordResets is setting a new password for one that was forgotten, or the first one by an administrator's link.
type PasswordResets interface {
	RequestReset(ctx context.Context, email string) (auth.Requested, error)
	LookPassword(ctx context.Context, token string) (email string, err error)
	SetPassword(ctx context.Context, n auth.NewPassword) (auth.SignedIn, error)
}

// passwordReset is setting a new password by an emailed link (setpassword.go) or code.
type passwordReset struct {
	*kit
	flows PasswordResets
}

// Mount adds the pages.
func (p *passwordReset) Mount(m *mounter) {
	m.page("/reset", open, p.showReset)
	m.form("/reset", mails, p.reset)
	m.page("/reset/sent", open, p.showResetSent)
	m.form("/reset/sent", endpoint.Rules{Limit: ratelimit.Guess, Access: endpoint.Anyone, Body: passwordForm}, p.resetSent)
	m.page("/set-password", open, p.showSetPassword)
	m.form("/set-password", hashes, p.setPassword)
}

func (p *passwordReset) resetForm(l *lang.Language, email, returnTo string) *form {
	f := &form{Action: "/reset", Submit: l.Text("page.reset.submit"), Hidden: p.returnField(returnTo), Fields: []field{emailField(l, email)}}
	f.focus()
	return f
}

// backToLogin is what pages show that ask for a mail.
type backToLogin struct{ Login string }

// resetSentPage is the page that waits for the code.
type resetSentPage struct{ Again string }

func (p *passwordReset) resetView(r *http.Request, f *form, returnTo string) view {
	v := p.view(r, "page.reset.title")
	v.Form, v.Body = f, backToLogin{p.carry("/login", returnTo)}
	return v
}

func (p *passwordReset) showReset(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo := r.URL.Query().Get("return_to")
	p.render(w, r, http.StatusOK, "reset", p.resetView(r, p.resetForm(p.in(r), "", returnTo), returnTo))
}

// reset asks for the mail. The answer is the same for everybody, see register.
func (p *passwordReset) reset(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	email, returnTo := strings.TrimSpace(r.PostForm.Get("email")), r.PostForm.Get("return_to")
	out, err := p.flows.RequestReset(r.Context(), email)
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

func (p *passwordReset) resetSentForm(l *lang.Language, code, returnTo string) *form {
	f := &form{Action: "/reset/sent", Submit: l.Text("page.set_password.submit"), Hidden: p.returnField(returnTo), Fields: []field{
		codeField(l.Text("page.field.mail_code"), l.Text("page.field.six_digits")), p.newPassword(l, "page.field.new_password"),
	}}
	f.Fields[0].Value = code
	f.focus()
	return f
}

func (p *passwordReset) resetSentView(r *http.Request, f *form, returnTo string) view {
	v := p.view(r, "page.reset.sent_title")
	v.Form, v.Body = f, resetSentPage{p.carry("/reset", returnTo)}
	return v
}

func (p *passwordReset) showResetSent(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo := r.URL.Query().Get("return_to")
	if cookie.Reset.Token(r) == "" {
		p.afterFlow(w, r, returnTo)
		return
	}
	p.render(w, r, http.StatusOK, "reset-sent", p.resetSentView(r, p.resetSentForm(p.in(r), "", returnTo), returnTo))
}

func (p *passwordReset) resetSent(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo, flow, code := r.PostForm.Get("return_to"), cookie.Reset.Token(r), r.PostForm.Get("code")
	if flow == "" {
		p.afterFlow(w, r, returnTo)
		return
	}
	in, err := p.flows.SetPassword(r.Context(), auth.NewPassword{Flow: flow, Code: code, Password: r.PostForm.Get("password"), Device: cookie.DeviceToken(r)})
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
