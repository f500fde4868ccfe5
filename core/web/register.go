package web

import (
	"net/http"
	"strings"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
)

var errClosed = fault.New(fault.Denied, "registration_closed", "New accounts are made by an administrator here.")

func (p *Pages) newPassword(label string) field {
	return field{
		Name: "password", Label: label, Type: "password", Autocomplete: "new-password", MinLength: p.cfg.PasswordMinLength, Required: true,
		Hint: "At least " + itoa(p.cfg.PasswordMinLength) + " characters. A few unrelated words make a good one.",
	}
}

func (p *Pages) registerForm(email, returnTo string) *form {
	return &form{Action: "/register", Submit: "Create account", Hidden: p.returnField(returnTo), Fields: []field{
		{Name: "email", Label: "E-mail", Type: "email", Value: email, Autocomplete: "username", MaxLength: 254, Required: true},
		p.newPassword("Password"),
	}}
}

func (p *Pages) registerView(f *form, returnTo string) view {
	v := p.view("Create your account")
	v.Form = f
	v.Body = struct{ Login string }{p.carry("/login", returnTo)}
	return v
}

func (p *Pages) showRegister(w http.ResponseWriter, r *http.Request) {
	if p.cfg.RegistrationClosed {
		p.Error(w, r, errClosed)
		return
	}
	returnTo := r.URL.Query().Get("return_to")
	f := p.registerForm("", returnTo)
	f.focus()
	p.render(w, r, http.StatusOK, "register", p.registerView(f, returnTo))
}

// register takes a sign-up. Whether the address was known shows in nothing: the answer is the same redirect with a
// cookie of the same form (ASVS 5.0 6.3.8).
func (p *Pages) register(w http.ResponseWriter, r *http.Request) {
	if p.cfg.RegistrationClosed {
		p.Error(w, r, errClosed)
		return
	}
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	email, returnTo := strings.TrimSpace(r.PostForm.Get("email")), r.PostForm.Get("return_to")
	out, err := p.cfg.Auth.Register(r.Context(), auth.Registration{Email: email, Password: r.PostForm.Get("password")})
	if err != nil {
		ft := fault.From(err)
		if !reshow(ft) {
			p.Error(w, r, err)
			return
		}
		f := p.registerForm(email, returnTo)
		f.refuse(ft)
		f.focus()
		p.render(w, r, statusOf(ft.Kind), "register", p.registerView(f, returnTo))
		return
	}
	cookie.SetFlow(w, out.Flow)
	if out.SignedIn != nil {
		p.welcome(w, r, *out.SignedIn, p.onward(returnTo))
		return
	}
	see(w, p.carry("/register/check-mail", returnTo))
}

func (p *Pages) codeForm(returnTo string) *form {
	return &form{Action: "/register/check-mail", Submit: "Confirm", Hidden: p.returnField(returnTo), Fields: []field{
		{
			Name: "code", Label: "Code from the mail", Type: "text", Autocomplete: "one-time-code", InputMode: "numeric",
			Pattern: `[0-9 \-]*`, MaxLength: 16, Required: true, Class: "code", Hint: "Six digits.",
		},
	}}
}

func (p *Pages) checkMailView(f *form, returnTo string) view {
	v := p.view("Check your mail")
	v.Form = f
	v.Body = struct{ Register string }{p.carry("/register", returnTo)}
	return v
}

func (p *Pages) showCheckMail(w http.ResponseWriter, r *http.Request) {
	returnTo := r.URL.Query().Get("return_to")
	if cookie.FlowToken(r) == "" { // no sign-up began in this browser, or it was confirmed by its link meanwhile
		p.afterFlow(w, r, returnTo)
		return
	}
	f := p.codeForm(returnTo)
	f.focus()
	p.render(w, r, http.StatusOK, "check-mail", p.checkMailView(f, returnTo))
}

func (p *Pages) checkMail(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	returnTo, flow := r.PostForm.Get("return_to"), cookie.FlowToken(r)
	if flow == "" {
		p.afterFlow(w, r, returnTo)
		return
	}
	code := strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(r.PostForm.Get("code"))
	in, err := p.cfg.Auth.Confirm(r.Context(), auth.Confirmation{Flow: flow, Code: code})
	if err != nil {
		ft := fault.From(err)
		if !reshow(ft) {
			p.Error(w, r, err)
			return
		}
		if ft.Field == "" {
			ft = ft.At("code")
		}
		f := p.codeForm(returnTo)
		f.refuse(ft)
		f.focus()
		p.render(w, r, statusOf(ft.Kind), "check-mail", p.checkMailView(f, returnTo))
		return
	}
	cookie.ClearFlow(w)
	p.welcome(w, r, in, p.onward(returnTo))
}

// afterFlow sends on who has no sign-up waiting: to where they were going, or to sign in.
func (p *Pages) afterFlow(w http.ResponseWriter, r *http.Request, returnTo string) {
	switch _, ok, err := p.visitor(w, r); {
	case err != nil:
		p.Error(w, r, err)
	case ok:
		see(w, p.onward(returnTo))
	default:
		see(w, p.carry("/login", returnTo))
	}
}
