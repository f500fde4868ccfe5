// Package auth owns the flows: register, confirm, sign in, sign out, change and set a password, and what an
// administrator does to an account. It puts the packages below it (account, credential, onetime, session, mail, gate,
// ratelimit) together and has no table of its own.
//
// # Signing in
//
// Every way to get a session is one pass through this machine, and the part from the gate on is one function, complete,
// which is the only caller of session.Issue:
//
//	identify ──▶ first factor ──▶ gate "login" ──▶ [second factor] ──▶ session
//	   │              │               │                                 one transaction: the account's row is locked and
//	   │              │               │                                 still live, what the method changes (the spent link,
//	   │              │               │                                 the new password, the cleared failures), the session,
//	   │              │               │                                 auth.login.success
//	   └──────────────┴───────────────┴──▶ refused: one transaction: the counted failure, auth.login.failure
//
//	method            identify            first factor
//	SignIn            the address         the password
//	Confirm           the mailed link     the flow token of the browser that signed up, or the password chosen then
//	                  or the flow         the mailed code
//	SetPassword       the one-time link   having it
//	Register          the address         the password just chosen (with deferred confirmation only)
//
// A gate is asked outside of any transaction and before the one that makes the session, so a slow plugin holds no lock; what
// could change meanwhile is asked again under the lock. The second factor will stand between the two, for all methods at once.
//
// # Nobody learns who has an account
//
// Register and SignIn do the same work for every address: the same reads, one place in the hash queue, one hash, the same
// statements in one transaction, one mail, and answers that differ in nothing but random bytes. Limits count by address,
// known or not (ASVS 5.0 6.3.8). What differs is what the mail says, and who gets it.
//
// # Nobody is signed up by a stranger
//
// Register makes an unconfirmed account without any credential. The hash of the chosen password waits, sealed, in the flow
// (core/onetime), and becomes the account's credential when that flow is confirmed: by whoever has the mailbox (code or link)
// and also began the flow (flow token) or chose its password. Who signs up somebody else's address gets a
// flow that only the mailbox's owner could finish; the owner who opens the link of a stranger's sign-up is asked for a
// password they do not know; and when they sign up themselves, theirs is another flow with another password. The first flow to be
// confirmed ends the others, sessions included.
//
// # Audit
//
// A change and its audit row are one transaction; audit_test.go lists method by method which rows there are. Refusals
// by a full failure bucket write none, so that nobody fills the log at will: the attempt that filled the bucket has written
// security.lockout.
//
// The package refuses to know HTTP, cookies and plugins, and to decide who is an administrator: its callers do.
package auth
