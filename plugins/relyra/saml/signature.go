package saml

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

const (
	transformEnveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	canonicalization   = nsExcC14N
)

// Signed says what was signed and by whom.
type Signed struct {
	Element     string // Response, Assertion, LogoutRequest …
	Algorithm   string
	Certificate *x509.Certificate // the configured one that verified
}

// checkPlaces refuses a Signature anywhere but as the child of one of owners that stands right after its Issuer, and more than one there.
// Metadata has no Issuer: there it is the first child.
func checkPlaces(root *etree.Element, owners ...*etree.Element) error {
	count := map[*etree.Element]int{}
	return walk(root, func(el *etree.Element) error {
		if !is(el, nsSignature, "Signature") {
			return nil
		}
		owner := el.Parent()
		if owner == nil || !slices.Contains(owners, owner) {
			where := "the root"
			if owner != nil {
				where = "<" + owner.Tag + ">"
			}
			return refuse(GateSignaturePosition, "a Signature stands in %s, where none may be", where)
		}
		if count[owner]++; count[owner] > 1 {
			return refuse(GateSignatureCount, "<%s> has more than one Signature", owner.Tag)
		}
		if owner.NamespaceURI() != nsMetadata && child(owner, nsAssertion, "Issuer") == nil {
			return refuse(GateIssuer, "<%s> does not have one Issuer", owner.Tag)
		}
		before := owner.ChildElements()[:slices.Index(owner.ChildElements(), el)]
		if !(len(before) == 1 && is(before[0], nsAssertion, "Issuer")) && !(len(before) == 0 && owner.NamespaceURI() == nsMetadata) {
			return refuse(GateSignaturePosition, "the Signature of <%s> does not stand right after its Issuer", owner.Tag)
		}
		return nil
	})
}

// A signature is a Signature element whose shape was found to be the only one that is accepted.
type signature struct {
	method      x509.SignatureAlgorithm
	methodURI   string
	value       []byte
	digest      crypto.Hash
	digestValue []byte
	prefixes    string // of InclusiveNamespaces
}

// checkShape reads the Signature of owner. goxmldsig accepts far more than this: see the package's tests for each.
func checkShape(el, owner *etree.Element) (*signature, error) {
	malformed := func(err error) error {
		if r, ok := AsRefusal(err); ok && (r.Gate == GateUnexpectedElement || r.Gate == GateSchema) {
			return &Refusal{Gate: GateSignatureMalformed, Detail: r.Detail, Received: r.Received}
		}
		return err
	}
	if err := checkSequence(el, one(nsSignature, "SignedInfo"), one(nsSignature, "SignatureValue"), one(nsSignature, "KeyInfo")); err != nil {
		return nil, malformed(err)
	}
	info, value := child(el, nsSignature, "SignedInfo"), child(el, nsSignature, "SignatureValue")
	if info == nil || value == nil {
		return nil, refuse(GateSignatureMalformed, "a Signature needs one SignedInfo and one SignatureValue")
	}
	references := 0
	for _, c := range info.ChildElements() {
		if is(c, nsSignature, "Reference") {
			references++
		}
	}
	if references != 1 {
		return nil, refuse(GateReferenceCount, "a Signature must have exactly one Reference; it has %d", references)
	}
	if err := checkSequence(info, one(nsSignature, "CanonicalizationMethod"), one(nsSignature, "SignatureMethod"), one(nsSignature, "Reference")); err != nil {
		return nil, malformed(err)
	}
	s := &signature{}
	if err := s.readMethods(info); err != nil {
		return nil, malformed(err)
	}
	if err := s.readReference(child(info, nsSignature, "Reference"), owner); err != nil {
		return nil, malformed(err)
	}
	encoded, err := text(value)
	if err != nil {
		return nil, malformed(err)
	}
	if s.value, err = base64.StdEncoding.DecodeString(withoutSpace(encoded)); err != nil || len(s.value) == 0 {
		return nil, refuse(GateSignatureInvalid, "the SignatureValue is empty or not base64")
	}
	return s, nil
}

func (s *signature) readMethods(info *etree.Element) (err error) {
	c14n, method := child(info, nsSignature, "CanonicalizationMethod"), child(info, nsSignature, "SignatureMethod")
	if c14n == nil || method == nil {
		return refuse(GateSignatureMalformed, "SignedInfo needs a CanonicalizationMethod and a SignatureMethod")
	}
	if algorithm := attrValue(c14n, "Algorithm"); algorithm != canonicalization {
		return refuse(GateAlgorithm, "SignedInfo is not canonicalized exclusively").want(canonicalization, algorithm)
	}
	s.methodURI = attrValue(method, "Algorithm")
	if s.method, err = signatureMethod(s.methodURI); err != nil {
		return err
	}
	for _, el := range []*etree.Element{c14n, method} { // parameters would change what the algorithm's name says
		if err := checkSequence(el); err != nil {
			return err
		}
	}
	return nil
}

func (s *signature) readReference(ref, owner *etree.Element) (err error) {
	id, err := identifier(owner)
	if err != nil {
		return err
	}
	uri, ok := attr(ref, "URI")
	if !ok || uri != "#"+id {
		return refuse(GateReferenceURI, "the Signature of <%s> does not refer to it", owner.Tag).want("#"+id, uri)
	}
	transforms, method, digest := child(ref, nsSignature, "Transforms"), child(ref, nsSignature, "DigestMethod"), child(ref, nsSignature, "DigestValue")
	if transforms == nil {
		return refuse(GateTransform, "the Reference has no Transforms")
	}
	if err := checkSequence(ref, one(nsSignature, "Transforms"), one(nsSignature, "DigestMethod"), one(nsSignature, "DigestValue")); err != nil {
		return err
	}
	if method == nil || digest == nil {
		return refuse(GateSignatureMalformed, "the Reference needs a DigestMethod and a DigestValue")
	}
	if err := s.readTransforms(transforms); err != nil {
		return err
	}
	if s.digest, err = digestMethod(attrValue(method, "Algorithm")); err != nil {
		return err
	}
	if err := checkSequence(method); err != nil {
		return err
	}
	encoded, err := text(digest)
	if err != nil {
		return err
	}
	s.digestValue, err = base64.StdEncoding.DecodeString(withoutSpace(encoded))
	if err != nil || len(s.digestValue) != s.digest.Size() {
		return refuse(GateDigestMismatch, "the DigestValue is not a digest of the algorithm that is named").got(encoded)
	}
	// "Void canonicalization": an engine that fails to canonicalize and goes on digests nothing, and this value is known to everybody.
	if bytes.Equal(s.digestValue, s.digest.New().Sum(nil)) {
		return refuse(GateDigestOfEmptyInput, "the DigestValue is the digest of nothing").got(encoded)
	}
	return nil
}

func (s *signature) readTransforms(transforms *etree.Element) error {
	children := transforms.ChildElements()
	if len(children) > 2 {
		return refuse(GateTransform, "the Reference has more than two Transforms")
	}
	var algorithms []string
	for _, c := range children {
		if !is(c, nsSignature, "Transform") {
			return refuse(GateTransform, "<%s> stands among the Transforms", c.Tag)
		}
		algorithms = append(algorithms, attrValue(c, "Algorithm"))
	}
	if want := []string{transformEnveloped, canonicalization}; !slices.Equal(algorithms, want) {
		return refuse(GateTransform, "the Reference has other Transforms than the two that SAML asks for").want(strings.Join(want, " "), strings.Join(algorithms, " "))
	}
	if err := checkSequence(children[0]); err != nil {
		return err
	}
	if err := checkSequence(children[1], one(nsExcC14N, "InclusiveNamespaces")); err != nil {
		return err
	}
	if list := child(children[1], nsExcC14N, "InclusiveNamespaces"); list != nil {
		if s.prefixes = attrValue(list, "PrefixList"); len(strings.Fields(s.prefixes)) > maxPrefixList {
			return refuse(GateTooMany, "the PrefixList has more than %d names", maxPrefixList)
		}
	}
	return nil
}

// digestOf computes the digest that the Signature should have, to say in a refusal what is wrong.
func (s *signature) digestOf(el *etree.Element) []byte {
	el = detach(el)
	if sig := child(el, nsSignature, "Signature"); sig != nil {
		el.RemoveChild(sig)
	}
	octets, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(s.prefixes).Canonicalize(el)
	if err != nil {
		return nil
	}
	h := s.digest.New()
	h.Write(octets)
	return h.Sum(nil)
}

func withoutSpace(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(xmlSpace, r) {
			return -1
		}
		return r
	}, s)
}
