// Package device owns the browsers, and the networks, that an account has been used from.
//
// A browser gets one random token of 256 bits in a cookie, of which SHA-256 is stored, and a row for each account that has
// signed in with it. What a row is good for:
//
//   - A known browser has a bucket of failures of its own, so that strangers who guess can't keep an account's owner out
//     (ASVS 5.0 6.1.1).
//   - A new browser, and more so one on a new network, is worth a notice (ASVS 5.0 6.3.5).
//   - A trusted one skips the second factor for a while. It never replaces the first.
//
// A row's life:
//
//	Note, in the transaction of a sign-in ──▶ known ──Trust──▶ trusted ─┬─ RevokeTrust, RevokeAllTrust ─▶ known
//	                                            │                │      └─ past Config.TrustFor ─▶ known
//	                                            ├────────────────┘
//	                                            ├── Forget, ForgetOthers, Erase ──▶ gone
//	                                            ├── unseen for 400 days (Clean) ──▶ gone
//	                                            └── the account has 100 newer ones ──▶ gone
//
// # Copies of a token
//
// A token that Sigra did not make, or has no row for any more, is never taken over: Note gives the browser a new one. A token that
// other accounts have used in this browser is kept, so that all of them stay known there; so whoever used the browser before may have a
// copy. That is why Trust gives the browser a new token, for all its accounts: a copy made before knows a device that no
// longer exists, and what the copy's owner sees later of somebody else's trust is nothing.
//
// Whoever copies the cookie afterwards has what the browser has, which is why trust ends, is listed and can be revoked, and why
// every change of a credential must revoke it.
//
// # First and new
//
// The first device of an account is nobody's surprise. That there was one is kept apart from the devices: an account whose
// devices have all been forgotten, or unused for so long that they are gone, is still told of the next one.
//
// The package refuses to know cookies, to decide what a new device leads to, to believe what a user agent says (it is shown to
// people and nothing else), and to write audit rows: all changes are made in the caller's transaction.
package device
