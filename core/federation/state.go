package federation

import (
	"context"
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

// flow is what waits, sealed, for a callback.
type flow struct {
	Provider  string    `json:"provider"`
	Purpose   Purpose   `json:"purpose"`
	AccountID uuid.UUID `json:"account_id,omitzero"`
	ReturnTo  string    `json:"return_to,omitempty"`
	Issuer    string    `json:"issuer"` // as it was when the flow began
	Nonce     string    `json:"nonce"`
	Verifier  string    `json:"verifier"` // PKCE
	Fresh     bool      `json:"fresh,omitempty"`
	Begun     time.Time `json:"begun"`
}

// secretSize is 256 bits: neither a state nor a browser's secret can be guessed (RFC 6749 §10.10, ASVS 5.0 11.5.1).
const secretSize = 32

var encoding = base64.RawURLEncoding.Strict()

func newSecret() (text string, hash []byte) {
	raw := make([]byte, secretSize)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the program instead
	sum := sha256.Sum256(raw)
	return encoding.EncodeToString(raw), sum[:]
}

func hashOf(text string) (hash []byte, ok bool) {
	if len(text) != encoding.EncodedLen(secretSize) {
		return nil, false
	}
	raw, err := encoding.DecodeString(text)
	if err != nil || len(raw) != secretSize {
		return nil, false
	}
	sum := sha256.Sum256(raw)
	return sum[:], true
}

// keep stores a flow and gives the state that leads back to it and the browser's secret, without which nothing does.
func (s *Service) keep(ctx context.Context, f flow, browser string) (state, keptBrowser string, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", "", err
	}
	state, stateHash := newSecret()
	browserHash, ok := hashOf(browser)
	if !ok {
		browser, browserHash = newSecret()
	}
	plain, err := json.Marshal(f)
	if err != nil {
		return "", "", err
	}
	var accountID any
	if f.AccountID != uuid.Nil {
		accountID = f.AccountID
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO federation_state (id, state_hash, browser_hash, account_id, payload, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			id, stateHash, browserHash, accountID, s.sealer.Seal(plain, Sealed.Purpose(id)), f.Begun, f.Begun.Add(s.ttl))
		return err
	})
	if err != nil {
		return "", "", fmt.Errorf("store a sign-in's state: %w", err)
	}
	return state, browser, nil
}

// spend takes a flow out, once. Of any number of callbacks with one state, on any number of nodes, one gets it. A callback from
// another browser spends nothing: who has seen a state can't break the sign-in of its owner.
func (s *Service) spend(ctx context.Context, providerName, state, browser string) (flow, error) {
	stateHash, ok := hashOf(state)
	if !ok {
		return flow{}, stateInvalid(providerName, "malformed")
	}
	browserHash, ok := hashOf(browser)
	if !ok {
		return flow{}, stateInvalid(providerName, "no_browser")
	}
	var id uuid.UUID
	var sealed []byte
	var why string
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		sealed, why = nil, ""
		now := s.now()
		err := tx.QueryRow(ctx, `SELECT id, payload FROM federation_state WHERE state_hash = $1 AND browser_hash = $2 AND spent_at IS NULL AND expires_at > $3`,
			stateHash, browserHash, now).Scan(&id, &sealed)
		if errors.Is(err, store.ErrNoRows) {
			why, err = s.whyNot(ctx, tx, stateHash, now)
			return err
		}
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE federation_state SET spent_at = $2, payload = NULL WHERE id = $1 AND spent_at IS NULL AND expires_at > $2`, id, now)
		if err == nil && n == 0 {
			why = "spent"
		}
		return err
	})
	switch {
	case err != nil:
		return flow{}, fmt.Errorf("spend a sign-in's state: %w", err)
	case why != "":
		return flow{}, stateInvalid(providerName, why)
	}
	plain, _, err := s.sealer.Open(sealed, Sealed.Purpose(id))
	if err != nil {
		return flow{}, fmt.Errorf("open a sign-in's state: %w", err)
	}
	var f flow
	if err := json.Unmarshal(plain, &f); err != nil {
		return flow{}, fmt.Errorf("read a sign-in's state: %w", err)
	}
	return f, nil
}

// whyNot finds out, for the audit row alone, why a state leads nowhere.
func (s *Service) whyNot(ctx context.Context, tx *store.Tx, stateHash []byte, now time.Time) (string, error) {
	var expires time.Time
	var spent *time.Time
	err := tx.QueryRow(ctx, `SELECT expires_at, spent_at FROM federation_state WHERE state_hash = $1`, stateHash).Scan(&expires, &spent)
	switch {
	case errors.Is(err, store.ErrNoRows):
		return "unknown", nil
	case err != nil:
		return "", err
	case spent != nil:
		return "spent", nil
	case !expires.After(now):
		return "expired", nil
	}
	return "other_browser", nil
}

// Clean deletes states past their end, in batches, and returns how many.
func (s *Service) Clean(ctx context.Context) (int64, error) {
	const batch = 500
	var total int64
	for {
		var n int64
		err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			n, err = tx.Exec(ctx, `DELETE FROM federation_state WHERE id IN (SELECT id FROM federation_state WHERE expires_at <= $1 LIMIT $2)`, s.now(), batch)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("delete expired sign-in states: %w", err)
		}
		if total += n; n < batch {
			return total, nil
		}
	}
}
