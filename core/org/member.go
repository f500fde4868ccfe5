package org

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/store"
)

const memberColumns = `id, organization_id, account_id, role, kind, status, owner, via, created_at, updated_at, last_active_at`

func scanMember(row store.Row, more ...any) (Membership, error) {
	var m Membership
	var seen *time.Time
	err := row.Scan(append([]any{&m.ID, &m.OrganizationID, &m.AccountID, &m.Role, &m.Kind, &m.Status, &m.Owner, &m.Via, &m.CreatedAt, &m.UpdatedAt, &seen}, more...)...)
	if errors.Is(err, store.ErrNoRows) {
		return Membership{}, ErrNotMember
	}
	if err != nil {
		return Membership{}, fmt.Errorf("read membership: %w", err)
	}
	m.LastActiveAt = orZero(seen)
	return m, nil
}

// NewMember is what a membership begins as.
type NewMember struct {
	OrganizationID uuid.UUID
	AccountID      uuid.UUID // locked by the caller and live
	Role           string    // empty: DefaultRole
	Kind           Kind      // empty: Member
	Owner          bool
	Via            Via
	Metadata       map[string]any // more for the audit row
}

// Check reads role and kind as they would be stored.
func (n NewMember) Check() (NewMember, error) {
	var err error
	if n.Role, err = ParseRole(n.Role); err != nil {
		return n, err
	}
	n.Kind, err = parseKind(n.Kind)
	return n, err
}

// Add makes a membership. ErrMember when there is one, whatever its status.
func (s *base) Add(ctx context.Context, tx *store.Tx, by audit.Entry, n NewMember) (Membership, error) {
	n, err := n.Check()
	if err != nil {
		return Membership{}, err
	}
	if _, err := s.lock(ctx, tx, n.OrganizationID); err != nil {
		return Membership{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Membership{}, err
	}
	now := s.now()
	rows, err := tx.Exec(ctx, `INSERT INTO membership (id, organization_id, account_id, role, kind, status, owner, via, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, 'active', $6, $7, $8, $8) ON CONFLICT (account_id, organization_id) DO NOTHING`,
		id, n.OrganizationID, n.AccountID, n.Role, string(n.Kind), n.Owner, string(n.Via), now)
	if err != nil {
		return Membership{}, fmt.Errorf("add member: %w", err)
	}
	if rows == 0 {
		return Membership{}, ErrMember
	}
	if err := s.count(ctx, tx, n.OrganizationID, 1, ones(n.Owner)); err != nil {
		return Membership{}, err
	}
	meta := map[string]any{"membership_role": n.Role, "kind": string(n.Kind), "via": string(n.Via)}
	if n.Owner {
		meta["owner"] = true
	}
	for k, v := range n.Metadata {
		meta[k] = v
	}
	if err := s.record(ctx, tx, by, "membership.create", n.OrganizationID, meta, userRef(n.AccountID), membershipRef(id)); err != nil {
		return Membership{}, err
	}
	return Membership{
		ID: id, OrganizationID: n.OrganizationID, AccountID: n.AccountID, Role: n.Role, Kind: n.Kind, Status: Active, Owner: n.Owner, Via: n.Via, CreatedAt: now, UpdatedAt: now,
	}, nil
}

func ones(b bool) int {
	if b {
		return 1
	}
	return 0
}

// count keeps the organization's counts in step, under its lock.
func (s *base) count(ctx context.Context, tx *store.Tx, org uuid.UUID, members, owners int) error {
	if members == 0 && owners == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `UPDATE organization SET members = members + $2, owners = owners + $3 WHERE id = $1`, org, members, owners); err != nil {
		return fmt.Errorf("count members: %w", err)
	}
	return nil
}

// Find gives somebody's membership; ErrNotMember when there is none.
func (s *base) Find(ctx context.Context, q store.Querier, org, account uuid.UUID) (Membership, error) {
	return scanMember(q.QueryRow(ctx, `SELECT `+memberColumns+` FROM membership WHERE account_id = $2 AND organization_id = $1`, org, account))
}

// Owned counts the organizations that somebody owns.
func (s *base) Owned(ctx context.Context, q store.Querier, account uuid.UUID) (n int, err error) {
	if err := q.QueryRow(ctx, `SELECT count(*) FROM membership WHERE account_id = $1 AND owner`, account).Scan(&n); err != nil {
		return 0, fmt.Errorf("count organizations: %w", err)
	}
	return n, nil
}

// MemberChange is a change of a membership; what is nil stays.
type MemberChange struct {
	Role   *string
	Kind   *Kind
	Owner  *bool
	Status *Status
}

// Change changes a membership. ErrLastOwner when the organization would be left without an active owner. Nothing is written
// when nothing changes.
func (s *base) Change(ctx context.Context, tx *store.Tx, by audit.Entry, org, account uuid.UUID, c MemberChange) (Membership, error) {
	o, err := s.lock(ctx, tx, org)
	if err != nil {
		return Membership{}, err
	}
	was, err := s.Find(ctx, tx, org, account)
	if err != nil {
		return Membership{}, err
	}
	is, meta, err := c.apply(was)
	if err != nil || len(meta) == 0 {
		return was, err
	}
	owners := ones(is.active()) - ones(was.active())
	if owners < 0 && o.Owners <= 1 {
		return Membership{}, ErrLastOwner
	}
	is.UpdatedAt = s.now()
	if _, err := tx.Exec(ctx, `UPDATE membership SET role = $2, kind = $3, owner = $4, status = $5, updated_at = $6 WHERE id = $1`,
		is.ID, is.Role, string(is.Kind), is.Owner, string(is.Status), is.UpdatedAt); err != nil {
		return Membership{}, fmt.Errorf("change membership: %w", err)
	}
	if err := s.count(ctx, tx, org, 0, owners); err != nil {
		return Membership{}, err
	}
	return is, s.record(ctx, tx, by, "membership.update", org, meta, userRef(account), membershipRef(is.ID))
}

// active reports whether it is what keeps an organization from being without an owner.
func (m Membership) active() bool { return m.Owner && m.Status == Active }

func (c MemberChange) apply(m Membership) (is Membership, meta map[string]any, err error) {
	is, meta = m, map[string]any{}
	if c.Role != nil {
		if is.Role, err = ParseRole(*c.Role); err != nil {
			return m, nil, err
		}
		if is.Role != m.Role {
			meta["membership_role"], meta["previous_role"] = is.Role, m.Role
		}
	}
	if c.Kind != nil {
		if is.Kind, err = parseKind(*c.Kind); err != nil {
			return m, nil, err
		}
		if is.Kind != m.Kind {
			meta["kind"] = string(is.Kind)
		}
	}
	if c.Owner != nil && *c.Owner != m.Owner {
		is.Owner, meta["owner"] = *c.Owner, *c.Owner
	}
	if c.Status != nil && *c.Status != m.Status {
		is.Status, meta["status"] = *c.Status, string(*c.Status)
	}
	return is, meta, nil
}

// Remove ends a membership. ErrLastOwner when the organization would be left without an active owner.
func (s *base) Remove(ctx context.Context, tx *store.Tx, by audit.Entry, org, account uuid.UUID, cause string) (Membership, error) {
	o, err := s.lock(ctx, tx, org)
	if err != nil {
		return Membership{}, err
	}
	m, err := s.Find(ctx, tx, org, account)
	if err != nil {
		return Membership{}, err
	}
	if m.active() && o.Owners <= 1 {
		return Membership{}, ErrLastOwner
	}
	return m, s.remove(ctx, tx, by, m, cause)
}

func (s *base) remove(ctx context.Context, tx *store.Tx, by audit.Entry, m Membership, cause string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM membership WHERE id = $1`, m.ID); err != nil {
		return fmt.Errorf("remove member: %w", err)
	}
	if err := s.count(ctx, tx, m.OrganizationID, -1, -ones(m.active())); err != nil {
		return err
	}
	return s.record(ctx, tx, by, "membership.delete", m.OrganizationID, map[string]any{"membership_role": m.Role, "cause": cause}, userRef(m.AccountID), membershipRef(m.ID))
}

// Seen notes that somebody was active in an organization: a session began there or turned to it.
func (s *base) Seen(ctx context.Context, tx *store.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `UPDATE membership SET last_active_at = $2 WHERE id = $1`, id, s.now()); err != nil {
		return fmt.Errorf("note activity: %w", err)
	}
	return nil
}

// Erase takes a person out of every organization, as a part of deleting their account, which the caller has locked: memberships,
// invitations to the address, and their name on invitations that they sent. An organization that they leave empty is deleted;
// one whose last owner they were goes on without one, until an administrator of the installation names another.
func (s *Store) Erase(ctx context.Context, tx *store.Tx, by audit.Entry, account uuid.UUID, email string) error {
	ids, err := s.organizationsOf(ctx, tx, account)
	if err != nil {
		return err
	}
	for _, id := range ids {
		o, err := s.lock(ctx, tx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		m, err := s.Find(ctx, tx, id, account)
		if errors.Is(err, ErrNotMember) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.remove(ctx, tx, by, m, "account_deleted"); err != nil {
			return err
		}
		if o.Members == 1 {
			if err := s.Delete(ctx, tx, by, id); err != nil {
				return err
			}
		}
	}
	if _, err := tx.Exec(ctx, `UPDATE invitation SET invited_by = NULL WHERE invited_by = $1`, account); err != nil {
		return fmt.Errorf("erase invitations: %w", err)
	}
	return s.forgetAddress(ctx, tx, by, email)
}

// organizationsOf gives the organizations of a person in the order in which they are locked.
func (s *base) organizationsOf(ctx context.Context, q store.Querier, account uuid.UUID) ([]uuid.UUID, error) {
	rows, err := q.Query(ctx, `SELECT organization_id FROM membership WHERE account_id = $1 ORDER BY organization_id`, account)
	if err != nil {
		return nil, fmt.Errorf("list memberships: %w", err)
	}
	defer rows.Close()
	var out []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}
