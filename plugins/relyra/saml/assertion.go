package saml

import (
	"time"

	"github.com/beevik/etree"
)

// Assertion is what an identity provider signed for, and nothing else.
type Assertion struct {
	ID                  string
	Issuer              string
	NameID              NameID
	InResponseTo        string // empty: the sign-in began at the identity provider
	IssueInstant        time.Time
	AuthnInstant        time.Time
	AuthnContext        string
	SessionIndex        string
	SessionNotOnOrAfter time.Time // zero: the identity provider sets no end
	Attributes          []Attribute
	Expires             time.Time // after it the assertion is refused for its age, and need not be remembered
	Signed              []Signed
	Encrypted           bool
}

// Key names the assertion for the store that sees to it that it is used once.
func (a *Assertion) Key() string { return a.Issuer + "\n" + a.ID }

// NameID is a name together with where it is one. Two of them are equal only as a whole.
type NameID struct {
	Value           string `json:"value"`
	Format          string `json:"format,omitempty"`
	NameQualifier   string `json:"name_qualifier,omitempty"`
	SPNameQualifier string `json:"sp_name_qualifier,omitempty"`
}

// Attribute is one statement about the person. Some products send one element for each value, so that a name may come more than once:
// see Values.
type Attribute struct {
	Name         string   `json:"name"`
	FriendlyName string   `json:"friendly_name,omitempty"`
	Values       []string `json:"values"`
	Structured   int      `json:"structured,omitempty"` // values that are XML, which nobody reads
}

// Values returns all values of the attributes of that name.
func (a *Assertion) Values(name string) []string {
	var values []string
	for _, attribute := range a.Attributes {
		if attribute.Name == name {
			values = append(values, attribute.Values...)
		}
	}
	return values
}

func readNameID(el *etree.Element) (NameID, error) {
	value, err := text(el)
	if err != nil {
		return NameID{}, err
	}
	if value == "" {
		return NameID{}, refuse(GateSubject, "the NameID is empty")
	}
	id := NameID{
		Value: value, Format: attrValue(el, "Format"),
		NameQualifier: attrValue(el, "NameQualifier"), SPNameQualifier: attrValue(el, "SPNameQualifier"),
	}
	if id.Format == "" {
		id.Format = FormatUnspecified // core §8.3.1
	}
	return id, nil
}

func readAttributes(statement *etree.Element) ([]Attribute, error) {
	if child(statement, nsAssertion, "EncryptedAttribute") != nil {
		return nil, refuse(GateUnsupported, "encrypted attributes are not supported; encrypt the assertion instead")
	}
	if err := checkSequence(statement, many(nsAssertion, "Attribute")); err != nil {
		return nil, err
	}
	var attributes []Attribute
	for _, el := range statement.ChildElements() {
		name := attrValue(el, "Name")
		if name == "" {
			return nil, refuse(GateSchema, "an Attribute has no Name")
		}
		if err := checkSequence(el, many(nsAssertion, "AttributeValue")); err != nil {
			return nil, err
		}
		a := Attribute{Name: name, FriendlyName: attrValue(el, "FriendlyName"), Values: []string{}}
		for _, v := range el.ChildElements() {
			value, structured, err := attributeText(v)
			switch {
			case err != nil:
				return nil, err
			case structured:
				a.Structured++
			default:
				a.Values = append(a.Values, value)
			}
		}
		attributes = append(attributes, a)
	}
	return attributes, nil
}

// attributeText reads a value. eduPersonTargetedID is a NameID inside the value; any other XML is counted and not read.
func attributeText(v *etree.Element) (value string, structured bool, err error) {
	if len(v.ChildElements()) == 0 {
		value, err = text(v)
		return value, false, err
	}
	if checkSequence(v, one(nsAssertion, "NameID")) == nil {
		value, err = text(v.ChildElements()[0])
		return value, false, err
	}
	return "", true, nil
}
