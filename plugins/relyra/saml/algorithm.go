package saml

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"strings"
)

const (
	rsaSHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"

	minRSABits = 2048 // NIST SP 800-131A: 1024 bits are disallowed
)

// signatureMethods is everything that is accepted. No SHA-1, and no HMAC, whose key would be a certificate that everybody has.
var signatureMethods = map[string]x509.SignatureAlgorithm{
	rsaSHA256: x509.SHA256WithRSA,
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha384":   x509.SHA384WithRSA,
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512":   x509.SHA512WithRSA,
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256": x509.ECDSAWithSHA256,
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384": x509.ECDSAWithSHA384,
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512": x509.ECDSAWithSHA512,
}

var digestMethods = map[string]crypto.Hash{
	"http://www.w3.org/2001/04/xmlenc#sha256":       crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
	"http://www.w3.org/2001/04/xmlenc#sha512":       crypto.SHA512,
}

func signatureMethod(uri string) (x509.SignatureAlgorithm, error) {
	if method, ok := signatureMethods[uri]; ok {
		return method, nil
	}
	lower := strings.ToLower(uri)
	switch {
	case strings.Contains(lower, "mgf1"), strings.Contains(lower, "pss"):
		return 0, refuse(GateAlgorithm, "RSA-PSS signatures are not supported; set the identity provider to RSA-SHA256").got(uri)
	case strings.Contains(lower, "sha1"):
		return 0, refuse(GateAlgorithm, "SHA-1 signatures are refused; set the identity provider to RSA-SHA256").got(uri)
	case strings.Contains(lower, "hmac"):
		return 0, refuse(GateAlgorithm, "HMAC is refused: its key would have to be a secret, and a certificate is none").got(uri)
	}
	return 0, refuse(GateAlgorithm, "the signature algorithm is not one that is accepted").got(uri)
}

func digestMethod(uri string) (crypto.Hash, error) {
	hash, ok := digestMethods[uri]
	if !ok {
		return 0, refuse(GateAlgorithm, "the digest algorithm is not one that is accepted; set the identity provider to SHA-256").got(uri)
	}
	return hash, nil
}

// CheckCertificate says whether a certificate's key may verify signatures at all, whatever its dates.
func CheckCertificate(cert *x509.Certificate) error {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return refuse(GateAlgorithm, "the certificate %s has an RSA key of %d bits; at least %d are needed", Fingerprint(cert), bits, minRSABits)
		}
		return nil
	case *ecdsa.PublicKey:
		return nil
	}
	return refuse(GateAlgorithm, "the certificate %s has neither an RSA nor an ECDSA key", Fingerprint(cert)).got(cert.PublicKeyAlgorithm.String())
}

// Fingerprint is the SHA-256 of a certificate, in hexadecimal.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// fits says whether the key of cert is of the kind that method needs.
func fits(cert *x509.Certificate, method x509.SignatureAlgorithm) bool {
	switch method {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA:
		return cert.PublicKeyAlgorithm == x509.RSA
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		return cert.PublicKeyAlgorithm == x509.ECDSA
	}
	return false
}

// signatureFor returns value as crypto/x509 wants it. XML Signature has the two integers of an ECDSA signature one after the other
// (xmldsig-core1 §6.4.3, bindings §3.4.4.1 by reference), crypto/x509 wants them in ASN.1; goxmldsig does not convert.
func signatureFor(cert *x509.Certificate, value []byte) ([]byte, bool) {
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return value, true
	}
	size := (key.Curve.Params().BitSize + 7) / 8
	if len(value) != 2*size {
		return nil, false
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(value[:size]), new(big.Int).SetBytes(value[size:])})
	return der, err == nil
}
