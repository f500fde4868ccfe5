// Package federation owns signing in elsewhere: Sigra as the client of an identity provider, from the redirect to judged
// claims, and the table of which login elsewhere belongs to which account.
//
//	Begin ──▶ state kept ──▶ browser at the provider ──▶ Finish: state spent ──▶ callback judged ──▶ code exchanged
//	            │  (10 min, sealed,                          │                                          │
//	            │   bound to the browser)                    │ no such state, spent, expired,           ▼
//	            └── never comes back ──▶ Clean               │ another browser, another provider     ID token judged
//	                                                         ▼                                          │
//	                                                       state_invalid                                ▼
//	                                                                                      API asked who the token is of
//	                                                                                                    │
//	                                                                                                    ▼
//	                                                                                                  Claims
//
// # What is checked, always
//
//   - state: 256 random bits, stored as SHA-256, single use by compare-and-swap, good for one provider and for the browser that
//     holds the cookie secret. It is spent before anything else is looked at.
//   - PKCE with S256, and for OpenID Connect a nonce; both wait sealed in the state's row.
//   - the callback's iss (RFC 9207): there when the provider has said it would be, right whenever it is there. Beside it every provider
//     has a redirect address of its own, so that an answer of one is never taken for another's.
//   - the ID token: signature by a key that the provider publishes, an asymmetric algorithm that it lists, issuer, audience, azp,
//     expiry and issue time within two minutes, nonce, at_hash when there, a subject; and auth_time when a fresh sign-in was asked for.
//   - the API's answer is of the token's subject.
//   - the provider's addresses: https (http only on this machine, and only if the issuer is there too), answers of at most 1 MiB within ten
//     seconds, no redirects to another host, none at all where a secret goes along.
//
// Discovery happens when it is first needed, and again every hour; what a provider has last said counts for a day while it does not answer.
// Keys are read again when a token names one that is not known, a few times a minute at most.
//
// # Who is who
//
// A person at a provider is (provider, issuer, subject): the name of the block, and what OpenID Connect Core 1.0 §5.7 calls the only
// stable identifier. The issuer is kept so that a block which is pointed at another place does not give the accounts of one place to
// the people of another. For Microsoft's shared tenants it is the issuer of the person's own tenant. An email address never identifies anybody.
//
// Claims.EmailVerified means: the provider says that the address is verified, and configuration (or the preset) says that its word counts.
//
// # No tokens are kept
//
// Access tokens, ID tokens and refresh tokens are used within Finish and then forgotten. Sigra never acts at a provider for
// anybody, and a stolen database opens nothing there.
//
// # What follows from claims
//
// core/auth carries it out; Decide, a pure function, says what it is:
//
//	                         ┌─ the login is an account's ──▶ sign in (gate, second factor, session)
//	                         │
//	claims ── purpose        ├─ its verified address is an account's ──▶ that account's own credential first, then link and sign in
//	   │      sign_in ───────┤
//	   │                     ├─ … an unconfirmed account's ──▶ reclaim: its credentials, sessions and logins go, then confirm and link
//	   │                     │
//	   │                     ├─ nobody's, verified address ──▶ create, confirmed and linked
//	   │                     │
//	   │                     └─ nobody's, no verified address ──▶ a mail must confirm one first
//	   │
//	   └───── purpose link ──── the session that began it is still there, the login is nobody's ──▶ link
//
// So nobody gets into an account by its address alone, nothing is linked silently, an address that is not verified matches
// nothing, and what somebody prepared with a stranger's address does not outlive the stranger's coming (pre-hijacking).
//
// # What goes wrong
//
// Faults have the codes provider_unknown, provider_denied, provider_unavailable, provider_answer_invalid and state_invalid. Behind
// each is a Failure with stage and reason for the audit row; Explain finds it. What a provider wrote stands in logs only.
//
// The package refuses to know HTTP requests and cookies, to make accounts and sessions, to decide whether a login may be unlinked (the
// last way in is core/selfservice's to guard), to write audit rows, and to call anybody while a transaction is open. Addresses of providers come
// from the operator; who lets others enter them gives DirectoryConfig.Transport a dialer that refuses private addresses.
package federation
