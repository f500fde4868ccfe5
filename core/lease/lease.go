package lease

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table lease.
//
//go:embed migrations
var Migrations embed.FS

// ErrLost says that the lease is no longer held under that token: what was being done must stop.
var ErrLost = errors.New("the lease is held by another node or has run out")

// Store hands out leases to one node. Safe for concurrent use.
type Store struct {
	db   *store.DB
	node string
	sql  statements
}

// New makes the store of one node, whose name must be unique among running processes.
func New(db *store.DB, node string) (*Store, error) {
	if node == "" {
		return nil, errors.New("a lease store needs the node's name")
	}
	return &Store{db: db, node: node, sql: dialects[db.Dialect()]}, nil
}

// Node is the name under which this store holds leases.
func (s *Store) Node() string { return s.node }

// Acquire takes the lease for ttl, or prolongs it when this node has it already. When held is false somebody else
// has it. The time runs from before the call by the caller's own measure: stop the work ttl after calling, not
// after the answer.
func (s *Store) Acquire(ctx context.Context, name string, ttl time.Duration) (held bool, token int64, err error) {
	if ttl < time.Millisecond {
		return false, 0, fmt.Errorf("acquire lease %s: a lease of %s is too short", name, ttl)
	}
	// Most calls by most nodes find it taken; a read tells that without a write transaction.
	var theirs bool
	err = s.db.QueryRow(ctx, s.sql.heldByOther, name, s.node).Scan(&theirs)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return false, 0, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	if theirs {
		return false, 0, nil
	}
	err = s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, token = false, 0
		err := tx.QueryRow(ctx, s.sql.acquire, name, s.node, ttl.Microseconds()).Scan(&token)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		held = err == nil
		return err
	})
	if err != nil {
		return false, 0, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	return held, token, nil
}

// Release gives the lease back at once when this node has it, and does nothing otherwise.
func (s *Store) Release(ctx context.Context, name string) error {
	err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, s.sql.release, name, s.node)
		return err
	})
	if err != nil {
		return fmt.Errorf("release lease %s: %w", name, err)
	}
	return nil
}

// Holder names the node that has the lease now; empty when nobody has.
func (s *Store) Holder(ctx context.Context, name string) (string, error) {
	var holder string
	err := s.db.QueryRow(ctx, s.sql.holder, name).Scan(&holder)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return "", fmt.Errorf("holder of lease %s: %w", name, err)
	}
	return holder, nil
}

// Guard returns ErrLost unless this node holds the lease under token, and keeps everybody from taking it until the
// transaction has ended. What is written in a guarded transaction was written by the holder.
func (s *Store) Guard(ctx context.Context, tx *store.Tx, name string, token int64) error {
	var one int
	err := tx.QueryRow(ctx, s.sql.guard, name, s.node, token).Scan(&one)
	if errors.Is(err, store.ErrNoRows) {
		return ErrLost
	}
	if err != nil {
		return fmt.Errorf("guard lease %s: %w", name, err)
	}
	return nil
}
