package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

// Revoke ends one session of a user; ErrGone when the user has no such session. Audited as session.revoke.
func (s *Store) Revoke(ctx context.Context, actor audit.Ref, userID, sessionID uuid.UUID) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.RevokeIn(ctx, tx, actor, userID, sessionID) })
}

// RevokeIn is Revoke as a part of a larger transaction.
func (s *Store) RevokeIn(ctx context.Context, tx *store.Tx, actor audit.Ref, userID, sessionID uuid.UUID) error {
	n, err := tx.Exec(ctx, `DELETE FROM session WHERE id = $1 AND account_id = $2`, sessionID, userID)
	if err != nil {
		return fmt.Errorf("revoke session: %w", err)
	}
	if n == 0 {
		return ErrGone
	}
	return s.record(ctx, tx, "session.revoke", actor, userID, sessionID)
}

// RevokeAllIn ends all sessions of a user but keep (uuid.Nil: none is kept) as a part of a larger action, which
// writes the audit row.
func (s *Store) RevokeAllIn(ctx context.Context, tx *store.Tx, userID, keep uuid.UUID) (int64, error) {
	n, err := tx.Exec(ctx, `DELETE FROM session WHERE account_id = $1 AND id <> $2`, userID, keep)
	if err != nil {
		return 0, fmt.Errorf("revoke sessions: %w", err)
	}
	return n, nil
}

// RevokeFederatedIn ends the sessions that rest on a login elsewhere, as a part of a larger action, and says whose they were.
func (s *Store) RevokeFederatedIn(ctx context.Context, tx *store.Tx, handle string) ([]principal.Principal, error) {
	rows, err := tx.Query(ctx, `DELETE FROM session WHERE federated = $1 RETURNING id, account_id`, handle)
	if err != nil {
		return nil, fmt.Errorf("revoke federated sessions: %w", err)
	}
	defer rows.Close()
	var out []principal.Principal
	for rows.Next() {
		p := principal.Principal{Kind: principal.User}
		if err := rows.Scan(&p.SessionID, &p.UserID); err != nil {
			return nil, fmt.Errorf("revoke federated sessions: %w", err)
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// EndIn ends the session that a token stands for, as a part of signing out, and says whose it was.
// ErrUnauthenticated when it stands for none; an idle or expired one is deleted all the same.
func (s *Store) EndIn(ctx context.Context, tx *store.Tx, token string) (principal.Principal, error) {
	hash, ok := hashToken(token)
	if !ok {
		return principal.Principal{}, ErrUnauthenticated
	}
	p := principal.Principal{Kind: principal.User}
	err := tx.QueryRow(ctx, `DELETE FROM session WHERE token_hash = $1 RETURNING id, account_id`, hash).Scan(&p.SessionID, &p.UserID)
	if errors.Is(err, store.ErrNoRows) {
		return principal.Principal{}, ErrUnauthenticated
	}
	if err != nil {
		return principal.Principal{}, fmt.Errorf("end session: %w", err)
	}
	return p, nil
}

func (s *Store) record(ctx context.Context, tx *store.Tx, action string, actor audit.Ref, userID, sessionID uuid.UUID) error {
	e := audit.Entry{Action: action, Actor: actor, Targets: []audit.Ref{{Type: "user", ID: userID.String()}}}
	if sessionID != uuid.Nil {
		e.Targets = append([]audit.Ref{{Type: "session", ID: sessionID.String()}}, e.Targets...)
	}
	_, err := s.audit.Record(ctx, tx, e)
	return err
}
