package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/sigra-auth/sigra/core/auth"
	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/typed"
)

// Signing in by mail has two browsers in it, which are often one: the one that asks, and waits (this file), and the one that
// the link is opened in (magicopen.go).

// MagicLinks is signing in by an emailed link or code.
type MagicLinks interface {
	RequestMagicLink(ctx context.Context, email string) (auth.Requested, error)
	MagicLinkNumber(ctx context.Context, flow string) (string, error)
	MagicLinkApproved(ctx context.Context, flow string) (bool, error)
	LookMagicLink(ctx context.Context, token, flow string) (auth.Asking, error)
	ApproveMagicLink(ctx context.Context, token, number string) error
	SignInMagicLink(ctx context.Context, m auth.MagicLink) (auth.SignedIn, error)
}

// magicLink is signing in by an emailed link or code.
type magicLink struct {
	*kit
	flows MagicLinks
}

// Mount adds the pages.
func (p *magicLink) Mount(m *mounter) {
	m.page("/login/link", open, p.showMagicLink)
	m.form("/login/link", mails, p.request)
	m.page("/login/link/sent", open, p.showMagicSent)
	m.form("/login/link/sent", guesses, p.magicSent)
	m.page("/login/link/status", open, p.magicStatus)
	m.form("/login/link/open", guesses, p.magicOpen)
	m.form("/login/link/approve", guesses, p.magicApprove)
}

// statusEvery is the seconds between two looks at whether the link was opened.
const statusEvery = "4"

func (p *magicLink) magicForm(l *lang.Language, email, returnTo string) *form {
	f := &form{Action: "/login/link", Submit: l.Text("page.link.submit"), Hidden: p.returnField(returnTo), Fields: []field{emailField(l, email)}}
	f.focus()
	return f
}

func (p *magicLink) magicView(r *http.Request, f *form, returnTo string) view {
	v := p.view(r, "page.link.title")
	v.Form, v.Body = f, backToLogin{p.carry("/login", returnTo)}
	return v
}

// showMagicLink is where a mailed link leads, too: with a token in its address it is the opened link's page.
func (p *magicLink) showMagicLink(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	if r.URL.Query().Has("token") {
		p.showMagicOpen(w, r)
		return
	}
	returnTo := r.URL.Query().Get("return_to")
	p.render(w, r, http.StatusOK, "link", p.magicView(r, p.magicForm(p.in(r), "", returnTo), returnTo))
}

// request asks for the mail. The answer is the same for everybody, see register.
func (p *magicLink) request(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	email, returnTo := strings.TrimSpace(r.PostForm.Get("email")), r.PostForm.Get("return_to")
	out, err := p.flows.RequestMagicLink(r.Context(), email)
	if err != nil {
		ft := fault.From(err)
		if !reshow(ft) {
			p.Error(w, r, err)
			return
		}
		f := p.magicForm(p.in(r), email, returnTo)
		p.refuse(p.in(r), f, ft)
		p.render(w, r, statusOf(ft.Kind), "link", p.magicView(r, f, returnTo))
		return
	}
	cookie.Magic.Set(w, out.Flow)
	p.remember(w, returnTo)
	see(w, p.carry("/login/link/sent", returnTo))
}

// magicSentPage is what the asking browser shows while it waits.
type magicSentPage struct {
	Number string // for who opens the link elsewhere
	Again  string
}

func (p *magicLink) magicCodeForm(r *http.Request, returnTo string) *form {
	l := p.in(r)
	f := &form{Action: "/login/link/sent", Submit: l.Text("page.link.sent_submit"), Hidden: p.returnField(returnTo), Fields: []field{
		codeField(l.Text("page.field.mail_code"), l.Text("page.field.six_digits")),
	}}
	if p.set.RememberMe {
		f.Fields = append(f.Fields, p.rememberField(l, r.PostForm.Get("remember") != ""))
	}
	f.Fields = append(f.Fields, p.joinField(r)...)
	f.focus()
	return f
}

// waitingMagic finds what the asking browser waits for; false means that the answer is given.
func (p *magicLink) waitingMagic(w http.ResponseWriter, r *http.Request, returnTo string) (flow, number string, ok bool) {
	if flow = cookie.Magic.Token(r); flow == "" {
		p.afterFlow(w, r, returnTo)
		return "", "", false
	}
	number, err := p.flows.MagicLinkNumber(r.Context(), flow)
	switch {
	case err == nil:
		return flow, number, true
	case !reshow(fault.From(err)):
		p.Error(w, r, err)
	default:
		p.magicOver(w, r, returnTo)
	}
	return "", "", false
}

// magicOver goes on after the link was used, here in another window perhaps, or is over.
func (p *magicLink) magicOver(w http.ResponseWriter, r *http.Request, returnTo string) {
	cookie.Magic.Clear(w)
	if _, ok, err := p.visitor(w, r); err == nil && ok {
		see(w, p.onward(returnTo))
		return
	}
	p.expired(w, r, "page.expired.code", p.carry("/login/link", returnTo), "page.expired.again")
}

func (p *magicLink) magicSentView(r *http.Request, f *form, number, returnTo string) view {
	v := p.view(r, "page.link.sent_title")
	v.Frames = true
	v.Form, v.Body = f, magicSentPage{Number: number, Again: p.carry("/login/link", returnTo)}
	return v
}

func (p *magicLink) showMagicSent(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo := r.URL.Query().Get("return_to")
	if _, number, ok := p.waitingMagic(w, r, returnTo); ok {
		p.render(w, r, http.StatusOK, "link-sent", p.magicSentView(r, p.magicCodeForm(r, returnTo), number, returnTo))
	}
}

// magicSent takes the code of the mail, or goes on after the link was approved elsewhere.
func (p *magicLink) magicSent(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	returnTo := r.PostForm.Get("return_to")
	flow, number, ok := p.waitingMagic(w, r, returnTo)
	if !ok {
		return
	}
	in, err := p.flows.SignInMagicLink(r.Context(), auth.MagicLink{
		Flow: flow, Code: typed.Code(r.PostForm.Get("code")), Remember: p.remembers(r), Device: cookie.DeviceToken(r), Link: joining(r),
	})
	if err == nil {
		p.arrive(w, r, in, returnTo)
		return
	}
	ft := fault.From(err)
	switch {
	case !reshow(ft):
		p.Error(w, r, err)
	case ft.Code == "invalid_or_expired":
		p.magicOver(w, r, returnTo)
	default:
		f := p.magicCodeForm(r, returnTo)
		p.refuse(p.in(r), f, ft)
		p.render(w, r, statusOf(ft.Kind), "link-sent", p.magicSentView(r, f, number, returnTo))
	}
}

// magicStatusPage is what the frame shows.
type magicStatusPage struct {
	Text string
	On   string // where to go on; empty: nowhere yet
}

// magicStatus is the frame that looks whether the link was opened elsewhere. It is a page of its own so that what somebody types
// beside it stays when it loads anew; and it only looks: to go on takes a button.
func (p *magicLink) magicStatus(w http.ResponseWriter, r *http.Request, _ principal.Principal) {
	flow, approved, over := cookie.Magic.Token(r), false, true
	if flow != "" {
		var err error
		approved, err = p.flows.MagicLinkApproved(r.Context(), flow)
		over = err != nil
	}
	v := p.view(r, "page.link.status_title")
	l := v.L.Language
	v.Shape, v.Here = "frame", ""
	body := magicStatusPage{Text: l.Text("page.link.waiting")}
	switch {
	case over:
		// Used in another window, or over: the page around this one knows.
		body.Text, body.On = l.Text("page.link.over"), p.carry("/login/link/sent", remembered(r))
	case approved:
		body.Text = l.Text("page.link.approved")
		v.Form = &form{Action: "/login/link/sent", Target: "_top", Submit: l.Text("page.link.go_on"), Hidden: p.returnField(remembered(r)), Fields: p.joinField(r)}
	default:
		v.Refresh = statusEvery
	}
	v.Body = body
	w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	p.renderWith(w, r, http.StatusOK, "link-status", v, strings.Replace(p.policy(v), "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
}

// linkAddress is the opened link's page, for coming back to it.
func linkAddress(token string) string { return "/login/link?" + url.Values{"token": {token}}.Encode() }
