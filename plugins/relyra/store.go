package relyra

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// store owns the tables.
type store struct{ db *sql.DB }

const connectionColumns = "id, organization_id, name, status, config, created_at, updated_at"

type scanner interface{ Scan(dest ...any) error }

func scanConnection(row scanner) (*Connection, error) {
	var c Connection
	var id, config string
	var created, updated int64
	if err := row.Scan(&id, &c.OrganizationID, &c.Name, &c.Status, &config, &created, &updated); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return nil, errNoConnection
		}
		return nil, fmt.Errorf("read connection: %w", err)
	}
	var err error
	if c.ID, err = uuid.Parse(id); err != nil {
		return nil, fmt.Errorf("read connection: %w", err)
	}
	if err := json.Unmarshal([]byte(config), &c.Config); err != nil {
		return nil, fmt.Errorf("read connection %s: %w", id, err)
	}
	c.CreatedAt, c.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return &c, nil
}

func (s *store) connection(ctx context.Context, id uuid.UUID) (*Connection, error) {
	return scanConnection(s.db.QueryRowContext(ctx, "SELECT "+connectionColumns+" FROM relyra_connection WHERE id = $1", id.String()))
}

// connections lists those of an organization, all with an empty one.
func (s *store) connections(ctx context.Context, organization string) ([]*Connection, error) {
	query, args := "SELECT "+connectionColumns+" FROM relyra_connection WHERE organization_id = $1 ORDER BY id", []any{organization}
	if organization == "" {
		query, args = "SELECT "+connectionColumns+" FROM relyra_connection ORDER BY organization_id, id", nil
	}
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list connections: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []*Connection
	for rows.Next() {
		c, err := scanConnection(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// anyEnabled says whether anybody at all could sign in here.
func (s *store) anyEnabled(ctx context.Context) (yes bool, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM relyra_connection WHERE status = $1)", string(Enabled)).Scan(&yes)
	return yes, err
}

func insertConnection(ctx context.Context, tx *sql.Tx, c *Connection) error {
	config, err := json.Marshal(c.Config)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO relyra_connection ("+connectionColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7)",
		c.ID.String(), c.OrganizationID, c.Name, string(c.Status), string(config), c.CreatedAt.UnixMicro(), c.UpdatedAt.UnixMicro())
	return err
}

func updateConnection(ctx context.Context, tx *sql.Tx, c *Connection) error {
	config, err := json.Marshal(c.Config)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE relyra_connection SET name = $2, status = $3, config = $4, updated_at = $5 WHERE id = $1",
		c.ID.String(), c.Name, string(c.Status), string(config), c.UpdatedAt.UnixMicro())
	return err
}

func deleteConnection(ctx context.Context, tx *sql.Tx, id uuid.UUID) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM relyra_connection WHERE id = $1", id.String())
	return err
}

// locked reads a connection that nobody else changes until the transaction ends.
func locked(ctx context.Context, tx *sql.Tx, id uuid.UUID) (*Connection, error) {
	// A write takes the row on both databases, where FOR UPDATE is a word of one.
	if _, err := tx.ExecContext(ctx, "UPDATE relyra_connection SET updated_at = updated_at WHERE id = $1", id.String()); err != nil {
		return nil, fmt.Errorf("lock connection: %w", err)
	}
	return scanConnection(tx.QueryRowContext(ctx, "SELECT "+connectionColumns+" FROM relyra_connection WHERE id = $1", id.String()))
}

// sealedKey is one of our keys as it lies there.
type sealedKey struct {
	id                  string
	certificate, sealed []byte
}

func insertKey(ctx context.Context, tx *sql.Tx, connection uuid.UUID, k sealedKey, now time.Time) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO relyra_key (id, connection_id, status, certificate, sealed, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
		uuid.Must(uuid.NewV7()).String(), connection.String(), "active", k.certificate, k.sealed, now.UnixMicro())
	return err
}

// keys are ours for a connection, the one in use first.
func (s *store) keys(ctx context.Context, connection uuid.UUID) ([]sealedKey, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, certificate, sealed FROM relyra_key WHERE connection_id = $1 ORDER BY id DESC", connection.String())
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []sealedKey
	for rows.Next() {
		var k sealedKey
		if err := rows.Scan(&k.id, &k.certificate, &k.sealed); err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

// replaceKey puts a key in place that the host has sealed anew, unless another node did it first.
func (s *store) replaceKey(ctx context.Context, old sealedKey, sealed []byte) error {
	_, err := s.db.ExecContext(ctx, "UPDATE relyra_key SET sealed = $2 WHERE id = $1 AND sealed = $3", old.id, sealed, old.sealed)
	return err
}

// request is one that was sent to an identity provider.
type request struct {
	id         string
	connection uuid.UUID
	state      string
	returnTo   string
	test       bool // nothing comes of it
	expiresAt  time.Time
	answered   bool
}

func (s *store) insertRequest(ctx context.Context, r request, now time.Time) error {
	purpose := "sign_in"
	if r.test {
		purpose = "test"
	}
	_, err := s.db.ExecContext(ctx, "INSERT INTO relyra_request (id, connection_id, state, return_to, created_at, expires_at, purpose) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		r.id, r.connection.String(), r.state, r.returnTo, now.UnixMicro(), r.expiresAt.UnixMicro(), purpose)
	return err
}

// request finds one of a connection; another connection's is none.
func (s *store) request(ctx context.Context, connection uuid.UUID, id string) (*request, error) {
	r := &request{id: id, connection: connection}
	var expires int64
	var answered sql.NullInt64
	err := s.db.QueryRowContext(ctx, "SELECT state, return_to, purpose = 'test', expires_at, answered_at FROM relyra_request WHERE id = $1 AND connection_id = $2", id, connection.String()).
		Scan(&r.state, &r.returnTo, &r.test, &expires, &answered)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	r.expiresAt, r.answered = time.UnixMicro(expires).UTC(), answered.Valid
	return r, nil
}

// spend uses up a request and an assertion, both or neither. It says which of them was used up before.
func (s *store) spend(ctx context.Context, connection uuid.UUID, requestID, assertion string, expires, now time.Time) (answered, replayed bool, err error) {
	err = storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		answered, replayed = false, false
		sum := sha256.Sum256([]byte(assertion))
		n, err := affected(tx.ExecContext(ctx, "INSERT INTO relyra_assertion (connection_id, digest, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
			connection.String(), hex.EncodeToString(sum[:]), expires.UnixMicro()))
		if err != nil {
			return err
		}
		if n == 0 {
			replayed = true
			return nil
		}
		if requestID == "" {
			return nil
		}
		n, err = affected(tx.ExecContext(ctx, "UPDATE relyra_request SET answered_at = $3 WHERE id = $1 AND connection_id = $2 AND answered_at IS NULL", requestID, connection.String(), now.UnixMicro()))
		if err != nil {
			return err
		}
		answered = n == 0 // the assertion stays spent: it will not be asked for again
		return nil
	})
	if err != nil {
		return false, false, fmt.Errorf("spend assertion: %w", err)
	}
	return answered, replayed, nil
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// traceAge is how long traces are kept.
const traceAge = 30 * 24 * time.Hour

// sweep removes what has expired.
func (s *store) sweep(ctx context.Context, now time.Time) error {
	for query, before := range map[string]time.Time{
		"DELETE FROM relyra_request WHERE expires_at < $1":   now.Add(-time.Hour),
		"DELETE FROM relyra_assertion WHERE expires_at < $1": now,
		"DELETE FROM relyra_trace WHERE occurred_at < $1":    now.Add(-traceAge),
	} {
		if _, err := s.db.ExecContext(ctx, query, before.UnixMicro()); err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
	}
	return nil
}
