// Package selfservice owns what people do to their own account while they are signed in: their password, factors, passkeys,
// address, username, linked logins, browsers and metadata, and the overview of it all.
//
// Every change of how somebody signs in is one flow.Kit.ChangeOwn: the session that asked still stands, its proof is fresh
// enough, and both are looked at with the account's row locked.
//
// # Another address
//
//	RequestEmailChange ──▶ new mailbox: link and code ──ConfirmEmailChange──▶ moved; other sessions end
//	        │                                                                  │
//	        └──▶ old mailbox: notice, link to undo ◀───────────────────────────┘
//	                     │
//	                     └──UndoEmailChange──▶ the old address again, without what was added since; every session ends
//
// What an address that is taken gets is another mail, and nothing else differs (see core/auth on who has an account).
//
// The package refuses to begin sessions (core/auth) and to act in somebody else's name (core/administration).
package selfservice
