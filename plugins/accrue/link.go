package accrue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// link says which account a customer of a provider's is.
type link struct {
	Provider string `json:"provider"`
	Customer string `json:"customer"`
	Account  string `json:"account"`
}

// linkOf gives the account of a customer; empty: none is known.
func (s *store) linkOf(ctx context.Context, q querier, name, customer string) (acc string, err error) {
	err = q.QueryRowContext(ctx, `SELECT account FROM accrue_link WHERE provider = $1 AND customer = $2`, name, customer).Scan(&acc)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return acc, err
}

// link makes a customer an account, where neither is anything else yet: what an event says never moves one, for of some events anybody
// may have written it. It reports false when one of them is taken.
func (s *store) link(ctx context.Context, tx *sql.Tx, l link) (bool, error) {
	_, err := tx.ExecContext(ctx, `INSERT INTO accrue_link (provider, customer, account, linked_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		l.Provider, l.Customer, l.Account, s.time())
	if err != nil {
		return false, fmt.Errorf("link a customer: %w", err)
	}
	acc, err := s.linkOf(ctx, tx, l.Provider, l.Customer)
	return acc == l.Account, err
}

// relink is link by an operator, who may move one.
func (s *store) relink(ctx context.Context, l link) error {
	return storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		if err := s.unlink(ctx, tx, l.Provider, l.Customer, l.Account); err != nil {
			return err
		}
		_, err := s.link(ctx, tx, l)
		return err
	})
}

// unlink lets go of a customer, and of an account of the same provider.
func (s *store) unlink(ctx context.Context, tx *sql.Tx, name, customer, acc string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM accrue_link WHERE provider = $1 AND (customer = $2 OR account = $3)`, name, customer, acc)
	return err
}

// links are all of an account, or all there are.
func (s *store) links(ctx context.Context, q querier, acc string) (out []link, err error) {
	rows, err := q.QueryContext(ctx, `SELECT provider, customer, account FROM accrue_link WHERE $1 = '' OR account = $1 ORDER BY account, provider`, acc)
	if err != nil {
		return nil, fmt.Errorf("list customers: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var l link
		if err := rows.Scan(&l.Provider, &l.Customer, &l.Account); err != nil {
			return nil, fmt.Errorf("list customers: %w", err)
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// orphans are customers with a subscription and without an account, as "stripe:cus_…".
func (s *store) orphans(ctx context.Context, limit int) (out []string, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT DISTINCT account FROM accrue_subscription WHERE account NOT LIKE 'organization:%' AND account NOT LIKE 'user:%'
		AND account NOT IN (SELECT provider || ':' || customer FROM accrue_link) ORDER BY account LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("list customers without an account: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var holder string
		if err := rows.Scan(&holder); err != nil {
			return nil, fmt.Errorf("list customers without an account: %w", err)
		}
		out = append(out, holder)
	}
	return out, rows.Err()
}
