package accrue

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
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
			if _, err := s.take(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// take stores an event and brings what it speaks of up to date. fresh is false when it was there already.
func (s *store) take(ctx context.Context, tx *sql.Tx, e event) (fresh bool, err error) {
	if e.Holder != "" {
		// Events of one account are taken one after the other, so that each fold sees the events of all before it.
		if err := s.lock(ctx, tx, e.Holder); err != nil {
			return false, err
		}
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO accrue_event (id, type, occurred_at, received_at, version, account, subscription, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING`,
		e.ID, e.Type, e.OccurredAt, s.time(), e.Version, e.Holder, e.Change.Subscription, e.Data)
	if err != nil {
		return false, fmt.Errorf("store event: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 || e.Holder == "" {
		return n > 0, err // it was there already, or nothing follows from it
	}
	if e.Change.Feature != "" {
		return true, s.foldGrant(ctx, tx, e.Holder, e.Change.Feature)
	}
	return true, s.foldSubscription(ctx, tx, e.Holder, e.Change.Subscription)
}

// lock makes transactions about one account wait for each other. SQLite has one writer anyway.
func (s *store) lock(ctx context.Context, tx *sql.Tx, key string) error {
	if s.dialect != pluginsdk.Postgres {
		return nil
	}
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('accrue ' || $1, 0))`, key)
	return err
}

func (s *store) foldSubscription(ctx context.Context, tx *sql.Tx, holder, id string) error {
	events, err := s.events(ctx, tx, `account = $1 AND subscription = $2`, holder, id)
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
		holder, id, json.RawMessage(state), s.time())
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
	last, _ := lastGrant(all, feature)
	if _, err := tx.ExecContext(ctx, `DELETE FROM accrue_grant WHERE account = $1 AND feature = $2`, acc, feature); err != nil {
		return fmt.Errorf("replace grant: %w", err)
	}
	if last.Type == revoked {
		return nil
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO accrue_grant (account, feature, quantity, expires_at, reason, event_id) VALUES ($1, $2, $3, $4, $5, $6)`,
		acc, feature, last.Change.Quantity, last.Change.ExpiresAt, last.Change.Reason, last.ID)
	if err != nil {
		return fmt.Errorf("store grant: %w", err)
	}
	return nil
}

const revoked = "billing.entitlement.revoked"

// lastGrant is the last event about a feature, in the events' own order.
func lastGrant(all []event, feature string) (event, bool) {
	var events []event
	for _, e := range all {
		if e.Change.Feature == feature {
			events = append(events, e)
		}
	}
	if len(events) == 0 {
		return event{}, false
	}
	sortEvents(events)
	return events[len(events)-1], true
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
		if s := e.Change.Snapshot; s != nil && s.Items == nil {
			s.Items = []item{}
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

// held is SQL for the subscriptions of an account: those reported for itself, and those of the customers that it is.
const held = `(account = $1 OR account IN (SELECT provider || ':' || customer FROM accrue_link WHERE account = $1))`

// subscriptions are an account's, the ended ones too.
func (s *store) subscriptions(ctx context.Context, q querier, acc account) (out []subscription, err error) {
	rows, err := q.QueryContext(ctx, `SELECT state FROM accrue_subscription WHERE `+held+` ORDER BY id`, acc.String())
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
	rows, err := s.db.QueryContext(ctx, `SELECT DISTINCT name FROM (
		SELECT account AS name FROM accrue_subscription WHERE account LIKE 'organization:%' OR account LIKE 'user:%'
		UNION SELECT l.account FROM accrue_link l JOIN accrue_subscription s ON s.account = l.provider || ':' || l.customer) AS everybody
		WHERE name > $1 ORDER BY name LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list accounts: %w", err)
		}
		kind, id, _ := strings.Cut(name, ":")
		out = append(out, account{kind, id})
	}
	return out, rows.Err()
}
