// Package mint owns what became of sign-ins that plugins vouched for, for the plugin that asks.
//
//	Begin ──▶ pending ──Wait──▶ pending, for longer: a second factor is asked, or the account's own credential
//	             │ │
//	             │ └── its time is over ──▶ expired
//	             └── Settle ──▶ signed_in, linked, stepped_up, tested or refused: the first one stays
//
// A row is kept for a day. It is written in the transaction of what it tells of; the audit log tells the same for good.
//
// The package refuses to tell a plugin of another's sign-ins, and to know what a sign-in is.
package mint
