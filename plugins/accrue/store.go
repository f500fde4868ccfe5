package accrue

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// store keeps events and what follows from them. Every change is one transaction.
type store struct {
	db      *sql.DB
	dialect pluginsdk.Dialect
	now     func() time.Time
}

// querier is a transaction, or the database for reading.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *store) time() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// receive stores events, each once, and brings what they speak of up to date.
func (s *store) receive(ctx context.Context, events []event) error {
	return storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		for _, e := range events {
			if err := s.receiveOne(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *store) receiveOne(ctx context.Context, tx *sql.Tx, e event) error {
	acc := ""
	if e.Account != (account{}) {
		acc = e.Account.String()
		// Events of one account are taken one after the other, so that each fold sees the events of all before it.
		if err := s.lock(ctx, tx, acc); err != nil {
			return err
		}
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO accrue_event (id, type, occurred_at, received_at, version, account, subscription, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING`,
		e.ID, e.Type, e.OccurredAt, s.time(), e.Version, acc, e.Change.Subscription, e.Data)
	if err != nil {
		return fmt.Errorf("store event: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 || acc == "" {
		return err // it was there already, or nothing follows from it
	}
	if e.Change.Feature != "" {
		return s.foldGrant(ctx, tx, acc, e.Change.Feature)
	}
	return s.foldSubscription(ctx, tx, acc, e.Change.Subscription)
}

// lock makes transactions about one account wait for each other. SQLite has one writer anyway.
func (s *store) lock(ctx context.Context, tx *sql.Tx, key string) error {
	if s.dialect != pluginsdk.Postgres {
		return nil
	}
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('accrue ' || $1, 0))`, key)
	return err
}

func (s *store) foldSubscription(ctx context.Context, tx *sql.Tx, acc, id string) error {
	events, err := s.events(ctx, tx, `account = $1 AND subscription = $2`, acc, id)
	if err != nil {
		return err
	}
	sortEvents(events)
	state, err := json.Marshal(fold(id, events))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO accrue_subscription (account, id, state, updated_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account, id) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at`,
		acc, id, json.RawMessage(state), s.time())
	if err != nil {
		return fmt.Errorf("store subscription: %w", err)
	}
	return nil
}

// foldGrant is foldSubscription for a feature granted by itself: the last event about it, in the events' own order, holds.
func (s *store) foldGrant(ctx context.Context, tx *sql.Tx, acc, feature string) error {
	all, err := s.events(ctx, tx, `account = $1 AND subscription = ''`, acc)
	if err != nil {
		return err
	}
	var events []event
	for _, e := range all {
		if e.Change.Feature == feature {
			events = append(events, e)
		}
	}
	sortEvents(events)
	last := events[len(events)-1]
	if _, err := tx.ExecContext(ctx, `DELETE FROM accrue_grant WHERE account = $1 AND feature = $2`, acc, feature); err != nil {
		return fmt.Errorf("replace grant: %w", err)
	}
	if last.Type == "billing.entitlement.revoked" {
		return nil
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO accrue_grant (account, feature, quantity, expires_at, reason, event_id) VALUES ($1, $2, $3, $4, $5, $6)`,
		acc, feature, last.Change.Quantity, last.Change.ExpiresAt, last.Change.Reason, last.ID)
	if err != nil {
		return fmt.Errorf("store grant: %w", err)
	}
	return nil
}

func (s *store) events(ctx context.Context, q querier, where string, args ...any) (out []event, err error) {
	rows, err := q.QueryContext(ctx, `SELECT id, type, occurred_at, version, data FROM accrue_event WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e event
		if err := rows.Scan(&e.ID, &e.Type, &e.OccurredAt, &e.Version, &e.Data); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		e.OccurredAt = e.OccurredAt.UTC()
		if err := json.Unmarshal(e.Data, &e.Change); err != nil {
			return nil, fmt.Errorf("read event %s: %w", e.ID, err)
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

// subscriptions are an account's, the ended ones too.
func (s *store) subscriptions(ctx context.Context, q querier, acc account) (out []subscription, err error) {
	rows, err := q.QueryContext(ctx, `SELECT state FROM accrue_subscription WHERE account = $1 ORDER BY id`, acc.String())
	if err != nil {
		return nil, fmt.Errorf("read subscriptions: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var state []byte
		var sub subscription
		if err := rows.Scan(&state); err != nil {
			return nil, fmt.Errorf("read subscriptions: %w", err)
		}
		if err := json.Unmarshal(state, &sub); err != nil {
			return nil, fmt.Errorf("read subscription: %w", err)
		}
		out = append(out, sub)
	}
	return out, rows.Err()
}

// grant is a feature that an account has beside its subscriptions.
type grant struct {
	Feature   string     `json:"feature"`
	Quantity  *int64     `json:"quantity,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	Reason    string     `json:"reason,omitempty"`
}

func (s *store) grants(ctx context.Context, q querier, acc account) (out []grant, err error) {
	rows, err := q.QueryContext(ctx, `SELECT feature, quantity, expires_at, reason FROM accrue_grant WHERE account = $1 ORDER BY feature`, acc.String())
	if err != nil {
		return nil, fmt.Errorf("read grants: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var g grant
		if err := rows.Scan(&g.Feature, &g.Quantity, &g.ExpiresAt, &g.Reason); err != nil {
			return nil, fmt.Errorf("read grants: %w", err)
		}
		out = append(out, g)
	}
	return out, rows.Err()
}

// accounts lists who subscriptions were reported for, from one on, in the order of their names.
func (s *store) accounts(ctx context.Context, after string, limit int) (out []account, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT DISTINCT account FROM accrue_subscription WHERE account > $1 ORDER BY account LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list accounts: %w", err)
		}
		a, err := parseAccount(name)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}
