package org

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/store"
)

// MemberView is a membership with what a list shows of the person.
type MemberView struct {
	Membership
	Email         string
	Username      string
	AccountStatus account.Status
	SecondFactor  bool
}

// MemberPage is a part of a list of members.
type MemberPage struct {
	Members []MemberView
	Next    string // empty: that was all
}

// MemberFilter narrows a list of members.
type MemberFilter struct {
	Query  string // a part of the address or the username
	Cursor string
	Limit  int
}

// searched is how many members one page of a search looks at: the work of a page is bounded, and a page may come
// short of matches while more follow.
const searched = 2000

const listMembers = `SELECT m.id, m.organization_id, m.account_id, m.role, m.kind, m.status, m.owner, m.via, m.created_at, m.updated_at, m.last_active_at,
		coalesce(a.email, ''), coalesce(a.username, ''), a.status, a.second_factor
	FROM (SELECT ` + memberColumns + ` FROM membership WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3) m
	JOIN account a ON a.id = m.account_id ORDER BY m.id`

// Members lists the members of an organization in the order in which they joined.
func (s *base) Members(ctx context.Context, org uuid.UUID, f MemberFilter) (MemberPage, error) {
	from, err := after(f.Cursor)
	if err != nil {
		return MemberPage{}, err
	}
	query := strings.ToLower(strings.TrimSpace(f.Query))
	look := limit(f.Limit) + 1
	if query != "" {
		look = searched
	}
	rows, err := s.db.Query(ctx, listMembers, org, from, look)
	if err != nil {
		return MemberPage{}, fmt.Errorf("list members: %w", err)
	}
	defer rows.Close()
	var p MemberPage
	var last uuid.UUID
	seen := 0
	for rows.Next() {
		var v MemberView
		if v.Membership, err = scanMember(rows, &v.Email, &v.Username, &v.AccountStatus, &v.SecondFactor); err != nil {
			return MemberPage{}, err
		}
		if seen++; query != "" && !strings.Contains(v.Email, query) && !strings.Contains(strings.ToLower(v.Username), query) {
			last = v.ID
			continue
		}
		if len(p.Members) == limit(f.Limit) {
			p.Next = last.String()
			break
		}
		p.Members, last = append(p.Members, v), v.ID
	}
	if p.Next == "" && seen == searched {
		p.Next = last.String()
	}
	return p, rows.Err()
}

// Owners lists up to MaxLimit active owners of an organization.
func (s *base) Owners(ctx context.Context, q store.Querier, org uuid.UUID) ([]Membership, error) {
	rows, err := q.Query(ctx, `SELECT `+memberColumns+` FROM membership WHERE organization_id = $1 AND owner AND status = 'active' ORDER BY id LIMIT $2`, org, MaxLimit)
	if err != nil {
		return nil, fmt.Errorf("list owners: %w", err)
	}
	defer rows.Close()
	var out []Membership
	for rows.Next() {
		m, err := scanMember(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// Belonging is a membership with its organization.
type Belonging struct {
	Membership
	Organization Organization
}

// BelongingPage is a part of a list of somebody's organizations.
type BelongingPage struct {
	Belongings []Belonging
	Next       string // empty: that was all
}

const listBelongings = `SELECT m.id, m.organization_id, m.account_id, m.role, m.kind, m.status, m.owner, m.via, m.created_at, m.updated_at, m.last_active_at,
		o.slug, o.name, o.require_second_factor, o.sign_in_methods, o.public_metadata, o.members, o.owners, o.created_at, o.updated_at
	FROM membership m JOIN organization o ON o.id = m.organization_id
	WHERE m.account_id = $1 AND m.organization_id > $2 ORDER BY m.organization_id LIMIT $3`

// Of lists the organizations of a person, suspended memberships too, the oldest organization first.
func (s *base) Of(ctx context.Context, q store.Querier, account uuid.UUID, cursor string, most int) (BelongingPage, error) {
	from, err := after(cursor)
	if err != nil {
		return BelongingPage{}, err
	}
	rows, err := q.Query(ctx, listBelongings, account, from, limit(most)+1)
	if err != nil {
		return BelongingPage{}, fmt.Errorf("list organizations of a person: %w", err)
	}
	defer rows.Close()
	var p BelongingPage
	for rows.Next() {
		var b Belonging
		var second bool
		var methods, meta string
		o := &b.Organization
		if b.Membership, err = scanMember(rows, &o.Slug, &o.Name, &second, &methods, &meta, &o.Members, &o.Owners, &o.CreatedAt, &o.UpdatedAt); err != nil {
			return BelongingPage{}, err
		}
		o.ID, o.Policy, o.PublicMetadata = b.OrganizationID, ParsePolicy(second, methods), []byte(meta)
		if len(p.Belongings) == limit(most) {
			p.Next = p.Belongings[len(p.Belongings)-1].OrganizationID.String()
			break
		}
		p.Belongings = append(p.Belongings, b)
	}
	return p, rows.Err()
}

const lastActive = `SELECT m.id, m.organization_id, m.account_id, m.role, m.kind, m.status, m.owner, m.via, m.created_at, m.updated_at, m.last_active_at
	FROM membership m WHERE m.account_id = $1 AND m.status = 'active' ORDER BY m.last_active_at IS NULL, m.last_active_at DESC, m.id LIMIT 1`

// LastActive gives the active membership in which somebody was active last, or the oldest one where they never were. ErrNotMember
// when there is none.
func (s *base) LastActive(ctx context.Context, q store.Querier, account uuid.UUID) (Membership, error) {
	return scanMember(q.QueryRow(ctx, lastActive, account))
}
