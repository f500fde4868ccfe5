package web

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/session"
)

// templates are the pages by name, each parsed together with the layout and the parts.
type templates map[string]*template.Template

// shared are the templates that every page is parsed with.
var shared = []string{"layout.html", "parts.html"}

func loadTemplates(override fs.FS, assetURL func(string) string) (templates, error) {
	read := func(name string) (string, error) {
		if override != nil {
			b, err := fs.ReadFile(override, "templates/"+name)
			if err == nil || !errors.Is(err, fs.ErrNotExist) {
				return string(b), err
			}
		}
		b, err := fs.ReadFile(embedded, "templates/"+name)
		return string(b), err
	}
	base := template.New("").Option("missingkey=error").Funcs(template.FuncMap{"asset": assetURL})
	for _, name := range shared {
		text, err := read(name)
		if err != nil {
			return nil, err
		}
		if _, err := base.New(name).Parse(text); err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
	}
	names, err := fs.Glob(embedded, "templates/*.html")
	if err != nil {
		return nil, err
	}
	out := templates{}
	for _, file := range names {
		name := path.Base(file)
		if slices.Contains(shared, name) {
			continue
		}
		text, err := read(name)
		if err != nil {
			return nil, err
		}
		t, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if _, err := t.New(name).Parse(text); err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
		out[strings.TrimSuffix(name, ".html")] = t
	}
	return out, nil
}

// view is what a template gets.
type view struct {
	Title     string
	Language  string
	Direction string // "ltr" or "rtl"
	Service   string
	Shape     string // "narrow" for the sign-in family, "wide" for the account and plugins
	Principal *session.Principal
	Nav       []navLink
	Notice    string // good news above the content
	Dev       bool   // mails go to the inbox page
	Form      *form
	Body      any
}

type navLink struct {
	Link
	Current bool
}

// view starts a page's view.
func (p *Pages) view(title string) view {
	return view{Title: title, Language: "en", Direction: "ltr", Service: p.cfg.ServiceName, Shape: "narrow", Dev: p.cfg.Inbox != nil}
}

// signedIn makes it a page of somebody's account.
func (p *Pages) signedIn(v view, who session.Principal, at string) view {
	v.Shape, v.Principal, v.Nav = "wide", &who, p.nav(who, at)
	return v
}

func (p *Pages) nav(who session.Principal, at string) []navLink {
	links := []Link{{Title: "Account", Path: "/account"}}
	if p.cfg.Plugins != nil {
		links = append(links, p.cfg.Plugins(who)...)
	}
	out := make([]navLink, len(links))
	for i, l := range links {
		out[i] = navLink{l, at == l.Path || strings.HasPrefix(at, l.Path+"/")}
	}
	return out
}

func (p *Pages) execute(name string, v view) ([]byte, error) {
	t, ok := p.templates[name]
	if !ok {
		return nil, fmt.Errorf("no template %q", name)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout.html", v); err != nil {
		return nil, fmt.Errorf("render %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// render answers with a page, whole or not at all.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	p.renderWith(w, r, status, name, v, p.policy)
}

// renderWith is render for the page that needs a policy of its own.
func (p *Pages) renderWith(w http.ResponseWriter, r *http.Request, status int, name string, v view, policy string) {
	body, err := p.execute(name, v)
	if err != nil {
		p.log.Error("page not rendered", "page", name, "request_id", request.From(r.Context()).ID, "error", err)
		http.Error(w, "Something went wrong on our side. Request "+request.From(r.Context()).ID, http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store") // ASVS 5.0 14.3.2: nothing of an account stays in a shared browser
	h.Set("Vary", "Cookie")
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
