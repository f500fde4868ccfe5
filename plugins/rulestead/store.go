package rulestead

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

// store keeps every version of the definitions. A version is inserted and never changes.
type store struct {
	db      *sql.DB
	dialect pluginsdk.Dialect
	now     func() time.Time
}

// version is one version of the definitions.
type version struct {
	Number      int64           `json:"version"`
	Definitions json.RawMessage `json:"definitions,omitempty"`
	Author      string          `json:"author"`
	Comment     string          `json:"comment,omitempty"`
	CreatedAt   time.Time       `json:"created_at"`
}

var errNoVersion = errors.New("there is no such version")

// latest is the number of the newest version; 0: there is none.
func (s *store) latest(ctx context.Context) (n int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM rulestead_version`).Scan(&n)
	return n, err
}

func (s *store) get(ctx context.Context, n int64) (v version, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT version, definitions, author, comment, created_at FROM rulestead_version WHERE version = $1`, n).
		Scan(&v.Number, &v.Definitions, &v.Author, &v.Comment, &v.CreatedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return v, errNoVersion
	}
	return v, err
}

func (s *store) history(ctx context.Context, limit int) (out []version, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT version, author, comment, created_at FROM rulestead_version ORDER BY version DESC LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var v version
		if err := rows.Scan(&v.Number, &v.Author, &v.Comment, &v.CreatedAt); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// conflictError says that somebody else was first.
type conflictError struct{ Latest int64 }

func (e conflictError) Error() string {
	return fmt.Sprintf("the definitions have changed meanwhile: they are at version %d. Look at the difference and apply again", e.Latest)
}

// apply makes definitions the newest version. base is the version that they were made from; -1 for whatever there is. The same
// definitions again make no new version.
func (s *store) apply(ctx context.Context, d rule.Definitions, base int64, author, comment string) (v version, changed bool, err error) {
	err = s.alone(ctx, func(tx *sql.Tx) error {
		v, changed, err = s.insert(ctx, tx, d, base, author, comment)
		return err
	})
	return v, changed, err
}

// alone runs f in a transaction that no other one which changes definitions overlaps.
func (s *store) alone(ctx context.Context, f func(tx *sql.Tx) error) error {
	return storage.Tx(ctx, s.db, func(tx *sql.Tx) error {
		if s.dialect == pluginsdk.Postgres {
			if _, err := tx.ExecContext(ctx, `LOCK TABLE rulestead_version IN EXCLUSIVE MODE`); err != nil {
				return err
			}
		}
		return f(tx)
	})
}

func (s *store) insert(ctx context.Context, tx *sql.Tx, d rule.Definitions, base int64, author, comment string) (v version, changed bool, err error) {
	text, err := json.Marshal(d)
	if err != nil {
		return v, false, err
	}
	sum := sha256.Sum256(text)
	hash := hex.EncodeToString(sum[:])
	var last int64
	var was sql.NullString
	err = tx.QueryRowContext(ctx, `SELECT version, hash FROM rulestead_version ORDER BY version DESC LIMIT 1`).Scan(&last, &was)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return v, false, err
	}
	if base >= 0 && base != last {
		return v, false, conflictError{last}
	}
	v = version{Number: last, Definitions: text, Author: author, Comment: comment, CreatedAt: s.now().UTC().Truncate(time.Microsecond)}
	if was.String == hash {
		return v, false, nil
	}
	v.Number = last + 1
	if _, err := rule.Compile(v.Number, d); err != nil {
		return v, false, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO rulestead_version (version, definitions, hash, author, comment, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		v.Number, json.RawMessage(text), hash, author, comment, v.CreatedAt)
	return v, err == nil, err
}

// definitions are those of a version; 0 has none.
func (s *store) definitions(ctx context.Context, n int64) (d rule.Definitions, err error) {
	if n == 0 {
		return d, nil
	}
	v, err := s.get(ctx, n)
	if err != nil {
		return d, err
	}
	return d, json.Unmarshal(v.Definitions, &d)
}
