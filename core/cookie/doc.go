// Package cookie owns the three cookies a browser gets from Sigra, for the JSON API and the pages alike.
//
//	__Host-sigra_session   the opaque session token; ends with the browser unless "remember me" was chosen
//	__Host-sigra_flow      the opaque token of a sign-up that waits for its confirmation, 48 hours
//	__Host-sigra_device    the mark of a browser in which its account has signed in before; it lets nobody in, see core/auth
//
// Both are Secure, HttpOnly, SameSite=Lax, Path=/ and without a Domain, which the __Host- prefix makes browsers
// enforce: no sibling domain and no plain-HTTP page can set or shadow them. Browsers accept Secure cookies from
// http://localhost, so development needs no weaker form; any other plain-HTTP address gets none, on purpose.
//
// The package refuses to look inside a token and to decide when one is good: that is core/session and core/auth.
package cookie
