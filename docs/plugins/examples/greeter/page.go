package main

import (
	"fmt"
	"html"
	"net/http"
	"strings"

	"github.com/sigra-auth/sigra/pluginsdk"
)

var _ pluginsdk.Routes = (*Greeter)(nil)

// ServeHTTP shows the greeting.
func (g *Greeter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := pluginsdk.RequestPrincipal(r.Context())
	if who == nil || r.URL.Path != "/greeter" {
		http.NotFound(w, r)
		return
	}
	n, err := g.count(r.Context(), who.UserID)
	if err != nil {
		g.host.Logger().Error("can't count sign-ins", "error", err)
		http.Error(w, "The count can't be read. Try again shortly.", http.StatusServiceUnavailable)
		return
	}
	text := fmt.Sprintf("%s, %s! You have signed in %d times.", g.Greeting, who.Display, n)
	if g.Shout {
		text = strings.ToUpper(text)
	}
	page, err := g.host.Pages().Render(r.Context(), pluginsdk.Page{
		Title: "Greeter", BodyHTML: "<p>" + html.EscapeString(text) + "</p>", Principal: who, Path: "/greeter",
	})
	if err != nil {
		g.host.Logger().Error("can't render the page", "error", err)
		http.Error(w, "The page can't be shown. Try again shortly.", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, page.HTML)
}
