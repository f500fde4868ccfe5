package saml

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Gate names the check that refused a message. Gates are part of the API: traces and documentation name them.
type Gate string

// The gates, in about the order in which a message meets them.
const (
	GateBinding            Gate = "binding"
	GateDuplicateParameter Gate = "duplicate_parameter"
	GateTooLarge           Gate = "too_large"
	GateEncoding           Gate = "encoding_refused"
	GateDoctype            Gate = "doctype_refused"
	GateComment            Gate = "comment_refused"
	GateNotWellFormed      Gate = "not_well_formed"
	GateNamespace          Gate = "namespace_refused"
	GateTooDeep            Gate = "too_deep"
	GateTooMany            Gate = "too_many"
	GateRootElement        Gate = "root_element"
	GateDuplicateID        Gate = "duplicate_id"
	GateAssertionCount     Gate = "assertion_count"
	GateAmbiguousAssertion Gate = "ambiguous_assertion"
	GateUnexpectedElement  Gate = "unexpected_element"
	GateSchema             Gate = "schema"
	GateTextSplit          Gate = "text_split"
	GateVersion            Gate = "version"
	GateStatus             Gate = "status"

	GateNoCertificate       Gate = "no_certificate"
	GateCertificateExpired  Gate = "certificate_expired"
	GateSignatureMissing    Gate = "signature_missing"
	GateSignatureCount      Gate = "signature_count"
	GateSignaturePosition   Gate = "signature_position"
	GateSignatureMalformed  Gate = "signature_malformed"
	GateAlgorithm           Gate = "algorithm_refused"
	GateTransform           Gate = "transform_refused"
	GateReferenceCount      Gate = "reference_count"
	GateReferenceURI        Gate = "reference_uri"
	GateDigestOfEmptyInput  Gate = "digest_of_empty_input"
	GateDigestMismatch      Gate = "digest_mismatch"
	GateSignatureInvalid    Gate = "signature_invalid"
	GateEncryptionMalformed Gate = "encryption_malformed"
	GateDecryptionFailed    Gate = "decryption_failed"
	GateUnsupported         Gate = "unsupported"

	GateIssuer              Gate = "issuer"
	GateDestination         Gate = "destination"
	GateIssueInstant        Gate = "issue_instant"
	GateTimeFormat          Gate = "time_format"
	GateSubject             Gate = "subject"
	GateSubjectConfirmation Gate = "subject_confirmation"
	GateRecipient           Gate = "recipient"
	GateInResponseTo        Gate = "in_response_to"
	GateBrowserBinding      Gate = "browser_binding"
	GateConditions          Gate = "conditions"
	GateNotBefore           Gate = "not_before"
	GateNotOnOrAfter        Gate = "not_on_or_after"
	GateAudience            Gate = "audience"
	GateAuthnStatement      Gate = "authn_statement"
	GateSessionNotOnOrAfter Gate = "session_not_on_or_after"
	GateReplay              Gate = "replay"
	GateRelayState          Gate = "relay_state"
	GateSessionUnknown      Gate = "session_unknown"

	GateMetadataSignature Gate = "metadata_signature"
	GateMetadataExpired   Gate = "metadata_expired"
	GateMetadataRole      Gate = "metadata_role"
	GateEndpoint          Gate = "endpoint"
	GateAmbiguous         Gate = "ambiguous"
	GateDrift             Gate = "drift"
)

// A Refusal is why a message was not accepted. What it says is for the administrator of the connection; the person who signs in is
// shown the gate's name as a code and nothing else.
type Refusal struct {
	Gate     Gate
	Detail   string // one plain sentence
	Expected string // empty where there is nothing to compare
	Received string // from the message: untrusted, shortened
}

func (r *Refusal) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", r.Gate, r.Detail)
	if r.Expected != "" {
		fmt.Fprintf(&b, " (expected %q, received %q)", r.Expected, r.Received)
	} else if r.Received != "" {
		fmt.Fprintf(&b, " (received %q)", r.Received)
	}
	return b.String()
}

// AsRefusal returns the refusal in err's chain.
func AsRefusal(err error) (*Refusal, bool) {
	var r *Refusal
	ok := errors.As(err, &r)
	return r, ok
}

func refuse(gate Gate, format string, args ...any) *Refusal {
	return &Refusal{Gate: gate, Detail: fmt.Sprintf(format, args...)}
}

func (r *Refusal) got(received string) *Refusal {
	r.Received = shorten(received)
	return r
}

func (r *Refusal) want(expected, received string) *Refusal {
	r.Expected = shorten(expected)
	return r.got(received)
}

// shorten keeps an untrusted value fit for a log line and a page.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
