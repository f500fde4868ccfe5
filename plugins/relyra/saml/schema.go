package saml

import (
	"slices"
	"strings"

	"github.com/beevik/etree"
)

// A place is one position in the sequence of children that the schema gives an element.
type place struct {
	namespace string
	tags      []string
	max       int // 0: any number
}

func one(namespace string, tags ...string) place  { return place{namespace, tags, 1} }
func many(namespace string, tags ...string) place { return place{namespace, tags, 0} }

// checkSequence refuses a child that has no place in el, stands in the wrong one or too often, and text between children.
func checkSequence(el *etree.Element, places ...place) error {
	at, count := 0, 0
	for _, token := range el.Child {
		switch t := token.(type) {
		case *etree.CharData:
			if strings.Trim(t.Data, xmlSpace) != "" {
				return refuse(GateSchema, "<%s> has text between its elements", el.Tag).got(t.Data)
			}
		case *etree.Element:
			i := slices.IndexFunc(places, func(p place) bool { return t.NamespaceURI() == p.namespace && slices.Contains(p.tags, t.Tag) })
			switch {
			case i < 0:
				return refuse(GateUnexpectedElement, "<%s> has no place in <%s>", t.Tag, el.Tag).got(t.NamespaceURI())
			case i < at:
				return refuse(GateSchema, "<%s> stands in the wrong place in <%s>", t.Tag, el.Tag)
			case i > at:
				at, count = i, 0
			}
			if count++; places[i].max > 0 && count > places[i].max {
				return refuse(GateSchema, "<%s> stands more than once in <%s>", t.Tag, el.Tag)
			}
		default:
			return refuse(GateComment, "<%s> has markup other than elements", el.Tag)
		}
	}
	return nil
}

// xmlSpace is what XML calls white space.
const xmlSpace = " \t\r\n"

// text is the only reader of text. It returns all character data of el, without the white space around it, and refuses an element
// that holds anything else: where a comment or an element splits a name, two readers see two people.
func text(el *etree.Element) (string, error) {
	var b strings.Builder
	for _, token := range el.Child {
		data, ok := token.(*etree.CharData)
		if !ok {
			return "", refuse(GateTextSplit, "<%s> holds more than text", el.Tag)
		}
		b.WriteString(data.Data)
	}
	return strings.Trim(b.String(), xmlSpace), nil
}

// issuer reads el's Issuer, which is an entity's name.
func issuer(el *etree.Element) (string, bool, error) {
	element := child(el, nsAssertion, "Issuer")
	if element == nil {
		return "", false, nil
	}
	if format, ok := attr(element, "Format"); ok && format != formatEntity {
		return "", false, refuse(GateIssuer, "the Issuer is not in the format of an entity").want(formatEntity, format)
	}
	value, err := text(element)
	return value, true, err
}

func checkVersion(el *etree.Element) error {
	if version := attrValue(el, "Version"); version != "2.0" {
		return refuse(GateVersion, "<%s> is of another version of SAML", el.Tag).want("2.0", version)
	}
	return nil
}
