package org

import (
	"context"
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
)

// Schema says what the package keeps.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Personal: []string{"membership", "invitation"}, Impersonal: []string{"organization", "organization_domain"}}
}

// Exported is what a person's export says of organizations.
type Exported struct {
	Memberships []ExportedMembership `json:"memberships"`
	Invitations []ExportedInvitation `json:"invitations"` // to the person's address
}

// ExportedMembership is an organization that the person belongs to.
type ExportedMembership struct {
	Organization string    `json:"organization"` // slug
	Name         string    `json:"name"`
	Role         string    `json:"role"`
	Kind         string    `json:"kind"`
	Status       string    `json:"status"`
	Owner        bool      `json:"owner"`
	CreatedAt    time.Time `json:"created_at"`
}

// ExportedInvitation is one that waits for the person.
type ExportedInvitation struct {
	Organization string    `json:"organization"` // slug
	Role         string    `json:"role"`
	CreatedAt    time.Time `json:"created_at"`
	ExpiresAt    time.Time `json:"expires_at"`
}

// Export gives the memberships and the invitations.
func (s *base) Export(ctx context.Context, q store.Querier, who part.Subject) (any, error) {
	out := Exported{Memberships: []ExportedMembership{}, Invitations: []ExportedInvitation{}}
	rows, err := q.Query(ctx, `SELECT o.slug, o.name, m.role, m.kind, m.status, m.owner, m.created_at FROM membership AS m
		JOIN organization AS o ON o.id = m.organization_id WHERE m.account_id = $1 ORDER BY m.id`, who.UserID)
	if err != nil {
		return nil, fmt.Errorf("export memberships: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var m ExportedMembership
		if err := rows.Scan(&m.Organization, &m.Name, &m.Role, &m.Kind, &m.Status, &m.Owner, &m.CreatedAt); err != nil {
			return nil, fmt.Errorf("export memberships: %w", err)
		}
		out.Memberships = append(out.Memberships, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("export memberships: %w", err)
	}
	rows.Close()
	if out.Invitations, err = s.exportInvitations(ctx, q, who.Email); err != nil {
		return nil, fmt.Errorf("export invitations: %w", err)
	}
	if len(out.Memberships)+len(out.Invitations) == 0 {
		return nil, nil
	}
	return out, nil
}

func (s *base) exportInvitations(ctx context.Context, q store.Querier, email string) ([]ExportedInvitation, error) {
	out := []ExportedInvitation{}
	rows, err := q.Query(ctx, `SELECT o.slug, i.role, i.created_at, i.expires_at FROM invitation AS i
		JOIN organization AS o ON o.id = i.organization_id WHERE i.email = $1 ORDER BY i.id`, email)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var i ExportedInvitation
		if err := rows.Scan(&i.Organization, &i.Role, &i.CreatedAt, &i.ExpiresAt); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, rows.Err()
}
