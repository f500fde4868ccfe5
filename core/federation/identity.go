package federation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// MaxIdentities is how many logins elsewhere an account may have.
const MaxIdentities = 20

// Identity is a login elsewhere that belongs to an account.
type Identity struct {
	ID         uuid.UUID
	AccountID  uuid.UUID
	Provider   string
	Issuer     string
	Subject    string
	Email      string // as the provider gave it when it was linked; it says nothing about the account
	CreatedAt  time.Time
	LastUsedAt time.Time // zero: not since it was linked
}

const identityColumns = `id, account_id, provider, issuer, subject, email, created_at, last_used_at`

func scanIdentity(row store.Row) (Identity, error) {
	var i Identity
	var email *string
	var used *time.Time
	err := row.Scan(&i.ID, &i.AccountID, &i.Provider, &i.Issuer, &i.Subject, &email, &i.CreatedAt, &used)
	if errors.Is(err, store.ErrNoRows) {
		return Identity{}, ErrNotLinked
	}
	if err != nil {
		return Identity{}, fmt.Errorf("read linked login: %w", err)
	}
	if email != nil {
		i.Email = *email
	}
	i.CreatedAt = i.CreatedAt.UTC()
	if used != nil {
		i.LastUsedAt = used.UTC()
	}
	return i, nil
}

// Find gives the account's login that the claims are of: same provider, same issuer, same subject (OpenID Connect Core 1.0 §5.7).
// An address never finds one. ErrNotLinked when no account has it.
func (s *Service) Find(ctx context.Context, q store.Querier, c Claims) (Identity, error) {
	return scanIdentity(q.QueryRow(ctx, `SELECT `+identityColumns+` FROM federation_identity WHERE provider = $1 AND issuer = $2 AND subject = $3`, c.Provider, c.Issuer, c.Subject))
}

// Link gives a login to an account, in the caller's transaction. It reports false when the account had it already.
// ErrLinkedElsewhere when another account has it: two that link it at once meet here, and one of them gets that.
func (s *Service) Link(ctx context.Context, tx *store.Tx, accountID uuid.UUID, c Claims) (Identity, bool, error) {
	if accountID == uuid.Nil || c.Provider == "" || c.Subject == "" || len(c.Subject) > maxSubject {
		return Identity{}, false, errors.New("federation: a link needs an account, a provider and a subject")
	}
	have, err := s.Find(ctx, tx, c)
	switch {
	case err == nil && have.AccountID == accountID:
		return have, false, nil
	case err == nil:
		return Identity{}, false, ErrLinkedElsewhere
	case !errors.Is(err, ErrNotLinked):
		return Identity{}, false, err
	}
	n, err := s.Count(ctx, tx, accountID)
	if err != nil {
		return Identity{}, false, err
	}
	if n >= MaxIdentities {
		return Identity{}, false, ErrTooMany
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Identity{}, false, err
	}
	var email any
	if c.Email != "" {
		email = c.Email
	}
	made, err := scanIdentity(tx.QueryRow(ctx, `INSERT INTO federation_identity (id, account_id, provider, issuer, subject, email, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (provider, issuer, subject) DO NOTHING RETURNING `+identityColumns,
		id, accountID, c.Provider, c.Issuer, c.Subject, email, s.now()))
	if errors.Is(err, ErrNotLinked) { // somebody was faster
		if have, err = s.Find(ctx, tx, c); err == nil && have.AccountID == accountID {
			return have, false, nil
		}
		if err == nil || errors.Is(err, ErrNotLinked) {
			return Identity{}, false, ErrLinkedElsewhere
		}
	}
	return made, err == nil, err
}

// Unlink takes a login from an account and gives back what it was. Whether the account has another way in is the caller's to
// see to. ErrNotLinked when the account has no such login.
func (s *Service) Unlink(ctx context.Context, tx *store.Tx, accountID, id uuid.UUID) (Identity, error) {
	return scanIdentity(tx.QueryRow(ctx, `DELETE FROM federation_identity WHERE id = $1 AND account_id = $2 RETURNING `+identityColumns, id, accountID))
}

// List gives an account's logins, oldest first.
func (s *Service) List(ctx context.Context, q store.Querier, accountID uuid.UUID) ([]Identity, error) {
	rows, err := q.Query(ctx, `SELECT `+identityColumns+` FROM federation_identity WHERE account_id = $1 ORDER BY id`, accountID)
	if err != nil {
		return nil, fmt.Errorf("list linked logins: %w", err)
	}
	defer rows.Close()
	out := []Identity{}
	for rows.Next() {
		i, err := scanIdentity(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

// Count is how many logins an account has, whether or not their providers are enabled.
func (s *Service) Count(ctx context.Context, q store.Querier, accountID uuid.UUID) (n int, err error) {
	if err = q.QueryRow(ctx, `SELECT COUNT(*) FROM federation_identity WHERE account_id = $1`, accountID).Scan(&n); err != nil {
		err = fmt.Errorf("count linked logins: %w", err)
	}
	return n, err
}

// Touch notes that a login was used to sign in. ErrNotLinked when it is gone: somebody unlinked it meanwhile, and the
// sign-in must not go on.
func (s *Service) Touch(ctx context.Context, tx *store.Tx, id uuid.UUID) error {
	n, err := tx.Exec(ctx, `UPDATE federation_identity SET last_used_at = $2 WHERE id = $1`, id, s.now())
	if err != nil {
		return fmt.Errorf("note the use of a linked login: %w", err)
	}
	if n == 0 {
		return ErrNotLinked
	}
	return nil
}

// Erase forgets an account's logins and what it has begun, and returns how many logins that were.
func (s *Service) Erase(ctx context.Context, tx *store.Tx, accountID uuid.UUID) (int64, error) {
	if _, err := tx.Exec(ctx, `DELETE FROM federation_state WHERE account_id = $1`, accountID); err != nil {
		return 0, fmt.Errorf("erase linked logins: %w", err)
	}
	n, err := tx.Exec(ctx, `DELETE FROM federation_identity WHERE account_id = $1`, accountID)
	if err != nil {
		return 0, fmt.Errorf("erase linked logins: %w", err)
	}
	return n, nil
}
