package lockspire

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// grant is one authorization: what a person allowed an application on one occasion.
type grant struct {
	ID        string
	ClientID  string
	UserID    string
	SessionID string
	Detail    grantDetail
	CreatedAt time.Time
	UsedAt    time.Time
	ExpiresAt time.Time
	EndedAt   *time.Time
	EndReason string
}

// grantDetail is what tokens say of a grant.
type grantDetail struct {
	Scopes    []string `json:"scopes"`
	Resources []string `json:"resources,omitempty"`
	Nonce     string   `json:"nonce,omitempty"`
	AuthTime  int64    `json:"auth_time"` // seconds since 1970
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
}

// Why a grant ended.
const (
	endCodeReused    = "code_reused"
	endRefreshReused = "refresh_token_reused"
	endRevoked       = "revoked"
	endConsent       = "consent_withdrawn"
	endAccount       = "account_not_active"
	endSession       = "session_ended"
	endClient        = "client_disabled"
)

// grants owns the tables of what is issued.
type grants struct{ db *sql.DB }

const grantColumns = "id, client_id, user_id, session_id, detail, created_at, used_at, expires_at, ended_at, end_reason"

func scanGrant(row scanner) (*grant, error) {
	var g grant
	var detail []byte
	if err := row.Scan(&g.ID, &g.ClientID, &g.UserID, &g.SessionID, &detail, &g.CreatedAt, &g.UsedAt, &g.ExpiresAt, &g.EndedAt, &g.EndReason); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return nil, errNoGrant
		}
		return nil, fmt.Errorf("read grant: %w", err)
	}
	if err := json.Unmarshal(detail, &g.Detail); err != nil {
		return nil, fmt.Errorf("read grant %s: %w", g.ID, err)
	}
	g.CreatedAt, g.UsedAt, g.ExpiresAt = g.CreatedAt.UTC(), g.UsedAt.UTC(), g.ExpiresAt.UTC()
	return &g, nil
}

var errNoGrant = errors.New("there is no such grant")

func (s *grants) find(ctx context.Context, id string) (*grant, error) {
	return scanGrant(s.db.QueryRowContext(ctx, `SELECT `+grantColumns+` FROM lockspire_grant WHERE id = $1`, id))
}

// standing are a person's grants that have not ended, the newest first, at most limit.
func (s *grants) standing(ctx context.Context, user string, now time.Time, limit int) (out []*grant, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+grantColumns+` FROM lockspire_grant WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2
		ORDER BY created_at DESC, id LIMIT $3`, user, now, limit)
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		g, err := scanGrant(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, rows.Err()
}

func insertGrant(ctx context.Context, q querier, g *grant) error {
	detail, err := json.Marshal(g.Detail)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `INSERT INTO lockspire_grant (`+grantColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, '')`,
		g.ID, g.ClientID, g.UserID, g.SessionID, json.RawMessage(detail), g.CreatedAt, g.UsedAt, g.ExpiresAt)
	return err
}

// touch notes a use of a grant that stands, and holds its row until the transaction ends: nobody ends it meanwhile.
func touch(ctx context.Context, q querier, id string, now time.Time) (bool, error) {
	return one(ctx, q, `UPDATE lockspire_grant SET used_at = $2 WHERE id = $1 AND ended_at IS NULL`, id, now)
}

// end ends a grant; false when it had ended before.
func end(ctx context.Context, q querier, id, reason string, now time.Time) (bool, error) {
	return one(ctx, q, `UPDATE lockspire_grant SET ended_at = $2, end_reason = $3 WHERE id = $1 AND ended_at IS NULL`, id, now, reason)
}

// endBetween ends what stands between a person and a client.
func endBetween(ctx context.Context, q querier, user, client, reason string, now time.Time) error {
	_, err := q.ExecContext(ctx, `UPDATE lockspire_grant SET ended_at = $3, end_reason = $4 WHERE user_id = $1 AND client_id = $2 AND ended_at IS NULL`,
		user, client, now, reason)
	return err
}

// endOfClient ends all grants of a client.
func endOfClient(ctx context.Context, q querier, client, reason string, now time.Time) error {
	_, err := q.ExecContext(ctx, `UPDATE lockspire_grant SET ended_at = $2, end_reason = $3 WHERE client_id = $1 AND ended_at IS NULL`, client, now, reason)
	return err
}

// code is an authorization code.
type code struct {
	GrantID     string
	ClientID    string
	RedirectURI string
	Challenge   string
	ExpiresAt   time.Time
	SpentAt     *time.Time
}

func insertCode(ctx context.Context, q querier, text string, c code) error {
	_, err := q.ExecContext(ctx, `INSERT INTO lockspire_code (hash, grant_id, client_id, redirect_uri, challenge, expires_at, spent_at) VALUES ($1, $2, $3, $4, $5, $6, NULL)`,
		digest(text), c.GrantID, c.ClientID, c.RedirectURI, c.Challenge, c.ExpiresAt)
	return err
}

func (s *grants) code(ctx context.Context, text string) (c code, found bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT grant_id, client_id, redirect_uri, challenge, expires_at, spent_at FROM lockspire_code WHERE hash = $1`, digest(text)).
		Scan(&c.GrantID, &c.ClientID, &c.RedirectURI, &c.Challenge, &c.ExpiresAt, &c.SpentAt)
	if errors.Is(err, sql.ErrNoRows) {
		return code{}, false, nil
	}
	return c, err == nil, err
}

// spendCode spends a code; false when it has been spent before.
func spendCode(ctx context.Context, q querier, text string, now time.Time) (bool, error) {
	return one(ctx, q, `UPDATE lockspire_code SET spent_at = $2 WHERE hash = $1 AND spent_at IS NULL`, digest(text), now)
}

// refreshToken is a refresh token.
type refreshToken struct {
	GrantID   string
	ClientID  string
	ExpiresAt time.Time
	SpentAt   *time.Time
	Successor []byte
	Answer    []byte
}

func insertRefresh(ctx context.Context, q querier, text string, r refreshToken) error {
	_, err := q.ExecContext(ctx, `INSERT INTO lockspire_refresh (hash, grant_id, client_id, expires_at, spent_at, successor, answer) VALUES ($1, $2, $3, $4, NULL, NULL, NULL)`,
		digest(text), r.GrantID, r.ClientID, r.ExpiresAt)
	return err
}

func (s *grants) refresh(ctx context.Context, hash []byte) (r refreshToken, found bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT grant_id, client_id, expires_at, spent_at, successor, answer FROM lockspire_refresh WHERE hash = $1`, hash).
		Scan(&r.GrantID, &r.ClientID, &r.ExpiresAt, &r.SpentAt, &r.Successor, &r.Answer)
	if errors.Is(err, sql.ErrNoRows) {
		return refreshToken{}, false, nil
	}
	return r, err == nil, err
}

// spendRefresh replaces a refresh token by its successor and keeps the answer; false when it has been spent before.
func spendRefresh(ctx context.Context, q querier, text, successor string, answer []byte, now time.Time) (bool, error) {
	return one(ctx, q, `UPDATE lockspire_refresh SET spent_at = $2, successor = $3, answer = $4 WHERE hash = $1 AND spent_at IS NULL`,
		digest(text), now, digest(successor), answer)
}

// revoke makes one access token void.
func (s *grants) revoke(ctx context.Context, jti string, until time.Time) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO lockspire_revoked (jti, expires_at) VALUES ($1, $2) ON CONFLICT (jti) DO NOTHING`, jti, until)
	return err
}

func (s *grants) revoked(ctx context.Context, jti string) (yes bool, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM lockspire_revoked WHERE jti = $1)`, jti).Scan(&yes)
	return yes, err
}

// erase removes all that is kept of a person.
func erase(ctx context.Context, q querier, user string) error {
	for _, query := range []string{`DELETE FROM lockspire_grant WHERE user_id = $1`, `DELETE FROM lockspire_consent WHERE user_id = $1`} {
		if _, err := q.ExecContext(ctx, query, user); err != nil {
			return err
		}
	}
	return nil
}
