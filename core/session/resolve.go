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
	"github.com/sigra-auth/sigra/core/request"
	"github.com/sigra-auth/sigra/core/store"
)

// ErrUnauthenticated says that a token stands for no live session. It does not say why: unknown, expired, idle,
// revoked, disabled and deleted look alike.
var ErrUnauthenticated = fault.New(fault.Unauthenticated, "unauthenticated", "Sign in first.")

// ErrGone says that a session is no longer there.
var ErrGone = fault.New(fault.NotFound, "session_not_found", "There is no such session.")

const resolveQuery = `SELECT s.id, s.account_id, s.organization_id, s.impersonator_id, s.aal, s.amr, s.persistent,
	s.auth_time, s.created_at, s.last_seen_at, s.expires_at, a.status, coalesce(a.email, ''), a.administrator
	FROM session s JOIN account a ON a.id = s.account_id WHERE s.token_hash = $1`

// Resolve says who presents a token: one indexed read. ErrUnauthenticated when nobody does.
func (s *Store) Resolve(ctx context.Context, token string) (Principal, error) {
	p, _, err := s.resolve(ctx, s.db, token)
	return p, err
}

func (s *Store) resolve(ctx context.Context, q store.Querier, token string) (p Principal, persistent bool, err error) {
	hash, ok := hashToken(token)
	if !ok {
		return Principal{}, false, ErrUnauthenticated
	}
	var (
		org, imp *uuid.UUID
		amr      string
		status   account.Status
		seen     time.Time
	)
	err = q.QueryRow(ctx, resolveQuery, hash).Scan(&p.SessionID, &p.UserID, &org, &imp, &p.AAL, &amr, &persistent,
		&p.AuthTime, &p.CreatedAt, &seen, &p.ExpiresAt, &status, &p.Email, &p.Administrator)
	if errors.Is(err, store.ErrNoRows) {
		return Principal{}, false, ErrUnauthenticated
	}
	if err != nil {
		return Principal{}, false, fmt.Errorf("resolve session: %w", err)
	}
	set, now := s.settings.Load(), s.now()
	if !status.Live() || !now.Before(p.ExpiresAt) {
		return Principal{}, false, ErrUnauthenticated
	}
	if idle := now.Sub(seen); idle >= set.ActivityInterval {
		if !persistent && idle >= set.IdleTimeout && now.Sub(s.activity.last(p.SessionID)) >= set.IdleTimeout {
			return Principal{}, false, ErrUnauthenticated
		}
		s.activity.note(p.SessionID, now, request.From(ctx))
	}
	if org != nil {
		p.OrganizationID = *org
	}
	if imp != nil {
		p.ImpersonatorID = *imp
	}
	p.Kind, p.Display, p.AMR = "user", p.Email, methods(amr)
	return p, persistent, nil
}

// methods reads the amr column. What nearly every session has costs no allocation; callers must not change it.
func methods(s string) []string {
	if s == "pwd" {
		return pwd
	}
	return strings.Fields(s)
}

var pwd = []string{"pwd"}
