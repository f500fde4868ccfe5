// Package web is Sigra's pages: what a person sees who signs up, signs in, looks at their account, or develops against
// Sigra and reads the mails it did not send.
//
//	/                      → /account or /login
//	/login  /logout        /register  /register/check-mail  /confirm?token  /set-password?token
//	/account  /account/password
//	/dev/mail  /dev/mail/{id}       only with a development inbox
//	/assets/{version}/…             the style sheet and the mark, cacheable for ever
//
// Pages are made on the server and work without any script; there is none. The Content-Security-Policy allows no inline
// style or script, and a test holds every template to that. One style sheet of plain CSS: its custom properties are the
// tokens an adopter overrides, and a file of the same name in Config.Override replaces any template or asset.
//
// A handler decodes a form, calls one method of core/auth, and renders or redirects. A form that is refused comes back
// with what was typed, never with a password. The answer to a sign-up is the same page for everybody. GET consumes
// nothing: /confirm and /set-password show a page whose button does.
//
// Where to go after signing in (return_to) is a path of this Sigra or an address below an allowed origin; everything
// else is dropped, see ReturnTo.
//
// For plugins the package renders the shared layout around their content (Render) and names the way to sign in (SignIn).
//
// It refuses to decide anything about accounts, to hold a session, and to speak JSON.
package web
