package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// Lock takes the account's row for the rest of the transaction and returns it. Every flow that changes what an
// account may do, or gives it a session, begins with it: so "is it still active, is this still its password" asked
// after it stays true until the commit, on both databases and all nodes.
func (s *Store) Lock(ctx context.Context, tx *store.Tx, id uuid.UUID) (Account, error) {
	query := `SELECT ` + columns + ` FROM account WHERE id = $1`
	if tx.Dialect() == store.Postgres { // on SQLite a transaction has the whole database for itself
		query += ` FOR NO KEY UPDATE`
	}
	return found(scan(tx.QueryRow(ctx, query, id)))
}

// SignedIn is Lock that also notes the time of a sign-in and its language; an empty one is not known.
func (s *Store) SignedIn(ctx context.Context, tx *store.Tx, id uuid.UUID, language string) (Account, error) {
	return found(scan(tx.QueryRow(ctx, `UPDATE account SET last_sign_in_at = $2, language = coalesce(nullif($3, ''), language) WHERE id = $1 RETURNING `+columns, id, s.now(), language)))
}

// Activate makes an unconfirmed account active: its address has been shown to be the person's. It reports false when
// the account was not unconfirmed, which is how one of two confirmations at the same time loses.
func (s *Store) Activate(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE account SET status = 'active', confirmed_at = $2, updated_at = $2
		WHERE id = $1 AND status = 'unconfirmed'`, id, s.now())
	if err != nil {
		return false, fmt.Errorf("activate account: %w", err)
	}
	return n == 1, nil
}

// Renew notes that an unconfirmed address was signed up again, which gives it another full time to be confirmed.
func (s *Store) Renew(ctx context.Context, tx *store.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `UPDATE account SET updated_at = $2 WHERE id = $1 AND status = 'unconfirmed'`, id, s.now()); err != nil {
		return fmt.Errorf("renew account: %w", err)
	}
	return nil
}

// Disable stops an account; it reports false when it is disabled already. From then on it is an administrator's decision, whoever stopped it first.
func (s *Store) Disable(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) {
	if _, err := tx.Exec(ctx, `UPDATE account SET disabled_by = '' WHERE id = $1 AND disabled_by <> ''`, id); err != nil {
		return false, fmt.Errorf("disable account: %w", err)
	}
	return s.move(ctx, tx, id, `UPDATE account SET status = 'disabled', updated_at = $2 WHERE id = $1 AND status IN ('active', 'unconfirmed')`, Disabled)
}

// DisableBy is Disable by somebody who may start the account again, by the same name, as long as nobody else stopped it.
func (s *Store) DisableBy(ctx context.Context, tx *store.Tx, id uuid.UUID, by string) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE account SET status = 'disabled', disabled_by = $3, updated_at = $2 WHERE id = $1 AND status IN ('active', 'unconfirmed')`, id, s.now(), by)
	if err != nil {
		return false, fmt.Errorf("disable account: %w", err)
	}
	return n == 1, nil
}

// EnableBy lets an account live again that the same name stopped last; it reports false of any other.
func (s *Store) EnableBy(ctx context.Context, tx *store.Tx, id uuid.UUID, by string) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE account SET status = CASE WHEN confirmed_at IS NULL THEN 'unconfirmed' ELSE 'active' END, disabled_by = '', updated_at = $2
		WHERE id = $1 AND status = 'disabled' AND disabled_by = $3`, id, s.now(), by)
	if err != nil {
		return false, fmt.Errorf("enable account: %w", err)
	}
	return n == 1, nil
}

// Enable lets a disabled account live again: active when its address was ever confirmed, else unconfirmed.
func (s *Store) Enable(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) {
	return s.move(ctx, tx, id, `UPDATE account SET status = CASE WHEN confirmed_at IS NULL THEN 'unconfirmed' ELSE 'active' END, disabled_by = '', updated_at = $2
		WHERE id = $1 AND status = 'disabled'`, Active, Unconfirmed)
}

// move runs a change of status. No row changed means: there already (false), or in a state that forbids it, or missing.
func (s *Store) move(ctx context.Context, tx *store.Tx, id uuid.UUID, query string, already ...Status) (bool, error) {
	n, err := tx.Exec(ctx, query, id, s.now())
	if err != nil {
		return false, fmt.Errorf("change account status: %w", err)
	}
	if n == 1 {
		return true, nil
	}
	a, err := s.GetIn(ctx, tx, id)
	if err != nil {
		return false, err
	}
	for _, st := range already {
		if a.Status == st {
			return false, nil
		}
	}
	return false, errState(a.Status)
}

// SetAdministrator gives or takes the right to administer Sigra; it reports whether that changed anything.
func (s *Store) SetAdministrator(ctx context.Context, tx *store.Tx, id uuid.UUID, on bool) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE account SET administrator = $3, updated_at = $2 WHERE id = $1 AND administrator <> $3 AND status <> 'deleted'`, id, s.now(), on)
	if err != nil {
		return false, fmt.Errorf("set administrator: %w", err)
	}
	return n == 1, nil
}

// SetSecondFactor says whether a second factor is asked after every first one. The flow that changes the account's factors
// keeps it true to them, in the same transaction.
func (s *Store) SetSecondFactor(ctx context.Context, tx *store.Tx, id uuid.UUID, on bool) error {
	if _, err := tx.Exec(ctx, `UPDATE account SET second_factor = $3, updated_at = $2 WHERE id = $1 AND second_factor <> $3`, id, s.now(), on); err != nil {
		return fmt.Errorf("set second factor: %w", err)
	}
	return nil
}

// ChangeEmail gives a live account another address, in the form of ParseEmail, whose mailbox was shown to be the
// person's. ErrEmailTaken when another live account has it; a race with one that takes it meanwhile ends there too.
func (s *Store) ChangeEmail(ctx context.Context, tx *store.Tx, id uuid.UUID, email string) error {
	n, err := tx.Exec(ctx, `UPDATE account SET email = $3, updated_at = $2 WHERE id = $1 AND status IN ('active', 'unconfirmed')
		AND NOT EXISTS (SELECT 1 FROM account b WHERE b.email = $3 AND b.status <> 'deleted' AND b.id <> $1)`, id, s.now(), email)
	if store.IsUnique(err) {
		return ErrEmailTaken
	}
	if err != nil {
		return fmt.Errorf("change email address: %w", err)
	}
	if n == 1 {
		return nil
	}
	a, err := s.GetIn(ctx, tx, id)
	if err != nil {
		return err
	}
	if !a.Status.Live() {
		return errState(a.Status)
	}
	return ErrEmailTaken
}

// SetUsername gives an account that is not deleted a username, another one, or none (the zero Username). ErrUsernameTaken when
// another account has it; a race with one that takes it meanwhile ends there too, and ends the transaction on Postgres.
func (s *Store) SetUsername(ctx context.Context, tx *store.Tx, id uuid.UUID, u Username) error {
	n, err := tx.Exec(ctx, `UPDATE account SET username = nullif($3, ''), username_key = nullif($4, ''), updated_at = $2 WHERE id = $1 AND status <> 'deleted'
		AND NOT EXISTS (SELECT 1 FROM account b WHERE b.username_key = $4 AND b.status <> 'deleted' AND b.id <> $1)`, id, s.now(), u.Display, u.Key)
	if store.IsUnique(err) {
		return ErrUsernameTaken
	}
	if err != nil {
		return fmt.Errorf("set username: %w", err)
	}
	if n == 1 {
		return nil
	}
	a, err := s.GetIn(ctx, tx, id)
	if err != nil {
		return err
	}
	if a.Status == Deleted {
		return errState(a.Status)
	}
	return ErrUsernameTaken
}

// Erase executes a deletion: address and username go, the id and the dates stay. It reports false when the account was
// deleted already. What other packages keep of the person (credentials, sessions, links) the flow erases in the same
// transaction.
func (s *Store) Erase(ctx context.Context, tx *store.Tx, id uuid.UUID) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE account SET status = 'deleted', email = NULL, display = NULL, language = NULL, username = NULL, username_key = NULL, administrator = $3, second_factor = $3, confirmed_at = NULL,
		last_sign_in_at = NULL, updated_at = $2, deleted_at = $2 WHERE id = $1 AND status <> 'deleted'`, id, s.now(), false)
	if err != nil {
		return false, fmt.Errorf("erase account: %w", err)
	}
	if n == 1 {
		return true, nil
	}
	_, err = s.GetIn(ctx, tx, id)
	return false, err
}

// Stale lists unconfirmed accounts untouched since before, by id from after on: sign-ups that nobody confirmed.
func (s *Store) Stale(ctx context.Context, before time.Time, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	rows, err := s.db.Query(ctx, `SELECT id FROM account WHERE status = 'unconfirmed' AND updated_at < $1 AND id > $2 AND NOT administrator
		ORDER BY id LIMIT $3`, before, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list stale accounts: %w", err)
	}
	defer rows.Close()
	var out []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// IsNotFound reports that err says there is no such account.
func IsNotFound(err error) bool { return errors.Is(err, ErrNotFound) }
