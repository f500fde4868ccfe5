package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// Marker authenticates what Sigra hands out and gets back; *keyring.Ring is one.
type Marker interface {
	MAC(purpose string, msg []byte) []byte
}

// A device mark tells a browser in which somebody has proved to hold an account from all others. It lets nobody in. It only
// gives this browser a bucket of failures of its own, so that strangers who guess at an address can't keep its owner
// out, and the owner's browser can't be used to guess without end (ASVS 5.0 6.1.1; OWASP, device cookies).
//
//	mark = base64url(nonce ‖ MAC(account ‖ nonce ‖ password hash))
//
// Nothing of it is stored, and with the password every mark of the account changes.
const (
	markPurpose = "auth.device"
	nonceSize   = 16
	macSize     = 32
)

var markEncoding = base64.RawURLEncoding.Strict()

func (s *Service) markMAC(accountID uuid.UUID, nonce []byte, hash string) []byte {
	msg := append(append(append([]byte(nil), accountID[:]...), nonce...), hash...)
	return s.marks.MAC(markPurpose, msg)
}

// newMark makes a mark for an account as it is in the transaction; empty when there is no password to guess.
func (s *Service) newMark(ctx context.Context, tx *store.Tx, accountID uuid.UUID) (string, error) {
	if s.marks == nil {
		return "", nil
	}
	hash, err := s.passwords.Find(ctx, tx, accountID)
	if err != nil || hash == "" {
		return "", err
	}
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the program instead
	return markEncoding.EncodeToString(append(nonce, s.markMAC(accountID, nonce, hash)...)), nil
}

// markKey is what failures from a marked browser are counted by; false when the mark is not of this account.
func (s *Service) markKey(id identity, mark string) (string, bool) {
	if s.marks == nil || id.hash == "" || len(mark) != markEncoding.EncodedLen(nonceSize+macSize) {
		return "", false
	}
	b, err := markEncoding.DecodeString(mark)
	if err != nil || !hmac.Equal(b[nonceSize:], s.markMAC(id.account.ID, b[:nonceSize], id.hash)) {
		return "", false
	}
	return keyOf("device", hex.EncodeToString(b[:nonceSize])), true
}

// keyOf names a bucket that is no address's: in an address there is no colon.
func keyOf(kind, name string) string { return kind + ":" + name }
