package saml

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	_ "crypto/sha1" // RSA-OAEP with SHA-1: neither signature nor collision matters there, and it is what everybody sends
	"encoding/base64"
	"strings"
	"time"

	"github.com/beevik/etree"
)

// oaepHashes are the digests of RSA-OAEP; mgf1 those of its mask.
var (
	oaepHashes = map[string]crypto.Hash{
		"":                                       crypto.SHA1, // xmlenc-core1 §5.5.2
		"http://www.w3.org/2000/09/xmldsig#sha1": crypto.SHA1,
		"http://www.w3.org/2001/04/xmlenc#sha256": crypto.SHA256,
		"http://www.w3.org/2001/04/xmlenc#sha512": crypto.SHA512,
	}
	mgf1 = map[string]crypto.Hash{
		"":                       crypto.SHA1,
		nsEncrypt11 + "mgf1sha1": crypto.SHA1, nsEncrypt11 + "mgf1sha256": crypto.SHA256, nsEncrypt11 + "mgf1sha512": crypto.SHA512,
	}
	gcmKeySizes = map[string]int{nsEncrypt11 + "aes128-gcm": 16, nsEncrypt11 + "aes192-gcm": 24, nsEncrypt11 + "aes256-gcm": 32}
	cbcKeySizes = map[string]int{nsEncrypt + "aes128-cbc": 16, nsEncrypt + "aes192-cbc": 24, nsEncrypt + "aes256-cbc": 32}
)

// errDecryption is all that is said about a decryption that failed: more would be an oracle.
func errDecryption() error {
	return refuse(GateDecryptionFailed, "the assertion could not be decrypted with a key of this connection")
}

// decrypt returns the assertion in an EncryptedAssertion. covered: a verified signature covers the ciphertext.
func (c *Connection) decrypt(now time.Time, el *etree.Element, covered bool) (*etree.Element, error) {
	if err := checkSequence(el, one(nsEncrypt, "EncryptedData"), many(nsEncrypt, "EncryptedKey")); err != nil {
		return nil, malformedEncryption(err)
	}
	data := child(el, nsEncrypt, "EncryptedData")
	if data == nil {
		return nil, refuse(GateEncryptionMalformed, "the EncryptedAssertion has no EncryptedData")
	}
	wrapped, err := encryptedKeys(el, data)
	if err != nil {
		return nil, err
	}
	method, err := encryptionMethod(data)
	if err != nil {
		return nil, err
	}
	algorithm := attrValue(method, "Algorithm")
	size, cbc := gcmKeySizes[algorithm], false
	if size == 0 {
		if size, cbc = cbcKeySizes[algorithm], true; size == 0 {
			return nil, refuse(GateAlgorithm, "the encryption algorithm is not one that is accepted").got(algorithm)
		}
		switch {
		case !now.Before(c.AllowCBCUntil):
			return nil, refuse(GateAlgorithm, "CBC encryption is malleable and refused; set the identity provider to AES-GCM").got(algorithm)
		case !covered: // only what the identity provider signed reaches the padding: no oracle
			return nil, refuse(GateAlgorithm, "CBC encryption is taken only inside a signed Response").got(algorithm)
		}
	}
	ciphertext, err := cipherValue(data)
	if err != nil {
		return nil, err
	}
	key, err := c.unwrap(wrapped, size)
	if err != nil {
		return nil, err
	}
	open := openGCM
	if cbc {
		open = openCBC
	}
	plain, ok := open(key, ciphertext)
	if !ok {
		return nil, errDecryption()
	}
	return readDecrypted(plain)
}

// readDecrypted treats the plaintext as a message of its own: it came from whoever had our public key.
func readDecrypted(plain []byte) (*etree.Element, error) {
	root, err := parse(plain, messageLimits)
	if err != nil || !is(root, nsAssertion, "Assertion") {
		return nil, errDecryption()
	}
	if err := checkIdentifiers(root); err != nil {
		return nil, err
	}
	count := 0
	err = walk(root, func(el *etree.Element) error {
		if strings.EqualFold(el.Tag, "Assertion") || strings.EqualFold(el.Tag, "EncryptedAssertion") {
			count++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if count != 1 {
		return nil, refuse(GateAssertionCount, "there must be exactly one assertion in the encrypted part; there are %d", count)
	}
	if err := checkPlaces(root, root); err != nil {
		return nil, err
	}
	return root, checkAssertionSchema(root)
}

// encryptedKeys finds the wrapped keys in their two places: inside EncryptedData, and beside it with a reference that names one.
func encryptedKeys(el, data *etree.Element) ([]*etree.Element, error) {
	var keys []*etree.Element
	beside := map[string]bool{}
	for _, k := range el.ChildElements() {
		if is(k, nsEncrypt, "EncryptedKey") {
			keys = append(keys, k)
			beside["#"+attrValue(k, "Id")] = true
		}
	}
	if info := child(data, nsSignature, "KeyInfo"); info != nil {
		for _, k := range info.ChildElements() {
			switch {
			case is(k, nsEncrypt, "EncryptedKey"):
				keys = append(keys, k)
			case is(k, nsSignature, "RetrievalMethod") && !beside[attrValue(k, "URI")]:
				return nil, refuse(GateEncryptionMalformed, "a RetrievalMethod points elsewhere than to the key beside it").got(attrValue(k, "URI"))
			}
		}
	}
	switch {
	case len(keys) == 0:
		return nil, refuse(GateEncryptionMalformed, "there is no EncryptedKey")
	case len(keys) > maxEncryptedKeys:
		return nil, refuse(GateTooMany, "there are more than %d EncryptedKeys", maxEncryptedKeys)
	}
	return keys, nil
}

// unwrap tries each wrapped key with each of ours.
func (c *Connection) unwrap(wrapped []*etree.Element, size int) ([]byte, error) {
	for _, el := range wrapped {
		method, err := encryptionMethod(el)
		if err != nil {
			return nil, err
		}
		options, err := oaep(method)
		if err != nil {
			return nil, err
		}
		ciphertext, err := cipherValue(el)
		if err != nil {
			return nil, err
		}
		for _, private := range c.Decryption {
			if key, err := private.Decrypt(nil, ciphertext, options); err == nil && len(key) == size {
				return key, nil
			}
		}
	}
	return nil, errDecryption()
}

func oaep(method *etree.Element) (*rsa.OAEPOptions, error) {
	algorithm := attrValue(method, "Algorithm")
	digest, mask := "", ""
	for _, el := range method.ChildElements() {
		switch {
		case is(el, nsSignature, "DigestMethod"):
			digest = attrValue(el, "Algorithm")
		case is(el, nsEncrypt11, "MGF") && algorithm == nsEncrypt11+"rsa-oaep":
			mask = attrValue(el, "Algorithm")
		default:
			return nil, refuse(GateEncryptionMalformed, "<%s> is not understood in an EncryptionMethod", el.Tag)
		}
	}
	hash, known := oaepHashes[digest]
	mgf, knownMask := mgf1[mask]
	switch {
	case algorithm != nsEncrypt+"rsa-oaep-mgf1p" && algorithm != nsEncrypt11+"rsa-oaep":
		return nil, refuse(GateAlgorithm, "the key is not wrapped with RSA-OAEP; PKCS #1 v1.5 is refused").got(algorithm)
	case !known || !knownMask:
		return nil, refuse(GateAlgorithm, "the digest of RSA-OAEP is not one that is accepted").got(digest + " " + mask)
	}
	return &rsa.OAEPOptions{Hash: hash, MGFHash: mgf}, nil
}

func encryptionMethod(el *etree.Element) (*etree.Element, error) {
	method := child(el, nsEncrypt, "EncryptionMethod")
	if method == nil {
		return nil, refuse(GateEncryptionMalformed, "<%s> does not have one EncryptionMethod", el.Tag)
	}
	return method, nil
}

// cipherValue reads the octets in el. CipherReference, which would have them fetched, is not supported.
func cipherValue(el *etree.Element) ([]byte, error) {
	data := child(el, nsEncrypt, "CipherData")
	if data == nil {
		return nil, refuse(GateEncryptionMalformed, "<%s> does not have one CipherData", el.Tag)
	}
	if err := checkSequence(data, one(nsEncrypt, "CipherValue")); err != nil {
		return nil, malformedEncryption(err)
	}
	value := child(data, nsEncrypt, "CipherValue")
	if value == nil {
		return nil, refuse(GateEncryptionMalformed, "the CipherData has no CipherValue")
	}
	encoded, err := text(value)
	if err != nil {
		return nil, err
	}
	octets, err := base64.StdEncoding.DecodeString(withoutSpace(encoded))
	if err != nil {
		return nil, refuse(GateEncryptionMalformed, "the CipherValue is not base64")
	}
	return octets, nil
}

func malformedEncryption(err error) error {
	if r, ok := AsRefusal(err); ok {
		return &Refusal{Gate: GateEncryptionMalformed, Detail: r.Detail, Received: r.Received}
	}
	return err
}

// openGCM reads nonce, ciphertext and a tag of 16 bytes (xmlenc-core1 §5.2.4).
func openGCM(key, octets []byte) ([]byte, bool) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, false
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil || len(octets) < gcm.NonceSize()+gcm.Overhead() {
		return nil, false
	}
	plain, err := gcm.Open(nil, octets[:gcm.NonceSize()], octets[gcm.NonceSize():], nil)
	return plain, err == nil
}

// openCBC reads an initialization vector and blocks whose last byte says how much of them is padding (xmlenc-core1 §5.2.2).
func openCBC(key, octets []byte) ([]byte, bool) {
	block, err := aes.NewCipher(key)
	if err != nil || len(octets) < 2*aes.BlockSize || len(octets)%aes.BlockSize != 0 {
		return nil, false
	}
	plain := make([]byte, len(octets)-aes.BlockSize)
	cipher.NewCBCDecrypter(block, octets[:aes.BlockSize]).CryptBlocks(plain, octets[aes.BlockSize:])
	padding := int(plain[len(plain)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, false
	}
	return plain[:len(plain)-padding], true
}
