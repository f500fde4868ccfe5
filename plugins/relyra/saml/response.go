package saml

import (
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
)

// VerifyResponse judges the SAMLResponse of a POST to the assertion consumer service: the value of the form's field as it came. The
// caller says what it knows of the request that is answered, and must see to it that the assertion is taken once: its Key until its
// Expires (profiles §4.1.4.5), in the transaction that uses up the request.
func (c *Connection) VerifyResponse(now time.Time, form string, request func(id string) RequestState) (*Assertion, error) {
	raw, err := decodeForm(form, messageLimits)
	if err != nil {
		return nil, err
	}
	root, err := parse(raw, messageLimits)
	if err != nil {
		return nil, err
	}
	if err := checkResponse(root); err != nil {
		return nil, err
	}
	return c.judge(now, root, request)
}

// checkResponse looks at the shape of a Response, before and after its signature is verified.
func checkResponse(root *etree.Element) error {
	if !is(root, nsProtocol, "Response") {
		return refuse(GateRootElement, "the message is not a Response").want("Response", root.Tag)
	}
	if err := checkIdentifiers(root); err != nil {
		return err
	}
	if err := checkStatus(root); err != nil {
		return err
	}
	assertion, err := onlyAssertion(root)
	if err != nil {
		return err
	}
	if err := checkPlaces(root, root, assertion); err != nil {
		return err
	}
	return checkResponseSchema(root)
}

func checkResponseSchema(root *etree.Element) error {
	err := checkSequence(root, one(nsAssertion, "Issuer"), one(nsSignature, "Signature"), one(nsProtocol, "Extensions"), one(nsProtocol, "Status"),
		one(nsAssertion, "Assertion", "EncryptedAssertion"))
	if err != nil {
		return err
	}
	if err := checkVersion(root); err != nil {
		return err
	}
	_, err = identifier(root)
	return err
}

// onlyAssertion returns the one assertion of a Response, clear or encrypted. Assertions are counted in the whole tree: wherever a
// second one hides, some reader would take it.
func onlyAssertion(root *etree.Element) (*etree.Element, error) {
	var clear, encrypted []*etree.Element
	err := walk(root, func(el *etree.Element) error {
		switch {
		case is(el, nsAssertion, "Assertion"):
			clear = append(clear, el)
		case is(el, nsAssertion, "EncryptedAssertion"):
			encrypted = append(encrypted, el)
		case strings.EqualFold(el.Tag, "Assertion"), strings.EqualFold(el.Tag, "EncryptedAssertion"):
			return refuse(GateUnexpectedElement, "there is an <%s> in another namespace than that of SAML 2.0", el.Tag).got(el.NamespaceURI())
		}
		return nil
	})
	switch all := slices.Concat(clear, encrypted); {
	case err != nil:
		return nil, err
	case len(clear) > 0 && len(encrypted) > 0:
		return nil, refuse(GateAmbiguousAssertion, "the Response has both a clear and an encrypted assertion")
	case len(all) != 1:
		return nil, refuse(GateAssertionCount, "a Response must have exactly one assertion; it has %d", len(all))
	case all[0].Parent() != root:
		return nil, refuse(GateAssertionCount, "the assertion stands in <%s> and not in the Response", all[0].Parent().Tag)
	default:
		return all[0], nil
	}
}

func checkStatus(root *etree.Element) error {
	status := child(root, nsProtocol, "Status")
	if status == nil {
		return refuse(GateStatus, "the Response does not have one Status")
	}
	code := child(status, nsProtocol, "StatusCode")
	if code == nil {
		return refuse(GateStatus, "the Status does not have one StatusCode")
	}
	if err := checkSequence(status, one(nsProtocol, "StatusCode"), one(nsProtocol, "StatusMessage"), one(nsProtocol, "StatusDetail")); err != nil {
		return err
	}
	value := attrValue(code, "Value")
	if value == statusSuccess {
		return nil
	}
	for inner := child(code, nsProtocol, "StatusCode"); inner != nil; inner = child(inner, nsProtocol, "StatusCode") {
		value += " " + attrValue(inner, "Value")
	}
	if message := child(status, nsProtocol, "StatusMessage"); message != nil {
		if words, err := text(message); err == nil && words != "" {
			value += ": " + words
		}
	}
	return refuse(GateStatus, "the identity provider did not sign the person in").want(statusSuccess, value)
}

// judge verifies signatures from the outside in and hands what they cover to the checks.
func (c *Connection) judge(now time.Time, root *etree.Element, request func(string) RequestState) (*Assertion, error) {
	keys := c.keys(now)
	if len(keys.certificates) == 0 {
		return nil, refuse(GateNoCertificate, "no certificate of the identity provider is configured")
	}
	var signed []Signed
	responseSigned := child(root, nsSignature, "Signature") != nil
	if responseSigned {
		verified, by, err := keys.verify(root)
		if err != nil {
			return nil, err
		}
		if err := checkResponse(verified); err != nil {
			return nil, err
		}
		root, signed = verified, append(signed, by)
	} else if c.RequireSignedResponse {
		return nil, refuse(GateSignatureMissing, "the Response is not signed, which this connection requires")
	}

	assertion, err := onlyAssertion(root)
	if err != nil {
		return nil, err
	}
	encrypted := is(assertion, nsAssertion, "EncryptedAssertion")
	if encrypted {
		if assertion, err = c.decrypt(now, assertion, responseSigned); err != nil {
			return nil, err
		}
	}
	switch {
	case child(assertion, nsSignature, "Signature") != nil:
		verified, by, err := keys.verify(assertion)
		if err != nil {
			return nil, err
		}
		assertion, signed = verified, append(signed, by)
	case !responseSigned:
		return nil, refuse(GateSignatureMissing, "neither the Response nor the assertion is signed")
	case c.RequireSignedAssertion:
		return nil, refuse(GateSignatureMissing, "the assertion is not signed, which this connection requires")
	}

	check := check{Connection: c, now: now, request: request, response: root, responseSigned: responseSigned}
	result, err := check.assertion(assertion)
	if err != nil {
		return nil, err
	}
	result.Signed, result.Encrypted = signed, encrypted
	return result, nil
}
