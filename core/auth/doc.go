// Package auth owns the sign-in machine: register, confirm, sign in by every method, second factor, step up, reset and sign out. It
// stands on the kit that every flow uses (core/flow) and on the factors that people show (core/factor), and has no table of its
// own. What people do to their own account is core/selfservice, what an administrator does is core/administration.
//
// # Signing in
//
// Every way to get a session is one pass through this machine (machine.go, top to bottom). Its two functions are complete and
// FinishSignIn, and what makes the session for both, begin, is the only caller of session.Issue: no method can leave out the
// gate, the lock, the second factor or the audit row. Each method is a type of its own around the machine; Service is all of them.
//
//	             ┌─────────────── complete ────────────────┐
//	identify ──▶ first factor ──▶ gate "login" ──▶ one transaction: the account's row is locked and still live;
//	   │              │               │            what the method changes (the spent link, the new password …);
//	   │              │               │            is a second factor asked?
//	   │              │               │               │no                        │yes
//	   │              │               │               ▼                          ▼
//	   │              │               │            session,                   pending sign-in: a flow token for this
//	   │              │               │            auth.login.success         browser, 5 minutes, no session
//	   │              │               │               ▲                          │
//	   │              │               │               │   ┌──── FinishSignIn ────┴──────────────┐
//	   │              │               │               └── one transaction: pending sign-in and factor are spent,
//	   │              │               │                   session at AAL2, mfa.challenge.success, auth.login.success
//	   │              │               │                      │wrong: counted, mfa.challenge.failure; the sign-in still waits
//	   └──────────────┴───────────────┴──▶ refused: one transaction: the counted failure, auth.login.failure
//
//	method            identify            first factor
//	SignIn            the address or      the password
//	                  the username
//	SignInPasskey     the passkey         the passkey, which verified its user: both factors in one
//	SignInMagicLink   the mailed link     having it, or its code and the flow of the browser that asked, or that flow
//	                  or the flow         once the link was approved elsewhere
//	SignInFederated   the provider's      the provider's word
//	                  subject
//	Confirm           the mailed link     the flow token of the browser that signed up, or the password chosen then
//	                  or the flow         the mailed code
//	SetPassword       the one-time link   having it, or its code and the flow
//	Register          the address         the password just chosen (with deferred confirmation only)
//
// A second factor is asked when the account has one (an authenticator app, or a passkey that its owner wants asked for),
// when a gate demands it of this sign-in, when policy demands it of everybody, and, as a setting, when the sign-in is
// suspicious. An account that must show one and has none adds it in the middle of the sign-in; a gate that demands one of it refuses instead. A
// trusted browser is spared it for 30 days, but not by a gate or a suspicion; its session stays at AAL1. A suspicion asks only who
// has something to show: a stranger must not be the one who adds it. A passkey is no second factor beside a passkey.
//
// A gate is asked outside of any transaction and before the one that makes the session, so a slow plugin holds no lock; what
// could change meanwhile is asked again under the lock. A credential that changes ends every pending sign-in.
//
// # Showing it again
//
// StepUp renews a session that exists: the same factors, a new token, a new auth_time and, after a second factor, AAL2. What
// changes how somebody signs in asks for a proof of the last five minutes (flow.Kit.ChangeOwn).
//
// # Nobody learns who has an account
//
// Register, SignIn, RequestReset, RequestMagicLink and ResendConfirmation do the same work for every address: the same
// reads, one place in the hash queue where there is a hash, the same statements in one transaction, and answers that
// differ in nothing but random bytes. Limits count by address, known or not (ASVS 5.0 6.3.8). What differs is what the
// mail says, and who gets it. A row that is there takes some microseconds longer to read than one that is not, so these answers are
// padded (core/flow, padding.go): they leave at multiples of 50 ms after the question, or more where a hash costs more. That blurs what is left of a
// difference to how often the work of one address ends before such a moment and that of another after it. A sign-in that succeeds
// tells nothing and waits for none. A change of address (core/selfservice) answers alike and padded, too, and mails another letter to an address
// that is taken. A sign-in by passkey names nobody before it is done.
//
// Where accounts have usernames, what was typed says which of the two it is, known or not, and each is counted by itself. One
// count for both would tell which address belongs to which name: fail by the one, and see whether the other is slowed. So
// each gets half of what an account may fail (flow.Usernames.Names), and who changes between them gets no more guesses (ASVS 5.0 6.3.1).
// That a username is taken can't be kept from who chooses it; Register says so after its work and before it looks at the address.
// A sign-up holds no name until it is confirmed, or a name's being free would tell that the address was known.
//
// # Nobody is signed up by a stranger
//
// Register makes an unconfirmed account without any credential. The hash of the chosen password waits, sealed, in the flow
// (core/onetime), and becomes the account's credential when that flow is confirmed: by whoever has the mailbox (code or link)
// and also began the flow (flow token) or chose its password. Who signs up somebody else's address gets a
// flow that only the mailbox's owner could finish; the owner who opens the link of a stranger's sign-up is asked for a
// password they do not know; and when they sign up themselves, theirs is another flow with another password. The first flow to be
// confirmed ends the others, sessions included. Whoever shows the mailbox or a provider's verified address otherwise gets
// the account without anything a stranger may have put there (flow.Kit.Reclaim).
//
// # Nobody is linked silently
//
// A login elsewhere whose verified address belongs to an account waits until that account's own credential is shown in a sign-in
// (linkaccount.go). An unverified address means nothing.
//
// # Audit
//
// A change and its audit row are one transaction; acts_test.go lists method by method which rows there are. Refusals
// by a full failure bucket write none, so that nobody fills the log at will: the attempt that filled the bucket has written
// security.lockout.
//
// The package refuses to know HTTP, cookies and plugins, and to decide who is an administrator: its callers do.
package auth
