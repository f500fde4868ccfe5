package web

import (
	"context"
	"html/template"
	"net/url"
	"strconv"
	"time"

	"github.com/sigra-auth/sigra/core/principal"
)

// Render puts a plugin's content into the shared layout. The plugin vouches for bodyHTML; what it could do wrong is
// bounded by the Content-Security-Policy of its answer. A nil principal renders the page of somebody signed out.
func (p *Pages) Render(_ context.Context, page PluginPage) (RenderedPage, error) {
	l := p.texted(page.Language)
	v := p.blank(l)
	v.Title, v.Here, v.Shape, v.OwnStyles, v.OwnScripts = page.Title, page.Path, "wide", page.Styles, page.Scripts
	if who := page.Principal; who != nil && who.Kind != "" {
		v = p.signedIn(v, *who, page.Path)
	}
	v.Body = template.HTML(page.BodyHTML) //nolint:gosec // the seam's contract: pluginsdk/proto Pages.Render
	b, err := p.execute("plugin", v)
	return RenderedPage{HTML: string(b), Language: l.Code(), Direction: l.Direction()}, err
}

// PluginPage is a plugin's content for the shared layout.
type PluginPage struct {
	Title, BodyHTML string
	Principal       *principal.Principal
	Language        string // BCP 47; of the reader
	Path            string // the page's own
	Styles, Scripts []string
}

// RenderedPage is the whole page, and the language it came in.
type RenderedPage struct{ HTML, Language, Direction string }

// SignIn is the address to send a browser to that has to sign in, or to prove itself anew: at most maxAge ago, with
// requiredAAL, or right now. returnTo is judged here and once more when it is used.
func (p *Pages) SignIn(returnTo string, maxAge time.Duration, requiredAAL string, fresh bool) string {
	q := url.Values{}
	if to, ok := p.returnTo.Safe(returnTo); ok {
		q.Set("return_to", to)
	}
	if maxAge > 0 {
		q.Set("max_age", strconv.Itoa(int(maxAge/time.Second)))
	}
	if requiredAAL != "" && requiredAAL != principal.AAL1 {
		q.Set("aal", requiredAAL)
	}
	if fresh {
		q.Set("fresh", "1")
	}
	if len(q) == 0 {
		return "/login"
	}
	return "/login?" + q.Encode()
}

// Policy is the Content-Security-Policy of a page in the shared layout, for plugins' pages.
func (p *Pages) Policy() string { return p.policy(view{}) }
