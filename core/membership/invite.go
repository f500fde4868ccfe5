package membership

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/store"
)

var (
	errInvite = fault.New(fault.Denied, "invite_instead", "Invite people instead of adding them.")
	// ErrOtherAddress says that an invitation was sent to somebody else.
	ErrOtherAddress = fault.New(fault.Denied, "invitation_other_address", "This invitation was sent to a different email address. Sign in with the account that has it.")
)

// NewInvitation is whom somebody invites, and as what.
type NewInvitation struct {
	OrganizationID uuid.UUID
	Email          string
	Role           string   // empty: org.DefaultRole
	Kind           org.Kind // empty: org.Member
	Language       string   // of the mail, BCP 47; empty: that of whoever invites
}

// invitations are the flows of invitations.
type invitations struct{ *base }

// Invite sends an invitation. An address that was invited before gets a new link for the same invitation.
func (s *invitations) Invite(ctx context.Context, by Actor, n NewInvitation) (org.Invitation, error) {
	st, err := s.may(ctx, s.kit.DB, by, n.OrganizationID, manage)
	if err != nil {
		return org.Invitation{}, err
	}
	is, err := org.NewInvitation{OrganizationID: n.OrganizationID, Email: n.Email, Role: n.Role, Kind: n.Kind, InvitedBy: by.id()}.Check()
	if err != nil {
		return org.Invitation{}, err
	}
	m := gate.MemberContext{Email: is.Email, Role: is.Role, Kind: string(is.Kind)}
	open, err := s.orgs.InvitedTo(ctx, is.Email)
	if err != nil {
		return org.Invitation{}, err
	}
	for _, i := range open {
		if i.OrganizationID == n.OrganizationID {
			m.InvitationID = i.ID
		}
	}
	return s.invite(ctx, by, st, m, n.Language,
		func(ctx context.Context, tx *store.Tx, e audit.Entry) (org.Invitation, string, error) {
			return s.orgs.Invite(ctx, tx, e, is)
		})
}

// Resend sends an invitation anew: with a new link and another full time.
func (s *invitations) Resend(ctx context.Context, by Actor, id, invitation uuid.UUID) (org.Invitation, error) {
	st, err := s.may(ctx, s.kit.DB, by, id, manage)
	if err != nil {
		return org.Invitation{}, err
	}
	i, err := s.orgs.FindInvitation(ctx, s.kit.DB, id, invitation)
	if err != nil {
		return org.Invitation{}, err
	}
	return s.invite(ctx, by, st, gate.MemberContext{Email: i.Email, Role: i.Role, Kind: string(i.Kind), InvitationID: i.ID}, "",
		func(ctx context.Context, tx *store.Tx, e audit.Entry) (org.Invitation, string, error) {
			return s.orgs.Resend(ctx, tx, e, id, invitation)
		})
}

// invite asks the gates and makes the invitation and its mail in one transaction.
func (s *invitations) invite(ctx context.Context, by Actor, st standing, m gate.MemberContext, language string, issue func(context.Context, *store.Tx, audit.Entry) (org.Invitation, string, error)) (i org.Invitation, err error) {
	m.OrganizationID, m.Via, m.Members = st.org.ID, string(org.Invited), st.org.Members
	if err := s.kit.Reaches(ctx, mail.Invitation, m.Email, m.OrganizationID); err != nil {
		return org.Invitation{}, err
	}
	attempt, err := s.askMember(ctx, gate.MemberAdd, by, m)
	if err != nil {
		return org.Invitation{}, err
	}
	err = s.change(ctx, by, st.org.ID, manage, func(ctx context.Context, tx *store.Tx, st standing) error {
		if err := s.kit.Mails.Fail(ctx, tx, flow.Key("invitation", m.Email)); err != nil {
			return err
		}
		if err := attempt.Commit(ctx, tx); err != nil {
			return err
		}
		var token string
		e := by.entry(attempt.ID)
		if i, token, err = issue(ctx, tx, e); err != nil {
			return err
		}
		return s.kit.Enqueue(ctx, tx, mail.Letter{
			Purpose: mail.Invitation, To: i.Email, Language: language, Name: st.org.Name, Link: s.kit.Settings.BaseURL + "/invitation?token=" + token,
			Valid: i.ExpiresAt.Sub(s.kit.Now()),
		})
	})
	attempt.End(ctx, err)
	return i, err
}

// RevokeInvitation takes an invitation back.
func (s *invitations) RevokeInvitation(ctx context.Context, by Actor, id, invitation uuid.UUID) error {
	return s.change(ctx, by, id, manage, func(ctx context.Context, tx *store.Tx, _ standing) error {
		_, err := s.orgs.Revoke(ctx, tx, by.entry(""), id, invitation, "revoked")
		return err
	})
}

// Invitations lists an organization's invitations, for those who manage it.
func (s *invitations) Invitations(ctx context.Context, by Actor, id uuid.UUID, cursor string, limit int) (org.InvitationPage, error) {
	if _, err := s.may(ctx, s.kit.DB, by, id, manage); err != nil {
		return org.InvitationPage{}, err
	}
	return s.orgs.Invitations(ctx, id, cursor, limit)
}

// Invited is an invitation as the person who has its link sees it.
type Invited struct {
	Invitation   org.Invitation
	Organization org.Organization
}

// LookInvitation says what a link invites to; it changes nothing.
func (s *invitations) LookInvitation(ctx context.Context, token string) (Invited, error) {
	i, err := s.orgs.Look(ctx, s.kit.DB, token)
	if err != nil {
		return Invited{}, err
	}
	o, err := s.orgs.Get(ctx, i.OrganizationID)
	return Invited{Invitation: i, Organization: o}, err
}

// Accept makes whoever is signed in a member. The invitation's address must be the account's own and confirmed: having the link
// is not enough, for links are passed on.
func (s *invitations) Accept(ctx context.Context, by Actor, token string) (org.Membership, error) {
	p := by.Principal
	a, err := s.kit.Self(ctx, p)
	if err != nil {
		return org.Membership{}, err
	}
	in, err := s.LookInvitation(ctx, token)
	if err != nil {
		return org.Membership{}, err
	}
	if err := addressed(a, in.Invitation); err != nil {
		return org.Membership{}, err
	}
	return s.admit(ctx, admission{
		by: by, org: in.Organization, account: a, role: in.Invitation.Role, kind: in.Invitation.Kind, via: org.Invited, invitation: in.Invitation.ID,
	}, func(ctx context.Context, tx *store.Tx, e audit.Entry) error {
		now, err := s.kit.Accounts.GetIn(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if err := addressed(now, in.Invitation); err != nil {
			return err
		}
		i, err := s.orgs.Look(ctx, tx, token)
		if err != nil {
			return err
		}
		if i.Role != in.Invitation.Role || i.Kind != in.Invitation.Kind { // not what the gate was asked
			return org.ErrInvitation
		}
		return s.orgs.Accept(ctx, tx, e, i, a.ID)
	}, func(ctx context.Context, tx *store.Tx, m org.Membership) error {
		if p.SessionID == uuid.Nil {
			return nil
		}
		return s.turn(ctx, tx, by, m)
	})
}

func addressed(a account.Account, i org.Invitation) error {
	switch {
	case a.Email != i.Email:
		return ErrOtherAddress
	case a.Status != account.Active:
		return errConfirm
	}
	return nil
}

// Decline turns an invitation down: whoever has the link of an address of theirs.
func (s *invitations) Decline(ctx context.Context, by Actor, token string) error {
	a, err := s.kit.Self(ctx, by.Principal)
	if err != nil {
		return err
	}
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		i, err := s.orgs.Look(ctx, tx, token)
		if err != nil {
			return err
		}
		if a.Email != i.Email {
			return ErrOtherAddress
		}
		_, err = s.orgs.Revoke(ctx, tx, by.entry(""), i.OrganizationID, i.ID, "declined")
		return err
	})
}

// Invites reports whether a link invites an address that can be accepted now: who was invited may sign up where nobody else may.
func (s *invitations) Invites(ctx context.Context, token, email string) (bool, error) {
	i, err := s.orgs.Look(ctx, s.kit.DB, token)
	if err != nil {
		return false, ignore(err, org.ErrInvitation)
	}
	return i.Email == email, nil
}
