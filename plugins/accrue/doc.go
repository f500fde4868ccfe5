// Package accrue is the satellite that knows how many seats an organization has paid for, and what its plan includes. Sigra
// holds the identity, Accrue holds the seat.
//
// It is told of subscriptions by billing.* events, which the application posts to Sigra's /v1/events. Sigra itself knows
// of no billing provider, and neither does a decision: it is made from what is stored here, whether anybody else answers or not.
//
// # Webhooks
//
// A provider's webhooks say the same, where their block is set. They are verified on the bytes that came (package provider), stored once
// by the provider's id of the event, with the work that they are in the same row, and answered; then applied.
//
//	POST ──verified──▶ pending ──▶ done: applied, none, deferred, ignored, stored_unknown
//	                    │  ▲
//	         25 attempts│  │replayed, from what was stored
//	                    ▼  │
//	                    dead
//
// A customer of a provider's is linked to an account by the first event that names it, and to no other by a later one. What is said of a
// customer before that counts from then on. Whoever takes a history offline (replay) runs the same code on a ledger of its own.
//
// # Subscriptions
//
// Every event is stored once, by its id, and nothing else is: a subscription is what its events add up to, taken in their own
// order (the object's version, then the time they occurred; of a provider's changes within one second each says what was before it). Whatever the order of arrival, and however often each arrives,
// the result is the same. A subscription that has ended stays ended; a new one has a new id.
//
//	status      entitles
//	trialing    yes
//	active      yes; until its end when it was canceled at the period's end
//	past_due    only within the grace period, if one is set
//	paused      no; a pause that is scheduled counts from its time
//	unpaid      no, never within a grace period
//	canceled, incomplete, incomplete_expired, or ended: no
//
// # Seats
//
//	          member.add: is one free?                 committed, or membership.create
//	(none) ─────────────────────────────▶ reserved ─────────────────────────────────────▶ assigned
//	   ▲                                      │                                              │
//	   ├──────── abandoned, or 10 minutes ────┘                                              │
//	   └──────────────────────────── membership.delete ──────────────────────────────────────┘
//
// The answer to member.add holds the seat in the same transaction that counted them, so that of two people who join at the
// same time for the last seat one gets it. An open invitation holds one, too, which its acceptance takes over. Leaving is
// never asked about. An owner that Sigra protects is never refused, and counts.
//
// An organization that no subscription was ever reported for is not limited, unless unsubscribed_seats says otherwise.
//
// The package refuses to charge anybody, to remove members by itself, and to tell the application what a feature means.
package accrue
