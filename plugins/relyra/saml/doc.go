// Package saml is the service provider's side of SAML 2.0: it judges what an
// identity provider sends and writes what is sent to one. It holds no state,
// opens no connection and reads no clock: the caller gives the time, says which
// requests are open, and remembers what was accepted.
//
// # How a message is judged
//
//	form value ──size──► base64 ──size──► Parse ──► one tree, strictly well-formed
//	                                                  │  no DOCTYPE, comment, PI or CDATA
//	            root, identifiers, counts, places ◄───┘
//	                       │
//	              signature's shape: one SignedInfo, one Reference to its own parent,
//	                       │         enveloped-signature and exc-c14n, listed algorithms
//	              each configured key, until one verifies
//	                       │
//	              the tree of the bytes that were digested ──► decrypt, verify inside
//	                       │
//	              issuer, audience, recipient, times, request ──► Assertion
//
// There is one parser. After a signature is verified the message that came in is
// dropped: names, attributes and conditions are read only from the tree that
// goxmldsig made of the very bytes it digested, and text only by [text], which
// refuses an element that holds anything but character data. That rule, not the
// list of attacks, is what wrapping and parser differentials fail on.
//
// Everything unusual is refused, with a [Refusal] that names the gate, what was
// expected and what came. SHA-1, HMAC, RSA-PSS, PKCS #1 v1.5 key transport,
// the artifact binding and ECP are not supported.
//
// Sources: SAML core, bindings, profiles and metadata (OASIS, March 2005, with
// errata), XML Signature 1.1, XML Encryption 1.1, exclusive canonicalization 1.0.
package saml
