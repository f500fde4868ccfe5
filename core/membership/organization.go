package membership

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

var (
	errCreation = fault.New(fault.Denied, "organization_creation_closed", "Only administrators create organizations here.")
	errTooMany  = fault.New(fault.Conflict, "too_many_organizations", "You own as many organizations as one person may.")
	errConfirm  = fault.New(fault.Conflict, "confirm_first", "Confirm your email address first.")
)

// NewOrganization is what somebody creates.
type NewOrganization struct {
	Name  string
	Slug  string    // empty: made from the name
	Owner uuid.UUID // an account; uuid.Nil: whoever creates it, or, for an operator, nobody yet
}

// Create makes an organization whose owner is the first member, and turns the creator's session to it.
func (s *base) Create(ctx context.Context, by Actor, n NewOrganization) (org.Organization, error) {
	self := by.id()
	switch {
	case self == uuid.Nil && !by.privileged():
		return org.Organization{}, session.ErrUnauthenticated
	case by.Principal.ImpersonatorID != uuid.Nil:
		return org.Organization{}, errImpersonated
	case !by.privileged() && s.settings.Load().Creation != Anyone:
		return org.Organization{}, errCreation
	case n.Owner == uuid.Nil:
		n.Owner = self
	case n.Owner != self && !by.privileged():
		return org.Organization{}, errOwn
	}
	if _, err := org.ParseName(n.Name); err != nil {
		return org.Organization{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return org.Organization{}, err
	}
	var o org.Organization
	create := func(ctx context.Context, tx *store.Tx, e audit.Entry) (err error) {
		o, err = s.orgs.Create(ctx, tx, e, org.NewOrganization{ID: id, Name: n.Name, Slug: n.Slug})
		return err
	}
	if n.Owner == uuid.Nil {
		err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return create(ctx, tx, by.entry("")) })
		return o, err
	}
	a, err := s.kit.Accounts.Get(ctx, n.Owner)
	if err != nil {
		return org.Organization{}, err
	}
	if a.Status == account.Unconfirmed && !by.privileged() { // whoever confirms the address is whom an administrator means by it
		return org.Organization{}, errConfirm
	}
	_, err = s.admit(ctx, admission{by: by, org: org.Organization{ID: id, Name: n.Name}, account: a, role: "owner", owner: true, via: org.Direct},
		func(ctx context.Context, tx *store.Tx, e audit.Entry) error {
			if !by.privileged() {
				if err := s.room(ctx, tx, a.ID); err != nil {
					return err
				}
			}
			return create(ctx, tx, e)
		},
		func(ctx context.Context, tx *store.Tx, m org.Membership) error {
			if n.Owner != self || by.Principal.SessionID == uuid.Nil {
				return nil
			}
			return s.turn(ctx, tx, by, m)
		})
	if err != nil {
		return org.Organization{}, err
	}
	return s.orgs.Get(ctx, o.ID)
}

// MayCreate reports whether somebody may create organizations for themselves, leaving aside how many they own already.
func (s *base) MayCreate(by Actor) bool {
	return by.id() != uuid.Nil && by.Principal.ImpersonatorID == uuid.Nil && (by.privileged() || s.settings.Load().Creation == Anyone)
}

// room looks whether somebody may own one more, with their account locked.
func (s *base) room(ctx context.Context, tx *store.Tx, id uuid.UUID) error {
	n, err := s.orgs.Owned(ctx, tx, id)
	if err == nil && n >= s.settings.Load().MaxOwned {
		err = errTooMany
	}
	return err
}

// Get gives an organization and how whoever asks stands to it: their membership, and whether they manage or own it.
func (s *base) Get(ctx context.Context, by Actor, id uuid.UUID) (Standing, error) {
	st, err := s.may(ctx, s.kit.DB, by, id, see)
	return Standing{Organization: st.org, Membership: st.membership, Manager: st.manager, Owner: st.owner}, err
}

// GetBySlug is Get by the slug.
func (s *base) GetBySlug(ctx context.Context, by Actor, slug string) (Standing, error) {
	o, err := s.orgs.GetBySlug(ctx, slug)
	if err != nil {
		return Standing{}, err
	}
	return s.Get(ctx, by, o.ID)
}

// Standing is an organization as seen by somebody.
type Standing struct {
	Organization org.Organization
	Membership   org.Membership // zero for an administrator of Sigra who isn't a member
	Manager      bool
	Owner        bool
}

// List lists all organizations, for administrators of Sigra.
func (s *base) List(ctx context.Context, by Actor, f org.Filter) (org.Page, error) {
	if !by.privileged() {
		return org.Page{}, fault.New(fault.Denied, "administrator_only", "Only administrators may do this.")
	}
	return s.orgs.List(ctx, f)
}

// StandingPage is a part of the list of somebody's organizations.
type StandingPage struct {
	Standings []Standing
	Next      string // empty: that was all
}

// Mine lists the organizations of whoever asks, suspended memberships too, in which nobody manages or owns anything.
func (s *base) Mine(ctx context.Context, by Actor, cursor string, limit int) (StandingPage, error) {
	if by.id() == uuid.Nil {
		return StandingPage{}, session.ErrUnauthenticated
	}
	page, err := s.orgs.Of(ctx, s.kit.DB, by.id(), cursor, limit)
	if err != nil {
		return StandingPage{}, err
	}
	out := StandingPage{Next: page.Next}
	for _, b := range page.Belongings {
		out.Standings = append(out.Standings, Standing{
			Organization: b.Organization, Membership: b.Membership, Manager: s.Manages(b.Membership), Owner: b.Owner && b.Status == org.Active,
		})
	}
	return out, nil
}

// Update changes an organization. Its policy is for owners, the rest for managers.
func (s *base) Update(ctx context.Context, by Actor, id uuid.UUID, c org.Change) (o org.Organization, err error) {
	want := manage
	if c.RequireSecondFactor != nil || c.Methods != nil {
		want = own
	}
	err = s.change(ctx, by, id, want, func(ctx context.Context, tx *store.Tx, st standing) error {
		o, err = s.orgs.Update(ctx, tx, by.entry(""), id, c)
		return err
	})
	return o, err
}

// Delete removes an organization with everything in it.
func (s *base) Delete(ctx context.Context, by Actor, id uuid.UUID) error {
	return s.change(ctx, by, id, own, func(ctx context.Context, tx *store.Tx, _ standing) error {
		return s.orgs.Delete(ctx, tx, by.entry(""), id)
	})
}

// ByEmail gives the organization that has proven the domain of an address, for the page where people sign in. False when none has.
// It says nothing of whether anybody has the address.
func (s *base) ByEmail(ctx context.Context, email string) (org.Organization, bool, error) {
	e, err := account.ParseEmail(email)
	if err != nil {
		return org.Organization{}, false, nil
	}
	id, err := s.orgs.OwnerOf(ctx, s.kit.DB, e)
	if errors.Is(err, org.ErrNoDomain) {
		return org.Organization{}, false, nil
	}
	if err != nil {
		return org.Organization{}, false, err
	}
	o, err := s.orgs.Get(ctx, id)
	if errors.Is(err, org.ErrNotFound) {
		return org.Organization{}, false, nil
	}
	return o, err == nil, err
}
