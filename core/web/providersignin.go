package web

import (
	"context"
	"net/http"
	"net/url"

	"github.com/gorilla/mux"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/federation"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Providers is the way to other providers; *federation.Service is one.
type Providers interface {
	Providers() []federation.Provider
	// Begin gives the address to send the browser to. Fault provider_unknown or provider_unavailable.
	Begin(ctx context.Context, r federation.Request) (federation.Begun, error)
	// Finish judges what the browser brought back. Faults state_invalid, provider_denied, provider_unavailable, provider_answer_invalid.
	Finish(ctx context.Context, c federation.Callback) (federation.Result, error)
}

// FederatedSignIns is signing in by the word of somebody else: another provider, or a plugin.
type FederatedSignIns interface {
	SignInFederated(ctx context.Context, c federation.Claims, signUp bool, device string) (auth.Federated, error)
	SignInPlugin(ctx context.Context, at auth.PluginArrival) (out auth.Federated, returnTo string, err error)
	FederatedFailed(ctx context.Context, provider, stage, reason string, why error) error
	LookLink(ctx context.Context, flow string) (auth.LinkWaiting, error)
}

// providerSignIn is signing in at other providers, and by a plugin's word.
type providerSignIn struct {
	*kit
	flows FederatedSignIns
	own   OwnLogins // nil: nothing is linked
}

// Mount adds the pages.
func (p *providerSignIn) Mount(m *mounter) {
	m.page("/login/continue", uses, p.mintedHere)
	if p.others == nil || p.own == nil {
		return
	}
	m.form("/login/provider/{name}", takes, p.beginProvider)
	m.page("/login/callback/{name}", uses, p.callback)
	m.form("/login/callback/{name}", endpoint.Rules{Limit: ratelimit.General, Access: endpoint.Anyone, Body: credentialForm}, p.callbackForm)
}

// ForeignForms are the routes that other sites' forms may post to, see server.Config: they change nothing.
func ForeignForms() []string { return []string{"POST /login/callback/{name}"} }

// beginProvider sends the browser to a provider, to sign in.
func (p *providerSignIn) beginProvider(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo := r.PostForm.Get("return_to")
	p.toProvider(w, r, federation.Request{
		Provider: mux.Vars(r)["name"], Purpose: federation.SignIn, ReturnTo: p.onward(returnTo), ForceLogin: r.PostForm.Get("fresh") == "1",
	})
}

// leaving is the page that a browser goes on from to another provider.
type leaving struct{ URL string }

// callbackForm takes an answer that the provider has the browser post, from its own site: our cookies are Lax and did not
// come along. It changes nothing and sends the browser on by GET, with which they do.
func (p *providerSignIn) callbackForm(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	q := url.Values{}
	for _, name := range []string{"state", "code", "iss", "error", "error_description", "user"} {
		if v := r.PostForm.Get(name); v != "" {
			q.Set(name, v)
		}
	}
	see(w, "/login/callback/"+url.PathEscape(mux.Vars(r)["name"])+"?"+q.Encode())
}

// callback is where a provider sends the browser back to. What it brings is good once; to use it up is what this GET is for.
func (p *providerSignIn) callback(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
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
	res, err := p.others.Finish(r.Context(), c)
	if err != nil {
		if f, ok := federation.Explain(err); ok {
			err = p.flows.FederatedFailed(r.Context(), f.Provider, f.Stage, f.Reason, err)
		}
		p.providerFailed(w, r, c.Provider, res, err)
		return
	}
	if res.Purpose == federation.Link {
		p.linked(w, r, res)
		return
	}
	out, err := p.flows.SignInFederated(r.Context(), res.Claims, res.SignUp, cookie.DeviceToken(r))
	if err != nil {
		p.providerFailed(w, r, c.Provider, res, err)
		return
	}
	p.vouchedFor(w, r, out, res.ReturnTo)
}

// vouchedFor goes on after somebody else has said who a person is: signed in, asked for the account's own credential, or asked to
// confirm the address.
func (p *providerSignIn) vouchedFor(w http.ResponseWriter, r *http.Request, out auth.Federated, returnTo string) {
	switch {
	case out.Link != nil:
		cookie.Join.Set(w, out.Link.Flow)
		see(w, p.carry("/login/join", returnTo))
	case out.Confirm != nil:
		cookie.SignUp.Set(w, out.Confirm.Flow)
		p.remember(w, returnTo)
		see(w, p.carry("/register/check-mail", returnTo))
	default:
		p.arrive(w, r, out.SignedIn, returnTo)
	}
}

// mintedHere is where a plugin sends the browser of somebody whom it has verified. The address is good once, for two
// minutes, in the browser that the plugin spoke with; to use it up is what this GET is for.
func (p *providerSignIn) mintedHere(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	w.Header().Set("Referrer-Policy", "no-referrer") // the secret is in the address
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	who, _, err := p.visitor(w, r) // whom it links to or steps up, where that is what it is for
	if err != nil {
		p.Error(w, r, err)
		return
	}
	var key string // the cookie that bound the sign-in to this browser, where the plugin began it
	out, returnTo, err := p.flows.SignInPlugin(r.Context(), auth.PluginArrival{
		Flow: r.URL.Query().Get("flow"), Device: cookie.DeviceToken(r), Who: who, Cookie: func(name string) string {
			key = name
			return cookie.Read(r, name)
		},
	})
	if err == nil && key != "" { // it has done what it was for
		cookie.Forget(w, key)
	}
	switch {
	case err != nil && out.Linked && needsProof(err):
		see(w, p.stepUpPath(returnTo, "")) // it took too long at the provider
	case err != nil:
		p.Error(w, r, err)
	case out.SteppedUp != nil:
		p.renewed(w, r, *out.SteppedUp)
		see(w, p.onward(returnTo))
	case out.Linked:
		see(w, p.onwardAfter("login-linked", returnTo))
	case out.Tested:
		see(w, p.onward(returnTo))
	default:
		p.vouchedFor(w, r, out, returnTo)
	}
}

var errOtherSession = fault.New(fault.Denied, "link_other_session", "You are not signed in any more as who began this. Sign in and begin again.")

// linked ends the linking of a login to the account of who is signed in: the very one that began it.
func (p *providerSignIn) linked(w http.ResponseWriter, r *http.Request, res federation.Result) {
	who, err := p.resolve(r)
	if fault.KindOf(err) == fault.Unauthenticated || err == nil && who.UserID != res.AccountID {
		err = errOtherSession
	}
	if err == nil {
		err = p.own.LinkLogin(r.Context(), who, res.Claims)
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

func (p *providerSignIn) providerFailed(w http.ResponseWriter, r *http.Request, name string, res federation.Result, err error) {
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
