package web

import (
	"context"
	"html/template"

	"github.com/sigra-auth/sigra/core/principal"
)

// Render puts a plugin's content into the shared layout. The plugin vouches for bodyHTML; what it could do wrong is
// bounded by the Content-Security-Policy of its answer. A nil principal renders the page of somebody signed out.
func (p *renderer) Render(_ context.Context, page PluginPage) (RenderedPage, error) {
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

// SignInFor is the address to send a browser to that has to sign in, for whoever wants more of that than SignIn says. It refuses with
// the code return_to_not_allowed an address that may not be returned to.
func (p *Pages) SignInFor(r SignInRequest) (string, error) { return p.signInFor(p.ReturnTo, r) }

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

// Policy is the Content-Security-Policy of a page in the shared layout, for plugins' pages.
func (p *renderer) Policy() string { return p.policy(view{}) }
