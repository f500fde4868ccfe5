package lockspire

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// store owns the tables of clients, consent and interactions; grants has those of what is issued.
type store struct{ db *sql.DB }

// querier is a transaction, or the database.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// one runs a statement and says whether it changed a row.
func one(ctx context.Context, q querier, query string, args ...any) (bool, error) {
	res, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

type scanner interface{ Scan(dest ...any) error }

const clientColumns = "id, name, kind, status, config, created_at, updated_at"

func scanClient(row scanner) (*Client, error) {
	var c Client
	var status string
	var config []byte
	if err := row.Scan(&c.ID, &c.Name, &c.Kind, &status, &config, &c.CreatedAt, &c.UpdatedAt); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return nil, errNoClient
		}
		return nil, fmt.Errorf("read client: %w", err)
	}
	if err := json.Unmarshal(config, &c.Config); err != nil {
		return nil, fmt.Errorf("read client %s: %w", c.ID, err)
	}
	c.Disabled = status != statusActive
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	return &c, nil
}

const (
	statusActive   = "active"
	statusDisabled = "disabled"
)

// client gives a client, a disabled one too; errNoClient when there is none.
func (s *store) client(ctx context.Context, id string) (*Client, error) {
	return scanClient(s.db.QueryRowContext(ctx, `SELECT `+clientColumns+` FROM lockspire_client WHERE id = $1`, id))
}

// clients lists them after one, in the order of their IDs.
func (s *store) clients(ctx context.Context, after string, limit int) ([]*Client, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+clientColumns+` FROM lockspire_client WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []*Client
	for rows.Next() {
		c, err := scanClient(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

func insertClient(ctx context.Context, q querier, c *Client) error {
	config, err := json.Marshal(c.Config)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `INSERT INTO lockspire_client (`+clientColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		c.ID, c.Name, string(c.Kind), statusActive, json.RawMessage(config), c.CreatedAt, c.UpdatedAt)
	return err
}

func setClientStatus(ctx context.Context, q querier, id, status string, now time.Time) error {
	ok, err := one(ctx, q, `UPDATE lockspire_client SET status = $2, updated_at = $3 WHERE id = $1`, id, status, now)
	if err == nil && !ok {
		err = errNoClient
	}
	return err
}

func deleteClient(ctx context.Context, q querier, id string) error {
	ok, err := one(ctx, q, `DELETE FROM lockspire_client WHERE id = $1`, id)
	if err == nil && !ok {
		err = errNoClient
	}
	return err
}

// clientSecret is one of the secrets that a client may show.
type clientSecret struct {
	ID         string
	Hash       []byte
	CreatedAt  time.Time
	ExpiresAt  *time.Time
	LastUsedAt *time.Time
}

func insertSecret(ctx context.Context, q querier, client string, x clientSecret) error {
	_, err := q.ExecContext(ctx, `INSERT INTO lockspire_secret (id, client_id, hash, created_at) VALUES ($1, $2, $3, $4)`, x.ID, client, x.Hash, x.CreatedAt)
	return err
}

// expireSecrets gives a client's secrets an end, if they don't have an earlier one.
func expireSecrets(ctx context.Context, q querier, client string, at time.Time) error {
	_, err := q.ExecContext(ctx, `UPDATE lockspire_secret SET expires_at = $2 WHERE client_id = $1 AND (expires_at IS NULL OR expires_at > $2)`, client, at)
	return err
}

func (s *store) secrets(ctx context.Context, client string) (out []clientSecret, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, hash, created_at, expires_at, last_used_at FROM lockspire_secret WHERE client_id = $1 ORDER BY created_at, id`, client)
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var x clientSecret
		if err := rows.Scan(&x.ID, &x.Hash, &x.CreatedAt, &x.ExpiresAt, &x.LastUsedAt); err != nil {
			return nil, fmt.Errorf("read secrets: %w", err)
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

// secretUsed notes the use of a secret, once an hour.
func (s *store) secretUsed(ctx context.Context, x clientSecret, now time.Time) error {
	if x.LastUsedAt != nil && now.Sub(*x.LastUsedAt) < time.Hour {
		return nil
	}
	_, err := s.db.ExecContext(ctx, `UPDATE lockspire_secret SET last_used_at = $2 WHERE id = $1`, x.ID, now)
	return err
}

// consent is what a person has allowed an application for good.
type consent struct {
	ClientID  string    `json:"client_id"`
	Scopes    []string  `json:"scopes"`
	GrantedAt time.Time `json:"granted_at"`
}

// consents are those of a person, or the one for a client when client is not empty.
func (s *store) consents(ctx context.Context, q querier, user, client string) (out []consent, err error) {
	rows, err := q.QueryContext(ctx, `SELECT client_id, scopes, granted_at FROM lockspire_consent WHERE user_id = $1 AND ($2 = '' OR client_id = $2) ORDER BY client_id`, user, client)
	if err != nil {
		return nil, fmt.Errorf("read consent: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c consent
		var scopes []byte
		if err := rows.Scan(&c.ClientID, &scopes, &c.GrantedAt); err != nil {
			return nil, fmt.Errorf("read consent: %w", err)
		}
		if err := json.Unmarshal(scopes, &c.Scopes); err != nil {
			return nil, fmt.Errorf("read consent: %w", err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

func putConsent(ctx context.Context, q querier, user, client string, scopes []string, now time.Time) error {
	b, err := json.Marshal(scopes)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `INSERT INTO lockspire_consent (user_id, client_id, scopes, granted_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id, client_id) DO UPDATE SET scopes = excluded.scopes, granted_at = excluded.granted_at`, user, client, json.RawMessage(b), now)
	return err
}

func deleteConsent(ctx context.Context, q querier, user, client string) (bool, error) {
	return one(ctx, q, `DELETE FROM lockspire_consent WHERE user_id = $1 AND client_id = $2`, user, client)
}

// interaction is a request that waits for the person.
type interaction struct {
	ClientID  string
	Request   authRequest
	SessionID string
	Ticket    []byte
	Asked     int
	Answer    string
	CreatedAt time.Time
	ExpiresAt time.Time
}

var errNoInteraction = errors.New("there is no such interaction")

func (s *store) insertInteraction(ctx context.Context, id string, i *interaction) error {
	b, err := json.Marshal(i.Request)
	if err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, `INSERT INTO lockspire_interaction (hash, client_id, request, session_id, ticket, asked, answer, created_at, expires_at)
		VALUES ($1, $2, $3, '', NULL, $4, '', $5, $6)`, digest(id), i.ClientID, json.RawMessage(b), i.Asked, i.CreatedAt, i.ExpiresAt)
	return err
}

func (s *store) interaction(ctx context.Context, id string, now time.Time) (*interaction, error) {
	var i interaction
	var request []byte
	err := s.db.QueryRowContext(ctx, `SELECT client_id, request, session_id, ticket, asked, answer, created_at, expires_at FROM lockspire_interaction
		WHERE hash = $1 AND expires_at > $2`, digest(id), now).
		Scan(&i.ClientID, &request, &i.SessionID, &i.Ticket, &i.Asked, &i.Answer, &i.CreatedAt, &i.ExpiresAt)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, errNoInteraction
	case err != nil:
		return nil, fmt.Errorf("read interaction: %w", err)
	}
	i.CreatedAt, i.ExpiresAt = i.CreatedAt.UTC(), i.ExpiresAt.UTC()
	if err := json.Unmarshal(request, &i.Request); err != nil {
		return nil, fmt.Errorf("read interaction: %w", err)
	}
	return &i, nil
}

// askedAgain counts a way to the sign-in.
func (s *store) askedAgain(ctx context.Context, id string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE lockspire_interaction SET asked = asked + 1 WHERE hash = $1`, digest(id))
	return err
}

// bind makes an interaction a session's, with the ticket of the form that it is shown; false when it is another session's or answered.
func (s *store) bind(ctx context.Context, id, session, ticket string) (bool, error) {
	return one(ctx, s.db, `UPDATE lockspire_interaction SET session_id = $2, ticket = $3 WHERE hash = $1 AND session_id IN ('', $2) AND answer = ''`,
		digest(id), session, digest(ticket))
}

// answer ends an interaction by the ticket shown last, once.
func answer(ctx context.Context, q querier, id, session, ticket, said string) (bool, error) {
	return one(ctx, q, `UPDATE lockspire_interaction SET answer = $4 WHERE hash = $1 AND session_id = $2 AND ticket = $3 AND answer = ''`,
		digest(id), session, digest(ticket), said)
}

// finish ends an interaction that needs no consent, once.
func finish(ctx context.Context, q querier, id string) (bool, error) {
	return one(ctx, q, `UPDATE lockspire_interaction SET answer = 'done' WHERE hash = $1 AND answer = ''`, digest(id))
}

// answerKept is how long the answer to a spent refresh token is kept at most; see refreshGrace.
const answerKept = 2 * refreshGrace

// sweep removes what has expired.
func (s *store) sweep(ctx context.Context, now time.Time) error {
	return storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		for _, x := range []struct {
			query string
			at    time.Time
		}{
			{`DELETE FROM lockspire_interaction WHERE expires_at < $1`, now},
			{`DELETE FROM lockspire_revoked WHERE expires_at < $1`, now},
			{`DELETE FROM lockspire_secret WHERE expires_at < $1`, now},
			{`UPDATE lockspire_refresh SET answer = NULL WHERE answer IS NOT NULL AND spent_at < $1`, now.Add(-answerKept)},
			// Codes and refresh tokens stay with their grant, so that a second use is known for what it is.
			{`DELETE FROM lockspire_grant WHERE expires_at < $1`, now},
			{`DELETE FROM lockspire_grant WHERE ended_at < $1`, now.Add(-endedKept)},
			{`UPDATE lockspire_key SET sealed = NULL WHERE sealed IS NOT NULL AND retired_at < $1`, now},
			{`DELETE FROM lockspire_key WHERE retired_at < $1`, now.Add(-hintKept)},
		} {
			if _, err := tx.ExecContext(ctx, x.query, x.at); err != nil {
				return fmt.Errorf("sweep: %w", err)
			}
		}
		return nil
	})
}

const (
	// endedKept is how long a grant that ended is remembered: longer than anything issued for it is valid.
	endedKept = 7 * 24 * time.Hour
	// hintKept is how long the public part of a retired key still verifies an id_token_hint.
	hintKept = 365 * 24 * time.Hour
)
