package account

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
)

// Page sizes of List.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Filter says which accounts to list. The zero value lists the newest live ones.
type Filter struct {
	Query         string // a part of the address or the username, or an id
	Status        Status // empty: every status but deleted
	Administrator bool   // only administrators
	Cursor        string // Page.Next of the page before
	Limit         int    // 0 means DefaultLimit; at most MaxLimit
}

// Page is a part of a list, newest first.
type Page struct {
	Accounts []Account
	Next     string // empty: that was all
}

// List lists accounts, newest first, page by page. The cursor is the last id seen (ids grow with time), so
// accounts made or deleted meanwhile shift nothing.
func (s *Store) List(ctx context.Context, f Filter) (Page, error) {
	if f.Limit <= 0 {
		f.Limit = DefaultLimit
	}
	f.Limit = min(f.Limit, MaxLimit)
	if f.Status != "" && !f.Status.Valid() {
		return Page{}, fault.New(fault.Invalid, "invalid_status", "The status is one of active, unconfirmed, disabled and deleted.").At("status")
	}
	before := uuid.Max
	if f.Cursor != "" {
		var err error
		if before, err = uuid.Parse(f.Cursor); err != nil {
			return Page{}, fault.New(fault.Invalid, "invalid_cursor", "This cursor is not one of ours.").At("cursor")
		}
	}
	q := strings.ToLower(strings.TrimSpace(strings.ToValidUTF8(f.Query, "")))
	q = strings.ReplaceAll(q, "\x00", "")
	if len(q) > MaxEmail {
		return Page{}, nil
	}
	id, err := uuid.Parse(q)
	if err != nil {
		id = uuid.Nil
	}
	rows, err := s.db.Query(ctx, `SELECT `+columns+` FROM account
		WHERE id < $1
		  AND (($2 = '' AND status <> 'deleted') OR status = $2)
		  AND ($3 = '' OR email LIKE $4 ESCAPE '!' OR username_key LIKE $4 ESCAPE '!' OR id = $5)
		  AND (administrator OR NOT $6)
		ORDER BY id DESC LIMIT $7`,
		before, string(f.Status), q, "%"+likeEscape.Replace(q)+"%", id, f.Administrator, f.Limit+1)
	if err != nil {
		return Page{}, fmt.Errorf("list accounts: %w", err)
	}
	defer rows.Close()
	var p Page
	for rows.Next() {
		a, err := scan(rows)
		if err != nil {
			return Page{}, fmt.Errorf("list accounts: %w", err)
		}
		if len(p.Accounts) == f.Limit {
			p.Next = p.Accounts[f.Limit-1].ID.String()
			break
		}
		p.Accounts = append(p.Accounts, a)
	}
	if err := rows.Err(); err != nil {
		return Page{}, fmt.Errorf("list accounts: %w", err)
	}
	return p, nil
}

var likeEscape = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")
