package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// SignIns is signing in with a password, and out.
type SignIns interface {
	SignIn(ctx context.Context, c auth.Credentials) (auth.SignedIn, error)
	SignOut(ctx context.Context, token string) error
}

// signIn is the page that people sign in at, with the ways that there are, and signing out.
type signIn struct {
	*kit
	flows    SignIns
	passkeys PasskeySignIns // nil: none are offered
	links    bool           // email links are offered
	ways     Offers         // nil: no plugin offers any
	stepUps  bool           // somebody who is signed in can prove it anew
	after    SignedOuts     // nil: a sign-out ends nothing elsewhere
	refusals refusedReturns
}

// Mount adds the pages.
func (p *signIn) Mount(m *mounter) {
	m.page("/login", open, p.showLogin)
	m.form("/login", hashes, p.login)
	m.page("/logout", open, p.showLogout)
	m.form("/logout", takes, p.logout)
	if p.joins != nil {
		m.page("/login/join", open, p.showJoin)
	}
}

// demand is what a page wants of a sign-in beyond that there is one.
type demand struct {
	maxAge time.Duration // the proof may be this old; zero: any age
	aal    string        // principal.AAL2; empty: any
	fresh  bool          // prove it now
}

func demandOf(q url.Values) demand {
	d := demand{fresh: q.Get("fresh") == "1"}
	if n, err := strconv.Atoi(q.Get("max_age")); err == nil && n >= 0 && n < 1<<31 {
		d.maxAge = max(time.Duration(n)*time.Second, time.Second)
	}
	if q.Get("aal") == principal.AAL2 {
		d.aal = principal.AAL2
	}
	return d
}

func (d demand) met(who principal.Principal, now time.Time) bool {
	return !d.fresh && (d.maxAge == 0 || now.Sub(who.AuthTime) <= d.maxAge) && (d.aal == "" || d.aal == who.AAL)
}

// attempt is what somebody brings to the sign-in page, and what comes back with it when it is refused.
type attempt struct {
	Email, ReturnTo string
	Remember        bool
	Join            *auth.LinkWaiting // a login elsewhere that this sign-in links
	Again           bool              // signed in already, and asked to sign in anew
}

// signInPage is the sign-in page's own part.
type signInPage struct {
	Register  string // where to sign up; empty when nobody may
	Forgot    string
	Mail      string // where to ask for a link by mail; empty when there is none
	Again     bool
	Joining   bool
	Lead      string
	Passkey   *passkeyForm // nil: there are none
	Providers []*form      // a button each
	Offers    []Offer      // a link each
	// Organization is where somebody finds their organization's way to sign in; empty when no plugin has any.
	Organization string
}

func (p *signIn) loginForm(l *lang.Language, a attempt) *form {
	email := p.signInName(l, a.Email)
	if p.passkeysOffered() {
		email.Autocomplete = "username webauthn" // the browser offers passkeys in the field (WebAuthn L3 §5.1.4, conditional mediation)
	}
	f := &form{Action: "/login", Submit: l.Text("page.login.submit"), Hidden: p.returnField(a.ReturnTo), Fields: []field{
		email,
		{Name: "password", Label: l.Text("page.field.password"), Type: "password", Autocomplete: "current-password", Required: true},
	}}
	if a.Join != nil {
		f.Hidden = append(f.Hidden, hidden{"join", "1"})
		f.Fields[0].ReadOnly = true
	}
	if p.set.RememberMe {
		f.Fields = append(f.Fields, p.rememberField(l, a.Remember))
	}
	f.focus()
	return f
}

func (p *renderer) rememberField(l *lang.Language, on bool) field {
	return field{Name: "remember", Label: l.Text("page.login.remember"), Type: "checkbox", Checked: on}
}

// remembers reports whether the person asked to stay signed in, and may.
func (p *renderer) remembers(r *http.Request) bool {
	return p.set.RememberMe && r.PostForm.Get("remember") != ""
}

func (p *signIn) loginView(r *http.Request, f *form, a attempt) view {
	title := "page.login.title"
	if a.Join != nil {
		title = "page.join.title"
	} else if a.Again {
		title = "page.login.again"
	}
	v := p.view(r, title)
	l := v.L.Language
	body := signInPage{Again: a.Again, Joining: a.Join != nil, Forgot: p.carry("/reset", a.ReturnTo)}
	switch {
	case a.Join != nil:
		body.Lead = l.Text("page.join.lead", "provider", p.providerTitle(a.Join.Provider), "email", a.Join.Email, "service", p.set.ServiceName)
	case a.Again:
		body.Lead = l.Text("page.login.again_lead")
	case !p.set.RegistrationClosed:
		body.Register = p.carry("/register", a.ReturnTo)
	}
	if p.links {
		body.Mail = p.carry("/login/link", a.ReturnTo)
	}
	if p.passkeysOffered() {
		body.Passkey = p.loginPasskey(l, a)
		f.Autofill = body.Passkey
		v.Scripts = passkeyScripts
	}
	if a.Join == nil {
		body.Providers = p.providerForms(l, p.providers(), append(p.returnField(a.ReturnTo), freshField(a.Again)...))
	}
	if a.Join == nil && p.ways != nil && p.ways.Any() {
		body.Organization = p.carry("/login/organization", a.ReturnTo)
		found, err := p.ways.Offers(r.Context(), "", p.onward(a.ReturnTo))
		if err != nil { // the other ways are there all the same
			p.log.Warn("ways to sign in of plugins not shown", "error", err)
		}
		body.Offers = found
	}
	v.Form, v.Body, v.Errand = f, body, p.errandOn(l, a.ReturnTo, Cancelled)
	return v
}

// freshField carries through a form that somebody must prove it anew.
func freshField(fresh bool) []hidden {
	if fresh {
		return []hidden{{"fresh", "1"}}
	}
	return nil
}

func (p *signIn) showLogin(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	q := r.URL.Query()
	who, ok, err := p.visitor(w, r)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	a := attempt{ReturnTo: q.Get("return_to")}
	if e, known := p.errand(a.ReturnTo); known {
		a.Email = e.Hint
	}
	if ok && q.Get("switch") != "1" { // with it, they want to sign in as somebody else
		switch {
		case q.Get("select") == "1":
			p.choose(w, r, who, a.ReturnTo, demandOf(q))
			return
		case demandOf(q).met(who, p.now()):
			see(w, p.onward(a.ReturnTo))
			return
		case p.mayStepUp(who):
			see(w, p.stepUpPath(a.ReturnTo, demandOf(q).aal))
			return
		}
		a.Email, a.Again = who.Email, true
	}
	v := p.loginView(r, p.loginForm(p.in(r), a), a)
	switch q.Get("notice") {
	case "signed-out":
		v.Notice = v.L.Language.Text("page.login.signed_out")
	case "password-set":
		v.Notice = v.L.Language.Text("page.login.password_set")
	case "expired":
		v.Notice = v.L.Language.Text("fault.sign_in_expired")
	default:
		if _, ok := p.carried(a.ReturnTo); !ok && a.ReturnTo != "" {
			p.refusals.say(p.log, a.ReturnTo)
			v.Notice = v.L.Language.Text("page.login.return_refused")
		}
	}
	p.render(w, r, http.StatusOK, "login", v)
}

func (p *signIn) login(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	a := attempt{Email: strings.TrimSpace(r.PostForm.Get("email")), ReturnTo: r.PostForm.Get("return_to"), Remember: p.remembers(r)}
	in, err := p.flows.SignIn(r.Context(), auth.Credentials{
		Email: a.Email, Password: r.PostForm.Get("password"), Remember: a.Remember, Device: cookie.DeviceToken(r), Link: joining(r),
		Proof: proof(r),
	})
	if err == nil {
		p.arrive(w, r, in, a.ReturnTo)
		return
	}
	ft := fault.From(err)
	var d *ratelimit.Demand
	if !errors.As(err, &d) && !reshow(ft) {
		p.Error(w, r, err)
		return
	}
	if joining(r) != "" {
		a.Join = p.waitingJoin(r)
	}
	f := p.loginForm(p.in(r), a)
	v := p.loginView(r, f, a)
	if d != nil {
		f.Problem = p.say(p.in(r), ft)
		p.demand(p.in(r), &v, f, d)
		retryAfter(w, ft)
	} else {
		p.refuse(p.in(r), f, ft)
	}
	p.render(w, r, statusOf(ft.Kind), "login", v)
}

// showLogout asks, for somebody who typed the address; signing out itself takes a POST.
func (p *signIn) showLogout(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	who, ok, err := p.visitor(w, r)
	switch {
	case err != nil:
		p.Error(w, r, err)
		return
	case !ok:
		if to, allowed := p.elsewhere(r.URL.Query().Get("return_to")); allowed {
			see(w, to) // signed out already
			return
		}
		see(w, "/login")
		return
	}
	v := p.view(r, "page.logout.title")
	v.Body = who
	v.Form = &form{Action: "/logout", Submit: p.in(r).Text("page.logout.submit"), Hidden: p.returnField(r.URL.Query().Get("return_to"))}
	p.render(w, r, http.StatusOK, "logout", v)
}

func (p *signIn) logout(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	var who principal.Principal
	if token := p.cookie.Token(r); token != "" {
		var err error
		if who, err = p.resolve(r); err != nil && fault.KindOf(err) != fault.Unauthenticated {
			p.Error(w, r, err)
			return
		}
		if err := p.flows.SignOut(r.Context(), token); err != nil && fault.KindOf(err) != fault.Unauthenticated {
			p.Error(w, r, err) // the session may still be good: say so rather than pretend
			return
		}
	}
	p.cookie.Clear(w)
	for _, f := range cookie.Flows() {
		if f.Token(r) != "" {
			f.Clear(w)
		}
	}
	// ASVS 5.0 14.3.1: there is nothing else to clear. Pages are no-store and keep nothing in the browser's storage, which may be that of an application
	// on the same host: Clear-Site-Data would wipe it.
	p.leave(w, r, who)
}
