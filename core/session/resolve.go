package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// ErrUnauthenticated says that a token stands for no live session. It does not say why: unknown, expired, idle,
// revoked, disabled and deleted look alike.
var ErrUnauthenticated = fault.New(fault.Unauthenticated, "unauthenticated", "Sign in first.")

// ErrGone says that a session is no longer there.
var ErrGone = fault.New(fault.NotFound, "session_not_found", "There is no such session.")

const (
	resolveColumns = `SELECT s.id, s.account_id, s.organization_id, s.impersonator_id, s.aal, s.amr, s.persistent,
	s.auth_time, s.created_at, s.last_seen_at, s.expires_at, a.status, coalesce(a.email, ''), coalesce(a.display, a.email, ''), a.administrator, s.token_hash, s.method,
	m.role, m.owner, o.require_second_factor, o.sign_in_methods
	FROM session s JOIN account a ON a.id = s.account_id
	LEFT JOIN membership m ON m.account_id = s.account_id AND m.organization_id = s.organization_id AND m.status = 'active'
	LEFT JOIN organization o ON o.id = m.organization_id`
	resolveQuery = resolveColumns + ` WHERE s.token_hash = $1`
	findQuery    = resolveColumns + ` WHERE s.id = $1`
)

// Resolve says who presents a token: one indexed read. ErrUnauthenticated when nobody does.
func (s *Store) Resolve(ctx context.Context, token string) (principal.Principal, error) {
	p, _, err := s.resolve(ctx, s.db, token)
	return p, err
}

func (s *Store) resolve(ctx context.Context, q store.Querier, token string) (principal.Principal, bool, error) {
	hash, ok := hashToken(token)
	if !ok {
		return principal.Principal{}, false, ErrUnauthenticated
	}
	p, persistent, seen, err := s.scan(q.QueryRow(ctx, resolveQuery, hash))
	if err != nil {
		return principal.Principal{}, false, err
	}
	set, now := s.settings.Load(), s.now()
	if idle := now.Sub(seen); idle >= set.ActivityInterval {
		if s.idle(p.SessionID, persistent, seen, now) {
			return principal.Principal{}, false, ErrUnauthenticated
		}
		s.activity.note(p.SessionID, now, request.From(ctx))
	}
	return p, persistent, nil
}

// Find gives the principal of a live session by its id, for those who were told the id and not the token: a plugin
// that asks whether a session still stands. ErrGone when it does not. It counts as no activity of the session's person.
func (s *Store) Find(ctx context.Context, id uuid.UUID) (principal.Principal, error) {
	return s.FindIn(ctx, s.db, id)
}

// FindIn is Find by a transaction's own view, for what must not outlive the session that asked for it.
func (s *Store) FindIn(ctx context.Context, q store.Querier, id uuid.UUID) (principal.Principal, error) {
	p, persistent, seen, err := s.scan(q.QueryRow(ctx, findQuery, id))
	if errors.Is(err, ErrUnauthenticated) || err == nil && s.idle(id, persistent, seen, s.now()) {
		return principal.Principal{}, ErrGone
	}
	return p, err
}

// idle reports whether a session has not been used for too long.
func (s *Store) idle(id uuid.UUID, persistent bool, seen, now time.Time) bool {
	limit := s.settings.Load().IdleTimeout
	return !persistent && now.Sub(seen) >= limit && now.Sub(s.activity.last(id)) >= limit
}

// scan reads a row of resolveColumns. ErrUnauthenticated when there is none, its account is not live or its time is over.
func (s *Store) scan(row store.Row) (p principal.Principal, persistent bool, seen time.Time, err error) {
	var (
		active  *uuid.UUID
		imp     *uuid.UUID
		amr     string
		status  account.Status
		role    *string // of an active membership in the active organization, as what follows
		owner   *bool
		second  *bool
		allowed *string
	)
	err = row.Scan(&p.SessionID, &p.UserID, &active, &imp, &p.AAL, &amr, &persistent,
		&p.AuthTime, &p.CreatedAt, &seen, &p.ExpiresAt, &status, &p.Email, &p.Display, &p.Administrator, &p.TokenHash, &p.Method,
		&role, &owner, &second, &allowed)
	switch {
	case errors.Is(err, store.ErrNoRows):
		return principal.Principal{}, false, seen, ErrUnauthenticated
	case err != nil:
		return principal.Principal{}, false, seen, fmt.Errorf("resolve session: %w", err)
	case !status.Live() || !s.now().Before(p.ExpiresAt):
		return principal.Principal{}, false, seen, ErrUnauthenticated
	}
	// An organization is active while the membership is and the session fits its policy: what ends one takes effect here.
	if active != nil && role != nil && org.ParsePolicy(*second, *allowed).Judge(*owner, p.Method, p.AAL) == org.Fits {
		p.OrganizationID, p.Role, p.Owner = *active, *role, *owner
	}
	if imp != nil {
		p.ImpersonatorID = *imp
	}
	if p.Administrator && p.AAL != principal.AAL2 && s.settings.Load().AdministratorsAAL2 {
		p.Administrator, p.AdministratorWithheld = false, true
	}
	p.Kind, p.AMR = "user", methods(amr)
	return p, persistent, seen, nil
}

// methods reads the amr column. What nearly every session has costs no allocation; callers must not change it.
func methods(s string) []string {
	if s == "pwd" {
		return pwd
	}
	return strings.Fields(s)
}

var pwd = []string{"pwd"}
