package org

import (
	"context"
	"embed"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the tables of this package. They refer to the account table.
//
//go:embed migrations
var Migrations embed.FS

// Recorder writes an audit row in the transaction of the change it speaks of; *audit.Log is one.
type Recorder interface {
	Record(ctx context.Context, tx *store.Tx, e audit.Entry) (uuid.UUID, error)
}

// Resolver looks TXT records up; *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// InvitationTTL is how long an invitation can be accepted when nothing else is configured.
const InvitationTTL = 7 * 24 * time.Hour

// Config of a Store.
type Config struct {
	DB       *store.DB
	Audit    Recorder
	Resolver Resolver         // nil: the system's
	Now      func() time.Time // nil: the clock
}

// Store reads and changes organizations: they and their members, and, in types of their own, invitations and domains. Safe for
// concurrent use.
type Store struct {
	*base
	*invitations
	*domains
}

// base is organizations and their members, and what the other parts of a Store share.
type base struct {
	db       *store.DB
	audit    Recorder
	ttl      atomic.Int64 // of an invitation
	resolver Resolver
	now      func() time.Time
}

// New makes a Store.
func New(cfg Config) (*Store, error) {
	if cfg.DB == nil || cfg.Audit == nil {
		return nil, errors.New("org: a database and an audit log are needed")
	}
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	now := cfg.Now
	s := &base{
		db: cfg.DB, audit: cfg.Audit, resolver: cfg.Resolver,
		now: func() time.Time { return now().UTC().Truncate(time.Microsecond) },
	}
	s.KeepInvitations(InvitationTTL)
	return &Store{base: s, invitations: &invitations{s}, domains: &domains{s}}, nil
}

// KeepInvitations says how long an invitation that is sent from now on can be accepted.
func (s *base) KeepInvitations(ttl time.Duration) { s.ttl.Store(int64(ttl)) }

// expiry is when an invitation that is sent now ends.
func (s *base) expiry(now time.Time) time.Time { return now.Add(time.Duration(s.ttl.Load())) }

// record completes an audit row: who acts and why is in by.
func (s *base) record(ctx context.Context, tx *store.Tx, by audit.Entry, action string, org uuid.UUID, meta map[string]any, targets ...audit.Ref) error {
	by.Action, by.OrganizationID, by.Metadata = action, org, meta
	by.Targets = append([]audit.Ref{{Type: "organization", ID: org.String()}}, targets...)
	_, err := s.audit.Record(ctx, tx, by)
	return err
}

func userRef(id uuid.UUID) audit.Ref { return audit.Ref{Type: "user", ID: id.String()} }

func membershipRef(id uuid.UUID) audit.Ref { return audit.Ref{Type: "membership", ID: id.String()} }

func invitationRef(id uuid.UUID) audit.Ref { return audit.Ref{Type: "invitation", ID: id.String()} }

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func orNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id
}

// The sizes of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

func limit(n int) int {
	if n <= 0 {
		return DefaultLimit
	}
	return min(n, MaxLimit)
}

func after(cursor string) (uuid.UUID, error) {
	if cursor == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(cursor)
	if err != nil {
		return uuid.Nil, errInvalidCursor
	}
	return id, nil
}
