package saml

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// Keys are what an identity provider's signatures are verified with. What a message says about its key (KeyInfo) decides nothing.
type keys struct {
	certificates []*x509.Certificate
	ignoreDates  bool // some identity providers never renew a self-signed certificate; it is the key that is trusted
	now          time.Time
}

// verify checks the Signature of owner and returns the tree of exactly the bytes that were signed, without the Signature. Nothing of
// the message may be read afterwards but that tree.
func (k keys) verify(owner *etree.Element) (*etree.Element, Signed, error) {
	el := child(owner, nsSignature, "Signature")
	if el == nil {
		return nil, Signed{}, refuse(GateSignatureMissing, "<%s> is not signed", owner.Tag)
	}
	s, err := checkShape(el, owner)
	if err != nil {
		return nil, Signed{}, err
	}
	if len(k.certificates) == 0 {
		return nil, Signed{}, refuse(GateNoCertificate, "no certificate of the identity provider is configured")
	}
	var expired *x509.Certificate
	for _, cert := range k.certificates {
		if !fits(cert, s.method) || CheckCertificate(cert) != nil {
			continue
		}
		verified, err := s.verifyWith(cert, owner)
		if err != nil {
			continue
		}
		if !k.ignoreDates && !current(cert, k.now) {
			expired = cert
			continue
		}
		if err := checkVerified(verified, owner); err != nil {
			return nil, Signed{}, err
		}
		return verified, Signed{Element: owner.Tag, Algorithm: s.methodURI, Certificate: cert}, nil
	}
	if expired != nil {
		return nil, Signed{}, outOfDate(expired, k.now)
	}
	return nil, Signed{}, s.why(owner)
}

// verifyWith lets goxmldsig verify owner with one certificate, in a context of its own: with several, or with a KeyInfo that it does
// not understand, it would refuse what is right.
func (s *signature) verifyWith(cert *x509.Certificate, owner *etree.Element) (*etree.Element, error) {
	value, ok := signatureFor(cert, s.value)
	if !ok {
		return nil, refuse(GateSignatureInvalid, "the SignatureValue does not have the length that the key's curve asks for")
	}
	alone := detach(owner)
	el := child(alone, nsSignature, "Signature")
	if info := child(el, nsSignature, "KeyInfo"); info != nil {
		el.RemoveChild(info)
	}
	child(el, nsSignature, "SignatureValue").SetText(base64.StdEncoding.EncodeToString(value))
	ctx := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{cert}})
	ctx.Clock = dsig.NewFakeClockAt(cert.NotBefore) // dates are ours to judge: verify
	return ctx.Validate(alone)
}

// why says what is wrong with a signature that no key verified.
func (s *signature) why(owner *etree.Element) error {
	if computed := s.digestOf(owner); computed != nil && !bytes.Equal(computed, s.digestValue) {
		return refuse(GateDigestMismatch, "<%s> was changed after it was signed", owner.Tag).
			want(base64.StdEncoding.EncodeToString(computed), base64.StdEncoding.EncodeToString(s.digestValue))
	}
	return refuse(GateSignatureInvalid, "the Signature of <%s> was not made with a configured key", owner.Tag)
}

// checkVerified holds the tree that came back against the element that was to be verified.
func checkVerified(verified, owner *etree.Element) error {
	if verified == nil || verified.Tag != owner.Tag || verified.NamespaceURI() != owner.NamespaceURI() || attrValue(verified, "ID") != attrValue(owner, "ID") {
		return refuse(GateSignatureInvalid, "what is signed is not the <%s> that was to be verified", owner.Tag)
	}
	return checkIdentifiers(verified)
}

// detach copies el with every namespace that is in scope where it stands, so that it canonicalizes alone as it does in its document.
func detach(el *etree.Element) *etree.Element {
	alone := el.Copy()
	for parent := el.Parent(); parent != nil; parent = parent.Parent() {
		for _, a := range parent.Attr {
			if a.Space != "xmlns" && !(a.Space == "" && a.Key == "xmlns") {
				continue
			}
			if alone.SelectAttr(a.FullKey()) == nil {
				alone.CreateAttr(a.FullKey(), a.Value)
			}
		}
	}
	return alone
}

func current(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && !now.After(cert.NotAfter)
}

func outOfDate(cert *x509.Certificate, now time.Time) error {
	return refuse(GateCertificateExpired, "the identity provider's certificate %s is not valid at this time", Fingerprint(cert)).
		want(cert.NotBefore.UTC().Format(time.RFC3339)+" to "+cert.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
}
