package membership

import (
	"context"
	"errors"
	"maps"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/store"
)

var errAccount = fault.New(fault.Conflict, "account_not_active", "Only an active account can become a member.")

// admission is somebody's way into an organization.
type admission struct {
	by         Actor
	org        org.Organization // as it is before; not there yet, where it is being created
	account    account.Account
	role       string
	kind       org.Kind
	owner      bool
	via        org.Via
	invitation uuid.UUID // uuid.Nil: none
	attempt    *gate.Attempt
}

// admit is the one way in: the gates are asked, then everything is one transaction, then the gates are told. Before is what happens
// first in the transaction, with the account locked: it looks at rights again, makes the organization, spends the invitation, and its audit
// rows begin with the entry that it is given. After is what follows the membership.
func (s *base) admit(ctx context.Context, a admission, before func(context.Context, *store.Tx, audit.Entry) error, after func(context.Context, *store.Tx, org.Membership) error) (org.Membership, error) {
	if err := s.ask(ctx, &a); err != nil {
		return org.Membership{}, err
	}
	var m org.Membership
	err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		acc, err := s.kit.Accounts.Lock(ctx, tx, a.account.ID)
		if err != nil {
			return err
		}
		if !acc.Status.Live() {
			return errAccount
		}
		if err := before(ctx, tx, a.by.entry(a.attempt.ID)); err != nil {
			return err
		}
		if m, err = s.enter(ctx, tx, a); err != nil || after == nil {
			return err
		}
		return after(ctx, tx, m)
	})
	a.attempt.End(ctx, err)
	return m, err
}

// ask puts member.add to the gates, outside of any transaction, and writes a refusal down.
func (s *base) ask(ctx context.Context, a *admission) (err error) {
	n, err := org.NewMember{Role: a.role, Kind: a.kind}.Check()
	if err != nil {
		return err
	}
	a.role, a.kind = n.Role, n.Kind
	a.attempt, err = s.askMember(ctx, gate.MemberAdd, a.by, gate.MemberContext{
		OrganizationID: a.org.ID, UserID: a.account.ID, Email: a.account.Email, Role: a.role, Kind: string(a.kind), Via: string(a.via), InvitationID: a.invitation,
		Members: a.org.Members, Protected: a.owner,
	})
	return err
}

// enter makes the membership, in the transaction of whoever holds the account's lock.
func (s *base) enter(ctx context.Context, tx *store.Tx, a admission) (org.Membership, error) {
	if err := a.attempt.Commit(ctx, tx); err != nil {
		return org.Membership{}, err
	}
	meta := map[string]any{}
	if a.invitation != uuid.Nil {
		meta["invitation_id"] = a.invitation.String()
	}
	if a.attempt.Answer.By != "" {
		meta["gate"] = a.attempt.Answer.By
	}
	return s.orgs.Add(ctx, tx, a.by.entry(a.attempt.ID), org.NewMember{
		OrganizationID: a.org.ID, AccountID: a.account.ID, Role: a.role, Kind: a.kind, Owner: a.owner, Via: a.via, Metadata: meta,
	})
}

// askMember asks a question about a member. A denial, a failure and a step-up that the actor's session lacks are refusals, which are
// written down as membership.refused.
func (s *base) askMember(ctx context.Context, q gate.Question, by Actor, m gate.MemberContext) (*gate.Attempt, error) {
	ask := gate.Ask{Question: q, Member: &m, Subject: audit.Ref{Type: "organization", ID: m.OrganizationID.String()}}
	if m.UserID != uuid.Nil {
		ask.Subject = flow.User(m.UserID)
	}
	if by.Principal.Kind != "" {
		ask.Principal = &by.Principal
	}
	if s.kit.Gated(q) {
		var err error
		if m.Invitations, err = s.orgs.OpenInvitations(ctx, s.kit.DB, m.OrganizationID); err != nil {
			return nil, err
		}
	}
	a, err := s.attempts.Ask(ctx, ask)
	switch {
	case ctx.Err() != nil:
		if a != nil {
			a.End(ctx, ctx.Err())
		}
		return nil, ctx.Err()
	case err != nil:
		return nil, s.refused(ctx, by, a, m, "gate_failed", err)
	case a.Answer.Decision == gate.Deny:
		return nil, s.refused(ctx, by, a, m, "gate_denied", gate.Denied(a.Answer))
	case len(a.Answer.Obligations) > 0:
		a.End(ctx, flow.ErrObligation)
		return nil, s.refused(ctx, by, a, m, "gate_obligation", flow.ErrObligation)
	case a.Answer.Decision == gate.StepUp && by.Principal.AAL != principal.AAL2:
		a.End(ctx, flow.ErrStepUpRequired)
		return nil, s.refused(ctx, by, a, m, "gate_step_up", flow.ErrStepUpRequired)
	}
	return a, nil
}

// refused writes a refusal down and gives why back.
func (s *base) refused(ctx context.Context, by Actor, a *gate.Attempt, m gate.MemberContext, reason string, why error) error {
	attempt := ""
	if a != nil {
		attempt = a.ID
	}
	e := by.entry(attempt)
	e.Action, e.Reason, e.OrganizationID = "membership.refused", reason, m.OrganizationID
	e.Targets = []audit.Ref{{Type: "organization", ID: m.OrganizationID.String()}}
	if m.UserID != uuid.Nil {
		e.Targets = append(e.Targets, flow.User(m.UserID))
	}
	e.Metadata = map[string]any{"via": m.Via}
	if a != nil && a.Answer.By != "" {
		maps.Copy(e.Metadata, a.Answer.Meta())
	}
	err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return s.kit.Record(ctx, tx, e) })
	return errors.Join(why, err)
}
