package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Get gives an account by its id in the directory.
func (s *Service) Get(ctx context.Context, d Directory, externalID string) (User, error) {
	l, err := s.find(ctx, s.kit.DB, d, externalID)
	if err != nil {
		return User{}, err
	}
	return s.user(ctx, d, externalID, l)
}

// user is what a row and the account come to.
func (s *Service) user(ctx context.Context, d Directory, externalID string, l link) (User, error) {
	a, err := s.kit.Accounts.Get(ctx, l.account)
	if err != nil {
		return User{}, err
	}
	u := User{
		ExternalID: externalID, AccountID: a.ID, Email: a.Email, Username: l.username, Display: a.Display, Active: l.active && a.Status.Live(),
		CreatedAt: l.createdAt, UpdatedAt: l.updatedAt,
	}
	m, err := s.kit.Orgs.Find(ctx, s.kit.DB, d.OrganizationID, a.ID)
	switch {
	case err == nil:
		u.Role, u.Active = m.Role, u.Active && m.Status == org.Active
	case !errors.Is(err, org.ErrNotMember):
		return User{}, err
	default:
		// Of somebody who left the organization and its domains the directory has what it said itself, and learns nothing new.
		switch err := s.may(ctx, s.kit.DB, d, a); {
		case errors.Is(err, errForeign):
			u.Email, u.Display, u.Active = "", "", l.active
			return u, nil
		case err != nil && !errors.Is(err, errAdmin):
			return User{}, err
		}
	}
	have, err := s.kit.Metadata.Get(ctx, s.kit.DB, a.ID, metadata.Public)
	if err != nil {
		return User{}, err
	}
	object := map[string]any{}
	if err := json.Unmarshal(have.Value, &object); err != nil {
		return User{}, fmt.Errorf("read public metadata: %w", err)
	}
	u.Attributes, _ = object[d.Plugin].(map[string]any)
	return u, nil
}

// Page is a part of a directory, by the directory's ids.
type Page struct {
	Users []User
	Next  string // empty: that was all
}

// List lists the accounts that a directory provides. With an address it is the one that has it.
func (s *Service) List(ctx context.Context, d Directory, email, after string, limit int) (out Page, err error) {
	who := uuid.Nil
	if email != "" {
		a, err := s.kit.Accounts.FindByEmail(ctx, email)
		if account.IsNotFound(err) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		who = a.ID
	}
	rows, err := s.kit.DB.Query(ctx, `SELECT external_id, `+linkColumns+` FROM directory_user
		WHERE plugin = $1 AND organization_id = $2 AND external_id > $3 AND ($4 OR account_id = $5) ORDER BY external_id LIMIT $6`,
		d.Plugin, d.OrganizationID, after, who == uuid.Nil, who, limit+1)
	if err != nil {
		return out, fmt.Errorf("list directory: %w", err)
	}
	defer rows.Close()
	var ids []string
	var links []link
	for rows.Next() {
		var id string
		var l link
		if err := rows.Scan(&id, &l.account, &l.username, &l.active, &l.made, &l.createdAt, &l.updatedAt); err != nil {
			return out, fmt.Errorf("list directory: %w", err)
		}
		ids, links = append(ids, id), append(links, l)
	}
	if err := rows.Err(); err != nil {
		return out, fmt.Errorf("list directory: %w", err)
	}
	if len(ids) > limit {
		out.Next = ids[limit-1]
		ids = ids[:limit]
	}
	for i, id := range ids {
		u, err := s.user(ctx, d, id, links[i])
		if err != nil {
			return Page{}, err
		}
		out.Users = append(out.Users, u)
	}
	return out, nil
}

// ExternalIDs gives the ids by which a plugin's directories know some accounts; of several the oldest.
func (s *Service) ExternalIDs(ctx context.Context, plugin string, accounts []uuid.UUID) (map[uuid.UUID]string, error) {
	out := map[uuid.UUID]string{}
	for _, id := range accounts { // see account.Store.GetMany
		var external string
		err := s.kit.DB.QueryRow(ctx, `SELECT external_id FROM directory_user WHERE account_id = $1 AND plugin = $2 ORDER BY created_at, external_id LIMIT 1`, id, plugin).Scan(&external)
		if errors.Is(err, store.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find external ids: %w", err)
		}
		out[id] = external
	}
	return out, nil
}

// Named finds the account that a plugin's directories know by an id; ErrNotFound when none does, or several do.
func (s *Service) Named(ctx context.Context, plugin, externalID string) (id uuid.UUID, err error) {
	rows, err := s.kit.DB.Query(ctx, `SELECT DISTINCT account_id FROM directory_user WHERE plugin = $1 AND external_id = $2 LIMIT 2`, plugin, externalID)
	if err != nil {
		return id, fmt.Errorf("find by external id: %w", err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		if err := rows.Scan(&id); err != nil {
			return id, fmt.Errorf("find by external id: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return id, fmt.Errorf("find by external id: %w", err)
	}
	if n != 1 {
		return uuid.Nil, ErrNotFound
	}
	return id, nil
}

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"directory_user"}}
}

// Exported is an entry of a directory in its person's export.
type Exported struct {
	Plugin         string    `json:"plugin"`
	OrganizationID string    `json:"organization_id"`
	ExternalID     string    `json:"external_id"`
	Username       string    `json:"username,omitempty"`
	Active         bool      `json:"active"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// Export gives what directories say of the person.
func (s *Service) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	rows, err := q.Query(ctx, `SELECT plugin, organization_id, external_id, username, active, created_at, updated_at FROM directory_user WHERE account_id = $1 ORDER BY created_at, plugin, external_id`, who.UserID)
	if err != nil {
		return nil, fmt.Errorf("export directory users: %w", err)
	}
	defer rows.Close()
	var out []Exported
	for rows.Next() {
		var x Exported
		var organization uuid.UUID
		if err := rows.Scan(&x.Plugin, &organization, &x.ExternalID, &x.Username, &x.Active, &x.CreatedAt, &x.UpdatedAt); err != nil {
			return nil, fmt.Errorf("export directory users: %w", err)
		}
		x.OrganizationID = organization.String()
		out = append(out, x)
	}
	if err := rows.Err(); err != nil || len(out) == 0 {
		return nil, err
	}
	return out, nil
}

// Erase forgets what directories say of the person.
func (s *Service) Erase(ctx context.Context, tx *store.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM directory_user WHERE account_id = $1`, id); err != nil {
		return fmt.Errorf("erase directory users: %w", err)
	}
	return nil
}
