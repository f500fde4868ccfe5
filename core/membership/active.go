package membership

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Switch makes an organization the active one of a session, or none for uuid.Nil. The session keeps its token: nothing that it may do
// by itself changes. A policy that it doesn't satisfy is answered by flow.ErrStepUpRequired or ErrMethod.
func (s *base) Switch(ctx context.Context, p principal.Principal, id uuid.UUID) (out principal.Principal, err error) {
	if !p.SignedIn() || p.SessionID == uuid.Nil {
		return p, session.ErrUnauthenticated
	}
	by := As(p)
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, now, err := s.kit.StillSignedIn(ctx, tx, p)
		if err != nil {
			return err
		}
		if id == uuid.Nil {
			if err := s.kit.Sessions.SetOrganization(ctx, tx, p.SessionID, uuid.Nil); err != nil {
				return err
			}
			return s.recordSwitch(ctx, tx, by, uuid.Nil)
		}
		st, err := s.may(ctx, tx, Actor{Principal: strip(now)}, id, see)
		if err != nil {
			return err
		}
		switch st.org.Policy.Judge(st.owner, now.Method, now.AAL) {
		case org.NeedsSecondFactor:
			return flow.ErrStepUpRequired
		case org.MethodRefused:
			return ErrMethod
		}
		return s.turn(ctx, tx, by, st.membership)
	})
	if err != nil {
		return p, err
	}
	return s.kit.Sessions.Find(ctx, p.SessionID)
}

// strip leaves only the member: an administrator of Sigra is active in an organization like anybody else, or not at all.
func strip(p principal.Principal) principal.Principal {
	p.Administrator = false
	return p
}

// turn makes a membership's organization the active one of the actor's session.
func (s *base) turn(ctx context.Context, tx *store.Tx, by Actor, m org.Membership) error {
	if err := s.kit.Sessions.SetOrganization(ctx, tx, by.Principal.SessionID, m.OrganizationID); err != nil {
		return err
	}
	if err := s.orgs.Seen(ctx, tx, m.ID); err != nil {
		return err
	}
	return s.recordSwitch(ctx, tx, by, m.OrganizationID)
}

func (s *base) recordSwitch(ctx context.Context, tx *store.Tx, by Actor, id uuid.UUID) error {
	e := by.entry("")
	e.Action, e.OrganizationID = "session.organization_switch", id
	e.Targets = []audit.Ref{{Type: "session", ID: by.Principal.SessionID.String()}, flow.User(by.Principal.UserID)}
	if id != uuid.Nil {
		e.Targets = append(e.Targets, audit.Ref{Type: "organization", ID: id.String()})
	}
	return s.kit.Record(ctx, tx, e)
}

// Entry is where a sign-in wants to end. The zero value is wherever the person was last.
type Entry struct {
	OrganizationID uuid.UUID `json:"organization_id,omitzero"`
	Join           bool      `json:"join,omitempty"`   // makes a membership where there is none: a connection of the organization vouches for the person
	Role           string    `json:"role,omitempty"`   // of that membership
	Plugin         string    `json:"plugin,omitempty"` // whose connection it is
}

// Heading says in which organization, and as what, a sign-in is about to end, for the question that comes before it: with the zero membership in none.
// Where the sign-in joins, the role is the one it would get.
func (s *base) Heading(ctx context.Context, account uuid.UUID, e Entry) (org.Membership, error) {
	find := s.orgs.LastActive
	if e.OrganizationID != uuid.Nil {
		find = func(ctx context.Context, q store.Querier, account uuid.UUID) (org.Membership, error) {
			return s.orgs.Find(ctx, q, e.OrganizationID, account)
		}
	}
	m, err := find(ctx, s.kit.DB, account)
	if errors.Is(err, org.ErrNotMember) {
		m, err = org.Membership{}, nil
		if e.Join {
			m.OrganizationID, m.Role = e.OrganizationID, e.Role
		}
	}
	return m, err
}

// Arrival is a sign-in on its way into an organization. Prepare makes one, outside of any transaction; Judge and Enter are called in
// the transaction that makes the session, with the account locked; End is called once, after it.
type Arrival struct {
	s      *base
	entry  Entry
	method string
	join   *admission // nil: nobody joins

	org        org.Organization // zero: none
	membership org.Membership
	joined     bool // Enter made the membership
}

// Prepare looks where a sign-in is to end, and asks the gates where that takes a new membership.
func (s *base) Prepare(ctx context.Context, a account.Account, e Entry, method string) (*Arrival, error) {
	r := &Arrival{s: s, entry: e, method: method}
	if !e.Join || e.OrganizationID == uuid.Nil {
		return r, nil
	}
	_, err := s.orgs.Find(ctx, s.kit.DB, e.OrganizationID, a.ID)
	if !errors.Is(err, org.ErrNotMember) {
		return r, err
	}
	o, err := s.orgs.Get(ctx, e.OrganizationID)
	if errors.Is(err, org.ErrNotFound) {
		return nil, notMember()
	}
	if err != nil {
		return nil, err
	}
	by := Actor{Plugin: e.Plugin}
	if e.Plugin == "" {
		by.Principal = principal.Principal{Kind: principal.User, UserID: a.ID}
	}
	join := &admission{by: by, org: o, account: a, role: e.Role, via: org.JustInTime}
	if err := s.ask(ctx, join); err != nil {
		return nil, flow.Refusal{Reason: "member_add", Err: err}
	}
	r.join = join
	return r, nil
}

// notMember refuses a sign-in that names an organization to which the person doesn't belong, or one that isn't there.
func notMember() error {
	return flow.Refusal{Reason: "not_a_member", Err: ErrNotMember}
}

// ErrNotMember says that somebody doesn't belong to the organization to which they sign in.
var ErrNotMember = org.ErrNotFound

// Judge says whether the sign-in needs a second factor for its organization. A sign-in that named one is refused where it can't end there;
// another is let go without an organization.
func (r *Arrival) Judge(ctx context.Context, tx *store.Tx, a account.Account, aal string) (secondFactor bool, err error) {
	s, named := r.s, r.entry.OrganizationID != uuid.Nil
	r.org, r.membership, r.joined = org.Organization{}, org.Membership{}, false
	if named {
		r.membership, err = s.orgs.Find(ctx, tx, r.entry.OrganizationID, a.ID)
	} else {
		r.membership, err = s.orgs.LastActive(ctx, tx, a.ID)
	}
	switch {
	case errors.Is(err, org.ErrNotMember) && r.join != nil:
		r.membership = org.Membership{OrganizationID: r.entry.OrganizationID}
	case errors.Is(err, org.ErrNotMember) && named, err == nil && r.membership.Status != org.Active:
		return false, notMember()
	case errors.Is(err, org.ErrNotMember):
		return false, nil
	case err != nil:
		return false, err
	}
	r.org, err = s.orgs.GetIn(ctx, tx, r.membership.OrganizationID)
	if errors.Is(err, org.ErrNotFound) {
		return false, notMember()
	}
	if err != nil {
		return false, err
	}
	switch r.org.Policy.Judge(r.membership.Owner, r.method, aal) {
	case org.NeedsSecondFactor:
		return true, nil
	case org.MethodRefused:
		if named {
			return false, flow.Refusal{Reason: "sign_in_method", Err: ErrMethod}
		}
		r.org, r.membership = org.Organization{}, org.Membership{}
	}
	return false, nil
}

// Enter gives the organization and the role that the session begins with, after Judge found nothing lacking, and makes the membership
// of whoever joins.
func (r *Arrival) Enter(ctx context.Context, tx *store.Tx) (id uuid.UUID, role string, err error) {
	if r.org.ID == uuid.Nil {
		return uuid.Nil, "", nil
	}
	if r.membership.ID == uuid.Nil {
		if r.membership, err = r.s.enter(ctx, tx, *r.join); err != nil {
			return uuid.Nil, "", err
		}
		r.joined = true
	}
	return r.org.ID, r.membership.Role, r.s.orgs.Seen(ctx, tx, r.membership.ID)
}

// Joined reports whether the sign-in made a membership.
func (r *Arrival) Joined() bool { return r.joined }

// Forgo has the session begin in no organization, where the sign-in named none; it reports whether that was so.
func (r *Arrival) Forgo() bool {
	if r.entry.OrganizationID != uuid.Nil {
		return false
	}
	r.org, r.membership = org.Organization{}, org.Membership{}
	return true
}

// errNobodyJoined is what became of an attempt where the person is asked for a second factor first, after which the gates are asked anew, or
// where somebody else made the membership meanwhile.
var errNobodyJoined = errors.New("nobody joined")

// End tells the gates what came of it: err is what the transaction returned.
func (r *Arrival) End(ctx context.Context, err error) {
	if r == nil || r.join == nil {
		return
	}
	if err == nil && !r.joined {
		err = errNobodyJoined
	}
	r.join.attempt.End(ctx, err)
}
