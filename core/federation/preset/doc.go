// Package preset owns what Sigra knows about identity providers before an operator says anything: for each, what it
// is called, how it is spoken to, which of its words mean what, and how far its word about an email address goes.
//
// All of it is data, in presets.json. An entry says
//
//	name, title        how configuration and people call it
//	kind               "oidc": found by discovery from issuer. "oauth2": by the endpoints that stand here
//	issuer             of an "oidc" entry; left out where each customer has one of their own (then configuration must say it)
//	own_issuer         true: configuration may name another issuer, because people run this software themselves
//	realm              of an "oauth2" entry: what its subjects are unique within
//	claims             where the subject, the address, the name … stand in an answer. A name is looked for as it is, then as a
//	                   path with dots ("data.id"); of several the first that is there counts, except: all parts of a subject are
//	                   joined, and all marks of a verified address must be true
//	trust_email        whether its word that an address is verified is believed, unless configuration says otherwise. It is true only
//	                   where the provider itself has the person prove the address, and false where somebody else can set it: an
//	                   administrator of a tenant or a workspace is a stranger here
//	force_login        what to add to a request so that the person is asked to sign in anew
//	quirks             where it leaves the standard, by name (see Quirk)
//	console            where an operator registers a client
//
// The package lies on the ground floor, so that configuration can check names against it and the client in core/federation can use
// them. It refuses to speak to anybody.
package preset
