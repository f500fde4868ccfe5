// Package web is Sigra's pages: what a person sees who signs up, signs in, looks at their account, or develops against
// Sigra and reads the mails it did not send.
//
//	/                                  → /account or /login
//	/login  /logout  /login/join       /register  /register/check-mail  /register/resend  /confirm?token
//	/login/second-factor  /step-up     /reset  /reset/sent  /set-password?token
//	/login/link  …?token  …/sent       /login/provider/{name}  /login/callback/{name}
//	/…/passkey/options  …/finish       JSON, for assets/passkey.js
//	/language
//	/account  and below it: email  password  passkeys  authenticator  recovery-codes  devices  logins
//	/dev/mail  /dev/mail/{id}       only with a development inbox
//	/assets/{version}/…             the style sheet and the mark, cacheable for ever
//
// Pages are made on the server and work without any script; passkeys and proofs of work have one each, on the pages that
// need it (view.Scripts). The Content-Security-Policy allows no inline style or script, and a test holds every template to
// that. One style sheet of plain CSS: its custom properties are the tokens an adopter overrides, and a file of the same
// name in Config.Override replaces any template or asset.
//
// The pages are made of domains, each a handler struct of its own with the flows it calls and one Mount: home, signUp, signIn,
// passwordReset, secondFactor, stepUp, magicLink, providerSignIn for everybody; account… for people's own account; devMail. What they share is
// the kit: renderer makes pages and words, arrivals knows who is there and goes on from a sign-in, scripts answers the pages' scripts,
// directory names other providers, ReturnTo judges where to go on; ownKit is that for the account. To add a domain, write such a struct in a
// file of its name, give Services a field for what it calls, and add it to Services.domains. Mount hands each address over with
// its rules (mount.go): limit class, access, body limit, freshness; New fails without.
//
//	form → read whole → who is asking → recently enough → handler
//
// A form is read before anybody is authenticated, so that nothing waits between that and what the handler does.
//
// A handler takes a form, calls one method of a flow (core/auth, core/selfservice), and renders or redirects. A form that is refused comes back
// with what was typed, never with a password. The answer to a sign-up is the same page for everybody. GET consumes
// nothing: /confirm and /set-password show a page whose button does.
//
// Every word of a page comes out of core/lang, by a key: page.<name>.<what> in messages/<language>/page.<name>.txt, and
// fault.<code> for what a fault has to say. A page is made in request.Info.Language, which Pages.Language finds: what the
// address asks for (?lang=de), what was chosen at the foot of a page, what the browser prefers. A template has its texts by
// {{.L.Text "page.login.title"}}; a handler hands it words, made by p.in(r).Text, only in forms and titles.
//
// What changes how somebody signs in asks for a fresh proof: such a page of the account sends its visitor to /step-up and gets
// them back, before it shows a form that would be refused. Recovery codes are shown once, in the answer to a form, and the
// secret of an authenticator app is in the text of its page; neither has an address of its own.
//
// Where to go after signing in (return_to) is a path of this Sigra or an address below an allowed origin; everything
// else is dropped, see ReturnTo.
//
// For plugins the package renders the shared layout around their content (Render) and names the way to sign in (SignIn).
//
// It refuses to decide anything about accounts, to hold a session, and to speak JSON to anybody but its own scripts.
package web
