package membership

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// right is what an act on an organization takes; each includes those before it.
type right int

const (
	see    right = iota // a member's
	manage              // an owner's, or a manager role's
	own                 // an owner's, who has shown lately who they are
)

var (
	errManage       = fault.New(fault.Denied, "organization_manager_only", "Only those who manage this organization may do this.")
	errOwn          = fault.New(fault.Denied, "organization_owner_only", "Only an owner of this organization may do this.")
	errImpersonated = fault.New(fault.Denied, "impersonated", "Nobody may do this in somebody else's name.")
	// ErrMethod says that a session began in a way that an organization doesn't allow.
	ErrMethod = fault.New(fault.Denied, "sign_in_method_not_allowed", "This organization doesn't allow the way you signed in. Sign in another way.")
)

// Actor is who acts on an organization. Exactly one of Principal and Plugin is set.
type Actor struct {
	Principal principal.Principal
	Plugin    string // the name of a plugin, whose grants were looked at
	Reason    string // a code for the audit row, where there is one
	// Correlation is the correlation id of audit rows where no gate was asked: of one request of the plugin's over several rows.
	Correlation string
}

// As is somebody who acts by their own session or token.
func As(p principal.Principal) Actor { return Actor{Principal: p} }

// privileged reports whether rights within the organization don't matter.
func (a Actor) privileged() bool {
	return a.Plugin != "" || a.Principal.Kind == principal.Operator || a.Principal.SignedIn() && a.Principal.Administrator && a.Principal.ImpersonatorID == uuid.Nil
}

// entry begins an audit row. Its correlation id is the attempt's, by which a gate finds what it reserved; empty: no gate was asked.
func (a Actor) entry(attempt string) audit.Entry {
	p := a.Principal
	if attempt == "" {
		attempt = a.Correlation
	}
	e := audit.Entry{SessionID: p.SessionID, Reason: a.Reason, CorrelationID: attempt}
	switch {
	case a.Plugin != "":
		e.Actor = audit.Ref{Type: "plugin", ID: a.Plugin}
	case p.Kind == principal.Operator:
		e.Actor = audit.Ref{Type: "operator", ID: p.Display}
	case p.UserID == uuid.Nil:
		e.Actor = flow.System
	default:
		e.Actor = flow.User(p.UserID)
	}
	return e
}

// id is the account that acts; uuid.Nil: none.
func (a Actor) id() uuid.UUID {
	if a.Principal.SignedIn() {
		return a.Principal.UserID
	}
	return uuid.Nil
}

// standing is how somebody stands to an organization.
type standing struct {
	org        org.Organization
	membership org.Membership // zero: none
	owner      bool
	manager    bool
}

// may looks whether an actor has a right. Inside a transaction, call it after org.Store.Lock, so that the answer holds until the commit.
// Who is no member learns that there is no such organization: ids of others' can't be tried out.
func (s *base) may(ctx context.Context, q store.Querier, a Actor, id uuid.UUID, want right) (standing, error) {
	o, err := s.orgs.GetIn(ctx, q, id)
	if err != nil {
		return standing{}, err
	}
	st := standing{org: o}
	if a.privileged() {
		if want != see && a.Principal.SignedIn() { // an administrator acts on what is others'
			acc, err := s.kit.Accounts.GetIn(ctx, q, a.Principal.UserID)
			if err == nil && !s.kit.Recent(a.Principal, acc) {
				err = flow.ErrStepUpRequired
			}
			if err != nil {
				return standing{}, err
			}
		}
		st.owner, st.manager = true, true
		return st, nil
	}
	if !a.Principal.SignedIn() {
		return standing{}, session.ErrUnauthenticated
	}
	m, err := s.orgs.Find(ctx, q, id, a.Principal.UserID)
	if errors.Is(err, org.ErrNotMember) || err == nil && m.Status != org.Active {
		return standing{}, org.ErrNotFound
	}
	if err != nil {
		return standing{}, err
	}
	st.membership, st.owner, st.manager = m, m.Owner, s.Manages(m)
	if want == see {
		return st, nil
	}
	switch o.Policy.Judge(m.Owner, a.Principal.Method, a.Principal.AAL) {
	case org.NeedsSecondFactor:
		return standing{}, flow.ErrStepUpRequired
	case org.MethodRefused:
		return standing{}, ErrMethod
	}
	switch {
	case a.Principal.ImpersonatorID != uuid.Nil:
		return standing{}, errImpersonated
	case !st.manager:
		return standing{}, errManage
	case want == own && !st.owner:
		return standing{}, errOwn
	case want == own:
		acc, err := s.kit.Accounts.GetIn(ctx, q, a.Principal.UserID)
		if err == nil && !s.kit.Recent(a.Principal, acc) {
			err = flow.ErrStepUpRequired
		}
		if err != nil {
			return standing{}, err
		}
	}
	return st, nil
}

// change is the transaction of a change by somebody who must have a right: the organization is locked, and who acts by a session has
// one that stands and is still as it was shown.
func (s *base) change(ctx context.Context, a Actor, id uuid.UUID, want right, f func(ctx context.Context, tx *store.Tx, st standing) error) error {
	return s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		st, err := s.lockFor(ctx, tx, a, id, want)
		if err != nil {
			return err
		}
		return f(ctx, tx, st)
	})
}

// lockFor locks an organization and looks whether an actor has a right then.
func (s *base) lockFor(ctx context.Context, tx *store.Tx, a Actor, id uuid.UUID, want right) (standing, error) {
	if err := s.orgs.Lock(ctx, tx, id); err != nil {
		return standing{}, err
	}
	if a.Principal.SessionID != uuid.Nil {
		now, err := s.kit.Standing(ctx, tx, a.Principal)
		if err != nil {
			return standing{}, err
		}
		a.Principal = now
	}
	return s.may(ctx, tx, a, id, want)
}
