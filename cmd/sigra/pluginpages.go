package main

import (
	"context"

	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/web"
)

// pluginPages lends the layout of core/web to plugins.
type pluginPages struct{ *web.Pages }

// Render implements pluginhost.Pages.
func (p pluginPages) Render(ctx context.Context, page pluginhost.Page) (pluginhost.Rendered, error) {
	out, err := p.Pages.Render(ctx, web.PluginPage(page))
	return pluginhost.Rendered(out), err
}

// SignIn implements pluginhost.Pages.
func (p pluginPages) SignIn(r pluginhost.SignIn) (string, error) {
	return p.Pages.SignInFor(web.SignInRequest(r))
}
