package saml

import (
	"strings"

	"github.com/beevik/etree"
)

// checkIdentifiers sees to it that a reference can mean one element only, for every reader: no identifier twice, under any of the
// names that some library takes for an identifier, and none in a place or a spelling of its own.
func checkIdentifiers(root *etree.Element) error {
	seen := map[string]string{}
	return walk(root, func(el *etree.Element) error {
		found := ""
		for _, a := range el.Attr {
			if a.Space == "xmlns" || !looksLikeID(a.Key) {
				continue
			}
			name := a.FullKey()
			if a.Space != "" {
				return refuse(GateDuplicateID, "<%s> has an identifier with a prefix, %s", el.FullTag(), name)
			}
			if found != "" {
				return refuse(GateDuplicateID, "<%s> has two identifiers, %s and %s", el.FullTag(), found, name)
			}
			found = name
			if own := ownID(el); own != "" && a.Key != own {
				return refuse(GateDuplicateID, "<%s> has the identifier %s, which is not its own", el.FullTag(), name).want(own, a.Key)
			}
			if other, twice := seen[a.Value]; twice {
				return refuse(GateDuplicateID, "<%s> and <%s> have the same identifier", other, el.FullTag()).got(a.Value)
			}
			seen[a.Value] = el.FullTag()
		}
		return nil
	})
}

// looksLikeID says whether some library takes an attribute of that name for an identifier: ID of SAML 2.0, Id of XML Signature
// and Encryption, xml:id, and those of SAML 1.1.
func looksLikeID(name string) bool {
	switch strings.ToLower(name) {
	case "id", "assertionid", "responseid", "requestid":
		return true
	}
	return false
}

// ownID is the name of the identifier that the schema gives el, empty for elements that are not ours to know.
func ownID(el *etree.Element) string {
	switch el.NamespaceURI() {
	case nsProtocol, nsAssertion, nsMetadata:
		return "ID"
	case nsSignature, nsEncrypt, nsEncrypt11:
		return "Id"
	}
	return ""
}

// identifier returns the ID of a message or an assertion.
func identifier(el *etree.Element) (string, error) {
	id, ok := attr(el, "ID")
	switch {
	case !ok || id == "":
		return "", refuse(GateReferenceURI, "<%s> has no ID", el.Tag)
	case !ncName.MatchString(id):
		return "", refuse(GateSchema, "the ID of <%s> is not a name as XML Schema has them", el.Tag).got(id)
	}
	return id, nil
}
