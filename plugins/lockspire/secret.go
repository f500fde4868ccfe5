package lockspire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// newToken makes 32 random bytes as text: a secret, code, refresh token or ticket (RFC 6749 §10.10 asks for 160 bits).
func newToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// digest is how a token is stored. It has 256 random bits, so that a plain hash can't be searched.
func digest(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// derive makes another token from one: the same each time, and only by who has it.
func derive(token, purpose string) string {
	m := hmac.New(sha256.New, []byte(token))
	_, _ = m.Write([]byte("lockspire " + purpose))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// encryptWith encrypts something with a token that is not stored: who reads the database can't read it, who shows the token can.
func encryptWith(token string, plain []byte) ([]byte, error) {
	aead, err := cipherOf(token)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	return aead.Seal(nonce, nonce, plain, nil), nil
}

func decryptWith(token string, sealed []byte) ([]byte, error) {
	aead, err := cipherOf(token)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("what was kept is too short")
	}
	return aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
}

func cipherOf(token string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(token), nil, "lockspire answer", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
