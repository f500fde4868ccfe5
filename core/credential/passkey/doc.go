// Package passkey owns passkeys (WebAuthn Level 3 public key credentials) and the ceremonies that make and use them.
//
// A ceremony is one question to one browser. Its token is the browser's; what the browser answers comes back with it.
//
//	BeginRegistration ──▶ open ──▶ VerifyRegistration ──▶ Add ──▶ spent: the account has one passkey more
//	BeginLogin        ──▶ open ──▶ VerifyLogin        ──▶ Use ──▶ spent: counter, backup state and last use written
//	                       │            │                  │
//	                       │            └── refused: it stays open, since nobody can guess a signature
//	                       │                               └── lost the race, passkey deleted meanwhile: refused
//	                       └── past its end ──▶ gone (Clean)
//
// Verify does the mathematics, outside of any transaction. Add and Use spend the ceremony by compare-and-swap in the
// caller's transaction: of any number of redemptions at the same moment, on any number of nodes, one succeeds. A ceremony
// is bound to its purpose and, unless it is a sign-in without a name, to its account; for anything else it
// is unknown.
//
// The token has 256 random bits and is stored as SHA-256. The challenge is HMAC-SHA-256 keyed with the token, so the
// database holds no challenge that could be put to somebody.
//
// # What a passkey proves
//
// Having it is one factor. A finger, a face or a PIN shown to it (user verification) is a second one, but only once
// that can be relied upon: when the passkey was made with it, or when it was first seen while another factor had been
// proved (WebAuthn L3 §4, uvInitialized). Assertion.TwoFactors is the conjunction; a passkey made without asking anybody
// (conditional create) starts without.
//
// # What is checked
//
// Everything WebAuthn L3 §7.1 and §7.2 ask, by go-webauthn; and before that, here, what has an audit reason of its own: type,
// challenge, origin (exactly, not by equivalence), no foreign frame, RP id, user presence and verification, backup
// flags, algorithm and key size, owner and user handle. Every refusal of an answer is ErrRefused, the same for all; ReasonOf
// gives the check that failed, for the audit row and nobody else.
//
// A sign counter that does not rise is reported by Use, which keeps the higher one: the copy that lags is told again. The
// settings say whether it is refused as well.
//
// # What outsiders learn
//
// The options of a sign-in without a name are the same for everybody, because nobody was named. An account's own credential
// ids are given only to who proved the first factor. The user handle is random (WebAuthn L3 §14.6.1).
//
// The package writes no audit rows, sends no notices, knows no HTTP, and refuses to say whether an account may sign in or
// whether its last passkey may go: its callers do.
package passkey
