// Package lockspire is Lockspire: an OAuth 2.0 and OpenID Connect authorization server as a plugin of Sigra.
//
// It owns clients, consent, codes, tokens and signing keys. Who somebody is, and whether they are signed in well enough, it asks Sigra; it
// never sees a password or a session's cookie.
//
//	/authorize ──refused before the redirect URI is known to be right──▶ page
//	    │ checked
//	    ├──nothing to ask──▶ code
//	    ▼
//	interaction ──▶ sign-in at Sigra ──▶ consent ──▶ code ──/token, once──▶ grant: access token, ID token, refresh token
//	                                                   │ twice                 │ refresh: rotated, the spent one again
//	                                                   └──────────▶ grant ended ◀──────────┘ after its successor was used, or late
//
// A grant is one authorization. Whatever was issued for it ends with it: when a code or refresh token comes a second time, when the person
// withdraws consent, the account is disabled, the client is deleted or disabled.
//
// # What it refuses
//
// It sends nobody to an address that is not registered, whatever is wrong with a request. It keeps no code, token or secret that could be
// used by who reads its database, and writes none to a log. It has no implicit or password grant, no plain PKCE and no wildcards.
package lockspire
