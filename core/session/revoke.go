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

// Revoke ends one session of a user; ErrGone when the user has no such session. Audited as session.revoke, with the reason if there is one.
func (s *Store) Revoke(ctx context.Context, actor audit.Ref, reason string, userID, sessionID uuid.UUID) error {
	return s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.RevokeIn(ctx, tx, actor, reason, userID, sessionID)
	})
}

// RevokeIn is Revoke as a part of a larger transaction.
func (s *Store) RevokeIn(ctx context.Context, tx *store.Tx, actor audit.Ref, reason string, userID, sessionID uuid.UUID) error {
	n, err := tx.Exec(ctx, `DELETE FROM session WHERE id = $1 AND account_id = $2`, sessionID, userID)
	if err != nil {
		return fmt.Errorf("revoke session: %w", err)
	}
	if n == 0 {
		return ErrGone
	}
	return s.record(ctx, tx, audit.Entry{Action: "session.revoke", Actor: actor, Reason: reason, Targets: []audit.Ref{{Type: "session", ID: sessionID.String()}, user(userID)}})
}

// Ended names sessions that ended.
type Ended []uuid.UUID

// maxEnded is how many of them an audit row names; its metadata have 8 KB.
const maxEnded = 150

// texts are the ids for an audit row, the first of many.
func (e Ended) texts() []string {
	out := make([]string, 0, min(len(e), maxEnded))
	for _, id := range e[:min(len(e), maxEnded)] {
		out = append(out, id.String())
	}
	return out
}

// In adds to the metadata of a larger action's audit row how many sessions it ended, and which, so that whoever follows the log can end what
// rests on them.
func (e Ended) In(meta map[string]any) map[string]any {
	meta["sessions_revoked"] = len(e)
	if len(e) > 0 {
		meta["session_ids"] = e.texts()
	}
	return meta
}

// All is the metadata of session.revoke_all, whose matter the sessions are, with more.
func (e Ended) All(more map[string]any) map[string]any {
	meta := map[string]any{"count": len(e), "session_ids": e.texts()}
	for name, v := range more {
		meta[name] = v
	}
	return meta
}

// RevokeAllIn ends all sessions of a user but keep (uuid.Nil: none is kept) as a part of a larger action, which
// writes the audit row, see Ended.In.
func (s *Store) RevokeAllIn(ctx context.Context, tx *store.Tx, userID, keep uuid.UUID) (Ended, error) {
	rows, err := tx.Query(ctx, `DELETE FROM session WHERE account_id = $1 AND id <> $2 RETURNING id`, userID, keep)
	if err != nil {
		return nil, fmt.Errorf("revoke sessions: %w", err)
	}
	defer rows.Close()
	var out Ended
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("revoke sessions: %w", err)
		}
		out = append(out, id)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("revoke sessions: %w", err)
	}
	return out, nil
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

func (s *Store) record(ctx context.Context, tx *store.Tx, e audit.Entry) error {
	_, err := s.audit.Record(ctx, tx, e)
	return err
}

// user is a session's person in an audit row.
func user(id uuid.UUID) audit.Ref { return audit.Ref{Type: "user", ID: id.String()} }
