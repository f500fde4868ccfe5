package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

var errClosed = fault.New(fault.Denied, "registration_closed", "This service takes no sign-ups.")

// newPassword asks for a password to be; label is a key.
func (p *renderer) newPassword(l *lang.Language, label string) field {
	return field{
		Name: "password", Label: l.Text(label), Type: "password", Autocomplete: "new-password", MinLength: p.set.PasswordMinLength, Required: true,
		Hint: l.Text("page.field.new_password_hint", "min", p.set.PasswordMinLength),
	}
}

// SignUps is signing up.
type SignUps interface {
	Register(ctx context.Context, r auth.Registration) (auth.Registered, error)
	ResendConfirmation(ctx context.Context, flow string) (auth.Requested, error)
	LookConfirmation(ctx context.Context, token string) (email string, err error)
	Confirm(ctx context.Context, c auth.Confirmation) (auth.SignedIn, error)
}

// signUp is signing up, and the confirmation that ends it (confirm.go).
type signUp struct {
	*kit
	flows       SignUps
	invitations Invitations // nil: nobody is invited
}

// Mount adds the pages.
func (p *signUp) Mount(m *mounter) {
	m.page("/register", open, p.showRegister)
	m.form("/register", endpoint.Rules{Limit: ratelimit.Mail, Access: endpoint.Anyone, Body: passwordForm}, p.register)
	m.page("/register/check-mail", open, p.showCheckMail)
	m.form("/register/check-mail", guesses, p.checkMail)
	m.form("/register/resend", mails, p.resend)
	m.page("/confirm", open, p.showConfirm)
	m.form("/confirm", endpoint.Rules{Limit: ratelimit.Guess, Access: endpoint.Anyone, Body: passwordForm}, p.confirm)
}

// registerForm is the form to sign up. Whoever comes by an invitation signs up with the address that it is for.
func (p *signUp) registerForm(l *lang.Language, email, username, returnTo, invitation string) *form {
	f := &form{Action: "/register", Submit: l.Text("page.register.submit"), Hidden: p.returnField(returnTo), Fields: []field{emailField(l, email)}}
	if invitation != "" {
		f.Fields[0].ReadOnly, f.Hidden = true, append(f.Hidden, hidden{"invitation", invitation})
	}
	if p.usernames() {
		f.Fields = append(f.Fields, usernameField(l, username, p.set.Usernames == flow.RequiredUsernames))
	}
	f.Fields = append(f.Fields, p.newPassword(l, "page.field.password"))
	return f
}

// registerPage is what the page shows beside its form.
type registerPage struct {
	Login     string  // who has an account
	Providers []*form // to sign up through, a button each
}

func (p *signUp) registerView(r *http.Request, f *form, returnTo string) view {
	v := p.view(r, "page.register.title")
	v.Form, v.Errand = f, p.errandOn(v.L.Language, returnTo, Cancelled)
	offered := slices.DeleteFunc(p.providers(), func(x federation.Provider) bool { return !x.SignUp })
	v.Body = registerPage{p.carry("/login", returnTo), p.providerForms(v.L.Language, offered, p.returnField(returnTo))}
	return v
}

func (p *signUp) showRegister(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo, invitation, email := r.URL.Query().Get("return_to"), r.URL.Query().Get("invitation"), ""
	if invitation != "" && p.invitations != nil {
		w.Header().Set("Referrer-Policy", "no-referrer") // ASVS 5.0 14.2.1
		in, err := p.invitations.LookInvitation(r.Context(), invitation)
		switch {
		case err == nil:
			email, returnTo = in.Invitation.Email, invitationPath(invitation)
		case fault.KindOf(err) == fault.Denied:
			p.expired(w, r, "page.expired.invitation", "/", "page.error.start")
			return
		default:
			p.Error(w, r, err)
			return
		}
	} else if p.set.RegistrationClosed {
		p.Error(w, r, errClosed)
		return
	}
	f := p.registerForm(p.in(r), email, "", returnTo, invitation)
	f.focus()
	p.render(w, r, http.StatusOK, "register", p.registerView(r, f, returnTo))
}

// register takes a sign-up. Whether the address was known shows in nothing: the answer is the same redirect with a
// cookie of the same form (ASVS 5.0 6.3.8).
func (p *signUp) register(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	invitation := r.PostForm.Get("invitation")
	if p.set.RegistrationClosed && invitation == "" {
		p.Error(w, r, errClosed)
		return
	}
	email, returnTo := strings.TrimSpace(r.PostForm.Get("email")), r.PostForm.Get("return_to")
	username := strings.TrimSpace(r.PostForm.Get("username"))
	out, err := p.flows.Register(r.Context(), auth.Registration{
		Email: email, Username: username, Password: r.PostForm.Get("password"), Invitation: invitation, Device: cookie.DeviceToken(r),
	})
	if err != nil {
		ft := fault.From(err)
		if !reshow(ft) {
			p.Error(w, r, err)
			return
		}
		f := p.registerForm(p.in(r), email, username, returnTo, invitation)
		p.refuse(p.in(r), f, ft)
		p.render(w, r, statusOf(ft.Kind), "register", p.registerView(r, f, returnTo))
		return
	}
	cookie.SignUp.Set(w, out.Flow)
	p.remember(w, returnTo)
	if out.SignedIn != nil {
		p.arrive(w, r, *out.SignedIn, returnTo)
		return
	}
	see(w, p.carry("/register/check-mail", returnTo))
}

func (p *signUp) codeForm(l *lang.Language, returnTo string) *form {
	return &form{Action: "/register/check-mail", Submit: l.Text("page.check_mail.submit"), Hidden: p.returnField(returnTo), Fields: []field{
		codeField(l.Text("page.field.mail_code"), l.Text("page.field.six_digits")),
	}}
}

// checkMailPage is what the page shows beside its form.
type checkMailPage struct {
	Register string // where to start again
	Resend   *form
}

func (p *signUp) checkMailView(r *http.Request, f *form, returnTo string) view {
	v := p.view(r, "page.check_mail.title")
	v.Form = f
	v.Body = checkMailPage{
		Register: p.carry("/register", returnTo),
		Resend:   &form{Action: "/register/resend", Submit: v.L.Language.Text("page.check_mail.resend"), Quiet: true, Hidden: p.returnField(returnTo)},
	}
	if r.Method == http.MethodGet && r.URL.Query().Get("notice") == "sent" {
		v.Notice = v.L.Language.Text("page.check_mail.sent")
	}
	return v
}

func (p *signUp) showCheckMail(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo := r.URL.Query().Get("return_to")
	if cookie.SignUp.Token(r) == "" { // no sign-up began in this browser, or it was confirmed by its link meanwhile
		p.afterFlow(w, r, returnTo)
		return
	}
	f := p.codeForm(p.in(r), returnTo)
	f.focus()
	p.render(w, r, http.StatusOK, "check-mail", p.checkMailView(r, f, returnTo))
}

func (p *signUp) checkMail(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo, flow := r.PostForm.Get("return_to"), cookie.SignUp.Token(r)
	if flow == "" {
		p.afterFlow(w, r, returnTo)
		return
	}
	in, err := p.flows.Confirm(r.Context(), auth.Confirmation{Flow: flow, Code: r.PostForm.Get("code"), Device: cookie.DeviceToken(r)})
	if err != nil {
		ft := fault.From(err)
		if !reshow(ft) {
			p.Error(w, r, err)
			return
		}
		if ft.Field == "" {
			ft = ft.At("code")
		}
		f := p.codeForm(p.in(r), returnTo)
		p.refuse(p.in(r), f, ft)
		p.render(w, r, statusOf(ft.Kind), "check-mail", p.checkMailView(r, f, returnTo))
		return
	}
	cookie.SignUp.Clear(w)
	p.arrive(w, r, in, p.confirmedTo(in, returnTo))
}

// resend mails the link and the code once more. The sign-up goes on as another flow, with another cookie; for an address that has
// an account, too.
func (p *signUp) resend(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo, flow := r.PostForm.Get("return_to"), cookie.SignUp.Token(r)
	if flow == "" {
		p.afterFlow(w, r, returnTo)
		return
	}
	out, err := p.flows.ResendConfirmation(r.Context(), flow)
	if err == nil {
		cookie.SignUp.Set(w, out.Flow)
		q := url.Values{"notice": {"sent"}}
		if to, ok := p.carried(returnTo); ok {
			q.Set("return_to", to)
		}
		see(w, "/register/check-mail?"+q.Encode())
		return
	}
	ft := fault.From(err)
	switch {
	case ft.Code == "invalid_or_expired":
		cookie.SignUp.Clear(w)
		p.expired(w, r, "page.expired.code", p.carry("/register", returnTo), "page.expired.sign_up")
	case reshow(ft) || ft.Kind == fault.RateLimited: // the code may be there already: the page stays
		f := p.codeForm(p.in(r), returnTo)
		p.refuse(p.in(r), f, ft)
		v := p.checkMailView(r, f, returnTo)
		v.Here = "/register/check-mail"
		retryAfter(w, ft)
		p.render(w, r, statusOf(ft.Kind), "check-mail", v)
	default:
		p.Error(w, r, err)
	}
}
