// Package federationtest gives tests an identity provider to sign in with: real HTTP on a loopback socket, real keys, real
// signatures, and a hook at every place where a provider can go wrong.
//
//	p := federationtest.New(t)
//	dir := p.Directory(t, p.Config("example"))       // or federation.NewDirectory with p.Config among others
//	begun, _ := service.Begin(ctx, federation.Request{Provider: "example", Purpose: federation.SignIn})
//	callback := p.Approve(t, begun)                  // what the browser would bring back
//	result, _ := service.Finish(ctx, callback)
//
// Left alone it is strict: it checks client, redirect address, PKCE and that a code is used once, and answers as the
// standards say. It speaks OpenID Connect, and OAuth 2.0 where its document is not used.
//
// The package refuses to be anything but a test's helper: only _test files import it.
package federationtest
