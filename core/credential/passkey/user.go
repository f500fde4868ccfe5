package passkey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// User is whom a passkey is made for. Name and DisplayName are shown by the person's own devices.
type User struct {
	ID          uuid.UUID
	Name        string // tells a person's accounts apart: the email address
	DisplayName string // may be empty
}

// handleSize is all that WebAuthn allows (L3 §14.6.1: 64 random bytes, nothing about the person).
const handleSize = 64

// UserHandle is what authenticators know the account by; nil when none was ever asked to make a passkey for it.
func (s *Store) UserHandle(ctx context.Context, q store.Querier, accountID uuid.UUID) ([]byte, error) {
	var handle []byte
	err := q.QueryRow(ctx, `SELECT handle FROM credential_passkey_user WHERE account_id = $1`, accountID).Scan(&handle)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read passkey user handle: %w", err)
	}
	return handle, nil
}

// ensureHandle gives the account's handle and makes it at the first time. Of two at once, one is made.
func (s *Store) ensureHandle(ctx context.Context, tx *store.Tx, accountID uuid.UUID) ([]byte, error) {
	handle := make([]byte, handleSize)
	_, _ = rand.Read(handle) // never fails: crypto/rand ends the program instead
	err := tx.QueryRow(ctx, `INSERT INTO credential_passkey_user (account_id, handle, created_at) VALUES ($1, $2, $3)
		ON CONFLICT (account_id) DO UPDATE SET created_at = credential_passkey_user.created_at RETURNING handle`,
		accountID, handle, s.now()).Scan(&handle)
	if err != nil {
		return nil, fmt.Errorf("make passkey user handle: %w", err)
	}
	return handle, nil
}

// libraryUser is an account as go-webauthn wants to see one.
type libraryUser struct {
	User
	handle      []byte
	credentials []webauthn.Credential
}

var _ webauthn.User = libraryUser{}

func (u libraryUser) WebAuthnID() []byte                         { return u.handle }
func (u libraryUser) WebAuthnName() string                       { return u.Name }
func (u libraryUser) WebAuthnDisplayName() string                { return u.DisplayName }
func (u libraryUser) WebAuthnCredentials() []webauthn.Credential { return u.credentials }
