package saml

import (
	"time"

	"github.com/beevik/etree"
)

// A Logout is one signed message of single logout: a request by the identity provider, or its answer to ours.
type Logout struct {
	ID             string
	NameID         NameID   // of a request
	SessionIndexes []string // of a request; none: all sessions of that name
	InResponseTo   string   // of a response; empty: this is a request
	Success        bool     // of a response: the identity provider ended all it had to
	Status         string   // of a response
	RelayState     string
	Binding        string
	Signed         Signed
}

// VerifyLogoutRedirect judges the raw query of a logout message. open says whether a LogoutRequest of ours awaits its answer.
func (c *Connection) VerifyLogoutRedirect(now time.Time, query string, open func(id string) bool) (*Logout, error) {
	m, err := decodeRedirect(query)
	if err != nil {
		return nil, err
	}
	signed, err := m.verify(c.keys(now))
	if err != nil {
		return nil, err
	}
	root, err := parse(m.xml, messageLimits)
	if err != nil {
		return nil, err
	}
	if err := checkIdentifiers(root); err != nil {
		return nil, err
	}
	if err := checkPlaces(root, root); err != nil {
		return nil, err
	}
	if err := checkLogoutRoot(root, m.parameter); err != nil {
		return nil, err
	}
	// A Signature inside besides the query's is no part of this binding (bindings §3.4.4.1).
	if child(root, nsSignature, "Signature") != nil {
		return nil, refuse(GateSignaturePosition, "a message sent by redirect carries a Signature inside")
	}
	return c.readLogout(now, root, &Logout{RelayState: m.relayState, Binding: BindingRedirect, Signed: signed}, open)
}

// VerifyLogoutPost judges a posted logout message: the value of the field parameter, SAMLRequest or SAMLResponse.
func (c *Connection) VerifyLogoutPost(now time.Time, parameter, form, relayState string, open func(id string) bool) (*Logout, error) {
	raw, err := decodeForm(form, messageLimits)
	if err != nil {
		return nil, err
	}
	root, err := parse(raw, messageLimits)
	if err != nil {
		return nil, err
	}
	if err := checkLogoutRoot(root, parameter); err != nil {
		return nil, err
	}
	if err := checkIdentifiers(root); err != nil {
		return nil, err
	}
	if err := checkPlaces(root, root); err != nil {
		return nil, err
	}
	verified, signed, err := c.keys(now).verify(root)
	if err != nil {
		return nil, err
	}
	return c.readLogout(now, verified, &Logout{RelayState: relayState, Binding: BindingPOST, Signed: signed}, open)
}

func checkLogoutRoot(root *etree.Element, parameter string) error {
	tag := "LogoutRequest"
	if parameter == "SAMLResponse" {
		tag = "LogoutResponse"
	}
	if !is(root, nsProtocol, tag) {
		return refuse(GateRootElement, "the message is not a %s", tag).want(tag, root.Tag)
	}
	return nil
}

// readLogout reads a message whose signature was verified.
func (c *Connection) readLogout(now time.Time, root *etree.Element, l *Logout, open func(string) bool) (*Logout, error) {
	if c.SLO == "" {
		return nil, refuse(GateEndpoint, "this connection takes no logout messages")
	}
	if err := checkVersion(root); err != nil {
		return nil, err
	}
	var err error
	if l.ID, err = identifier(root); err != nil {
		return nil, err
	}
	name, _, err := issuer(root)
	if err != nil {
		return nil, err
	}
	if name != c.IdentityProvider.EntityID {
		return nil, refuse(GateIssuer, "the message comes from another identity provider").want(c.IdentityProvider.EntityID, name)
	}
	if destination := attrValue(root, "Destination"); destination != c.SLO {
		return nil, refuse(GateDestination, "the message is addressed to another place").want(c.SLO, destination)
	}
	at, err := instant(root, "IssueInstant")
	if err != nil {
		return nil, err
	}
	if at.Before(now.Add(-maxAge-c.skew())) || at.After(now.Add(c.skew())) {
		return nil, refuse(GateIssueInstant, "the message was issued in the future, or more than %s ago", maxAge).want(stamp(now), stamp(at))
	}
	if root.Tag == "LogoutResponse" {
		return l, readLogoutResponse(root, l, open)
	}
	return l, c.readLogoutRequest(now, root, l)
}

func (c *Connection) readLogoutRequest(now time.Time, root *etree.Element, l *Logout) error {
	until, err := instant(root, "NotOnOrAfter")
	if err != nil {
		return err
	}
	if !withinSkew(now, until, c.skew()) {
		return refuse(GateNotOnOrAfter, "the LogoutRequest is not valid any more").want("before "+stamp(until), stamp(now))
	}
	if child(root, nsAssertion, "EncryptedID") != nil {
		return refuse(GateUnsupported, "an encrypted NameID is not supported in a LogoutRequest")
	}
	err = checkSequence(root, one(nsAssertion, "Issuer"), one(nsSignature, "Signature"), one(nsProtocol, "Extensions"), one(nsAssertion, "NameID"), many(nsProtocol, "SessionIndex"))
	if err != nil {
		return err
	}
	el := child(root, nsAssertion, "NameID")
	if el == nil {
		return refuse(GateSubject, "the LogoutRequest names nobody")
	}
	if l.NameID, err = readNameID(el); err != nil {
		return err
	}
	for _, el := range root.ChildElements() {
		if is(el, nsProtocol, "SessionIndex") {
			index, err := text(el)
			if err != nil {
				return err
			}
			l.SessionIndexes = append(l.SessionIndexes, index)
		}
	}
	return nil
}

func readLogoutResponse(root *etree.Element, l *Logout, open func(string) bool) error {
	err := checkSequence(root, one(nsAssertion, "Issuer"), one(nsSignature, "Signature"), one(nsProtocol, "Extensions"), one(nsProtocol, "Status"))
	if err != nil {
		return err
	}
	l.InResponseTo = attrValue(root, "InResponseTo")
	if l.InResponseTo == "" || !open(l.InResponseTo) {
		return refuse(GateInResponseTo, "no LogoutRequest of ours awaits this answer").got(l.InResponseTo)
	}
	err = checkStatus(root)
	if r, ok := AsRefusal(err); ok && r.Gate == GateStatus {
		l.Status = r.Received // sent by them, and no reason to distrust the message
		return nil
	}
	l.Success, l.Status = err == nil, statusSuccess
	return err
}

// LogoutRequest writes the request that ends a session at the identity provider too. It is always signed.
func (c *Connection) LogoutRequest(now time.Time, id string, name NameID, sessionIndex, relayState string) (*Outgoing, error) {
	endpoint, err := c.logoutEndpoint()
	if err != nil {
		return nil, err
	}
	root := c.message("LogoutRequest", id, now, endpoint.Location)
	root.CreateAttr("NotOnOrAfter", stamp(now.Add(5*time.Minute)))
	el := root.CreateElement("saml:NameID")
	el.CreateAttr("Format", name.Format)
	if name.NameQualifier != "" {
		el.CreateAttr("NameQualifier", name.NameQualifier)
	}
	if name.SPNameQualifier != "" {
		el.CreateAttr("SPNameQualifier", name.SPNameQualifier)
	}
	el.SetText(name.Value)
	if sessionIndex != "" {
		root.CreateElement("samlp:SessionIndex").SetText(sessionIndex)
	}
	return c.send(root, endpoint, endpoint.Location, "SAMLRequest", relayState)
}

// LogoutResponse answers a LogoutRequest. code is the last part of a top-level status: Success, Requester or Responder.
func (c *Connection) LogoutResponse(now time.Time, id, inResponseTo, code, relayState string) (*Outgoing, error) {
	endpoint, err := c.logoutEndpoint()
	if err != nil {
		return nil, err
	}
	location := endpoint.Location
	if endpoint.Response != "" {
		location = endpoint.Response
	}
	root := c.message("LogoutResponse", id, now, location)
	root.CreateAttr("InResponseTo", inResponseTo)
	root.CreateElement("samlp:Status").CreateElement("samlp:StatusCode").CreateAttr("Value", "urn:oasis:names:tc:SAML:2.0:status:"+code)
	return c.send(root, endpoint, location, "SAMLResponse", relayState)
}

func (c *Connection) logoutEndpoint() (Endpoint, error) {
	if c.Signer == nil {
		return Endpoint{}, refuse(GateSignatureMissing, "logout messages have to be signed, and this connection has no key for it")
	}
	return choose(c.IdentityProvider.SLO, "", "logout")
}
