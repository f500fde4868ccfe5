// Package cookie owns the cookies a browser gets from Sigra, for the JSON API and the pages alike.
//
//	__Host-sigra_session    the opaque session token; ends with the browser unless "remember me" was chosen
//	__Host-sigra_device     the mark of a browser in which its account has signed in before; it lets nobody in, see core/auth
//	__Host-sigra_language   the language chosen for pages
//	__Host-sigra_flow       a sign-up that waits for its confirmation ┐
//	__Host-sigra_pending    a sign-in that waits for a second factor  │
//	__Host-sigra_reset      a new password that waits for its code    │
//	__Host-sigra_link       a sign-in that waits for its mail         │ opaque tokens of flows that this browser has begun, each
//	__Host-sigra_email      a new address that waits for its code     │ good for that flow alone; see Flow
//	__Host-sigra_step_up    a proof that waits for its mailed code    │
//	__Host-sigra_join       a login elsewhere that waits to be linked │
//	__Host-sigra_provider   a sign-in that is away at a provider      ┘
//	__Host-sigra_return     where to go after a sign-in by mail
//	__Host-sigra_application  the application that somebody came from, to go back to
//
// All are Secure, HttpOnly, SameSite=Lax, Path=/ and without a Domain, which the __Host- prefix makes browsers
// enforce: no sibling domain and no plain-HTTP page can set or shadow them. Browsers accept Secure cookies from
// http://localhost, so development needs no weaker form; any other plain-HTTP address gets none, on purpose.
//
// Where session.cookie_domain is set, the session token is in __Secure-sigra_session instead, which has that Domain; see SessionCookie.
//
// The package refuses to look inside a token and to decide when one is good: that is core/session and core/auth.
package cookie
