package saml

import (
	"regexp"

	"github.com/beevik/etree"
)

// The namespaces of what we read and write.
const (
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsMetadata  = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"
	nsEncrypt   = "http://www.w3.org/2001/04/xmlenc#"
	nsEncrypt11 = "http://www.w3.org/2009/xmlenc11#"
	nsExcC14N   = "http://www.w3.org/2001/10/xml-exc-c14n#"
	nsXML       = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS     = "http://www.w3.org/2000/xmlns/"
)

// Bindings that we speak.
const (
	BindingRedirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	BindingPOST     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
)

// NameID formats with a meaning of their own here.
const (
	FormatEmail       = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
	FormatPersistent  = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	FormatTransient   = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
	FormatUnspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
	formatEntity      = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
)

const (
	statusSuccess = "urn:oasis:names:tc:SAML:2.0:status:Success"
	methodBearer  = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
)

// ncName is narrower than XML's NCName: what products use for identifiers, and what goxmldsig finds by its reference.
var ncName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// is says whether el is the element of that name. Prefixes mean nothing.
func is(el *etree.Element, namespace, tag string) bool {
	return el.Tag == tag && el.NamespaceURI() == namespace
}

// attr returns an attribute that has no prefix, as all attributes of SAML and XML Signature have.
func attr(el *etree.Element, name string) (string, bool) {
	for _, a := range el.Attr {
		if a.Space == "" && a.Key == name {
			return a.Value, true
		}
	}
	return "", false
}

func attrValue(el *etree.Element, name string) string {
	value, _ := attr(el, name)
	return value
}

// child returns the only child of that name, nil if there is none or more than one.
func child(el *etree.Element, namespace, tag string) *etree.Element {
	var found *etree.Element
	for _, c := range el.ChildElements() {
		if is(c, namespace, tag) {
			if found != nil {
				return nil
			}
			found = c
		}
	}
	return found
}

// walk visits el and everything below it.
func walk(el *etree.Element, visit func(*etree.Element) error) error {
	if err := visit(el); err != nil {
		return err
	}
	for _, c := range el.ChildElements() {
		if err := walk(c, visit); err != nil {
			return err
		}
	}
	return nil
}
