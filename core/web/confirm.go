package web

import (
	"net/http"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
)

// maxLinkToken bounds a token from a link before it is shown or looked up.
const maxLinkToken = 512

// linkToken takes the token a link carries. A page that shows one must not leak its own address.
func linkToken(w http.ResponseWriter, r *http.Request) string {
	w.Header().Set("Referrer-Policy", "no-referrer") // ASVS 5.0 14.2.1
	token := r.URL.Query().Get("token")
	if len(token) > maxLinkToken {
		return ""
	}
	return token
}

// confirmForm confirms a sign-up by its link: with one button in the browser that signed up, and with the password
// chosen there in any other. So a stranger who signs up with your address gains nothing from your opening the link.
func confirmForm(l *lang.Language, token, email string, askPassword bool) *form {
	f := &form{Action: "/confirm", Submit: l.Text("page.confirm.submit"), Hidden: []hidden{{"token", token}}}
	if askPassword {
		f.Fields = []field{whose(l, email), {
			Name: "password", Label: l.Text("page.confirm.password"), Type: "password", Autocomplete: "current-password", Required: true,
			Hint: l.Text("page.confirm.password_hint"),
		}}
	}
	f.focus()
	return f
}

// confirmPage is the page of a confirming link; Elsewhere: another browser signed up.
type confirmPage struct{ Elsewhere bool }

func (p *signUp) confirmView(r *http.Request, f *form) view {
	v := p.view(r, "page.confirm.title")
	v.Form = f
	v.Body = confirmPage{len(f.Fields) > 0}
	return v
}

// showConfirm consumes nothing: mail scanners and previews follow links, people press buttons.
func (p *signUp) showConfirm(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	token := linkToken(w, r)
	if token == "" {
		p.expired(w, r, "page.expired.incomplete", "/register", "page.expired.sign_up")
		return
	}
	email, err := p.flows.LookConfirmation(r.Context(), token)
	if err != nil {
		p.confirmRefused(w, r, err)
		return
	}
	p.render(w, r, http.StatusOK, "confirm", p.confirmView(r, confirmForm(p.in(r), token, email, cookie.SignUp.Token(r) == "")))
}

func (p *signUp) confirm(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	c := auth.Confirmation{Token: r.PostForm.Get("token"), Flow: cookie.SignUp.Token(r), Password: r.PostForm.Get("password"), Device: cookie.DeviceToken(r)}
	if c.Token == "" {
		p.expired(w, r, "page.expired.incomplete", "/register", "page.expired.sign_up")
		return
	}
	in, err := p.flows.Confirm(r.Context(), c)
	if err == nil {
		cookie.SignUp.Clear(w)
		p.arrive(w, r, in, p.confirmedTo(in, remembered(r)))
		return
	}
	ft := fault.From(err)
	if !reshow(ft) || ft.Field != "password" {
		p.confirmRefused(w, r, err)
		return
	}
	email, err := p.flows.LookConfirmation(r.Context(), c.Token)
	if err != nil {
		p.confirmRefused(w, r, err)
		return
	}
	f := confirmForm(p.in(r), c.Token, email, true)
	if c.Password != "" { // without one, this browser's cookie was of another sign-up; asking is no reproach
		p.refuse(p.in(r), f, ft)
	}
	p.render(w, r, statusOf(ft.Kind), "confirm", p.confirmView(r, f))
}

// confirmRefused says that a link is over, or that something failed.
func (p *signUp) confirmRefused(w http.ResponseWriter, r *http.Request, err error) {
	if !reshow(fault.From(err)) {
		p.Error(w, r, err)
		return
	}
	p.expired(w, r, "page.expired.confirm", "/login", "page.expired.sign_in")
}
