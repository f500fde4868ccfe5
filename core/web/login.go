package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/session"
)

// home goes where the person belongs.
func (p *Pages) home(w http.ResponseWriter, r *http.Request) {
	_, ok, err := p.visitor(w, r)
	switch {
	case err != nil:
		p.Error(w, r, err)
	case ok:
		see(w, "/account")
	default:
		see(w, "/login")
	}
}

// demand is what a page wants of a sign-in beyond that there is one.
type demand struct {
	maxAge time.Duration // the proof may be this old; zero: any age
	aal    string        // session.AAL2; empty: any
	fresh  bool          // prove it now
}

func demandOf(q url.Values) demand {
	d := demand{fresh: q.Get("fresh") == "1"}
	if n, err := strconv.Atoi(q.Get("max_age")); err == nil && n >= 0 && n < 1<<31 {
		d.maxAge = max(time.Duration(n)*time.Second, time.Second)
	}
	if q.Get("aal") == session.AAL2 {
		d.aal = session.AAL2
	}
	return d
}

func (d demand) met(who session.Principal, now time.Time) bool {
	return !d.fresh && (d.maxAge == 0 || now.Sub(who.AuthTime) <= d.maxAge) && (d.aal == "" || d.aal == who.AAL)
}

func (p *Pages) loginForm(l *lang.Language, email, returnTo string) *form {
	f := &form{Action: "/login", Submit: l.Text("page.login.submit"), Hidden: p.returnField(returnTo), Fields: []field{
		emailField(l, email),
		{Name: "password", Label: l.Text("page.field.password"), Type: "password", Autocomplete: "current-password", Required: true},
	}}
	if p.cfg.RememberMe {
		f.Fields = append(f.Fields, field{Name: "remember", Label: l.Text("page.login.remember"), Type: "checkbox"})
	}
	return f
}

// signInPage is the sign-in page's own part.
type signInPage struct {
	Register string // where to sign up; empty when nobody may
	Again    bool   // signed in already, asked to prove it anew
}

func (p *Pages) showLogin(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	who, ok, err := p.visitor(w, r)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	if ok && demandOf(q).met(who, p.cfg.Now()) {
		see(w, p.onward(q.Get("return_to")))
		return
	}
	f := p.loginForm(p.in(r), who.Email, q.Get("return_to"))
	f.focus()
	v := p.loginView(r, f, q.Get("return_to"), ok)
	switch {
	case q.Get("notice") == "signed-out":
		v.Notice = p.in(r).Text("page.login.signed_out")
	case q.Get("notice") == "password-set":
		v.Notice = p.in(r).Text("page.login.password_set")
	}
	p.render(w, r, http.StatusOK, "login", v)
}

func (p *Pages) loginView(r *http.Request, f *form, returnTo string, again bool) view {
	v := p.view(r, "page.login.title")
	v.Form = f
	body := signInPage{Again: again}
	if !p.cfg.RegistrationClosed {
		body.Register = p.carry("/register", returnTo)
	}
	v.Body = body
	return v
}

func (p *Pages) login(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	email, returnTo := strings.TrimSpace(r.PostForm.Get("email")), r.PostForm.Get("return_to")
	in, err := p.cfg.Auth.SignIn(r.Context(), auth.Credentials{
		Email: email, Password: r.PostForm.Get("password"), Remember: p.cfg.RememberMe && r.PostForm.Get("remember") != "",
		Device: cookie.DeviceToken(r),
	})
	if err != nil {
		ft := fault.From(err)
		if !reshow(ft) {
			p.Error(w, r, err)
			return
		}
		f := p.loginForm(p.in(r), email, returnTo)
		for i := range f.Fields {
			f.Fields[i].Checked = f.Fields[i].Name == "remember" && r.PostForm.Get("remember") != ""
		}
		p.refuse(p.in(r), f, ft)
		p.render(w, r, statusOf(ft.Kind), "login", p.loginView(r, f, returnTo, false))
		return
	}
	p.welcome(w, r, in, p.onward(returnTo))
}

// showLogout asks, for somebody who typed the address; signing out itself takes a POST.
func (p *Pages) showLogout(w http.ResponseWriter, r *http.Request) {
	who, ok, err := p.visitor(w, r)
	switch {
	case err != nil:
		p.Error(w, r, err)
		return
	case !ok:
		see(w, "/login")
		return
	}
	v := p.view(r, "page.logout.title")
	v.Body = who
	v.Form = &form{Action: "/logout", Submit: p.in(r).Text("page.logout.submit")}
	p.render(w, r, http.StatusOK, "logout", v)
}

func (p *Pages) logout(w http.ResponseWriter, r *http.Request) {
	if token := cookie.SessionToken(r); token != "" {
		if err := p.cfg.Auth.SignOut(r.Context(), token); err != nil && fault.KindOf(err) != fault.Unauthenticated {
			p.Error(w, r, err) // the session may still be good: say so rather than pretend
			return
		}
	}
	cookie.ClearSession(w)
	for _, f := range cookie.Flows() {
		f.Clear(w)
	}
	// ASVS 5.0 14.3.1. Not "cache": pages are no-store, and browsers take seconds to clear it.
	w.Header().Set("Clear-Site-Data", `"storage"`)
	see(w, "/login?notice=signed-out")
}
