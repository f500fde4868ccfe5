package passkey

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// Purpose is what a ceremony is for.
type Purpose string

// The purposes.
const (
	PurposeRegister     Purpose = "register"
	PurposeLogin        Purpose = "login" // as first factor
	PurposeSecondFactor Purpose = "second_factor"
	PurposeStepUp       Purpose = "step_up"
)

// Ceremony is a question to a browser.
type Ceremony struct {
	// Options is what navigator.credentials.create or get takes, as JSON: {"publicKey": {…}, "mediation": "…"}.
	Options json.RawMessage
	Token   string // the browser's; comes back with the answer
	// ExpiresAt is when the answer comes too late.
	ExpiresAt time.Time
}

// row is a ceremony as it is stored.
type row struct {
	id          uuid.UUID
	purpose     Purpose
	accountID   uuid.UUID // zero: whoever the passkey says
	requireUV   bool
	trustUV     bool
	conditional bool
	challenge   []byte
}

// tokenSize is 256 bits (ASVS 5.0 6.5.4 asks for less).
const tokenSize = 32

var encoding = base64.RawURLEncoding.Strict()

// challengeOf derives the challenge from the token: as random as the token is (WebAuthn L3 §13.4.3), and nowhere stored.
func challengeOf(token []byte) []byte {
	m := hmac.New(sha256.New, token)
	m.Write([]byte("sigra passkey challenge"))
	return m.Sum(nil)
}

// begin stores a ceremony. Its id and challenge are made here.
func (s *Store) begin(ctx context.Context, tx *store.Tx, p *party, r *row) (Ceremony, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Ceremony{}, err
	}
	token := make([]byte, tokenSize)
	_, _ = rand.Read(token) // never fails: crypto/rand ends the program instead
	hash := sha256.Sum256(token)
	r.id, r.challenge = id, challengeOf(token)
	now := s.now()
	c := Ceremony{Token: encoding.EncodeToString(token), ExpiresAt: now.Add(p.CeremonyTTL)}
	var account any = r.accountID
	if r.accountID == uuid.Nil {
		account = nil
	}
	_, err = tx.Exec(ctx, `INSERT INTO credential_passkey_ceremony (id, token_hash, purpose, account_id, require_uv, trust_uv, conditional, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, r.id, hash[:], string(r.purpose), account, r.requireUV, r.trustUV, r.conditional, now, c.ExpiresAt)
	if err != nil {
		return Ceremony{}, fmt.Errorf("begin passkey ceremony: %w", err)
	}
	return c, nil
}

// find gives an open ceremony of the purpose and account. Refused, with one of four reasons, when there is none.
func (s *Store) find(ctx context.Context, purpose Purpose, accountID uuid.UUID, token string) (row, error) {
	if len(token) != encoding.EncodedLen(tokenSize) {
		return row{}, refuse(ReasonCeremonyUnknown)
	}
	raw, err := encoding.DecodeString(token)
	if err != nil || len(raw) != tokenSize {
		return row{}, refuse(ReasonCeremonyUnknown)
	}
	hash := sha256.Sum256(raw)
	r := row{challenge: challengeOf(raw)}
	var account *uuid.UUID
	var expires time.Time
	var spent *time.Time
	err = s.db.QueryRow(ctx, `SELECT id, purpose, account_id, require_uv, trust_uv, conditional, expires_at, spent_at
		FROM credential_passkey_ceremony WHERE token_hash = $1`, hash[:]).Scan(&r.id, (*string)(&r.purpose), &account, &r.requireUV, &r.trustUV, &r.conditional, &expires, &spent)
	if errors.Is(err, store.ErrNoRows) {
		return row{}, refuse(ReasonCeremonyUnknown)
	}
	if err != nil {
		return row{}, fmt.Errorf("read passkey ceremony: %w", err)
	}
	if account != nil {
		r.accountID = *account
	}
	switch {
	case r.purpose != purpose || r.accountID != accountID:
		return row{}, refuse(ReasonCeremonyPurpose)
	case spent != nil:
		return row{}, refuse(ReasonCeremonySpent)
	case !expires.After(s.now()):
		return row{}, refuse(ReasonCeremonyExpired)
	}
	return r, nil
}

// spend uses a ceremony up, in the transaction of what it allows.
func (s *Store) spend(ctx context.Context, tx *store.Tx, id uuid.UUID) error {
	now := s.now()
	n, err := tx.Exec(ctx, `UPDATE credential_passkey_ceremony SET spent_at = $2 WHERE id = $1 AND spent_at IS NULL AND expires_at > $2`, id, now)
	if err != nil {
		return fmt.Errorf("spend passkey ceremony: %w", err)
	}
	if n == 0 {
		return refuse(ReasonCeremonySpent) // or it has just expired, or its account was erased
	}
	return nil
}

// Clean deletes ceremonies past their end, in batches, and returns how many. Spent ones stay until then.
func (s *Store) Clean(ctx context.Context) (int64, error) {
	const batch = 500
	var total int64
	for {
		var n int64
		err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			n, err = tx.Exec(ctx, `DELETE FROM credential_passkey_ceremony WHERE id IN
				(SELECT id FROM credential_passkey_ceremony WHERE expires_at <= $1 LIMIT $2)`, s.now(), batch)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("delete expired passkey ceremonies: %w", err)
		}
		if total += n; n < batch {
			return total, nil
		}
	}
}
