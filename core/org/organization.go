package org

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/metadata/schema"
	"github.com/sigra-auth/sigra/core/store"
)

const organizationColumns = `id, slug, name, require_second_factor, sign_in_methods, public_metadata, members, owners, created_at, updated_at`

// maxMetadata is how large an organization's public metadata may be, in bytes.
const maxMetadata = 16 << 10

func scanOrganization(row store.Row, more ...any) (Organization, error) {
	var o Organization
	var second bool
	var methods, meta string
	err := row.Scan(append([]any{&o.ID, &o.Slug, &o.Name, &second, &methods, &meta, &o.Members, &o.Owners, &o.CreatedAt, &o.UpdatedAt}, more...)...)
	if errors.Is(err, store.ErrNoRows) {
		return Organization{}, ErrNotFound
	}
	if err != nil {
		return Organization{}, fmt.Errorf("read organization: %w", err)
	}
	o.Policy, o.PublicMetadata = ParsePolicy(second, methods), json.RawMessage(meta)
	return o, nil
}

// NewOrganization is what an organization begins as. It has no members yet: Add follows in the same transaction.
type NewOrganization struct {
	ID   uuid.UUID // uuid.Nil: a new one
	Name string
	Slug string // empty: made from the name
}

// Create makes an organization. ErrSlugTaken only when the caller chose the slug.
func (s *base) Create(ctx context.Context, tx *store.Tx, by audit.Entry, n NewOrganization) (Organization, error) {
	name, err := ParseName(n.Name)
	if err != nil {
		return Organization{}, err
	}
	if n.ID == uuid.Nil {
		if n.ID, err = uuid.NewV7(); err != nil {
			return Organization{}, err
		}
	}
	chosen := n.Slug != ""
	if chosen {
		if n.Slug, err = ParseSlug(n.Slug); err != nil {
			return Organization{}, err
		}
	}
	for attempt := range 4 {
		slug := n.Slug
		if !chosen {
			slug = SlugOf(name, attempt > 0)
		}
		// DO NOTHING, for on Postgres a failed statement would end the transaction.
		rows, err := tx.Exec(ctx, `INSERT INTO organization (id, slug, name, name_key, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)
			ON CONFLICT (slug) DO NOTHING`, n.ID, slug, name, nameKey(name), s.now())
		if err != nil {
			return Organization{}, fmt.Errorf("create organization: %w", err)
		}
		if rows == 0 && chosen {
			return Organization{}, ErrSlugTaken
		}
		if rows == 1 {
			if err := s.record(ctx, tx, by, "organization.create", n.ID, nil); err != nil {
				return Organization{}, err
			}
			return s.GetIn(ctx, tx, n.ID)
		}
	}
	return Organization{}, fmt.Errorf("create organization: no free slug for it")
}

// Get finds an organization by its id; ErrNotFound when there is none.
func (s *base) Get(ctx context.Context, id uuid.UUID) (Organization, error) {
	return s.GetIn(ctx, s.db, id)
}

// GetIn is Get inside a transaction.
func (s *base) GetIn(ctx context.Context, q store.Querier, id uuid.UUID) (Organization, error) {
	return scanOrganization(q.QueryRow(ctx, `SELECT `+organizationColumns+` FROM organization WHERE id = $1`, id))
}

// GetBySlug finds an organization by its slug.
func (s *base) GetBySlug(ctx context.Context, slug string) (Organization, error) {
	slug, err := ParseSlug(slug)
	if err != nil {
		return Organization{}, ErrNotFound
	}
	return scanOrganization(s.db.QueryRow(ctx, `SELECT `+organizationColumns+` FROM organization WHERE slug = $1`, slug))
}

// lock takes the organization's row for the rest of the transaction: every change of its memberships begins with it.
func (s *base) lock(ctx context.Context, tx *store.Tx, id uuid.UUID) (Organization, error) {
	query := `SELECT ` + organizationColumns + ` FROM organization WHERE id = $1`
	if tx.Dialect() == store.Postgres { // on SQLite a transaction has the whole database for itself
		query += ` FOR NO KEY UPDATE`
	}
	return scanOrganization(tx.QueryRow(ctx, query, id))
}

// Lock takes an organization's row for the rest of the transaction, for whoever looks at rights within it before a change. ErrNotFound
// when there is none.
func (s *base) Lock(ctx context.Context, tx *store.Tx, id uuid.UUID) error {
	_, err := s.lock(ctx, tx, id)
	return err
}

// Page is a part of a list of organizations.
type Page struct {
	Organizations []Organization
	Next          string // empty: that was all
}

// Filter narrows a list of organizations.
type Filter struct {
	Query  string // the beginning of a name, whatever its case
	Cursor string
	Limit  int
}

const listOrganizations = `SELECT ` + organizationColumns + `, name_key FROM organization
	WHERE (name_key, id) > ($1, $2) AND name_key < $3 ORDER BY name_key, id LIMIT $4`

// List lists organizations by name.
func (s *base) List(ctx context.Context, f Filter) (Page, error) {
	from, id := nameKey(f.Query), uuid.Nil
	to := successor(from)
	if f.Cursor != "" {
		b, err := base64.RawURLEncoding.DecodeString(f.Cursor)
		if err != nil || len(b) < 16 || bytes.Compare(b[16:], from) < 0 {
			return Page{}, errInvalidCursor
		}
		id, from = uuid.UUID(b[:16]), b[16:]
	}
	rows, err := s.db.Query(ctx, listOrganizations, from, id, to, limit(f.Limit)+1)
	if err != nil {
		return Page{}, fmt.Errorf("list organizations: %w", err)
	}
	defer rows.Close()
	var p Page
	var key []byte
	for rows.Next() {
		if len(p.Organizations) == limit(f.Limit) {
			last := p.Organizations[len(p.Organizations)-1].ID
			p.Next = base64.RawURLEncoding.EncodeToString(append(last[:], key...))
			break
		}
		o, err := scanOrganization(rows, &key)
		if err != nil {
			return Page{}, err
		}
		p.Organizations = append(p.Organizations, o)
	}
	return p, rows.Err()
}

// successor is the first key behind all that begin with prefix.
func successor(prefix []byte) []byte {
	out := slices.Clone(prefix)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] < 0xff {
			out[i]++
			return out[:i+1]
		}
	}
	return []byte{0xff} // no UTF-8 text begins with it
}

// Change is a change of an organization; what is nil stays.
type Change struct {
	Name                *string
	Slug                *string
	RequireSecondFactor *bool
	Methods             *[]Method
	PublicMetadata      json.RawMessage
}

// Update changes an organization. Nothing is written when nothing changes.
func (s *base) Update(ctx context.Context, tx *store.Tx, by audit.Entry, id uuid.UUID, c Change) (Organization, error) {
	o, err := s.lock(ctx, tx, id)
	if err != nil {
		return Organization{}, err
	}
	next, fields, err := c.apply(o)
	if err != nil || len(fields) == 0 {
		return o, err
	}
	methods, err := next.Policy.text()
	if err != nil {
		return Organization{}, err
	}
	next.UpdatedAt = s.now()
	n, err := tx.Exec(ctx, `UPDATE organization SET slug = $2, name = $3, name_key = $4, require_second_factor = $5, sign_in_methods = $6, public_metadata = $7, updated_at = $8
		WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM organization b WHERE b.slug = $2 AND b.id <> $1)`,
		id, next.Slug, next.Name, nameKey(next.Name), next.Policy.RequireSecondFactor, methods, string(next.PublicMetadata), next.UpdatedAt)
	if store.IsUnique(err) || err == nil && n == 0 {
		return Organization{}, ErrSlugTaken
	}
	if err != nil {
		return Organization{}, fmt.Errorf("update organization: %w", err)
	}
	return next, s.record(ctx, tx, by, "organization.update", id, map[string]any{"fields": fields})
}

func (c Change) apply(o Organization) (next Organization, fields []string, err error) {
	next = o
	if c.Name != nil {
		if next.Name, err = ParseName(*c.Name); err != nil {
			return o, nil, err
		}
		if next.Name != o.Name {
			fields = append(fields, "name")
		}
	}
	if c.Slug != nil {
		if next.Slug, err = ParseSlug(*c.Slug); err != nil {
			return o, nil, err
		}
		if next.Slug != o.Slug {
			fields = append(fields, "slug")
		}
	}
	if c.RequireSecondFactor != nil {
		if next.Policy.RequireSecondFactor = *c.RequireSecondFactor; *c.RequireSecondFactor != o.Policy.RequireSecondFactor {
			fields = append(fields, "require_second_factor")
		}
	}
	if c.Methods != nil {
		next.Policy.Methods = *c.Methods
		is, err := next.Policy.text()
		if err != nil {
			return o, nil, err
		}
		next.Policy = ParsePolicy(next.Policy.RequireSecondFactor, is)
		if !slices.Equal(next.Policy.Methods, o.Policy.Methods) {
			fields = append(fields, "sign_in_methods")
		}
	}
	if c.PublicMetadata != nil {
		if next.PublicMetadata, err = parseMetadata(c.PublicMetadata); err != nil {
			return o, nil, err
		}
		if !bytes.Equal(next.PublicMetadata, o.PublicMetadata) {
			fields = append(fields, "public_metadata")
		}
	}
	return next, fields, nil
}

func parseMetadata(text []byte) (json.RawMessage, error) {
	if len(text) > maxMetadata {
		return nil, fault.Newf(fault.TooLarge, "metadata_too_large", "The public metadata of an organization may have at most %d bytes.", maxMetadata).At("public_metadata")
	}
	v, err := schema.ParseObject(text)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "invalid_metadata", "The public metadata must be a JSON object: %s.", err).At("public_metadata")
	}
	out, err := schema.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write metadata: %w", err)
	}
	return out, nil
}

// Delete removes an organization with everything in it. Sessions in which it was active have none from their next request on.
func (s *base) Delete(ctx context.Context, tx *store.Tx, by audit.Entry, id uuid.UUID) error {
	o, err := s.lock(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, query := range []string{
		`DELETE FROM invitation WHERE organization_id = $1`, `DELETE FROM organization_domain WHERE organization_id = $1`,
		`DELETE FROM membership WHERE organization_id = $1`, `DELETE FROM organization WHERE id = $1`,
	} {
		if _, err := tx.Exec(ctx, query, id); err != nil {
			return fmt.Errorf("delete organization: %w", err)
		}
	}
	return s.record(ctx, tx, by, "organization.delete", id, map[string]any{"members": o.Members})
}
