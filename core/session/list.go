package session

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// Session is what a person sees of one of their sessions.
type Session struct {
	ID     uuid.UUID
	UserID uuid.UUID
	// OrganizationID is the active organization as the session has it, whatever its policy says now; uuid.Nil: none.
	OrganizationID uuid.UUID
	AuthTime       time.Time
	AAL            string
	AMR            []string
	Persistent     bool
	CreatedAt      time.Time
	LastSeenAt     time.Time // exact to Settings.ActivityInterval
	ExpiresAt      time.Time
	IP             string
	UserAgent      string
}

// List gives the live sessions of a user, newest first, at most 1000.
func (s *Store) List(ctx context.Context, userID uuid.UUID) ([]Session, error) {
	return s.ListIn(ctx, s.db, userID)
}

// ListIn is List by a transaction's own view.
func (s *Store) ListIn(ctx context.Context, q store.Querier, userID uuid.UUID) ([]Session, error) {
	set, now := s.settings.Load(), s.now()
	rows, err := q.Query(ctx, `SELECT id, account_id, organization_id, auth_time, aal, amr, persistent, created_at, last_seen_at, expires_at, ip, user_agent FROM session
		WHERE account_id = $1 AND expires_at > $2 AND (persistent OR last_seen_at > $3) ORDER BY id DESC LIMIT 1000`,
		userID, now, now.Add(-set.IdleTimeout))
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	defer rows.Close()
	var out []Session
	for rows.Next() {
		var v Session
		var amr string
		var active *uuid.UUID
		if err := rows.Scan(&v.ID, &v.UserID, &active, &v.AuthTime, &v.AAL, &amr, &v.Persistent, &v.CreatedAt, &v.LastSeenAt, &v.ExpiresAt, &v.IP, &v.UserAgent); err != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		v.AMR = methods(amr)
		if active != nil {
			v.OrganizationID = *active
		}
		if at := s.activity.last(v.ID); at.After(v.LastSeenAt) {
			v.LastSeenAt = at
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
