package saml

import (
	"crypto/x509"
	"encoding/base64"

	"github.com/beevik/etree"
)

// Descriptor is what we publish about a connection's side of ours.
type Descriptor struct {
	ID         string
	Signing    []*x509.Certificate // in use and next: the identity provider learns of a rollover before it happens
	Encryption []*x509.Certificate
	Sign       bool // sign the document itself with the connection's Signer
}

// Metadata writes our metadata (metadata §2.4.4).
func (c *Connection) Metadata(d Descriptor) ([]byte, error) {
	root := etree.NewElement("md:EntityDescriptor")
	root.CreateAttr("xmlns:md", nsMetadata)
	root.CreateAttr("xmlns:ds", nsSignature)
	root.CreateAttr("ID", d.ID)
	root.CreateAttr("entityID", c.EntityID)
	role := root.CreateElement("md:SPSSODescriptor")
	role.CreateAttr("AuthnRequestsSigned", boolean(c.Signer != nil))
	role.CreateAttr("WantAssertionsSigned", boolean(c.RequireSignedAssertion))
	role.CreateAttr("protocolSupportEnumeration", nsProtocol)
	for _, cert := range d.Signing {
		keyDescriptor(role, "signing", cert)
	}
	for _, cert := range d.Encryption {
		el := keyDescriptor(role, "encryption", cert)
		for _, algorithm := range []string{nsEncrypt11 + "aes256-gcm", nsEncrypt11 + "aes128-gcm", nsEncrypt + "rsa-oaep-mgf1p"} {
			el.CreateElement("md:EncryptionMethod").CreateAttr("Algorithm", algorithm)
		}
	}
	if c.SLO != "" && c.Signer != nil {
		for _, binding := range []string{BindingRedirect, BindingPOST} {
			el := role.CreateElement("md:SingleLogoutService")
			el.CreateAttr("Binding", binding)
			el.CreateAttr("Location", c.SLO)
		}
	}
	if c.NameIDFormat != "" {
		role.CreateElement("md:NameIDFormat").SetText(c.NameIDFormat)
	}
	acs := role.CreateElement("md:AssertionConsumerService")
	acs.CreateAttr("Binding", BindingPOST)
	acs.CreateAttr("Location", c.ACS)
	acs.CreateAttr("index", "0")
	acs.CreateAttr("isDefault", "true")
	if d.Sign && c.Signer != nil {
		if err := c.Signer.envelope(root, 0); err != nil {
			return nil, err
		}
	}
	return serialize(root)
}

func keyDescriptor(role *etree.Element, use string, cert *x509.Certificate) *etree.Element {
	el := role.CreateElement("md:KeyDescriptor")
	el.CreateAttr("use", use)
	el.CreateElement("ds:KeyInfo").CreateElement("ds:X509Data").CreateElement("ds:X509Certificate").SetText(base64.StdEncoding.EncodeToString(cert.Raw))
	return el
}

func boolean(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
