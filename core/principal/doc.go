// Package principal says who is asking: a person, a service account, the application, or an operator of the installation.
//
// A Principal is resolved once per request, from whatever credential the request shows, and handed down from there. A Chain does
// it: each of its resolvers knows one kind of credential and passes on what is not of its kind.
//
//	request ── Credential: control socket │ Authorization │ cookie
//	               └─▶ ControlSocket ─▶ ApplicationKey ─▶ (API tokens) ─▶ BearerSession ─▶ CookieSession
//
// It lies on the ground of the core so that every package above, gates and plugins included, speaks of the same type. The
// package refuses to know how a credential is stored or checked: the packages that own one (session, apitoken …) do.
package principal
