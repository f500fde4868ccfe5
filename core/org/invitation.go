package org

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/store"
)

// keepExpired is how long an expired invitation is shown and can be sent again.
const keepExpired = 30 * 24 * time.Hour

// tokenSize is 256 bits (ASVS 5.0 7.2.3 asks for 128 at least).
const tokenSize = 32

var encoding = base64.RawURLEncoding.Strict()

func newToken() (token string, hash []byte) {
	var raw [tokenSize]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	sum := sha256.Sum256(raw[:])
	return encoding.EncodeToString(raw[:]), sum[:]
}

func hashToken(token string) ([]byte, bool) {
	raw, err := encoding.DecodeString(token)
	if err != nil || len(raw) != tokenSize {
		return nil, false
	}
	sum := sha256.Sum256(raw)
	return sum[:], true
}

const invitationColumns = `id, organization_id, email, role, kind, invited_by, created_at, sent_at, expires_at`

func scanInvitation(row store.Row) (Invitation, error) {
	var i Invitation
	var by *uuid.UUID
	err := row.Scan(&i.ID, &i.OrganizationID, &i.Email, &i.Role, &i.Kind, &by, &i.CreatedAt, &i.SentAt, &i.ExpiresAt)
	if errors.Is(err, store.ErrNoRows) {
		return Invitation{}, ErrNoInvitation
	}
	if err != nil {
		return Invitation{}, fmt.Errorf("read invitation: %w", err)
	}
	if by != nil {
		i.InvitedBy = *by
	}
	return i, nil
}

// NewInvitation is what an invitation begins as.
type NewInvitation struct {
	OrganizationID uuid.UUID
	Email          string
	Role           string    // empty: DefaultRole
	Kind           Kind      // empty: Member
	InvitedBy      uuid.UUID // uuid.Nil: whoever runs the installation
}

// Check reads address, role and kind as they would be stored.
func (n NewInvitation) Check() (NewInvitation, error) {
	var err error
	if n.Email, err = account.ParseEmail(n.Email); err != nil {
		return n, err
	}
	if n.Role, err = ParseRole(n.Role); err != nil {
		return n, err
	}
	n.Kind, err = parseKind(n.Kind, ServiceAccount)
	return n, err
}

// invitations are those that nobody has accepted yet.
type invitations struct{ *base }

// Invite makes an invitation and gives the secret for its link, which exists nowhere else. Where the address has been invited
// already, that invitation becomes this one: with its id, a new link and a new end. ErrMember when an account with the
// address is a member.
func (s *invitations) Invite(ctx context.Context, tx *store.Tx, by audit.Entry, n NewInvitation) (Invitation, string, error) {
	n, err := n.Check()
	if err != nil {
		return Invitation{}, "", err
	}
	if _, err := s.lock(ctx, tx, n.OrganizationID); err != nil {
		return Invitation{}, "", err
	}
	var one int
	err = tx.QueryRow(ctx, `SELECT 1 FROM account a JOIN membership m ON m.account_id = a.id AND m.organization_id = $1
		WHERE a.email = $2 AND a.status <> 'deleted'`, n.OrganizationID, n.Email).Scan(&one)
	if err == nil {
		return Invitation{}, "", ErrMember
	}
	if !errors.Is(err, store.ErrNoRows) {
		return Invitation{}, "", fmt.Errorf("invite: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Invitation{}, "", err
	}
	token, hash := newToken()
	now := s.now()
	i, err := scanInvitation(tx.QueryRow(ctx, `INSERT INTO invitation (id, organization_id, email, role, kind, token_hash, invited_by, created_at, sent_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)
		ON CONFLICT (organization_id, email) DO UPDATE SET role = $4, kind = $5, token_hash = $6, invited_by = $7, sent_at = $8, expires_at = $9
		RETURNING `+invitationColumns, id, n.OrganizationID, n.Email, n.Role, string(n.Kind), hash, orNull(n.InvitedBy), now, s.expiry(now)))
	if err != nil {
		return Invitation{}, "", fmt.Errorf("invite: %w", err)
	}
	return i, token, s.record(ctx, tx, by, "invitation.create", i.OrganizationID, invitationMeta(i, i.ID != id), invitationRef(i.ID))
}

func invitationMeta(i Invitation, again bool) map[string]any {
	meta := map[string]any{"membership_role": i.Role, "kind": string(i.Kind), "expires_at": i.ExpiresAt.Format(time.RFC3339)}
	if again {
		meta["resent"] = true
	}
	return meta
}

// Resend gives an open or expired invitation a new link and a new end. The old link is worth nothing from then on.
func (s *invitations) Resend(ctx context.Context, tx *store.Tx, by audit.Entry, org, id uuid.UUID) (Invitation, string, error) {
	if _, err := s.lock(ctx, tx, org); err != nil {
		return Invitation{}, "", err
	}
	token, hash := newToken()
	now := s.now()
	i, err := scanInvitation(tx.QueryRow(ctx, `UPDATE invitation SET token_hash = $3, sent_at = $4, expires_at = $5 WHERE id = $2 AND organization_id = $1
		RETURNING `+invitationColumns, org, id, hash, now, s.expiry(now)))
	if err != nil {
		return Invitation{}, "", err
	}
	return i, token, s.record(ctx, tx, by, "invitation.create", i.OrganizationID, invitationMeta(i, true), invitationRef(i.ID))
}

// Revoke takes an invitation back.
func (s *invitations) Revoke(ctx context.Context, tx *store.Tx, by audit.Entry, org, id uuid.UUID, cause string) (Invitation, error) {
	i, err := scanInvitation(tx.QueryRow(ctx, `DELETE FROM invitation WHERE id = $2 AND organization_id = $1 RETURNING `+invitationColumns, org, id))
	if err != nil {
		return Invitation{}, err
	}
	return i, s.record(ctx, tx, by, "invitation.revoke", org, map[string]any{"cause": cause}, invitationRef(i.ID))
}

// Look finds the invitation that a link stands for, and changes nothing. ErrInvitation when it stands for none, or for one that
// has expired.
func (s *invitations) Look(ctx context.Context, q store.Querier, token string) (Invitation, error) {
	hash, ok := hashToken(token)
	if !ok {
		return Invitation{}, ErrInvitation
	}
	i, err := scanInvitation(q.QueryRow(ctx, `SELECT `+invitationColumns+` FROM invitation WHERE token_hash = $1`, hash))
	if errors.Is(err, ErrNoInvitation) || err == nil && i.Expired(s.now()) {
		return Invitation{}, ErrInvitation
	}
	return i, err
}

// FindInvitation gives an invitation by its id.
func (s *invitations) FindInvitation(ctx context.Context, q store.Querier, org, id uuid.UUID) (Invitation, error) {
	return scanInvitation(q.QueryRow(ctx, `SELECT `+invitationColumns+` FROM invitation WHERE id = $2 AND organization_id = $1`, org, id))
}

// Accept spends an invitation, in the transaction that adds the member. The caller has found that the account's address is
// the invitation's. ErrInvitation when somebody was faster, it was sent anew or revoked, or time ran out.
func (s *invitations) Accept(ctx context.Context, tx *store.Tx, by audit.Entry, i Invitation, account uuid.UUID) error {
	if _, err := s.lock(ctx, tx, i.OrganizationID); errors.Is(err, ErrNotFound) {
		return ErrInvitation
	} else if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `DELETE FROM invitation WHERE id = $1 AND email = $2 AND role = $3 AND kind = $4 AND expires_at > $5`, i.ID, i.Email, i.Role, string(i.Kind), s.now())
	if err != nil {
		return fmt.Errorf("accept invitation: %w", err)
	}
	if n == 0 {
		return ErrInvitation
	}
	return s.record(ctx, tx, by, "invitation.accept", i.OrganizationID, map[string]any{"membership_role": i.Role}, invitationRef(i.ID), userRef(account))
}

// InvitationPage is a part of a list of invitations.
type InvitationPage struct {
	Invitations []Invitation
	Next        string // empty: that was all
}

const listInvitations = `SELECT ` + invitationColumns + ` FROM invitation WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3`

// Invitations lists an organization's open and expired invitations, the oldest first.
func (s *invitations) Invitations(ctx context.Context, org uuid.UUID, cursor string, most int) (InvitationPage, error) {
	from, err := after(cursor)
	if err != nil {
		return InvitationPage{}, err
	}
	rows, err := s.db.Query(ctx, listInvitations, org, from, limit(most)+1)
	if err != nil {
		return InvitationPage{}, fmt.Errorf("list invitations: %w", err)
	}
	defer rows.Close()
	var p InvitationPage
	for rows.Next() {
		if len(p.Invitations) == limit(most) {
			p.Next = p.Invitations[len(p.Invitations)-1].ID.String()
			break
		}
		i, err := scanInvitation(rows)
		if err != nil {
			return InvitationPage{}, err
		}
		p.Invitations = append(p.Invitations, i)
	}
	return p, rows.Err()
}

// OpenInvitations counts the invitations of an organization that can be accepted, up to a thousand.
func (s *invitations) OpenInvitations(ctx context.Context, q store.Querier, org uuid.UUID) (n int64, err error) {
	err = q.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM invitation WHERE organization_id = $1 AND expires_at > $2 LIMIT 1000) i`, org, s.now()).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count invitations: %w", err)
	}
	return n, nil
}

// InvitedTo lists the invitations to an address that can be accepted, at most MaxLimit.
func (s *invitations) InvitedTo(ctx context.Context, email string) ([]Invitation, error) {
	rows, err := s.db.Query(ctx, `SELECT `+invitationColumns+` FROM invitation WHERE email = $1 AND expires_at > $2 ORDER BY id LIMIT $3`, email, s.now(), MaxLimit)
	if err != nil {
		return nil, fmt.Errorf("list invitations to an address: %w", err)
	}
	defer rows.Close()
	var out []Invitation
	for rows.Next() {
		i, err := scanInvitation(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

// Clean deletes invitations that expired long ago, in batches, and returns how many.
func (s *invitations) Clean(ctx context.Context, by audit.Entry) (int, error) {
	return s.revokeEach(ctx, by, "expired", `DELETE FROM invitation WHERE id IN (SELECT id FROM invitation WHERE expires_at <= $1 ORDER BY expires_at LIMIT 100)
		RETURNING `+invitationColumns, s.now().Add(-keepExpired))
}

func (s *invitations) revokeEach(ctx context.Context, by audit.Entry, cause, query string, arg any) (total int, err error) {
	for {
		n := 0
		err := s.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			n, err = s.revokeIn(ctx, tx, by, cause, query, arg)
			return err
		})
		if total += n; err != nil || n == 0 {
			return total, err
		}
	}
}

func (s *invitations) revokeIn(ctx context.Context, tx *store.Tx, by audit.Entry, cause, query string, arg any) (int, error) {
	rows, err := tx.Query(ctx, query, arg)
	if err != nil {
		return 0, fmt.Errorf("delete invitations: %w", err)
	}
	var gone []Invitation
	for rows.Next() {
		i, err := scanInvitation(rows)
		if err != nil {
			rows.Close()
			return 0, err
		}
		gone = append(gone, i)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("delete invitations: %w", err)
	}
	for _, i := range gone {
		if err := s.record(ctx, tx, by, "invitation.revoke", i.OrganizationID, map[string]any{"cause": cause}, invitationRef(i.ID)); err != nil {
			return 0, err
		}
	}
	return len(gone), nil
}

// forgetAddress takes back all invitations to an address.
func (s *invitations) forgetAddress(ctx context.Context, tx *store.Tx, by audit.Entry, email string) error {
	if email == "" {
		return nil
	}
	_, err := s.revokeIn(ctx, tx, by, "account_deleted", `DELETE FROM invitation WHERE email = $1 RETURNING `+invitationColumns, email)
	return err
}
