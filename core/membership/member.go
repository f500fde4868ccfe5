package membership

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/store"
)

// NewMember is whom somebody adds, and as what.
type NewMember struct {
	OrganizationID uuid.UUID
	AccountID      uuid.UUID
	Role           string   // empty: org.DefaultRole
	Kind           org.Kind // empty: org.Member
	Owner          bool
	Provisioned    bool // by a directory, not by a person
}

// Add makes an account a member without asking its person. Managers invite instead: only administrators of Sigra and plugins add
// people outright, for who can add anybody by their id would learn whose address it is.
func (s *base) Add(ctx context.Context, by Actor, n NewMember) (org.Membership, error) {
	st, err := s.may(ctx, s.kit.DB, by, n.OrganizationID, own)
	if err != nil {
		return org.Membership{}, err
	}
	if !by.privileged() {
		return org.Membership{}, errInvite
	}
	a, err := s.kit.Accounts.Get(ctx, n.AccountID)
	if err != nil {
		return org.Membership{}, err
	}
	if a.Status == account.Deleted {
		return org.Membership{}, account.ErrNotFound
	}
	via := org.Direct
	if n.Provisioned {
		via = org.Provisioning
	}
	return s.admit(ctx, admission{by: by, org: st.org, account: a, role: n.Role, kind: n.Kind, owner: n.Owner, via: via},
		func(ctx context.Context, tx *store.Tx, _ audit.Entry) error {
			_, err := s.lockFor(ctx, tx, by, n.OrganizationID, own)
			return err
		}, nil)
}

// Members lists the members of an organization, for those who manage it.
func (s *base) Members(ctx context.Context, by Actor, id uuid.UUID, f org.MemberFilter) (org.MemberPage, error) {
	if _, err := s.may(ctx, s.kit.DB, by, id, manage); err != nil {
		return org.MemberPage{}, err
	}
	return s.orgs.Members(ctx, id, f)
}

// Member gives one member of an organization, for those who manage it.
func (s *base) Member(ctx context.Context, by Actor, id, user uuid.UUID) (org.MemberView, error) {
	if _, err := s.may(ctx, s.kit.DB, by, id, manage); err != nil {
		return org.MemberView{}, err
	}
	m, err := s.orgs.Find(ctx, s.kit.DB, id, user)
	if err != nil {
		return org.MemberView{}, err
	}
	a, err := s.kit.Accounts.Get(ctx, user)
	if err != nil {
		return org.MemberView{}, err
	}
	return org.MemberView{Membership: m, Email: a.Email, Username: a.Username, AccountStatus: a.Status, SecondFactor: a.SecondFactor}, nil
}

// ChangeMember changes a member's role, kind, ownership or status. What touches an owner is for owners.
func (s *base) ChangeMember(ctx context.Context, by Actor, id, user uuid.UUID, c org.MemberChange) (m org.Membership, err error) {
	err = s.change(ctx, by, id, manage, func(ctx context.Context, tx *store.Tx, st standing) error {
		was, err := s.orgs.Find(ctx, tx, id, user)
		if err != nil {
			return err
		}
		if was.Owner || c.Owner != nil {
			if _, err := s.lockFor(ctx, tx, by, id, own); err != nil {
				return err
			}
		}
		m, err = s.orgs.Change(ctx, tx, by.entry(""), id, user, c)
		return err
	})
	return m, err
}

// Suspend keeps somebody out without forgetting them; Resume lets them in again.
func (s *base) Suspend(ctx context.Context, by Actor, id, user uuid.UUID) error {
	st := org.Suspended
	_, err := s.ChangeMember(ctx, by, id, user, org.MemberChange{Status: &st})
	return err
}

// Resume undoes Suspend.
func (s *base) Resume(ctx context.Context, by Actor, id, user uuid.UUID) error {
	st := org.Active
	_, err := s.ChangeMember(ctx, by, id, user, org.MemberChange{Status: &st})
	return err
}

// Remove ends somebody's membership. Whoever removes themselves leaves, for which they need no right.
func (s *base) Remove(ctx context.Context, by Actor, id, user uuid.UUID) error {
	want, cause := manage, "removed"
	if user == by.id() {
		want, cause = see, "left"
	}
	st, err := s.may(ctx, s.kit.DB, by, id, want)
	if err != nil {
		return err
	}
	m, err := s.orgs.Find(ctx, s.kit.DB, id, user)
	if err != nil {
		return err
	}
	attempt, err := s.askRemove(ctx, by, st.org, m)
	if err != nil {
		return err
	}
	err = s.change(ctx, by, id, want, func(ctx context.Context, tx *store.Tx, st standing) error {
		now, err := s.orgs.Find(ctx, tx, id, user)
		if err != nil {
			return err
		}
		if now.Owner && cause != "left" {
			if _, err := s.lockFor(ctx, tx, by, id, own); err != nil {
				return err
			}
		}
		if err := attempt.Commit(ctx, tx); err != nil {
			return err
		}
		_, err = s.orgs.Remove(ctx, tx, by.entry(attempt.ID), id, user, cause)
		return err
	})
	attempt.End(ctx, err)
	return err
}

// askRemove asks whether a member may go. A gate that fails is no reason to keep somebody.
func (s *base) askRemove(ctx context.Context, by Actor, o org.Organization, m org.Membership) (*gate.Attempt, error) {
	a, err := s.kit.Accounts.Get(ctx, m.AccountID)
	if err != nil {
		return nil, err
	}
	ask := gate.Ask{Question: gate.MemberRemove, Subject: flow.User(m.AccountID), Member: &gate.MemberContext{
		OrganizationID: o.ID, UserID: m.AccountID, Email: a.Email, Role: m.Role, Kind: string(m.Kind), Via: string(m.Via), Members: o.Members, Protected: m.Owner,
	}}
	if by.Principal.Kind != "" {
		ask.Principal = &by.Principal
	}
	attempt, err := s.attempts.Ask(ctx, ask)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		s.kit.Log.Warn("gate failed; the member is removed all the same", "question", string(gate.MemberRemove), "error", err)
		return attempt, nil
	}
	if attempt.Answer.Decision == gate.Deny {
		return nil, gate.Denied(attempt.Answer)
	}
	return attempt, nil
}
