package keyring

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/crypto/chacha20poly1305"
)

// Both forms begin with a version byte, so that the algorithm can change without guessing.
const (
	sealVersion = 0x01 // version │ key id │ nonce │ ciphertext and tag
	wrapVersion = 0x01 // version │ root fingerprint │ nonce │ ciphertext and tag

	sealHead = 1 + 16
	wrapHead = 1 + 8

	// Overhead is how many bytes longer a sealed value is than the plain one.
	Overhead = sealHead + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

// ErrSealed says that a value can't be opened: damaged, sealed for another purpose, or with a key that is not here.
// It deliberately doesn't say which to anyone but the log.
var ErrSealed = errors.New("the sealed value can't be opened")

var (
	errShort      = fmt.Errorf("%w: it is too short", ErrSealed)
	errVersion    = fmt.Errorf("%w: its version is unknown", ErrSealed)
	errUnknownKey = fmt.Errorf("%w: its key is unknown", ErrSealed)
	errAuth       = fmt.Errorf("%w: it is damaged or belongs elsewhere", ErrSealed)
)

// seal encrypts under key with head in the clear; head and context are authenticated.
//
// The nonce is random and 192 bits long: draft-irtf-cfrg-xchacha-03 §3.1 has it safe for any number of messages,
// where NIST SP 800-38D §8.3 would end a GCM key with random 96-bit nonces after 2^32 of them, and where nodes that
// share a key would have to share a counter.
func seal(key *[keySize]byte, head, plain []byte, context string) []byte {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		panic("keyring: " + err.Error()) // the key has the right size by its type
	}
	out := make([]byte, len(head)+chacha20poly1305.NonceSizeX, len(head)+chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	copy(out, head)
	nonce := out[len(head):]
	_, _ = rand.Read(nonce)
	return aead.Seal(out, nonce, plain, associated(head, context))
}

func open(key *[keySize]byte, headLen int, sealed []byte, context string) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		panic("keyring: " + err.Error())
	}
	if len(sealed) < headLen+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return nil, errShort
	}
	head, nonce, box := sealed[:headLen], sealed[headLen:headLen+chacha20poly1305.NonceSizeX], sealed[headLen+chacha20poly1305.NonceSizeX:]
	plain, err := aead.Open(nil, nonce, box, associated(head, context))
	if err != nil {
		return nil, errAuth
	}
	return plain, nil
}

// associated can't be ambiguous: head's length follows from its first byte.
func associated(head []byte, context string) []byte {
	return append(append(make([]byte, 0, len(head)+len(context)), head...), context...)
}

func sealedKeyID(sealed []byte) (uuid.UUID, error) {
	switch {
	case len(sealed) < Overhead:
		return uuid.Nil, errShort
	case sealed[0] != sealVersion:
		return uuid.Nil, errVersion
	}
	return uuid.UUID(sealed[1:sealHead]), nil
}

// wrap encrypts a data key with the root key. Id and kind are authenticated: keys can't change places in the table.
func (r *root) wrap(id uuid.UUID, kind string, key *[keySize]byte) []byte {
	head := append([]byte{wrapVersion}, r.print[:]...)
	return seal(&r.key, head, key[:], "sigra data key\x00"+kind+"\x00"+id.String())
}

func (r *root) unwrap(id uuid.UUID, kind string, wrapped []byte) (*[keySize]byte, error) {
	plain, err := open(&r.key, wrapHead, wrapped, "sigra data key\x00"+kind+"\x00"+id.String())
	if err != nil {
		return nil, err
	}
	if len(plain) != keySize {
		return nil, errAuth
	}
	return (*[keySize]byte)(plain), nil
}

// mac is HMAC-SHA-256 under a key derived for the purpose: RFC 5869 expand, whose info keeps purposes apart.
func mac(key *[keySize]byte, purpose string, msg []byte) []byte {
	sub, err := hkdf.Expand(sha256.New, key[:], "sigra mac v1\x00"+purpose, sha256.Size)
	if err != nil {
		panic("keyring: " + err.Error()) // only for absurd lengths
	}
	h := hmac.New(sha256.New, sub)
	_, _ = h.Write(msg)
	return h.Sum(nil)
}
