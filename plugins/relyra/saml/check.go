package saml

import (
	"time"

	"github.com/beevik/etree"
)

const (
	// maxAge is how old an assertion may be, whatever end it names: it bounds how long one has to be remembered.
	maxAge = time.Hour
)

// A check holds one verified assertion against what the connection expects (profiles §4.1.4.3, core §2.5).
type check struct {
	*Connection
	now            time.Time
	request        func(id string) RequestState
	response       *etree.Element // verified if responseSigned; otherwise only what refuses is read from it
	responseSigned bool
}

func (c check) assertion(el *etree.Element) (*Assertion, error) {
	if err := checkAssertionSchema(el); err != nil {
		return nil, err
	}
	if err := c.envelope(); err != nil {
		return nil, err
	}
	a := &Assertion{ID: attrValue(el, "ID")}
	steps := []func(*etree.Element, *Assertion) error{c.issuer, c.issued, c.conditions, c.subject, c.statements, c.answers}
	for _, step := range steps {
		if err := step(el, a); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func checkAssertionSchema(el *etree.Element) error {
	if !is(el, nsAssertion, "Assertion") {
		return refuse(GateRootElement, "this is not an Assertion").got(el.Tag)
	}
	err := checkSequence(el, one(nsAssertion, "Issuer"), one(nsSignature, "Signature"), one(nsAssertion, "Subject"), one(nsAssertion, "Conditions"),
		one(nsAssertion, "Advice"), many(nsAssertion, "Statement", "AuthnStatement", "AuthzDecisionStatement", "AttributeStatement"))
	if err != nil {
		return err
	}
	if err := checkVersion(el); err != nil {
		return err
	}
	_, err = identifier(el)
	return err
}

// envelope checks what the Response says about itself. Where only the assertion is signed these are not to be believed, but a
// Response that is not for us is refused all the same.
func (c check) envelope() error {
	name, ok, err := issuer(c.response)
	switch {
	case err != nil:
		return err
	case !ok && c.responseSigned: // profiles §4.1.4.2
		return refuse(GateIssuer, "the signed Response has no Issuer").want(c.IdentityProvider.EntityID, "")
	case ok && name != c.IdentityProvider.EntityID:
		return refuse(GateIssuer, "the Response comes from another identity provider").want(c.IdentityProvider.EntityID, name)
	}
	destination, ok := attr(c.response, "Destination")
	switch {
	case !ok && c.responseSigned: // bindings §3.5.5.2
		return refuse(GateDestination, "the signed Response has no Destination").want(c.ACS, "")
	case ok && destination != c.ACS:
		return refuse(GateDestination, "the Response is addressed to another place").want(c.ACS, destination)
	}
	return nil
}

func (c check) issuer(el *etree.Element, a *Assertion) error {
	name, ok, err := issuer(el)
	switch {
	case err != nil:
		return err
	case !ok || name != c.IdentityProvider.EntityID:
		return refuse(GateIssuer, "the assertion comes from another identity provider").want(c.IdentityProvider.EntityID, name)
	}
	a.Issuer = name
	return nil
}

func (c check) issued(el *etree.Element, a *Assertion) error {
	at, err := instant(el, "IssueInstant")
	switch {
	case err != nil:
		return err
	case at.IsZero():
		return refuse(GateIssueInstant, "the assertion does not say when it was issued")
	case at.After(c.now.Add(c.skew())), at.Before(c.now.Add(-maxAge - c.skew())):
		return refuse(GateIssueInstant, "the assertion was issued in the future, or more than %s ago", maxAge).want(stamp(c.now), stamp(at))
	}
	a.IssueInstant = at
	return nil
}

func (c check) conditions(el *etree.Element, a *Assertion) error {
	conditions := child(el, nsAssertion, "Conditions")
	if conditions == nil {
		return refuse(GateAudience, "the assertion has no Conditions, and so no audience").want(c.EntityID, "")
	}
	if _, _, err := c.window(conditions, GateNotOnOrAfter); err != nil {
		return err
	}
	restrictions := 0
	for _, condition := range conditions.ChildElements() {
		switch {
		case is(condition, nsAssertion, "AudienceRestriction"):
			restrictions++
			if err := c.audience(condition); err != nil {
				return err
			}
		case is(condition, nsAssertion, "OneTimeUse"), is(condition, nsAssertion, "ProxyRestriction"):
			// Every assertion is used once here, and none is passed on.
		default: // core §2.5.1.1: what is not understood makes the assertion indeterminate
			return refuse(GateConditions, "there is a condition that is not understood").got(condition.FullTag())
		}
	}
	if restrictions == 0 {
		return refuse(GateAudience, "the assertion is for everybody").want(c.EntityID, "")
	}
	return checkSequence(conditions, many(nsAssertion, "AudienceRestriction", "OneTimeUse", "ProxyRestriction"))
}

func (c check) audience(restriction *etree.Element) error {
	if err := checkSequence(restriction, many(nsAssertion, "Audience")); err != nil {
		return err
	}
	received := ""
	for _, el := range restriction.ChildElements() {
		name, err := text(el)
		if err != nil {
			return err
		}
		if name == c.EntityID {
			return nil
		}
		received += name + " "
	}
	return refuse(GateAudience, "the assertion is for another service provider").want(c.EntityID, received)
}

// window checks NotBefore and NotOnOrAfter of el, both optional.
func (c check) window(el *etree.Element, end Gate) (from, until time.Time, err error) {
	if from, err = instant(el, "NotBefore"); err != nil {
		return
	}
	if until, err = instant(el, "NotOnOrAfter"); err != nil {
		return
	}
	if !from.IsZero() && c.now.Add(c.skew()).Before(from) {
		err = refuse(GateNotBefore, "<%s> is not valid yet; do both clocks agree?", el.Tag).want("no earlier than "+stamp(from), stamp(c.now))
	} else if !until.IsZero() && !c.now.Add(-c.skew()).Before(until) {
		err = refuse(end, "<%s> is not valid any more; do both clocks agree?", el.Tag).want("before "+stamp(until), stamp(c.now))
	}
	return
}

func (c check) statements(el *etree.Element, a *Assertion) error {
	found := false
	for _, statement := range el.ChildElements() {
		switch {
		case is(statement, nsAssertion, "AuthnStatement"):
			if err := c.authn(statement, a, !found); err != nil {
				return err
			}
			found = true
		case is(statement, nsAssertion, "AttributeStatement"):
			attributes, err := readAttributes(statement)
			if err != nil {
				return err
			}
			a.Attributes = append(a.Attributes, attributes...)
		}
	}
	if !found { // profiles §4.1.4.2
		return refuse(GateAuthnStatement, "the assertion does not say that anybody was authenticated")
	}
	return nil
}

func (c check) authn(el *etree.Element, a *Assertion, first bool) error {
	if err := checkSequence(el, one(nsAssertion, "SubjectLocality"), one(nsAssertion, "AuthnContext")); err != nil {
		return err
	}
	end, err := instant(el, "SessionNotOnOrAfter")
	if err != nil {
		return err
	}
	if !end.IsZero() {
		if !c.now.Add(-c.skew()).Before(end) {
			return refuse(GateSessionNotOnOrAfter, "the session at the identity provider is over").want("before "+stamp(end), stamp(c.now))
		}
		if a.SessionNotOnOrAfter.IsZero() || end.Before(a.SessionNotOnOrAfter) {
			a.SessionNotOnOrAfter = end
		}
	}
	at, err := instant(el, "AuthnInstant")
	switch {
	case err != nil:
		return err
	case at.IsZero():
		return refuse(GateAuthnStatement, "an AuthnStatement does not say when")
	case at.After(c.now.Add(c.skew())):
		return refuse(GateAuthnStatement, "somebody was authenticated in the future; do both clocks agree?").want(stamp(c.now), stamp(at))
	case !first:
		return nil
	}
	a.AuthnInstant, a.SessionIndex = at, attrValue(el, "SessionIndex")
	if context := child(el, nsAssertion, "AuthnContext"); context != nil {
		if class := child(context, nsAssertion, "AuthnContextClassRef"); class != nil {
			a.AuthnContext, err = text(class)
		}
	}
	return err
}

// answers checks that the request was made, and in this browser.
func (c check) answers(_ *etree.Element, a *Assertion) error {
	if a.InResponseTo == "" {
		if !c.AllowUnsolicited {
			return refuse(GateInResponseTo, "the response answers no request, and this connection does not take sign-ins that begin at the identity provider")
		}
		return nil
	}
	switch c.request(a.InResponseTo) {
	case RequestOpen:
		return nil
	case RequestOtherBrowser: // login CSRF: somebody else's answer, posted from this browser
		return refuse(GateBrowserBinding, "the request was made in another browser").got(a.InResponseTo)
	}
	return refuse(GateInResponseTo, "the request that is answered was not made here, was answered already, or is too old").got(a.InResponseTo)
}

// instant reads an attribute of type xs:dateTime, which SAML wants with its zone (core §1.3.3). Zero: there is none.
func instant(el *etree.Element, name string) (time.Time, error) {
	value, ok := attr(el, name)
	if !ok {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil || at.Year() < 2000 {
		return time.Time{}, refuse(GateTimeFormat, "%s of <%s> is not a time", name, el.Tag).want("2006-01-02T15:04:05Z", value)
	}
	return at.UTC(), nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
