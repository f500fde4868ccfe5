package rulestead

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

// The states of a change.
const (
	changeOpen     = "open"
	changeApplied  = "applied"
	changeRejected = "rejected"
	changeOutdated = "outdated" // the definitions changed under it
)

// change is definitions that wait for approvals, for their time, or for both. What it is never changes: who wants something else makes
// another one, which nobody has approved yet.
type change struct {
	ID          int64           `json:"change"`
	Base        int64           `json:"base"` // the version that it was made from
	Definitions json.RawMessage `json:"definitions,omitempty"`
	Author      string          `json:"-"` // type:id
	AuthorName  string          `json:"author"`
	Comment     string          `json:"comment,omitempty"`
	ApplyAt     *time.Time      `json:"apply_at,omitempty"`
	State       string          `json:"state"`
	ClosedBy    string          `json:"closed_by,omitempty"`
	Version     int64           `json:"version,omitempty"` // that it became
	CreatedAt   time.Time       `json:"created_at"`
	Approvals   []string        `json:"approvals"` // who gave one
}

var (
	errNoChange   = errors.New("there is no such change")
	errOwnChange  = errors.New("whoever made a change can't approve it")
	errApproved   = errors.New("you have approved this change already")
	errSame       = errors.New("nothing is different from the version in force")
	errImpersonal = errors.New("while you act for somebody else you can't approve or reject changes")
)

type closedError struct{ state string }

func (e closedError) Error() string { return "the change is " + e.state + " already" }

const changeColumns = `id, base, definitions, author, author_name, comment, apply_at, state, closed_by, version, created_at`

func scanChange(row interface{ Scan(...any) error }) (c change, err error) {
	var at sql.NullTime
	err = row.Scan(&c.ID, &c.Base, &c.Definitions, &c.Author, &c.AuthorName, &c.Comment, &at, &c.State, &c.ClosedBy, &c.Version, &c.CreatedAt)
	if at.Valid {
		c.ApplyAt = &at.Time
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoChange
	}
	return c, err
}

// propose keeps a change. base is -1 for the version in force.
func (s *store) propose(ctx context.Context, d rule.Definitions, base int64, by pluginsdk.Ref, name, comment string, at *time.Time) (c change, err error) {
	text, err := json.Marshal(d)
	if err != nil {
		return c, err
	}
	err = s.alone(ctx, func(tx *sql.Tx) error {
		c = change{Definitions: text, Author: person(by), AuthorName: name, Comment: comment, ApplyAt: at, State: changeOpen, CreatedAt: s.now().UTC().Truncate(time.Microsecond), Approvals: []string{}}
		var was sql.Null[json.RawMessage]
		err := tx.QueryRowContext(ctx, `SELECT version, definitions FROM rulestead_version ORDER BY version DESC LIMIT 1`).Scan(&c.Base, &was)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if base >= 0 && base != c.Base {
			return conflictError{c.Base}
		}
		var current rule.Definitions
		if was.Valid {
			if err := json.Unmarshal(was.V, &current); err != nil {
				return err
			}
		}
		if len(rule.Diff(current, d)) == 0 {
			return errSame
		}
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) + 1 FROM rulestead_change`).Scan(&c.ID); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO rulestead_change (id, base, definitions, author, author_name, comment, apply_at, state, closed_by, version, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', 0, $9)`, c.ID, c.Base, json.RawMessage(text), c.Author, c.AuthorName, c.Comment, c.ApplyAt, c.State, c.CreatedAt)
		return err
	})
	return c, err
}

func person(by pluginsdk.Ref) string { return by.Type + ":" + by.ID }

func (s *store) change(ctx context.Context, id int64) (c change, err error) {
	c, err = scanChange(s.db.QueryRowContext(ctx, `SELECT `+changeColumns+` FROM rulestead_change WHERE id = $1`, id))
	if err != nil {
		return c, err
	}
	c.Approvals, err = approvers(ctx, s.db, id)
	return c, err
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func approvers(ctx context.Context, q queryer, id int64) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT approver_name FROM rulestead_approval WHERE change_id = $1 ORDER BY created_at, approver`, id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := []string{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, rows.Err()
}

// changes lists the newest ones, without their definitions and approvals.
func (s *store) changes(ctx context.Context, limit int) (out []change, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT `+changeColumns+` FROM rulestead_change ORDER BY id DESC LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		c, err := scanChange(rows)
		if err != nil {
			return nil, err
		}
		c.Definitions = nil
		out = append(out, c)
	}
	return out, rows.Err()
}

// approve keeps an approval, and makes the change the newest version when it has as many as are needed and its time has come. Where
// the definitions changed under it, it is closed.
func (s *store) approve(ctx context.Context, id int64, by pluginsdk.Ref, name string, needed int) (c change, err error) {
	err = s.alone(ctx, func(tx *sql.Tx) error {
		if c, err = open(ctx, tx, id); err != nil {
			return err
		}
		if c.Author == person(by) {
			return errOwnChange
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO rulestead_approval (change_id, approver, approver_name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			id, person(by), name, s.now().UTC().Truncate(time.Microsecond))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errApproved)
		}
		return s.settle(ctx, tx, &c, needed)
	})
	return c, err
}

func open(ctx context.Context, tx *sql.Tx, id int64) (change, error) {
	c, err := scanChange(tx.QueryRowContext(ctx, `SELECT `+changeColumns+` FROM rulestead_change WHERE id = $1`, id))
	if err == nil && c.State != changeOpen {
		err = closedError{c.State}
	}
	return c, err
}

// settle applies a change that has everything it needs.
func (s *store) settle(ctx context.Context, tx *sql.Tx, c *change, needed int) (err error) {
	if c.Approvals, err = approvers(ctx, tx, c.ID); err != nil {
		return err
	}
	if len(c.Approvals) < needed || c.ApplyAt != nil && c.ApplyAt.After(s.now()) {
		return nil
	}
	var d rule.Definitions
	if err := json.Unmarshal(c.Definitions, &d); err != nil {
		return err
	}
	v, _, err := s.insert(ctx, tx, d, c.Base, c.AuthorName, fmt.Sprintf("change %d: %s", c.ID, c.Comment))
	var conflict conflictError
	switch {
	case errors.As(err, &conflict):
		return s.close(ctx, tx, c, changeOutdated, "")
	case err != nil:
		return err
	}
	c.Version = v.Number
	return s.close(ctx, tx, c, changeApplied, "")
}

func (s *store) close(ctx context.Context, tx *sql.Tx, c *change, state, by string) error {
	c.State, c.ClosedBy = state, by
	_, err := tx.ExecContext(ctx, `UPDATE rulestead_change SET state = $2, closed_by = $3, closed_at = $4, version = $5 WHERE id = $1`,
		c.ID, state, by, s.now().UTC().Truncate(time.Microsecond), c.Version)
	return err
}

// reject closes a change without applying it. Whoever made it may do that too.
func (s *store) reject(ctx context.Context, id int64, name string) (c change, err error) {
	err = s.alone(ctx, func(tx *sql.Tx) error {
		if c, err = open(ctx, tx, id); err != nil {
			return err
		}
		return s.close(ctx, tx, &c, changeRejected, name)
	})
	return c, err
}

// due settles the open changes whose time has come, and gives those that were closed by that.
func (s *store) due(ctx context.Context, needed int) (out []change, err error) {
	var waiting int
	now := s.now().UTC()
	err = s.db.QueryRowContext(ctx, `SELECT count(*) FROM rulestead_change WHERE state = 'open' AND apply_at <= $1`, now).Scan(&waiting)
	if err != nil || waiting == 0 {
		return nil, err
	}
	err = s.alone(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, `SELECT `+changeColumns+` FROM rulestead_change WHERE state = 'open' AND apply_at <= $1 ORDER BY apply_at, id`, now)
		if err != nil {
			return err
		}
		var list []change
		for rows.Next() {
			c, err := scanChange(rows)
			if err != nil {
				_ = rows.Close()
				return err
			}
			list = append(list, c)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		for i := range list {
			if err := s.settle(ctx, tx, &list[i], needed); err != nil {
				return err
			}
			if list[i].State != changeOpen {
				out = append(out, list[i])
			}
		}
		return nil
	})
	return out, err
}
