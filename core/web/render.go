package web

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
)

// settings are those of the Config that pages speak of.
type settings struct {
	ServiceName        string
	RegistrationClosed bool
	PasswordMinLength  int
	Usernames          flow.Usernames
	RememberMe         bool
	Plugins            func(who principal.Principal, language string) []Link
}

// renderer makes pages, and their words, out of the skin there is.
type renderer struct {
	set   settings
	goTo  ReturnTo
	dev   bool   // emails go to the inbox page
	forms string // form-action of the pages' Content-Security-Policy
	skin  atomic.Pointer[skin]
	now   func() time.Time
	log   hclog.Logger
}

// templates are the pages by name, each parsed together with the layout and the parts.
type templates map[string]*template.Template

// shared are the templates that every page is parsed with.
var shared = []string{"layout.html", "parts.html", "account-parts.html"}

// Builtin are the built-in templates and assets, to start from when replacing them.
func Builtin() fs.FS { return embedded }

// view is what a template gets.
type view struct {
	L         lang.Strict // the texts, in the person's language
	Title     string
	Service   string
	Shape     string // "narrow" for the sign-in family, "wide" for the account and plugins
	Principal *principal.Principal
	Nav       []navLink
	BackTo    *outward    // the application that the person came from; nil: none is known
	Notice    string      // good news above the content
	Dev       bool        // mails go to the inbox page
	Errand    *errandView // on the pages of the sign-in; nil: nothing is known of why somebody signs in
	Form      *form
	Body      any

	Languages []choice // to choose from
	Here      string   // where to come back to after choosing; empty, on a page that is shown once: no choice
	Scripts   []string // the assets that the page runs; without, it runs none

	OwnStyles, OwnScripts []string // addresses of a plugin's, on its page

	Pictures bool     // it has pictures in its text (data:)
	Frames   bool     // it has a page of Sigra's in a frame
	FramesOf []string // origins that it has pages of in frames
	Captcha  *widget  // it has a captcha provider's widget
	Refresh  string   // the seconds after which it is asked for anew; empty: never
}

type navLink struct {
	Link
	Current bool
}

// view starts a page's view; title is the key of its title.
func (p *renderer) view(r *http.Request, title string, args ...any) view {
	l := p.in(r)
	v := p.blank(l)
	v.Title, v.Here = l.Text(title, args...), withoutLanguage(r.URL.RequestURI())
	return v
}

func (p *renderer) blank(l *lang.Language) view {
	return view{L: l.Strict(), Service: p.set.ServiceName, Shape: "narrow", Dev: p.dev, Languages: p.choices(l)}
}

// signedIn makes it a page of somebody's account.
func (p *renderer) signedIn(v view, who principal.Principal, at string) view {
	v.Shape, v.Principal, v.Nav = "wide", &who, p.nav(v.L.Language, who, at)
	return v
}

func (p *renderer) nav(l *lang.Language, who principal.Principal, at string) []navLink {
	links := []Link{{Title: l.Text("page.layout.account"), Path: "/account"}}
	if p.set.Plugins != nil {
		links = append(links, p.set.Plugins(who, l.Code())...)
	}
	out := make([]navLink, len(links))
	for i, l := range links {
		out[i] = navLink{l, at == l.Path || strings.HasPrefix(at, l.Path+"/")}
	}
	return out
}

// execute makes a page. Where an adopter's template fails on it, which trying it on a sample did not show, the built-in one takes its
// place: nobody who wants to sign in is kept out by it.
func (p *renderer) execute(name string, v view) ([]byte, error) {
	s := p.skin.Load()
	b, err := s.templates.execute(name, v)
	if err != nil && s.builtin != nil {
		p.log.Error("a template of the pages folder fails, the built-in one is shown", "page", name, "error", err)
		b, err = s.builtin.execute(name, v)
	}
	return b, err
}

func (t templates) execute(name string, v view) ([]byte, error) {
	page, ok := t[name]
	if !ok {
		return nil, fmt.Errorf("no template %q", name)
	}
	var b bytes.Buffer
	if err := page.ExecuteTemplate(&b, "layout.html", v); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// render answers with a page, whole or not at all.
func (p *renderer) render(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	p.renderWith(w, r, status, name, v, p.policy(v))
}

// policy is the Content-Security-Policy of a page: as little as it needs (ASVS 5.0 3.4.3).
func (p *renderer) policy(v view) string {
	pictures, scripts := "img-src 'self'", ""
	if v.Pictures {
		pictures += " data:"
	}
	if len(v.Scripts) > 0 {
		scripts = "; script-src 'self'; connect-src 'self'"
		if v.Captcha == nil { // whose script may do as it likes
			scripts += "; require-trusted-types-for 'script'; trusted-types 'none'"
		}
	}
	if v.Frames {
		scripts += "; frame-src 'self'"
	} else if len(v.FramesOf) > 0 {
		scripts += "; frame-src " + strings.Join(v.FramesOf, " ")
	}
	policy := "default-src 'none'; style-src 'self'; " + pictures + "; font-src 'self'; " + p.forms + "; base-uri 'none'; frame-ancestors 'none'" + scripts
	if v.Captcha != nil {
		return v.Captcha.allow(policy)
	}
	return policy
}

// renderWith is render for the page that needs a policy of its own.
func (p *renderer) renderWith(w http.ResponseWriter, r *http.Request, status int, name string, v view, policy string) {
	body, err := p.execute(name, v)
	if err != nil {
		p.log.Error("page not rendered", "page", name, "request_id", request.From(r.Context()).ID, "error", err)
		http.Error(w, p.in(r).Text("fault.internal")+" "+request.From(r.Context()).ID, http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store") // ASVS 5.0 14.3.2: nothing of an account stays in a shared browser
	h.Set("Vary", "Cookie, Accept-Language")
	h.Set("Content-Language", v.L.Code())
	if p.asksForLanguage(r) {
		cookie.SetLanguage(w, v.L.Code(), false) // for the pages after this one
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// see redirects after a form was taken, so that reloading sends nothing twice (RFC 9110 §15.4.4).
func see(w http.ResponseWriter, address string) {
	w.Header().Set("Location", address)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
