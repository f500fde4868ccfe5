// Package membership owns how people come into organizations, change there and leave: create, invite, accept, add, suspend, remove,
// switch. It puts core/org, core/session and the gates together and has no table of its own.
//
// # Coming in
//
// Every way into an organization is one pass through admission (admit.go), so that none can leave out the gate, the locks, the
// audit row or the settling of what a gate reserved:
//
//	Create ─────────┐
//	Add ────────────┤ direct
//	Accept ─────────┤ invitation       gate "member.add"    one transaction: the account is locked and may sign in; who
//	Enter (sign-in) ┤ just_in_time ──▶ with an attempt ──▶  acts may still do so; the invitation is spent …;       ──▶ the gates
//	Provision ──────┘ provisioning     id                   membership.create with the attempt's id                  are told
//	                                     │denied, failed
//	                                     └──▶ membership.refused
//
// An invitation asks the same gates when it is made, with an address instead of a user: it may hold a seat, and accepting it names
// the invitation, so that the gate can turn that hold into the member's. Leaving and being removed ask "member.remove", whose
// denial counts and whose failure does not: nobody is kept in an organization because a plugin is down.
//
// # Who may do what
//
//	                               member   manager   owner   administrator of Sigra, operator
//	see the organization, leave      yes       yes      yes     yes
//	members, invitations, domains              yes      yes     yes
//	name, slug, metadata                       yes      yes     yes
//	policy, owners, delete                              yes     yes
//
// A manager is a member with one of the roles that the settings name; no other role means anything here. Whoever isn't a member is told that
// there is no such organization. Acting on an organization takes a session that its policy allows, and what only owners do
// takes a proof of the last minutes as well. Rights are looked at under the organization's lock, in the transaction of the change.
//
// # The active organization
//
// A session has at most one. It begins in the one that the sign-in names, or else in the one where the person was last, and Switch
// changes it without a new sign-in. An organization's policy (a second factor, certain methods) is held against the session
// at sign-in, at Switch and at every request (core/session), so that a policy that changes, or a membership that ends, takes effect at
// the next request. A sign-in that names an organization ends in it or fails; one that names none falls back to no organization. An
// owner may always come in with two factors, by whatever method: somebody must be able to set right a connection that broke.
//
// The package refuses to know HTTP, and what a role means to the application.
package membership
