package saml

import (
	"time"

	"github.com/beevik/etree"
)

// subject reads who the assertion is about and checks that we are the ones to be told (profiles §4.1.4.2).
func (c check) subject(el *etree.Element, a *Assertion) error {
	subject := child(el, nsAssertion, "Subject")
	if subject == nil {
		return refuse(GateSubject, "the assertion is about nobody")
	}
	if child(subject, nsAssertion, "EncryptedID") != nil {
		return refuse(GateUnsupported, "an encrypted NameID is not supported; encrypt the assertion instead")
	}
	if err := checkSequence(subject, one(nsAssertion, "NameID"), many(nsAssertion, "SubjectConfirmation")); err != nil {
		return err
	}
	name := child(subject, nsAssertion, "NameID")
	if name == nil {
		return refuse(GateSubject, "the Subject has no NameID")
	}
	var err error
	if a.NameID, err = readNameID(name); err != nil {
		return err
	}
	return c.confirm(subject, a)
}

// confirm looks for one confirmation that holds: one is enough. If none does, the first bearer confirmation's fault is told.
func (c check) confirm(subject *etree.Element, a *Assertion) error {
	var fault error
	confirmed := false
	for _, el := range subject.ChildElements() {
		if !is(el, nsAssertion, "SubjectConfirmation") {
			continue
		}
		if method := attrValue(el, "Method"); method != methodBearer {
			if fault == nil {
				fault = refuse(GateSubjectConfirmation, "only bearer confirmations are understood").want(methodBearer, method)
			}
			continue
		}
		request, until, err := c.bearer(el)
		// However the others end: as long as one confirmation may hold, the assertion has to be remembered.
		if until.After(a.Expires) {
			a.Expires = until
		}
		switch {
		case err != nil && fault == nil:
			fault = err
		case err == nil && !confirmed:
			confirmed, a.InResponseTo = true, request
		}
	}
	if !confirmed {
		if fault == nil {
			fault = refuse(GateSubjectConfirmation, "the Subject has no confirmation")
		}
		return fault
	}
	if oldest := a.IssueInstant.Add(maxAge); a.Expires.After(oldest) {
		a.Expires = oldest
	}
	a.Expires = a.Expires.Add(2 * c.skew())
	return nil
}

// bearer checks one confirmation and returns the request that it answers.
func (c check) bearer(el *etree.Element) (request string, until time.Time, err error) {
	if err := checkSequence(el, one(nsAssertion, "NameID"), one(nsAssertion, "SubjectConfirmationData")); err != nil {
		return "", until, err
	}
	data := child(el, nsAssertion, "SubjectConfirmationData")
	if data == nil {
		return "", until, refuse(GateSubjectConfirmation, "the confirmation has no SubjectConfirmationData")
	}
	_, until, err = c.window(data, GateSubjectConfirmation)
	switch recipient := attrValue(data, "Recipient"); {
	case err != nil:
		return "", until, err
	case until.IsZero():
		return "", until, refuse(GateSubjectConfirmation, "the confirmation has no end (NotOnOrAfter)")
	case recipient != c.ACS:
		return "", until, refuse(GateRecipient, "the assertion is meant for another recipient").want(c.ACS, recipient)
	}
	inner, outer := attrValue(data, "InResponseTo"), attrValue(c.response, "InResponseTo")
	switch {
	case inner == outer:
		return inner, until, nil
	case inner == "" && c.responseSigned:
		return outer, until, nil // some products leave it out; the signature covers the Response's
	}
	return "", until, refuse(GateInResponseTo, "the Response and the confirmation inside name different requests").want(inner, outer)
}
