package inspect_test

import (
	"github.com/sigra-auth/sigra/plugins/relyra/inspect"
	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

type choice struct {
	verdict string
	gate    saml.Gate
}

// choices are our answers where a vector leaves one open.
var choices = map[string]choice{
	"alg-ecdsa-asn1":                      {"reject", saml.GateSignatureInvalid}, // XML Signature says r||s; nobody is known to send ASN.1
	"b64-no-padding":                      {"reject", saml.GateEncoding},         // one text has one encoding
	"cond-in-response-to-only-outside":    {"accept", ""},                        // the Response is signed, so its InResponseTo is as good
	"cond-issued-long-ago":                {"reject", saml.GateIssueInstant},     // bounds how long an assertion has to be remembered
	"diff-keyinfo-retrieval":              {"accept", ""},                        // KeyInfo is ignored whole, and nothing is fetched
	"enc-encrypted-id":                    {"reject", saml.GateUnsupported},
	"id-not-ncname":                       {"reject", saml.GateSchema},
	"md-aggregate":                        {"reject", saml.GateAmbiguous},
	"ns-foreign-nameid-signed":            {"reject", saml.GateUnexpectedElement},
	"ok-nameid-white-space":               {"accept", ""}, // trimmed, as products indent
	"ok-pss-sha256-response":              {"reject", saml.GateAlgorithm},
	"ok-rollover-foreign-keyinfo-ignored": {"accept", ""}, // KeyInfo decides nothing
	"slo-unknown-session":                 {"reject", saml.GateSessionUnknown},
}

// guesses are the messages that are taken for another kind than the one they were sent as, since they look like it. All are refused either way.
var guesses = map[string]inspect.Kind{
	"hid-logout-response": inspect.LogoutPost,
	"md-doctype":          inspect.Response,
	"redir-deflate-bomb":  inspect.LogoutRedirect,
	"redir-zlib-header":   inspect.LogoutRedirect,
}

// earlier are the vectors that another check refuses before the one that the vector is about, and what that check says. Each is true.
var earlier = map[string]saml.Gate{
	// A second assertion is noticed before where signatures stand, and the two that a Signature or an Object hides are counted too.
	"diff-two-references": saml.GateAssertionCount,
	"sig-object":          saml.GateAssertionCount,
	"xsw1-assertion":      saml.GateAssertionCount,
	"xsw1-response":       saml.GateAssertionCount,
	"xsw2-assertion":      saml.GateAssertionCount,
	"xsw2-both":           saml.GateAssertionCount,
	"xsw2-response":       saml.GateAssertionCount,
	"xsw3-assertion":      saml.GateAssertionCount,
	"xsw3-response":       saml.GateAssertionCount,
	"xsw4-assertion":      saml.GateAssertionCount,
	"xsw4-both":           saml.GateAssertionCount,
	"xsw4-response":       saml.GateAssertionCount,
	"xsw5-assertion":      saml.GateAssertionCount,
	"xsw6-assertion":      saml.GateAssertionCount,
	"xsw6-both":           saml.GateAssertionCount,
	"xsw6-response":       saml.GateAssertionCount,
	"xsw8-both":           saml.GateAssertionCount,
	"xsw8-response":       saml.GateAssertionCount,
	// Nothing is decoded that comes by redirect to a place for posts: TestVectors_redirect decodes them.
	"redir-deflate-bomb": saml.GateBinding,
	"redir-zlib-header":  saml.GateBinding,
	// Comments, processing instructions and CDATA are refused in the bytes, before anybody could see text split by them.
	"slo-nameid-comment":      saml.GateComment,
	"text-attribute-comment":  saml.GateComment,
	"text-issuer-comment":     saml.GateComment,
	"text-nameid-cdata":       saml.GateComment,
	"text-nameid-cdata-whole": saml.GateComment,
	"text-nameid-comment":     saml.GateComment,
	"text-nameid-pi":          saml.GateComment,
	"text-nameid-pi-inside":   saml.GateComment,
	// The original and its copy have one identifier.
	"xsw7-assertion": saml.GateDuplicateID,
	"xsw7-response":  saml.GateDuplicateID,
	// The relative namespace that the trick needs is refused in the bytes.
	"ref-digest-of-nothing": saml.GateNamespace,
	// encoding/xml reports the character reference; the prefix of the forged statement is not declared where it stands.
	"diff-statement-outside": saml.GateNotWellFormed,
	"text-nul":               saml.GateNotWellFormed,
	// The Signature stands where the Response has its own, and refers to something else.
	"sig-lifted-to-response": saml.GateReferenceURI,
	// Two SignedInfo in one Signature.
	"xsw9-assertion": saml.GateSignatureMalformed,
	"xsw9-response":  saml.GateSignatureMalformed,
	// A limit on what is tried; the vector says `limit` for it.
	"enc-many-keys": saml.GateTooMany,
	// Two thousand transforms are not the two that there have to be.
	"size-transforms": saml.GateTransform,
}
