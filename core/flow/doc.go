// Package flow is the kit that every flow uses: those of core/auth, core/selfservice and core/administration.
//
// It holds what all of them must do alike, so that none can do it half:
//
//	ChangeOwn, Lock           the one transaction of a change, with the account's row locked and what it rests on asked again
//	Record                    the audit row, in that transaction
//	Enqueue, Notice           the mail, in that transaction
//	Ask, Allowed              a question to the gates, outside of any transaction, under one id for the attempt
//	RequireRecentAuth         how fresh a proof must be
//	Usernames, Key            how an identifier is read, and what is counted by it
//	Pad                       when an answer about an address may leave
//	ReplacePassword, Reclaim, Erase, Link
//	                          changes that more than one flow makes, whole
//
// A request goes one way: work that is slow (a hash, a gate, a look at a breach list) comes first and outside; then one
// transaction asks again whatever the work rested on, changes, records and queues the mail. A flow that only looks before and
// not in the transaction is wrong.
//
// The package has no table of its own. It refuses to know how somebody signs in (core/auth), what a second factor is
// (core/factor), HTTP, cookies and plugins.
package flow
