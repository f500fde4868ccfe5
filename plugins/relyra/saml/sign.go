package saml

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// A Signer signs what we send, with RSA-SHA256, which every identity provider knows.
type Signer struct {
	Key         *rsa.PrivateKey
	Certificate *x509.Certificate
}

func (s *Signer) sign(hash crypto.Hash, octets []byte) ([]byte, error) {
	h := hash.New()
	h.Write(octets)
	return rsa.SignPKCS1v15(rand.Reader, s.Key, hash, h.Sum(nil))
}

// envelope puts a Signature into el at position at, which has to be canonical as it stands: serialize does that.
func (s *Signer) envelope(el *etree.Element, at int) error {
	ctx, err := dsig.NewSigningContext(s.Key, [][]byte{s.Certificate.Raw})
	if err != nil {
		return err
	}
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	if err := ctx.SetSignatureMethod(rsaSHA256); err != nil {
		return err
	}
	sig, err := ctx.ConstructSignature(el.Copy(), true)
	if err != nil {
		return err
	}
	if at > len(el.Child) {
		return errors.New("saml: no such position for a signature")
	}
	el.InsertChildAt(at, sig)
	return nil
}

// serialize writes el as a message.
func serialize(el *etree.Element) ([]byte, error) {
	doc := etree.NewDocument()
	doc.SetRoot(el)
	doc.WriteSettings = etree.WriteSettings{CanonicalAttrVal: true, CanonicalEndTags: true, CanonicalText: true}
	return doc.WriteToBytes()
}
