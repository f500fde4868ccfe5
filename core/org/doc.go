// Package org owns organizations: who belongs to which one and as what, who is invited, and which domains an
// organization has proven to be its own.
//
// # Memberships
//
//	            Add                    Suspend
//	(none) ──────────────▶ active ◀──────────────▶ suspended
//	   ▲                     │        Resume           │
//	   └──────── Remove ─────┴─────────────────────────┘
//
// A membership has a role, which is a string that means something to the application and nothing to Sigra; a kind (member,
// guest, service account); and it may be an owner's. An organization that has an owner keeps one: the last active owner
// can't be removed, demoted or suspended, and can't leave (ErrLastOwner). Only the deletion of that owner's account gets past it.
// Every change of a membership locks the organization's row first, so that two changes made at the same time, on whatever node,
// see each other, and so that the row's counts of members and active owners stay right. A transaction that needs
// both locks takes the account's first.
//
// # Invitations
//
//	           Invite                 Accept
//	(none) ──────────────▶ pending ──────────────▶ (none), and a membership
//	                        │   ▲
//	              7 days    │   │ Resend: a new link; the old one is worth nothing
//	                        ▼   │
//	                       expired ──── 30 days ──▶ (none)
//	            either ──── Revoke ───────────────▶ (none)
//
// An invitation is bound to an address: only an account with that address accepts it, whoever has the link. Its link is 256 random
// bits, of which the SHA-256 is stored. There is at most one per organization and address.
//
// # Domains
//
// An organization claims a domain, publishes a challenge in a TXT record below it, and has it checked. Many may claim
// a domain, one at most has proven it. Nothing follows from a claim.
//
// # Audit
//
// Every change takes the caller's transaction and writes its audit row there: there is no way to change a membership without one. The
// caller says who acts, and under which attempt, in an audit.Entry that is completed here.
//
// Lists are paged by keyset: each page is one range of one index, however large the organization.
//
// The package refuses to decide who may do what, to ask gates, to send mail and to know what a role means: core/membership does.
package org
