// Package account owns who exists: one row per person, its email address, its username and its status.
//
//	         Create                      Activate
//	(none) ──────────▶ unconfirmed ─────────────────▶ active ◀──┐
//	                       │  │                        │  │     │ Enable
//	                       │  └────────Disable────────▶│  ▼     │
//	                       │                           │ disabled
//	                       └───────────┬───────────────┴──┘
//	                                   ▼ Erase
//	                                deleted   (final: the id stays, the person does not)
//
// Rules that hold for every row:
//   - An address belongs to at most one account that is not deleted; a partial unique index says so, not a check
//     before an insert.
//   - Addresses are stored in the one form ParseEmail gives, and mail goes to the stored form only, never to
//     what somebody typed. That takes the sting out of look-alike and case-mapping attacks: an address that
//     folds onto another account's reaches that account's mailbox.
//   - A username belongs to at most one account that is not deleted, by another such index over the one form in which
//     usernames are compared. It names the account to its owner and to others, and shows nothing of who somebody is: mail never
//     goes anywhere by it.
//   - Erase overwrites what says who it was and keeps the id, so that audit rows go on pointing at something.
//
// An unconfirmed account has no credential when confirmation is required: nobody has yet shown that the address
// is theirs, so nobody may sign in to it (see core/auth).
//
// The package refuses to know credentials, sessions and mail, decides no permission, and writes no audit row: each
// change takes the transaction of the flow that audits it.
package account
