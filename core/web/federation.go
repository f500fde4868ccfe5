package web

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/session"
)

func (p *Pages) mountFederation(on mounter) {
	on("/login/provider/{name}", nil, p.beginProvider)
	on("/login/callback/{name}", p.callback, p.callbackForm)
}

// ForeignForms are the routes that other sites' forms may post to, see server.Config: they change nothing.
func ForeignForms() []string { return []string{"POST /login/callback/{name}"} }

// providerForms are a button for each of some providers.
func (p *Pages) providerForms(l *lang.Language, list []federation.Provider, carried []hidden) []*form {
	out := make([]*form, len(list))
	for i, x := range list {
		out[i] = &form{Action: "/login/provider/" + x.Name, Submit: l.Text("page.login.provider", "provider", x.Title), Quiet: true, Hidden: carried}
	}
	return out
}

// beginProvider sends the browser to a provider, to sign in.
func (p *Pages) beginProvider(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	returnTo := r.PostForm.Get("return_to")
	p.toProvider(w, r, federation.Request{
		Provider: mux.Vars(r)["name"], Purpose: federation.SignIn, ReturnTo: p.onward(returnTo), ForceLogin: r.PostForm.Get("fresh") == "1",
	})
}

// toProvider begins a sign-in at a provider, or the linking of one, and leaves for it. It is a page that goes on by itself and
// no redirect: browsers hold form-action against every redirect that answers a form, and a page's policy can't list all the
// places that providers redirect to.
func (p *Pages) toProvider(w http.ResponseWriter, r *http.Request, q federation.Request) {
	q.Browser = cookie.Provider.Token(r)
	begun, err := p.cfg.Providers.Begin(r.Context(), q)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	cookie.Provider.Set(w, begun.Browser)
	v := p.view(r, "page.provider.leaving", "provider", p.providerTitle(q.Provider))
	v.Here, v.Refresh, v.Body = "", "0; url="+begun.URL, leaving{begun.URL}
	p.render(w, r, http.StatusOK, "leaving", v)
}

// leaving is the page that a browser goes on from to another provider.
type leaving struct{ URL string }

// callbackForm takes an answer that the provider has the browser post, from its own site: our cookies are Lax and did not
// come along. It changes nothing and sends the browser on by GET, with which they do.
func (p *Pages) callbackForm(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		p.Error(w, r, err)
		return
	}
	q := url.Values{}
	for _, name := range []string{"state", "code", "iss", "error", "error_description", "user"} {
		if v := r.PostForm.Get(name); v != "" {
			q.Set(name, v)
		}
	}
	see(w, "/login/callback/"+url.PathEscape(mux.Vars(r)["name"])+"?"+q.Encode())
}

// callback is where a provider sends the browser back to. What it brings is good once; to use it up is what this GET is for.
func (p *Pages) callback(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Referrer-Policy", "no-referrer") // RFC 9700 §4.2.4: the code is in the address
	q := r.URL.Query()
	c := federation.Callback{
		Provider: mux.Vars(r)["name"], State: q.Get("state"), Code: q.Get("code"), Issuer: q.Get("iss"), Error: q.Get("error"),
		ErrorDescription: q.Get("error_description"), UserJSON: q.Get("user"), Browser: cookie.Provider.Token(r),
	}
	if r.Method == http.MethodHead { // nobody's browser: it must not use up the state
		w.WriteHeader(http.StatusNoContent)
		return
	}
	res, err := p.cfg.Providers.Finish(r.Context(), c)
	if err != nil {
		if f, ok := federation.Explain(err); ok {
			err = p.cfg.Logins.FederatedFailed(r.Context(), f.Provider, f.Stage, f.Reason, err)
		}
		p.providerFailed(w, r, c.Provider, res, err)
		return
	}
	if res.Purpose == federation.Link {
		p.linked(w, r, res)
		return
	}
	out, err := p.cfg.Logins.SignInFederated(r.Context(), res.Claims, res.SignUp, cookie.DeviceToken(r))
	if err != nil {
		p.providerFailed(w, r, c.Provider, res, err)
		return
	}
	p.vouchedFor(w, r, out, res.ReturnTo)
}

// vouchedFor goes on after somebody else has said who a person is: signed in, asked for the account's own credential, or asked to
// confirm the address.
func (p *Pages) vouchedFor(w http.ResponseWriter, r *http.Request, out auth.Federated, returnTo string) {
	switch {
	case out.Link != nil:
		cookie.Join.Set(w, out.Link.Flow)
		see(w, p.carry("/login/join", returnTo))
	case out.Confirm != nil:
		cookie.SignUp.Set(w, out.Confirm.Flow)
		p.remember(w, returnTo)
		see(w, p.carry("/register/check-mail", returnTo))
	default:
		p.arrive(w, r, out.SignedIn, p.onward(returnTo))
	}
}

// mintedHere is where a plugin sends the browser of somebody whom it has verified. The address is good once, for two
// minutes, in the browser that the plugin spoke with; to use it up is what this GET is for.
func (p *Pages) mintedHere(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Referrer-Policy", "no-referrer") // the secret is in the address
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	out, returnTo, err := p.cfg.Logins.SignInPlugin(r.Context(), r.URL.Query().Get("flow"), cookie.DeviceToken(r))
	if err != nil {
		p.Error(w, r, err)
		return
	}
	p.vouchedFor(w, r, out, returnTo)
}

var errOtherSession = fault.New(fault.Denied, "link_other_session", "You are not signed in any more as who began this. Sign in and begin again.")

// linked ends the linking of a login to the account of who is signed in: the very one that began it.
func (p *Pages) linked(w http.ResponseWriter, r *http.Request, res federation.Result) {
	who, err := p.cfg.Sessions.Resolve(r.Context(), cookie.SessionToken(r))
	if errors.Is(err, session.ErrUnauthenticated) || err == nil && who.UserID != res.AccountID {
		err = errOtherSession
	}
	if err == nil {
		err = p.cfg.OwnLogins.LinkLogin(r.Context(), who, res.Claims)
	}
	switch {
	case err == nil:
		to := p.onward(res.ReturnTo)
		if to == "/account/logins" {
			to += "?notice=login-linked"
		}
		see(w, to)
	case needsProof(err):
		see(w, p.stepUpPath(res.ReturnTo, "")) // it took too long at the provider
	default:
		p.providerFailed(w, r, res.Provider, res, err)
	}
}

// providerTrouble is what the page says when a sign-in at a provider came to nothing.
type providerTrouble struct {
	Message string
	Again   *form // nil: trying again would not help
	Other   Link
}

func (p *Pages) providerFailed(w http.ResponseWriter, r *http.Request, name string, res federation.Result, err error) {
	ft := fault.From(err)
	if ft.Kind == fault.Internal || ft.Kind == fault.NotFound || ft.Kind == fault.RateLimited {
		p.Error(w, r, err)
		return
	}
	title := "page.provider.failed_title"
	if res.Purpose == federation.Link {
		title = "page.provider.link_failed_title"
	}
	v := p.view(r, title, "provider", p.providerTitle(name))
	l := v.L.Language
	v.Here = ""
	returnTo := p.onward(res.ReturnTo)
	body := providerTrouble{Message: p.say(l, ft), Other: Link{Title: l.Text("page.provider.other"), Path: p.carry("/login", returnTo)}}
	switch {
	case res.Purpose == federation.Link:
		body.Other = Link{Title: l.Text("page.provider.back"), Path: returnTo}
	case ft.Code != "registration_closed" && ft.Code != "account_disabled":
		body.Again = &form{Action: "/login/provider/" + url.PathEscape(name), Submit: l.Text("page.provider.again"), Hidden: p.returnField(returnTo)}
	}
	v.Body = body
	p.render(w, r, statusOf(ft.Kind), "provider-failed", v)
}
