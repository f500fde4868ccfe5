package saml

import (
	"encoding/base64"
	"strings"
	"time"

	"github.com/beevik/etree"
)

// An Outgoing message is sent by the person's browser: by following URL if Form is nil, by posting Form to URL otherwise.
type Outgoing struct {
	ID   string
	URL  string
	Form map[string]string
}

// Ask is what one sign-in asks for beyond what the connection always asks for.
type Ask struct {
	ID         string // the request's, unguessable: RequestID makes one
	RelayState string // opaque
	ForceAuthn bool   // step-up: the person has to prove themselves anew
	Binding    string // empty: redirect if the identity provider takes it, POST otherwise
}

// AuthnRequest writes the request that sends a person to the identity provider (core §3.4.1).
func (c *Connection) AuthnRequest(now time.Time, ask Ask) (*Outgoing, error) {
	endpoint, err := choose(c.IdentityProvider.SSO, ask.Binding, "sign-on")
	if err != nil {
		return nil, err
	}
	root := c.message("AuthnRequest", ask.ID, now, endpoint.Location)
	root.CreateAttr("AssertionConsumerServiceURL", c.ACS)
	root.CreateAttr("ProtocolBinding", BindingPOST)
	if ask.ForceAuthn {
		root.CreateAttr("ForceAuthn", "true")
	}
	policy := root.CreateElement("samlp:NameIDPolicy")
	if c.NameIDFormat != "" {
		policy.CreateAttr("Format", c.NameIDFormat)
	}
	policy.CreateAttr("AllowCreate", "true")
	if len(c.AuthnContexts) > 0 {
		requested := root.CreateElement("samlp:RequestedAuthnContext")
		comparison := c.AuthnContextsComparison
		if comparison == "" {
			comparison = "exact"
		}
		requested.CreateAttr("Comparison", comparison)
		for _, class := range c.AuthnContexts {
			requested.CreateElement("saml:AuthnContextClassRef").SetText(class)
		}
	}
	return c.send(root, endpoint, endpoint.Location, "SAMLRequest", ask.RelayState)
}

// message begins a message of ours.
func (c *Connection) message(tag, id string, now time.Time, destination string) *etree.Element {
	root := etree.NewElement("samlp:" + tag)
	root.CreateAttr("xmlns:samlp", nsProtocol)
	root.CreateAttr("xmlns:saml", nsAssertion)
	root.CreateAttr("ID", id)
	root.CreateAttr("Version", "2.0")
	root.CreateAttr("IssueInstant", stamp(now))
	root.CreateAttr("Destination", destination)
	root.CreateElement("saml:Issuer").SetText(c.EntityID)
	return root
}

// send writes root for the endpoint's binding, signed if the connection has a signer.
func (c *Connection) send(root *etree.Element, endpoint Endpoint, location, parameter, relayState string) (*Outgoing, error) {
	if len(relayState) > maxRelayState {
		return nil, refuse(GateRelayState, "the RelayState is longer than %d bytes", maxRelayState)
	}
	out := &Outgoing{ID: attrValue(root, "ID"), URL: location}
	if endpoint.Binding == BindingRedirect {
		raw, err := serialize(root)
		if err != nil {
			return nil, err
		}
		out.URL, err = redirectURL(location, parameter, raw, relayState, c.Signer)
		return out, err
	}
	if c.Signer != nil {
		if err := c.Signer.envelope(root, 1); err != nil {
			return nil, err
		}
	}
	raw, err := serialize(root)
	if err != nil {
		return nil, err
	}
	out.Form = map[string]string{parameter: base64.StdEncoding.EncodeToString(raw)}
	if relayState != "" {
		out.Form["RelayState"] = relayState
	}
	return out, nil
}

// choose picks an endpoint for a binding, redirect before POST if none is asked for.
func choose(endpoints []Endpoint, binding, what string) (Endpoint, error) {
	for _, want := range []string{BindingRedirect, BindingPOST} {
		for _, e := range endpoints {
			if e.Binding == want && (binding == "" || binding == want) {
				return e, nil
			}
		}
	}
	return Endpoint{}, refuse(GateEndpoint, "the identity provider has no %s endpoint for this binding", what).
		got(binding[strings.LastIndexByte(binding, ':')+1:])
}
