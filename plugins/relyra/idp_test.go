package relyra_test

import (
	"compress/flate"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// An idp is an identity provider of the tests: it signs whatever it is told to.
type idp struct {
	entity string
	key    *rsa.PrivateKey
	cert   []byte
	count  int
}

func newIdP(t *testing.T, entity string) *idp {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: entity}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &idp{entity: entity, key: key, cert: cert}
}

func (i *idp) metadata() string {
	return fmt.Sprintf(`<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="%s"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">`+
		`<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`+
		`<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso"/></md:IDPSSODescriptor></md:EntityDescriptor>`,
		i.entity, base64.StdEncoding.EncodeToString(i.cert))
}

// A statement is what the identity provider says about somebody.
type statement struct {
	nameID, format, email string
	acs, audience         string
	inResponseTo          string
	at                    time.Time
	context, ends         string // of the statement; empty: none
}

// answering reads a redirect to the identity provider and returns what an honest one says to it.
func answering(t *testing.T, location, email string) statement {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	deflated, err := base64.StdEncoding.DecodeString(u.Query().Get("SAMLRequest"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(flate.NewReader(strings.NewReader(string(deflated))))
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(raw); err != nil {
		t.Fatal(err)
	}
	root := doc.Root()
	return statement{
		nameID: email, format: "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress", email: email, acs: root.SelectAttrValue("AssertionConsumerServiceURL", ""),
		audience: root.FindElement("./Issuer").Text(), inResponseTo: root.SelectAttrValue("ID", ""), at: now,
	}
}

// respond signs a response and returns the form value.
func (i *idp) respond(t *testing.T, s statement) string {
	t.Helper()
	i.count++
	stamp := func(d time.Duration) string { return s.at.Add(d).Format(time.RFC3339) }
	el := func(parent *etree.Element, tag string, attrs ...string) *etree.Element {
		e := parent.CreateElement(tag)
		for n := 0; n < len(attrs); n += 2 {
			if attrs[n+1] != "" {
				e.CreateAttr(attrs[n], attrs[n+1])
			}
		}
		return e
	}
	root := etree.NewElement("samlp:Response")
	for k, v := range map[string]string{
		"xmlns:samlp": "urn:oasis:names:tc:SAML:2.0:protocol", "xmlns:saml": "urn:oasis:names:tc:SAML:2.0:assertion", "ID": fmt.Sprintf("_r%d", i.count), "Version": "2.0",
		"IssueInstant": stamp(0), "Destination": s.acs,
	} {
		root.CreateAttr(k, v)
	}
	if s.inResponseTo != "" {
		root.CreateAttr("InResponseTo", s.inResponseTo)
	}
	el(root, "saml:Issuer").SetText(i.entity)
	el(el(root, "samlp:Status"), "samlp:StatusCode", "Value", "urn:oasis:names:tc:SAML:2.0:status:Success")
	a := el(root, "saml:Assertion", "ID", fmt.Sprintf("_a%d", i.count), "Version", "2.0", "IssueInstant", stamp(0))
	el(a, "saml:Issuer").SetText(i.entity)
	subject := el(a, "saml:Subject")
	el(subject, "saml:NameID", "Format", s.format).SetText(s.nameID)
	el(el(subject, "saml:SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:bearer"), "saml:SubjectConfirmationData",
		"InResponseTo", s.inResponseTo, "NotOnOrAfter", stamp(5*time.Minute), "Recipient", s.acs)
	el(el(el(a, "saml:Conditions", "NotBefore", stamp(-time.Minute), "NotOnOrAfter", stamp(5*time.Minute)), "saml:AudienceRestriction"), "saml:Audience").SetText(s.audience)
	statement := el(a, "saml:AuthnStatement", "AuthnInstant", stamp(0), "SessionIndex", "s-1", "SessionNotOnOrAfter", s.ends)
	if s.context != "" {
		el(el(statement, "saml:AuthnContext"), "saml:AuthnContextClassRef").SetText(s.context)
	}
	if s.email != "" {
		el(el(el(a, "saml:AttributeStatement"), "saml:Attribute", "Name", "mail"), "saml:AttributeValue").SetText(s.email)
	}
	ctx, err := dsig.NewSigningContext(i.key, [][]byte{i.cert})
	if err != nil {
		t.Fatal(err)
	}
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	sig, err := ctx.ConstructSignature(root.Copy(), true)
	if err != nil {
		t.Fatal(err)
	}
	root.InsertChildAt(1, sig)
	doc := etree.NewDocument()
	doc.SetRoot(root)
	doc.WriteSettings = etree.WriteSettings{CanonicalAttrVal: true, CanonicalEndTags: true, CanonicalText: true}
	raw, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}
