package passkey

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// Passkey is one that is registered.
type Passkey struct {
	ID           uuid.UUID
	AccountID    uuid.UUID
	CredentialID []byte
	Name         string // the person's own, or the authenticator's
	AAGUID       uuid.UUID
	Transports   []string
	Attachment   string // platform, cross-platform or empty
	// Discoverable: it can sign in without a name being typed. Otherwise it is good for a second factor only.
	Discoverable bool
	// VerificationTrusted: when it verifies the person, that is a factor.
	VerificationTrusted bool
	BackupEligible      bool // it can be on several devices
	BackedUp            bool // and is kept where the device's loss does not matter
	SignCount           uint32
	CreatedAt           time.Time
	LastUsedAt          time.Time // zero: never
}

// Model is the authenticator's name as its AAGUID tells; empty when it is not known.
func (k Passkey) Model() string { return ModelName(k.AAGUID) }

const columns = `id, account_id, credential_id, name, aaguid, transports, attachment, discoverable, uv_initialized, backup_eligible, backed_up, sign_count, created_at, last_used_at`

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner, more ...any) (Passkey, error) {
	var k Passkey
	var transports string
	var count int64
	var used *time.Time
	err := row.Scan(append([]any{&k.ID, &k.AccountID, &k.CredentialID, &k.Name, &k.AAGUID, &transports, &k.Attachment, &k.Discoverable, &k.VerificationTrusted,
		&k.BackupEligible, &k.BackedUp, &count, &k.CreatedAt, &used}, more...)...)
	if err != nil {
		return Passkey{}, err
	}
	k.Transports, k.SignCount = strings.Fields(transports), uint32(count)
	if used != nil {
		k.LastUsedAt = *used
	}
	return k, nil
}

func found(k Passkey, err error) (Passkey, error) {
	if errors.Is(err, store.ErrNoRows) {
		return Passkey{}, ErrNotFound
	}
	if err != nil {
		return Passkey{}, fmt.Errorf("read passkey: %w", err)
	}
	return k, nil
}

// List gives an account's passkeys, the oldest first.
func (s *Store) List(ctx context.Context, q store.Querier, accountID uuid.UUID) ([]Passkey, error) {
	rows, err := q.Query(ctx, `SELECT `+columns+` FROM credential_passkey WHERE account_id = $1 ORDER BY created_at, id`, accountID)
	if err != nil {
		return nil, fmt.Errorf("list passkeys: %w", err)
	}
	defer rows.Close()
	var out []Passkey
	for rows.Next() {
		k, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list passkeys: %w", err)
		}
		out = append(out, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list passkeys: %w", err)
	}
	return out, nil
}

// Get finds one of an account's passkeys; ErrNotFound when it has no such one.
func (s *Store) Get(ctx context.Context, q store.Querier, accountID, id uuid.UUID) (Passkey, error) {
	return found(scan(q.QueryRow(ctx, `SELECT `+columns+` FROM credential_passkey WHERE account_id = $1 AND id = $2`, accountID, id)))
}

// Count is how many passkeys an account has, and how many of them can sign in by themselves.
func (s *Store) Count(ctx context.Context, q store.Querier, accountID uuid.UUID) (all, discoverable int, err error) {
	err = q.QueryRow(ctx, `SELECT count(*), count(CASE WHEN discoverable THEN 1 END) FROM credential_passkey WHERE account_id = $1`, accountID).Scan(&all, &discoverable)
	if err != nil {
		return 0, 0, fmt.Errorf("count passkeys: %w", err)
	}
	return all, discoverable, nil
}

// Rename gives a passkey another name: 1 to 64 characters after white space and what can't be seen is taken out.
func (s *Store) Rename(ctx context.Context, tx *store.Tx, accountID, id uuid.UUID, name string) (Passkey, error) {
	name, err := cleanName(name)
	if err != nil {
		return Passkey{}, err
	}
	return found(scan(tx.QueryRow(ctx, `UPDATE credential_passkey SET name = $3 WHERE account_id = $1 AND id = $2 RETURNING `+columns, accountID, id, name)))
}

// Delete removes a passkey and gives what it was. Whether it may go, the caller has decided.
func (s *Store) Delete(ctx context.Context, tx *store.Tx, accountID, id uuid.UUID) (Passkey, error) {
	return found(scan(tx.QueryRow(ctx, `DELETE FROM credential_passkey WHERE account_id = $1 AND id = $2 RETURNING `+columns, accountID, id)))
}

// Erase removes all there is of an account: passkeys, ceremonies, user handle.
func (s *Store) Erase(ctx context.Context, tx *store.Tx, accountID uuid.UUID) error {
	for _, sql := range []string{
		`DELETE FROM credential_passkey_ceremony WHERE account_id = $1`,
		`DELETE FROM credential_passkey WHERE account_id = $1`,
		`DELETE FROM credential_passkey_user WHERE account_id = $1`,
	} {
		if _, err := tx.Exec(ctx, sql, accountID); err != nil {
			return fmt.Errorf("erase passkeys: %w", err)
		}
	}
	return nil
}

var transportName = regexp.MustCompile(`^[a-z][a-z-]{0,31}$`)

// cleanTransports keeps what a browser said of how to reach the authenticator, new names too (WebAuthn L3 §5.8.4), as long
// as it is no more than that.
func cleanTransports(said []protocol.AuthenticatorTransport) []string {
	var out []string
	for _, t := range said {
		if t := string(t); transportName.MatchString(t) && !slices.Contains(out, t) && len(out) < 8 {
			out = append(out, t)
		}
	}
	return out
}

func joinTransports(t []string) string { return strings.Join(t, " ") }
