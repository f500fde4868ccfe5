// Package relyra is the satellite that signs people in at their own company's identity provider, by SAML 2.0.
//
// It owns connections: what an organization and its identity provider have agreed on, the keys for it, and the memory that single use needs.
// It owns no session, account or membership. Whom an identity provider signed for goes to Sigra, which puts them through the same
// second factor, gates and policy as anybody else.
//
//	         enable                 disable
//	draft ────────────▶ enabled ◀────────────▶ disabled
//	  │   has a certificate        enable           │
//	  └───────────────────── delete ◀───────────────┘
//
// # A sign-in
//
//	address typed ──Offer──▶ /relyra/saml/ID/login ──request, cookie──▶ identity provider
//	                                                                          │ POST, cross-site
//	                               /relyra/saml/ID/acs ◀──────────────────────┘
//	                                       │
//	      decode ─▶ validate ─▶ signature ─▶ replay ─▶ map ─▶ session ──▶ where the person was going
//
// The package saml judges the response; see there for how. Request and assertion are used up in one transaction before Sigra is asked for
// a session: a process that dies in between leaves nothing that could be used again.
//
// Who may sign in: an organization's identity provider speaks only for addresses in domains that the organization has proven to be its own
// (Sigra's word for it, asked anew at each sign-in), whatever it signs for. What identifies a person is the connection, the identity
// provider and the NameID with its qualifiers; an address never does.
//
// The package refuses to keep what an identity provider said beyond its trace, to show a person why they were refused, and to follow any
// address that a message brings.
package relyra
